//! Identifiers, each with a type of its own.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::sha256_hex;

/// The longest identifier that we take, in bytes. Africa's Talking's and Medic's have 36 to 42; the
/// keys of the ledger may have 2,048.
pub const MAX_ID_BYTES: usize = 512;

/// Why a text is no identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Empty, or white space only.
    #[error("is empty")]
    Empty,
    /// More than [`MAX_ID_BYTES`].
    #[error("is longer than {MAX_ID_BYTES} bytes")]
    TooLong,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes the identifier as it is, unchanged.
            ///
            /// # Errors
            /// When it is empty or too long.
            pub fn new(id: impl Into<String>) -> Result<Self, IdError> {
                let id = id.into();
                if id.trim().is_empty() {
                    Err(IdError::Empty)
                } else if id.len() > MAX_ID_BYTES {
                    Err(IdError::TooLong)
                } else {
                    Ok(Self(id))
                }
            }

            /// The identifier as it came.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(id: String) -> Result<Self, IdError> {
                Self::new(id)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        /// The loggable form, see [`loggable`].
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&loggable(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), loggable(&self.0))
            }
        }
    };
}

identifier! {
    /// The id of an SMS that came in, given by Africa's Talking (a UUID in the callbacks seen) and
    /// handed on to Medic unchanged.
    IncomingId
}
identifier! {
    /// The id that Africa's Talking gave an SMS which it accepted, `ATXid_…` in the answers seen.
    AtMessageId
}
identifier! {
    /// The id that Medic gave a message which it wants sent: a UUID.
    MedicMessageId
}
identifier! {
    /// An id of any of these kinds, where it does not matter which.
    AnyId
}

/// With fewer letters than this, an identifier can hold a phone number.
const LETTERS_OF_AN_ID: usize = 4;

/// The identifier, redacted: itself when it cannot be a phone number or a text, else the beginning
/// of its hash. Identifiers come from outside, and a caller can put anything there.
pub fn loggable(id: &str) -> String {
    let plain = id.len() <= 64
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && id.bytes().filter(u8::is_ascii_alphabetic).count() >= LETTERS_OF_AN_ID;
    if plain {
        return id.to_owned();
    }
    let mut hash = sha256_hex(id.as_bytes());
    hash.truncate(16);
    format!("sha256:{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_kept_unchanged() {
        let id = IncomingId::new("ec9adc86-51d5-4bc8-8eb0-d8ab0bb53dc3").unwrap();
        assert_eq!(id.as_str(), "ec9adc86-51d5-4bc8-8eb0-d8ab0bb53dc3");
        assert_eq!(id.to_string(), "ec9adc86-51d5-4bc8-8eb0-d8ab0bb53dc3");
    }

    #[test]
    fn an_empty_blank_or_huge_id_is_refused() {
        assert_eq!(IncomingId::new(""), Err(IdError::Empty));
        assert_eq!(IncomingId::new(" \t"), Err(IdError::Empty));
        assert_eq!(IncomingId::new("x".repeat(513)), Err(IdError::TooLong));
    }

    #[test]
    fn an_id_that_could_be_a_number_or_a_text_is_hashed_where_it_is_shown() {
        for id in [
            "+254700000001",
            "254700000001",
            "x254700000001",
            "a mother is bleeding",
            "é",
        ] {
            let id = AtMessageId::new(id).unwrap();
            assert!(id.to_string().starts_with("sha256:"), "{id}");
            assert!(format!("{id:?}").contains("sha256:"));
        }
    }
}
