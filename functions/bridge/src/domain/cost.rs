//! What Africa's Talking charged for a message.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount of money as Africa's Talking writes it: `KES 0.8000`, `USD 0.0079`, or `0`.
///
/// Kept in millionths of the currency's unit: money is decimal, never a float.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// The currency's code; a rejected message costs a bare `0`.
    pub currency: Option<String>,
    /// The amount, in millionths.
    pub micros: i64,
}

impl Cost {
    /// Reads an amount. Returns `None` for the text `None`, an empty text and everything else that
    /// is no amount.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let (currency, amount) = match (words.next()?, words.next(), words.next()) {
            (amount, None, None) => (None, amount),
            (currency, Some(amount), None) => (Some(currency), amount),
            _ => return None,
        };
        if currency
            .is_some_and(|code| code.len() != 3 || !code.bytes().all(|b| b.is_ascii_uppercase()))
        {
            return None;
        }
        Some(Self {
            currency: currency.map(str::to_owned),
            micros: micros(amount)?,
        })
    }

    /// The currency as a value of a metric's dimension: one in which Africa's Talking bills,
    /// `other` for every other one, `none` without one.
    pub fn currency_label(&self) -> &'static str {
        const BILLED: [&str; 16] = [
            "KES", "UGX", "TZS", "RWF", "NGN", "MWK", "ZMW", "GHS", "ETB", "XOF", "XAF", "ZAR",
            "BWP", "USD", "EUR", "GBP",
        ];
        match &self.currency {
            None => "none",
            Some(code) => BILLED
                .into_iter()
                .find(|known| known == code)
                .unwrap_or("other"),
        }
    }
}

fn micros(amount: &str) -> Option<i64> {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    let digits_only = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 6 || !digits_only(whole) || !digits_only(fraction) {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<6}").parse().ok()?;
    whole
        .parse::<i64>()
        .ok()?
        .checked_mul(1_000_000)?
        .checked_add(fraction)
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(currency) = &self.currency {
            write!(f, "{currency} ")?;
        }
        write!(
            f,
            "{}.{:06}",
            self.micros / 1_000_000,
            self.micros % 1_000_000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_as_they_were_seen() {
        assert_eq!(
            Cost::parse("KES 0.8000"),
            Some(Cost {
                currency: Some("KES".to_owned()),
                micros: 800_000
            })
        );
        assert_eq!(
            Cost::parse("USD 0.0079").map(|cost| cost.micros),
            Some(7_900)
        );
        assert_eq!(
            Cost::parse("0"),
            Some(Cost {
                currency: None,
                micros: 0
            })
        );
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for text in [
            "",
            "None",
            "KES",
            "KES x",
            "KES 1 2",
            "KES -1",
            "1.2345678",
            "kes 1",
            "99999999999999999999",
        ] {
            assert_eq!(Cost::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_known_currencies_are_counted_by() {
        let label = |text| Cost::parse(text).unwrap().currency_label();
        assert_eq!(label("KES 1"), "KES");
        assert_eq!(label("QQQ 1"), "other");
        assert_eq!(label("0"), "none");
    }

    proptest! {
        #[test]
        fn what_is_accepted_round_trips(text in "([A-Z]{3} )?[0-9]{1,9}(\\.[0-9]{0,6})?") {
            let cost = Cost::parse(&text);
            prop_assert!(cost.is_some());
            prop_assert_eq!(Cost::parse(&cost.clone().unwrap().to_string()), cost);
        }

        #[test]
        fn parsing_never_panics(text in ".{0,40}") {
            let _ = Cost::parse(&text);
        }
    }
}
