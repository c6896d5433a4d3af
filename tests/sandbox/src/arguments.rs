//! What can be typed after `cargo sandbox`, and what of it has to be asked first.
#![allow(
    clippy::print_stderr,
    reason = "a command line that talks to the person who started it"
)]

use clap::{Args, Parser, Subcommand};
use sandbox::ends::africastalking::RealAccount;
use sandbox::ends::kept::KeptFolder;
use sandbox::ends::medic::{MedicBacklog, PhonesBehind, RealMedic};
use sandbox::ends::{ChosenAfricasTalking, ChosenEnds};

use crate::questions::Questions;

/// Where callbacks are taken, so that a tunnel can be started first.
const CALLBACK_PORT: u16 = 8548;

/// The whole system on this machine, until Ctrl-C
///
/// Without arguments there is a stand-in at each end. With --medic-url your own Medic takes the place of
/// one, with --africastalking-username your own account of Africa's Talking that of the other one. Before
/// it starts, it checks them, and asks where SMS would be sent that somebody may not expect.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo sandbox", args_conflicts_with_subcommands = true)]
pub struct SandboxArguments {
    /// Instead of the whole system.
    #[command(subcommand)]
    pub command: Option<SandboxCommand>,
    /// The two ends.
    #[command(flatten)]
    pub ends: EndArguments,
}

/// Instead of the whole system.
#[derive(Debug, Subcommand)]
pub enum SandboxCommand {
    /// Checks infra/template.yaml: sam validate --lint; cfn-lint and checkov after the transform; and
    /// that the CDK construct in infra/cdk makes the same of it (needs Node.js). Checks GitHub's
    /// workflows with actionlint and zizmor
    Lint,
    /// Makes pictures of the page in its states, in target/sandbox/screenshots
    Screenshots,
}

/// The two ends.
#[derive(Debug, Args)]
pub struct EndArguments {
    /// Your own Medic in the place of the stand-in: https://, a host, perhaps a port
    #[arg(long, value_name = "URL", requires = "medic_user")]
    medic_url: Option<String>,
    /// Its user with the role `gateway`; the password is asked for, or taken from the variable
    /// MEDIC_PASSWORD
    #[arg(long, value_name = "NAME", requires = "medic_url")]
    medic_user: Option<String>,
    /// Your own account of Africa's Talking in the place of the stand-in: `sandbox` is its simulator, every
    /// other name is live; the key is asked for, or taken from the variable AFRICASTALKING_API_KEY
    #[arg(long, value_name = "NAME")]
    africastalking_username: Option<String>,
    /// The sender that phones see: the template's parameter SenderIds
    #[arg(long, value_name = "SENDER", requires = "africastalking_username")]
    sender_ids: Option<String>,
    /// The address of a tunnel to --callback-port, for Africa's Talking's callbacks; the two URLs to paste
    /// are printed
    #[arg(long, value_name = "URL", requires = "africastalking_username")]
    public_url: Option<String>,
    /// The port on 127.0.0.1 that takes the callbacks and nothing else
    #[arg(long, value_name = "PORT", default_value_t = CALLBACK_PORT, requires = "africastalking_username")]
    callback_port: u16,
    /// Keeps ledger and queues in .kept for the next start with the same ends, which then sends nothing
    /// again; numbers and texts of SMS that wait are in there
    #[arg(long)]
    keep: bool,
    /// Answers every question with yes
    #[arg(long)]
    pub yes: bool,
}

impl EndArguments {
    /// Checks what was chosen, and asks where something would be sent.
    ///
    /// # Errors
    /// With what is wrong, or what was not answered with yes.
    pub async fn chosen(&self, questions: &Questions) -> anyhow::Result<ChosenEnds> {
        let medic = self.medic(questions)?;
        let account = self.account(questions)?;
        let has_real_end = medic.is_some() || account.is_some();
        let kept = if self.keep {
            let username = account.as_ref().map(RealAccount::username);
            let medic_url = medic.as_ref().map(RealMedic::url);
            Some(KeptFolder::of_ends(medic_url, username)?)
        } else {
            None
        };
        let phones = match &account {
            None => PhonesBehind::StandIn,
            Some(account) if account.is_live() => PhonesBehind::Live,
            Some(_) => PhonesBehind::Simulator,
        };
        let mut warnings = Vec::new();
        // The stand-in of Medic begins with none.
        let mut backlog = Some(MedicBacklog::default());
        if let Some(medic) = &medic {
            let standing = medic.check().await?;
            let own = kept.as_ref().map_or(Ok(0), KeptFolder::with_us)?;
            warnings = standing.warnings(phones, own);
            eprintln!("Medic at {} answers, and lets our user in.", medic.url());
            if standing.waiting.is_none() {
                eprintln!("Its monitoring does not say how many messages wait in it.");
            }
            backlog = standing.waiting;
        }
        if let Some(account) = &account {
            let balance = account.check().await?;
            eprintln!("Africa's Talking takes the key; the balance is {balance}.");
            let in_queue = kept
                .as_ref()
                .map_or(Ok(0), KeptFolder::waiting_for_phones)?;
            warnings.extend(account.question(&waiting_in_words(backlog, in_queue)));
        }
        if has_real_end && kept.is_none() {
            eprintln!(
                "Without --keep the next start knows nothing of what this one has sent: what Medic still \
                 offers then is sent again."
            );
        }
        if !warnings.is_empty() {
            questions.confirm(&format!("{}\nGo on?", warnings.join("\n")))?;
        }
        let africastalking = account.map(|account| ChosenAfricasTalking {
            account,
            sender_ids: self.sender_ids.clone().unwrap_or_default(),
            public_url: self.public_url.clone(),
            callback_port: self.callback_port,
        });
        Ok(ChosenEnds {
            medic,
            africastalking,
            kept,
        })
    }

    fn medic(&self, questions: &Questions) -> anyhow::Result<Option<RealMedic>> {
        let (Some(url), Some(user)) = (&self.medic_url, &self.medic_user) else {
            return Ok(None);
        };
        let password = questions.secret("MEDIC_PASSWORD", "Password of Medic's user")?;
        Ok(Some(RealMedic::new(url, user, password)?))
    }

    fn account(&self, questions: &Questions) -> anyhow::Result<Option<RealAccount>> {
        let Some(username) = &self.africastalking_username else {
            return Ok(None);
        };
        let key = questions.secret("AFRICASTALKING_API_KEY", "API key of Africa's Talking")?;
        Ok(Some(RealAccount::new(username, key)?))
    }
}

/// How many SMS wait: in Medic, and in the queue of an earlier start.
fn waiting_in_words(in_medic: Option<MedicBacklog>, in_queue: u64) -> String {
    let in_medic = in_medic.map_or("an unknown number".to_owned(), MedicBacklog::count_in_words);
    match in_queue {
        0 => in_medic,
        _ => format!("{in_medic} in Medic, {in_queue} in the queue that was kept"),
    }
}
