//! What Africa's Talking charged for a message.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::failure_reason::without_number;
use super::money::Money;
use super::text::trimmed;

/// An unreadable amount is kept up to this many characters.
const MAX_UNREADABLE: usize = 40;

/// An amount of money as Africa's Talking writes it: `KES 0.8000`, `USD 0.0079`, or `0`.
///
/// Kept in millionths of the currency's unit: money is decimal, never a float.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// The currency's code; a rejected message costs a bare `0`.
    pub currency: Option<String>,
    /// The amount, in millionths.
    pub micros: i64,
    /// The amount as it came, if it cannot be read. The two others say nothing then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

impl Cost {
    /// Reads what a response says of a cost. What cannot be read is kept as it came, so that it is
    /// shown and counted. `None` when it says nothing: the text `None`, or an empty one.
    pub fn read(text: &str) -> Option<Self> {
        let text = trimmed(text);
        let is_nothing = ["", "none", "null"].contains(&text.to_ascii_lowercase().as_str());
        if is_nothing {
            return None;
        }
        Some(Self::parse(text).unwrap_or_else(|| {
            let shown = without_number(text);
            let shown = shown.chars().filter(|c| !c.is_control());
            Self {
                currency: None,
                micros: 0,
                unreadable: Some(shown.take(MAX_UNREADABLE).collect()),
            }
        }))
    }

    /// Reads an amount, in every form that [`Money`] has. Returns `None` for what is no amount or less
    /// than nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let Money { currency, micros } = Money::read(text)?;
        (micros >= 0).then_some(Self {
            currency,
            micros,
            unreadable: None,
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

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(as_it_came) = &self.unreadable {
            return write!(f, "unreadable: {as_it_came}");
        }
        let money = Money {
            currency: self.currency.clone(),
            micros: self.micros,
        };
        money.fmt(f)
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
                micros: 800_000,
                unreadable: None
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
                micros: 0,
                unreadable: None
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
            "99999999999999999999",
        ] {
            assert_eq!(Cost::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_kept_as_it_came() {
        let kept = |text| Cost::read(text).and_then(|cost| cost.unreadable);
        assert_eq!(kept("KES one\r\n").as_deref(), Some("KES one"));
        assert_eq!(
            kept("0712345678 to you").as_deref(),
            Some("………………………… to you")
        );
        assert_eq!(kept(&"x".repeat(99)).map(|text| text.len()), Some(40));
        for nothing in ["", " ", "None", "none", "null"] {
            assert_eq!(Cost::read(nothing), None);
        }
        assert_eq!(Cost::read("0,80 KES"), Cost::parse("KES 0.80"));
        let unreadable = Cost::read("KES one").unwrap();
        assert_eq!(unreadable.to_string(), "unreadable: KES one");
        let stored = serde_json::to_string(&unreadable).unwrap();
        assert_eq!(serde_json::from_str::<Cost>(&stored).unwrap(), unreadable);
    }

    #[test]
    fn a_row_of_an_earlier_version_is_read_and_written_as_it_was() {
        let stored = r#"{"currency":"KES","micros":800000}"#;
        let cost: Cost = serde_json::from_str(stored).unwrap();
        assert_eq!(Some(&cost), Cost::parse("KES 0.8").as_ref());
        assert_eq!(serde_json::to_string(&cost).unwrap(), stored);
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
