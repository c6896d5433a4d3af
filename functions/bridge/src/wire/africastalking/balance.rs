//! The answer to a question for the account's balance.

use crate::domain::balance::Balance;
use crate::domain::cost::Cost;
use crate::wire::json::{field, parse_answer, text_of};

/// Reads the answer to `GET /version1/user`, `{"UserData":{"balance":"USD 9999.6168"}}`, which is
/// also seen with `userData`. `None` for everything else.
pub fn read(body: &[u8]) -> Option<Balance> {
    Balance::parse(&text(body)?)
}

/// The balance as it came, if the answer has one that cannot be read. It shows no phone number.
pub fn unreadable(body: &[u8]) -> Option<String> {
    let text = text(body)?;
    match Balance::parse(&text) {
        Some(_) => None,
        None => Cost::read(&text)?.unreadable,
    }
}

fn text(body: &[u8]) -> Option<String> {
    let answer = parse_answer(body).ok()?;
    text_of(field(field(&answer, "UserData")?, "balance")?)
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
    fn a_balance_is_read_in_whatever_form_it_comes() {
        for body in [
            r#"{"UserData":{"balance":1500.5}}"#,
            r#"{"userdata":{"Balance":"KES1,500.50"}}"#,
            "\u{feff}{\"UserData\":{\"balance\":\"1.500,50 KSh\\r\\n\"}}\r\n",
        ] {
            assert_eq!(micros(body), Some(1_500_500_000), "{body}");
            assert_eq!(unreadable(body.as_bytes()), None);
        }
    }

    #[test]
    fn a_balance_that_cannot_be_read_is_shown_as_it_came() {
        let shown = |body: &str| unreadable(body.as_bytes());
        let plenty = r#"{"UserData":{"balance":"plenty"}}"#;
        assert_eq!(shown(plenty).as_deref(), Some("plenty"));
        assert_eq!(shown(r#"{"UserData":{"balance":null}}"#), None);
        assert_eq!(shown("<html>"), None);
    }

    #[test]
    fn what_is_no_balance_is_none() {
        for body in [
            "",
            "{}",
            r#"{"UserData":{}}"#,
            r#"{"UserData":{"balance":"plenty"}}"#,
            r#"{"UserData":{"balance":"KES --1"}}"#,
            r#"{"UserData":{"balance":[7]}}"#,
        ] {
            assert_eq!(micros(body), None, "{body}");
        }
    }
}
