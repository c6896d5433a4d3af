//! Whether the two callback URLs are swapped in Africa's Talking's dashboard: then each webhook gets
//! what is meant for the other, and dead-letters it.

use std::collections::BTreeSet;

use super::Finding;
use crate::dead_letters::{DeadLetterItem, SourceQueue, peek};
use crate::stack::Stack;

const CHECK: &str = "callback URLs";

/// What Africa's Talking brings to a callback, by the fields that only the one kind has.
const REPORT: [&str; 2] = ["phoneNumber", "status"];
const INCOMING: [&str; 2] = ["from", "text"];

/// Looks for dead-lettered callbacks of the other kind.
pub async fn examine(stack: &Stack) -> Finding {
    let mut misplaced = Vec::new();
    for (queue, fields, what) in [
        (
            SourceQueue::Exchange,
            REPORT,
            "delivery reports at the URL of incoming messages",
        ),
        (
            SourceQueue::Reports,
            INCOMING,
            "SMS at the URL of delivery reports",
        ),
    ] {
        match peek(stack, queue).await {
            Ok(peeked) => {
                let count = count(&peeked.items, fields);
                if count > 0 {
                    misplaced.push(format!("{what}: {count}"));
                }
            }
            Err(failure) => return Finding::failed(CHECK, &failure),
        }
    }
    if misplaced.is_empty() {
        return Finding::fine(CHECK, "nothing has come to the wrong one");
    }
    Finding::wrong(
        CHECK,
        format!("they look swapped: {}", misplaced.join(", ")),
        "paste the URLs that `cargo ops callbacks` prints where each belongs; `cargo ops dead-letters show` \
         with --reveal has the SMS that came to the wrong one",
    )
}

/// How many callbacks among the dead letters have all of these fields.
fn count(items: &[DeadLetterItem], fields: [&str; 2]) -> usize {
    // A message of our own queues can be retried; a callback that named no message cannot.
    let callbacks = items.iter().filter(|item| !item.retryable);
    callbacks.filter(|item| has_all(&item.body, fields)).count()
}

fn has_all(form: &str, fields: [&str; 2]) -> bool {
    let named: BTreeSet<_> = form_urlencoded::parse(form.as_bytes())
        .map(|(name, _)| name.into_owned())
        .collect();
    fields.iter().all(|field| named.contains(*field))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AN_SMS: &str =
        include_str!("../../../../functions/bridge/tests/payloads/incoming-space-date.form");
    const A_REPORT: &str =
        include_str!("../../../../functions/bridge/tests/payloads/delivery-report-failed.form");

    #[test]
    fn the_two_kinds_differ_by_their_fields() {
        assert!(has_all(AN_SMS, INCOMING) && !has_all(AN_SMS, REPORT));
        assert!(has_all(A_REPORT, REPORT) && !has_all(A_REPORT, INCOMING));
        for neither in ["", "id=1", "from=MyBank", "status=Sent", "{}"] {
            assert!(!has_all(neither, INCOMING) && !has_all(neither, REPORT));
        }
    }

    #[test]
    fn a_message_of_our_own_queues_is_no_callback() {
        let item = |retryable| DeadLetterItem::example("1", A_REPORT, retryable);
        assert_eq!(count(&[item(true), item(false), item(false)], REPORT), 2);
    }
}
