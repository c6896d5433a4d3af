//! The answer to a question for the account's balance.

use serde_json::Value;

use crate::domain::balance::Balance;
use crate::wire::json::parse_answer;

/// Reads the answer to `GET /version1/user`, `{"UserData":{"balance":"USD 9999.6168"}}`, which is
/// also seen with `userData`. `None` for everything else.
pub fn read(body: &[u8]) -> Option<Balance> {
    let answer = parse_answer(body).ok()?;
    let data = answer.get("UserData").or_else(|| answer.get("userData"))?;
    data.get("balance")
        .and_then(Value::as_str)
        .and_then(Balance::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(body: &str) -> Option<i64> {
        read(body.as_bytes()).map(|balance| balance.micros())
    }

    #[test]
    fn a_balance_is_read_as_it_was_seen() {
        let seen = r#"{"UserData":{"balance":"USD 9999.6168"}}"#;
        assert_eq!(micros(seen), Some(9_999_616_800));
        assert_eq!(micros(r#"{"userData":{"balance":"KES 0"}}"#), Some(0));
    }

    #[test]
    fn a_balance_can_be_less_than_nothing() {
        let body = br#"{"UserData":{"balance":"KES -12.50"}}"#;
        let balance = read(body).unwrap();
        assert_eq!(balance.micros(), -12_500_000);
        assert_eq!(balance.to_string(), "minus KES 12.500000");
    }

    #[test]
    fn what_is_no_balance_is_none() {
        for body in [
            "",
            "{}",
            r#"{"UserData":{}}"#,
            r#"{"UserData":{"balance":"plenty"}}"#,
            r#"{"UserData":{"balance":"KES --1"}}"#,
            r#"{"UserData":{"balance":7}}"#,
        ] {
            assert_eq!(micros(body), None, "{body}");
        }
    }
}
