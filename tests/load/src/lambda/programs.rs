//! The five programs: where they are, and with what environment they run.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sandbox::stack;

/// Compiles the five functions, and gives the folder with their programs. It blocks.
///
/// # Errors
/// When something does not compile.
pub fn build(profile: &str) -> anyhow::Result<PathBuf> {
    let programs = stack::compile(profile, &stack::FUNCTIONS)?;
    let folder = programs.first().and_then(|(_, program)| program.parent());
    Ok(folder.context("no function was compiled")?.to_owned())
}

/// Where everything outside a function is.
#[derive(Clone, Debug)]
pub struct Environments {
    /// AWS.
    pub aws: String,
    /// Medic.
    pub medic: String,
    /// Africa's Talking.
    pub africas_talking: String,
    /// Whom to trust, if anybody serves HTTPS.
    pub authority: Option<PathBuf>,
}

impl Environments {
    /// One server without TLS for everything.
    #[must_use]
    pub fn all_at(url: &str) -> Self {
        Self {
            aws: url.to_owned(),
            medic: url.to_owned(),
            africas_talking: url.to_owned(),
            authority: None,
        }
    }

    /// The environment of a function.
    #[must_use]
    pub fn environment(&self, function: &str) -> Vec<(String, String)> {
        let queue = |name: &str| format!("{}/000000000000/{name}", self.aws);
        let mut environment = vec![
            ("AWS_ENDPOINT_URL", self.aws.clone()),
            ("AWS_REGION", "us-east-1".to_owned()),
            // So that a call tells who made it.
            ("AWS_ACCESS_KEY_ID", function.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "none".to_owned()),
            // As long as Lambda's own: it is signed and sent with every call.
            ("AWS_SESSION_TOKEN", "t".repeat(800)),
            ("EXCHANGE_QUEUE_URL", queue("exchange.fifo")),
            (
                "EXCHANGE_DEAD_LETTER_QUEUE_URL",
                queue("exchange-dead-letter.fifo"),
            ),
            ("OUTBOX_QUEUE_URL", queue("outbox")),
            ("OUTBOX_DEAD_LETTER_QUEUE_URL", queue("outbox-dead-letter")),
            ("REPORTS_QUEUE_URL", queue("reports")),
            (
                "REPORTS_DEAD_LETTER_QUEUE_URL",
                queue("reports-dead-letter"),
            ),
            (
                "INCOMING_KEY_SECRET_ARN",
                "arn:aws:secretsmanager:us-east-1:000000000000:secret:incoming-key".to_owned(),
            ),
            (
                "CREDENTIALS_SECRET_ARN",
                "arn:aws:secretsmanager:us-east-1:000000000000:secret:credentials".to_owned(),
            ),
            ("LEDGER_TABLE", "ledger".to_owned()),
            ("LEDGER_RETENTION_DAYS", "90".to_owned()),
            ("SENDER_TIMEOUT_SECONDS", "90".to_owned()),
            ("MEDIC_URL", self.medic.clone()),
            ("MEDIC_TIMEOUT_SECONDS", "60".to_owned()),
            ("MEDIC_GRACE_SECONDS", "60".to_owned()),
            ("AFRICASTALKING_USERNAME", "sandbox".to_owned()),
            ("AFRICASTALKING_BASE_URL", self.africas_talking.clone()),
            ("UNKNOWN_OUTCOME_POLICY", "resend-once".to_owned()),
            ("RESEND_AFTER_SECONDS", "120".to_owned()),
            ("MESSAGE_MAX_AGE_HOURS", "72".to_owned()),
            ("RECIPIENT_MESSAGES_PER_HOUR", "60".to_owned()),
            ("RECIPIENT_SAME_TEXT_PER_DAY", "20".to_owned()),
        ];
        // Node.js alone: it is of no use to measure how long a warning takes.
        environment.push((
            "AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED",
            "true".to_owned(),
        ));
        if let Some(authority) = &self.authority {
            let authority = authority.display().to_string();
            // For the functions, and for Node.js.
            environment.push(("SSL_CERT_FILE", authority.clone()));
            environment.push(("NODE_EXTRA_CA_CERTS", authority));
        }
        environment
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

/// The size of a program as a package for Lambda, in bytes: zipped as hard as it goes.
///
/// # Errors
/// When it cannot be read, or Python is missing.
pub fn zipped_size(program: &Path) -> anyhow::Result<u64> {
    const ZIP: &str = "import sys, zipfile, io; b = io.BytesIO(); \
        z = zipfile.ZipFile(b, 'w', zipfile.ZIP_DEFLATED, compresslevel=9); \
        z.write(sys.argv[1], 'bootstrap'); z.close(); print(len(b.getvalue()))";
    let output = std::process::Command::new("python3")
        .args(["-c", ZIP])
        .arg(program)
        .output()
        .context("cannot run python3")?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim()
        .parse()
        .with_context(|| format!("cannot zip {}", program.display()))
}
