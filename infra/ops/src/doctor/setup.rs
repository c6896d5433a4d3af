//! Checks what everything else needs: the stack, its secrets, and a clock that is right.

use bridge::secrets::credentials::{AFRICASTALKING_API_KEY, MEDIC_PASSWORD, MEDIC_USERNAME};
use bridge::wire::json::parse_lenient;
use serde_json::Value;

use super::{Finding, Verdict};
use crate::callbacks::read_keys;
use crate::clock::{AwsClock, is_right};
use crate::failure::Failure;
use crate::stack::{DEPLOY, Resource, Stack};

/// The version of this program.
const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The content of the secret with the credentials.
pub struct CredentialsSecret {
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    /// Africa's Talking's key.
    pub api_key: Option<String>,
    /// Medic's user and password.
    pub medic: Option<(String, String)>,
}

/// The content of the secret with the incoming key.
pub struct IncomingKeySecret {
    /// What is wrong with it.
    pub findings: Vec<Finding>,
    pub key: Option<String>,
}

/// Checks whether the stack is deployed completely.
pub fn stack(stack: &Stack, resources: &Result<Vec<Resource>, Failure>) -> Vec<Finding> {
    const CHECK: &str = "stack";
    let mut findings = Vec::new();
    let deployed = matches!(
        stack.status.as_str(),
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE"
    );
    let (name, status) = (&stack.name, &stack.status);
    if deployed {
        findings.push(Finding::fine(CHECK, format!("`{name}` is {status}")));
    } else if status.contains("ROLLBACK_COMPLETE") && status.starts_with("UPDATE") {
        findings.push(Finding::note(
            CHECK,
            format!("the last update of `{name}` was rolled back: what was there before runs"),
        ));
    } else {
        findings.push(Finding::wrong(
            CHECK,
            format!("`{name}` is {status}"),
            deploy_again(name, status),
        ));
    }
    match resources {
        Err(failure) => findings.push(Finding::failed(CHECK, failure)),
        Ok(resources) => findings.extend(
            resources
                .iter()
                .filter(|resource| {
                    resource.status.contains("FAILED") || resource.status.contains("DELETE")
                })
                .map(|resource| {
                    let (name, status) = (&resource.logical_id, &resource.status);
                    let advice = format!("deploy again: {DEPLOY}");
                    Finding::wrong(CHECK, format!("{name} is {status}"), advice)
                }),
        ),
    }
    findings
}

/// Compares the version of the stack with that of this program.
pub fn version(stack: &Stack) -> Finding {
    compare_versions(stack.output("Version").ok(), OWN_VERSION)
}

fn compare_versions(deployed: Option<&str>, own: &str) -> Finding {
    const CHECK: &str = "version";
    let differs = |what: String| {
        const ADVICE: &str = "what this program says may be wrong: use the one of the stack's version, or upgrade the stack";
        Finding::new(CHECK, Verdict::Note, what, ADVICE)
    };
    match deployed {
        Some(deployed) if deployed == own => {
            Finding::fine(CHECK, format!("the stack and this program are {own}"))
        }
        Some(deployed) => differs(format!("the stack is {deployed}, this program is {own}")),
        None => differs(format!("the stack names no version, this program is {own}")),
    }
}

/// Says how to deploy a stack that is in this state.
fn deploy_again(name: &str, status: &str) -> String {
    // CloudFormation does not update a stack whose creation was rolled back.
    let first = if status == "ROLLBACK_COMPLETE" {
        format!("`sam delete --stack-name {name}`, then ")
    } else {
        String::new()
    };
    format!("{first}deploy again: {DEPLOY}; the stack's events in CloudFormation say what failed")
}

/// The credentials, and which of them are missing.
pub async fn credentials(stack: &Stack) -> CredentialsSecret {
    const CHECK: &str = "credentials";
    const ADVICE: &str = "`cargo ops set-credentials`";
    let none = |finding| CredentialsSecret {
        findings: vec![finding],
        api_key: None,
        medic: None,
    };
    let text = match stack.read_secret("CredentialsSecretArn").await {
        Err(failure) => return none(Finding::failed(CHECK, &failure)),
        // AWS's answer for a secret that has no value.
        Ok(Err(error)) if error.0 == "ResourceNotFoundException" => {
            return none(Finding::wrong(CHECK, "the secret is not filled in", ADVICE));
        }
        Ok(Err(error)) => {
            let failure = Failure::aws("read the credentials", &error.0);
            return none(Finding::failed(CHECK, &failure));
        }
        Ok(Ok(text)) => text,
    };
    let Ok(secret) = parse_lenient(text.as_bytes()) else {
        return none(Finding::wrong(CHECK, "the secret is no JSON", ADVICE));
    };
    let field = |name: &str| {
        let value = secret.get(name).and_then(Value::as_str).map(str::trim);
        value.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let missing: Vec<&str> = [AFRICASTALKING_API_KEY, MEDIC_USERNAME, MEDIC_PASSWORD]
        .into_iter()
        .filter(|name| field(name).is_none())
        .collect();
    let finding = if missing.is_empty() {
        Finding::fine(CHECK, "filled in")
    } else {
        let missing = missing.join(", ");
        Finding::wrong(CHECK, format!("{missing} not filled in"), ADVICE)
    };
    CredentialsSecret {
        findings: vec![finding],
        api_key: field(AFRICASTALKING_API_KEY),
        medic: field(MEDIC_USERNAME).zip(field(MEDIC_PASSWORD)),
    }
}

/// The incoming key, and whether a rotation is under way.
pub async fn keys(stack: &Stack) -> IncomingKeySecret {
    const CHECK: &str = "incoming key";
    let keys = match read_keys(stack).await {
        Ok(keys) => keys,
        Err(failure) => {
            return IncomingKeySecret {
                findings: vec![Finding::failed(CHECK, &failure)],
                key: None,
            };
        }
    };
    let mut findings = Vec::new();
    if keys.key.is_empty() {
        findings.push(Finding::wrong(
            CHECK,
            "the secret has no key: every callback is refused",
            "`cargo ops rotate-key`, and paste the URLs that it prints",
        ));
    } else {
        findings.push(Finding::fine(CHECK, "there is one"));
    }
    if keys.second_key.is_some() {
        findings.push(Finding::note(
            CHECK,
            "two keys are valid: `cargo ops rotate-key --end-old-key` ends the old one, \
             when the new URLs are pasted",
        ));
    }
    IncomingKeySecret {
        findings,
        key: Some(keys.key).filter(|key| !key.is_empty()),
    }
}

/// Checks whether this machine's clock agrees with AWS's.
pub fn clock(clock: &AwsClock) -> Finding {
    const CHECK: &str = "clock";
    match clock.off() {
        None => Finding::unknown(CHECK, "AWS has not said what time it is"),
        Some(off) if is_right(off) => Finding::fine(CHECK, "this machine's is that of AWS"),
        Some(off) => Finding::wrong(
            CHECK,
            format!("this machine's is {} s off", off.whole_seconds()),
            "set it; AWS refuses signatures that are five minutes off",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_of_another_version_is_worth_knowing() {
        let finding = compare_versions(Some("0.2.0"), "0.2.0");
        assert_eq!(finding.verdict, Verdict::Fine);
        for (deployed, words) in [
            (Some("0.2.0"), "the stack is 0.2.0, this program is 0.3.0"),
            (None, "the stack names no version, this program is 0.3.0"),
        ] {
            let finding = compare_versions(deployed, "0.3.0");
            assert_eq!(finding.verdict, Verdict::Note);
            assert_eq!(finding.what, words);
            assert!(finding.advice.contains("upgrade the stack"), "{finding:?}");
        }
    }

    #[test]
    fn a_stack_that_cannot_be_updated_is_to_be_deleted_first() {
        let advice = deploy_again("clinic-sms", "ROLLBACK_COMPLETE");
        assert!(
            advice.starts_with("`sam delete --stack-name clinic-sms`, then deploy again"),
            "{advice}"
        );
        let advice = deploy_again("clinic-sms", "UPDATE_FAILED");
        assert!(advice.starts_with("deploy again"), "{advice}");
    }
}
