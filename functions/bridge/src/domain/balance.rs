//! The balance of the account with Africa's Talking.

use std::fmt;

use serde::{Serialize, Serializer};

use super::cost::Cost;

/// The credit of the account. It can be negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    amount: Cost,
    is_negative: bool,
}

impl Balance {
    /// Reads a balance as Africa's Talking writes it, `KES -12.50`. `None` for everything else.
    pub fn parse(text: &str) -> Option<Self> {
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
