//! The balance of the account with Africa's Talking.

use std::fmt;

use serde::{Serialize, Serializer};

use super::money::Money;

/// The credit of the account. It can be negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance(Money);

impl Balance {
    /// Reads a balance, in every form that [`Money`] has. `None` for everything else.
    pub fn parse(text: &str) -> Option<Self> {
        Money::read(text).map(Self)
    }

    /// The amount, in millionths of the currency's unit.
    pub fn micros(&self) -> i64 {
        self.0.micros
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Balance {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
