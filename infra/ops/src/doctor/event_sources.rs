//! The event source mappings, which have Lambda run the three workers when a queue has messages.

use super::Finding;
use crate::failure::Failure;
use crate::stack::{Resource, Stack};

const CHECK: &str = "event sources";

/// Lambda's words for a mapping whose last batch was processed, or that had none yet.
const PROCESSED: [&str; 2] = ["OK", "No records processed"];

/// Whether each mapping is enabled and works.
pub async fn examine(stack: &Stack, resources: &Result<Vec<Resource>, Failure>) -> Vec<Finding> {
    let Ok(resources) = resources else {
        return vec![Finding::unknown(
            CHECK,
            "the stack's resources are not known",
        )];
    };
    let mut findings = Vec::new();
    let mappings = resources
        .iter()
        .filter(|resource| resource.kind == "AWS::Lambda::EventSourceMapping");
    for mapping in mappings {
        let uuid = mapping.physical_id.as_str();
        let question = stack.lambda.get_event_source_mapping().uuid(uuid);
        findings.extend(match question.send().await {
            Ok(answer) => judge(
                &mapping.logical_id,
                uuid,
                answer.state().unwrap_or_default(),
                answer.last_processing_result().unwrap_or_default(),
            ),
            Err(error) => {
                let failure = Failure::call("ask for an event source mapping", &error);
                Some(Finding::failed(CHECK, &failure))
            }
        });
    }
    if findings.is_empty() {
        findings.push(Finding::fine(CHECK, "all are enabled, and none fails"));
    }
    findings
}

/// The problem of a mapping, if it has one.
fn judge(name: &str, uuid: &str, state: &str, last_result: &str) -> Option<Finding> {
    if matches!(state, "Disabled" | "Disabling") {
        return Some(Finding::wrong(
            CHECK,
            format!("{name} is disabled: its queue's messages wait, and nobody receives them"),
            format!("`aws lambda update-event-source-mapping --uuid {uuid} --enabled`"),
        ));
    }
    let is_processed = PROCESSED.iter().any(|word| last_result.starts_with(word));
    (!last_result.is_empty() && !is_processed).then(|| {
        Finding::wrong(
            CHECK,
            format!("{name} fails, Lambda says `{last_result}`; its messages wait"),
            "look at the log of its function: Lambda's own lines in it say what ended it; a function that \
             cannot start needs to be built and deployed again",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_fine_when_it_is_on_and_its_last_batch_was_processed() {
        for (state, last_result) in [
            ("Enabled", ""),
            ("Enabled", "OK"),
            ("Enabled", "OK - 3 records"),
            ("Creating", "No records processed"),
            ("Updating", "OK"),
        ] {
            let finding = judge("OutboundSenderMapping", "u", state, last_result);
            assert!(finding.is_none(), "{finding:?}");
        }
    }

    #[test]
    fn a_mapping_that_is_off_or_fails_is_wrong_and_says_what_to_do() {
        for (state, last_result, what, advice) in [
            ("Disabled", "OK", "is disabled", "--uuid u --enabled"),
            ("Disabling", "", "is disabled", "--uuid u --enabled"),
            (
                "Enabled",
                "PROBLEM: Function call failed",
                "`PROBLEM: Function call failed`",
                "built and deployed again",
            ),
        ] {
            let finding = judge("OutboundSenderMapping", "u", state, last_result).unwrap();
            assert!(
                finding.what.starts_with("OutboundSenderMapping"),
                "{finding:?}"
            );
            assert!(finding.what.contains(what), "{finding:?}");
            assert!(finding.advice.contains(advice), "{finding:?}");
        }
    }
}
