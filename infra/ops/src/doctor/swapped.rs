//! Whether the callback URLs are swapped in Africa's Talking's dashboard: then a webhook gets what is
//! meant for another, and dead-letters it.

use super::Finding;
use crate::dead_letters::{DeadLetterItem, SourceQueue, peek};
use crate::stack::Stack;

const CHECK: &str = "callback URLs";

/// Looks for dead-lettered callbacks of another kind.
pub async fn examine(stack: &Stack) -> Finding {
    let mut misplaced = Vec::new();
    for (queue, what) in [
        (
            SourceQueue::Exchange,
            "other callbacks at the URL of incoming messages or opt-outs",
        ),
        (
            SourceQueue::Reports,
            "other callbacks at the URL of delivery reports",
        ),
    ] {
        match peek(stack, queue).await {
            Ok(peeked) => {
                let count = count(&peeked.items);
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
        "paste the URLs that `cargo ops callbacks` prints where each belongs; then `cargo ops dead-letters \
         redrive --all` delivers what came to the wrong one",
    )
}

/// How many of the dead letters are callbacks that came to the wrong URL.
fn count(items: &[DeadLetterItem]) -> usize {
    let misplaced = items.iter().filter(|item| item.came_to_the_wrong_url());
    misplaced.count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridge::domain::time::Timestamp;
    use bridge::wire::queue_messages::{DeadLetter, encode};

    const AN_SMS: &str =
        include_str!("../../../../functions/bridge/tests/payloads/incoming-space-date.form");
    const A_REPORT: &str =
        include_str!("../../../../functions/bridge/tests/payloads/delivery-report-failed.form");

    const AN_OPT_OUT: &str =
        include_str!("../../../../functions/bridge/tests/payloads/opt-out.form");

    fn item(queue: SourceQueue, body: &str, retryable: bool) -> DeadLetterItem {
        let dead_letter = DeadLetter {
            reason: "why".to_owned(),
            retryable,
            dead_lettered_at: Timestamp::from_millis(5),
            body: body.to_owned(),
        };
        DeadLetterItem::example_of(queue, "1", encode(&dead_letter))
    }

    #[test]
    fn a_callback_is_at_the_wrong_url_if_it_is_plainly_one_of_the_other_kind() {
        for (queue, body, expected) in [
            (SourceQueue::Exchange, A_REPORT, 1),
            (SourceQueue::Reports, AN_SMS, 1),
            (SourceQueue::Exchange, AN_OPT_OUT, 1),
            (SourceQueue::Reports, AN_OPT_OUT, 1),
            (SourceQueue::Exchange, AN_SMS, 0),
            (SourceQueue::Reports, A_REPORT, 0),
            (SourceQueue::Reports, "id=1", 0),
            (SourceQueue::Exchange, "{}", 0),
        ] {
            assert_eq!(count(&[item(queue, body, false)]), expected, "{body}");
        }
    }

    #[test]
    fn a_message_of_our_own_queues_is_no_callback() {
        let ours = item(SourceQueue::Exchange, A_REPORT, true);
        assert_eq!(count(&[ours]), 0);
    }
}
