//! The balance of the account with Africa's Talking.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::cost::Cost;
use crate::wire::json::parse_answer;

/// The credit of the account. It can be negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    amount: Cost,
    is_negative: bool,
}

impl Balance {
    /// Reads the answer to `GET /version1/user`, `{"UserData":{"balance":"USD 9999.6168"}}`, which is
    /// also seen with `userData`. `None` for everything else.
    pub fn of_answer(body: &[u8]) -> Option<Self> {
        let answer = parse_answer(body).ok()?;
        let data = answer.get("UserData").or_else(|| answer.get("userData"))?;
        data.get("balance")
            .and_then(Value::as_str)
            .and_then(Self::parse)
    }

    fn parse(text: &str) -> Option<Self> {
        let positive = text.replacen('-', "", 1);
        Some(Self {
            amount: Cost::parse(&positive)?,
            is_negative: positive != text,
        })
    }

    /// The amount, in millionths of the currency's unit.
    pub fn micros(&self) -> i64 {
        if self.is_negative {
            self.amount.micros.saturating_neg()
        } else {
            self.amount.micros
        }
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_negative {
            f.write_str("minus ")?;
        }
        self.amount.fmt(f)
    }
}

impl Serialize for Balance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(body: &str) -> Option<i64> {
        Balance::of_answer(body.as_bytes()).map(|balance| balance.micros())
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
        let balance = Balance::of_answer(body).unwrap();
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
