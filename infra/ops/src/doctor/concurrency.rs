//! The account's quota of concurrent executions of Lambda, which all functions of the region share.

use super::Finding;
use crate::failure::Failure;
use crate::stack::Stack;

const CHECK: &str = "concurrency quota";

/// The most executions that a stack's three workers use: two, three, and one, because all work for Medic
/// is in one message group.
const WORKERS: i64 = 6;

/// The executions that both webhooks need together to take a few messages.
const WEBHOOKS_AT_LEAST: i64 = 2;

/// The executions that both webhooks need in a campaign: the stage lets five hundred calls a second through,
/// each of which takes some twenty milliseconds.
const WEBHOOKS_IN_A_CAMPAIGN: i64 = 10;

const ADVICE: &str = "ask for more in the console, Service Quotas, AWS Lambda, Concurrent executions: it costs nothing";

/// The concurrent executions that the account allows.
#[derive(Clone, Copy, Debug)]
struct Quota {
    /// All together.
    all: i64,
    /// The executions that no function has reserved.
    unreserved: i64,
    /// The executions that this stack has reserved for each of its webhooks.
    reserved_by_a_webhook: i64,
}

/// Whether it is enough, and for how many stacks.
pub async fn quota(stack: &Stack) -> Finding {
    let settings = match stack.lambda.get_account_settings().send().await {
        Ok(settings) => settings,
        Err(error) => {
            return Finding::failed(CHECK, &Failure::call("ask for Lambda's quota", &error));
        }
    };
    let Some(limit) = settings.account_limit() else {
        return Finding::unknown(CHECK, "Lambda's answer does not have it");
    };
    let reserved = stack.parameter("WebhookReservedConcurrency");
    judge(Quota {
        all: limit.concurrent_executions().into(),
        unreserved: limit.unreserved_concurrent_executions().unwrap_or(0).into(),
        reserved_by_a_webhook: reserved.and_then(|it| it.parse().ok()).unwrap_or(0),
    })
}

fn judge(quota: Quota) -> Finding {
    let webhooks_have_their_own = quota.reserved_by_a_webhook > 0;
    let with = |webhooks: i64| match webhooks_have_their_own {
        true => WORKERS,
        false => WORKERS + webhooks,
    };
    let (least, campaign) = (with(WEBHOOKS_AT_LEAST), with(WEBHOOKS_IN_A_CAMPAIGN));
    let (all, unreserved) = (quota.all, quota.unreserved);
    let quota = format!("{all} concurrent executions, {unreserved} of them not reserved");
    if unreserved < least {
        let what = format!("{quota}: too small for this stack, which needs {least}");
        return Finding::wrong(CHECK, what, ADVICE);
    }
    if unreserved < campaign {
        return Finding::note(
            CHECK,
            format!(
                "{quota}: enough for this stack alone while there is little to do, and in a campaign, which \
                 needs {campaign}, callbacks are lost; {ADVICE}"
            ),
        );
    }
    let stacks = unreserved / campaign;
    let stacks = if stacks == 1 {
        "one stack".to_owned()
    } else {
        format!("{stacks} stacks")
    };
    Finding::fine(CHECK, format!("{quota}: enough for {stacks}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn the_quota_is_compared_with_what_a_stack_needs() {
        for (all, unreserved, reserved_by_a_webhook, verdict, words) in [
            (
                10,
                7,
                0,
                Verdict::Wrong,
                "too small for this stack, which needs 8",
            ),
            (10, 10, 0, Verdict::Note, "enough for this stack alone"),
            (100, 15, 0, Verdict::Note, "enough for this stack alone"),
            (16, 16, 0, Verdict::Fine, "enough for one stack"),
            (1000, 1000, 0, Verdict::Fine, "enough for 62 stacks"),
            // The webhooks have theirs: only the workers need some of the rest.
            (100, 5, 20, Verdict::Wrong, "which needs 6"),
            (100, 12, 20, Verdict::Fine, "enough for 2 stacks"),
        ] {
            let finding = judge(Quota {
                all,
                unreserved,
                reserved_by_a_webhook,
            });
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert!(finding.what.contains(words), "{finding:?}");
        }
    }
}
