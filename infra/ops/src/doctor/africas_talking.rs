//! Africa's Talking: whether it takes our key and user name, and how much credit is left.

use bridge::adapters::africas_talking::AfricasTalkingServer;
use bridge::wire::africastalking::balance;

use super::setup::CredentialsSecret;
use super::{Finding, Http, ask};
use crate::stack::{DEPLOY_GUIDED, Stack};

const CHECK: &str = "Africa's Talking";

/// Asks Africa's Talking for the balance, which needs key and user name, and sends nothing.
pub async fn examine(stack: &Stack, http: &Http, credentials: &CredentialsSecret) -> Vec<Finding> {
    let username = stack
        .parameter("AfricasTalkingUsername")
        .unwrap_or("sandbox");
    let Some(key) = &credentials.api_key else {
        return vec![Finding::unknown(
            CHECK,
            "not asked: its key is not filled in",
        )];
    };
    let base_url = stack.parameter("AfricasTalkingBaseUrl");
    let server = match AfricasTalkingServer::new(username.to_owned(), base_url) {
        Ok(server) => server,
        Err(error) => {
            let advice = format!("correct the parameter with {DEPLOY_GUIDED}");
            return vec![Finding::wrong(CHECK, error.to_string(), advice)];
        }
    };
    let request = http.get(server.user_url().clone()).header("apiKey", key);
    vec![match ask(request).await {
        Err(problem) => Finding::wrong(
            CHECK,
            problem,
            "look whether Africa's Talking is up; messages wait until they expire",
        ),
        Ok(answer) if matches!(answer.status, 401 | 403) => Finding::wrong(
            CHECK,
            format!("it refuses the API key for the user name `{username}`"),
            "`cargo ops set-credentials`; key and user name must be of the same application, and a new key \
             can take twenty minutes to work",
        ),
        Ok(answer) if answer.status == 200 => balance(&answer.bytes, username, low_balance(stack)),
        Ok(answer) => Finding::unknown(
            CHECK,
            format!(
                "it answers HTTP {}; nothing can be said of key and credit",
                answer.status
            ),
        ),
    }]
}

/// Under so much credit an alarm is raised, in the account's currency.
fn low_balance(stack: &Stack) -> Option<i64> {
    stack.parameter("LowBalance")?.parse().ok()
}

fn balance(body: &[u8], username: &str, low: Option<i64>) -> Finding {
    let Some(balance) = balance::read(body) else {
        return Finding::unknown(CHECK, "it takes the key, and its balance cannot be read");
    };
    if balance.micros() <= 0 {
        return Finding::wrong(
            CHECK,
            format!("no credit: the balance is {balance}"),
            "top up; then `cargo ops resume` has the next message try, and what waited is sent \
             unless it has expired",
        );
    }
    let note = if username == "sandbox" {
        " (the simulator: no phone receives anything)"
    } else {
        ""
    };
    let what = format!("it takes the key; the balance is {balance}{note}");
    match low {
        Some(low) if balance.micros() < low.saturating_mul(1_000_000) => {
            Finding::note(CHECK, format!("{what}, which is less than {low}: top up"))
        }
        _ => Finding::fine(CHECK, what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;
    use serde_json::json;

    #[test]
    fn a_balance_is_read_in_both_spellings_and_may_be_negative() {
        for (body, verdict) in [
            (
                json!({"UserData": {"balance": "USD 9999.6168"}}),
                Verdict::Fine,
            ),
            (
                json!({"UserData": {"balance": "KES 99.9999"}}),
                Verdict::Note,
            ),
            (
                json!({"userData": {"balance": "KES -3.2000"}}),
                Verdict::Wrong,
            ),
            (
                json!({"UserData": {"balance": "KES 0.0000"}}),
                Verdict::Wrong,
            ),
            (json!({"UserData": {"balance": "much"}}), Verdict::Unknown),
            (json!({}), Verdict::Unknown),
        ] {
            assert_eq!(
                balance(body.to_string().as_bytes(), "clinic", Some(100)).verdict,
                verdict,
                "{body}"
            );
        }
    }
}
