//! Values that may be shown.

use std::fmt;

use serde::Serialize;

/// A value without personal data: an identifier in its redacted form, or the text of one of our own
/// errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Redacted(String);

impl Redacted {
    /// Takes what the value's `Display` shows. The types of this crate that hold personal data redact
    /// it there.
    pub fn new(value: &impl fmt::Display) -> Self {
        Self(value.to_string())
    }

    /// Several of them, in one text. `None` if there are none.
    pub fn all(values: impl IntoIterator<Item = Self>) -> Option<Self> {
        let texts: Vec<String> = values.into_iter().map(|value| value.0).collect();
        (!texts.is_empty()).then(|| Self(texts.join(", ")))
    }
}
