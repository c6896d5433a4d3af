//! Phone numbers (MSISDNs) and the senders of incoming messages.

use std::fmt;

use super::text::{surrounds, trimmed};

/// A number in international form (E.164): a `+`, then 7 to 15 digits of which the first is not 0.
///
/// `Debug` and `Display` are redacted.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

/// The text is no number in international form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a phone number in international form")]
pub struct NotAPhoneNumber;

impl PhoneNumber {
    /// Reads a number. What surrounds it is ignored.
    ///
    /// # Errors
    /// [`NotAPhoneNumber`] for names (`Safaricom`), short codes (`20880`) and national forms
    /// (`0711…`): Medic hands all of these on when it could not normalise them.
    pub fn parse(text: &str) -> Result<Self, NotAPhoneNumber> {
        let text = trimmed(text);
        let digits = text.strip_prefix('+').ok_or(NotAPhoneNumber)?;
        let well_formed = (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAPhoneNumber)
        }
    }

    /// The number, `+` first.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneNumber(…)")
    }
}

impl fmt::Display for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a phone number)")
    }
}

/// The sender of an incoming message: a number, or a name such as `MTN` or `Airtel Money`. Both go
/// to Medic.
///
/// `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Sender {
    /// A phone number in international form.
    Number(PhoneNumber),
    /// Everything else: an alphanumeric sender, a short code, a number in another form.
    Name(String),
}

impl Sender {
    /// Reads the `from` of a callback. `None` when there is nothing in it.
    ///
    /// A form that was not percent-encoded has a space for the `+` of its number; the space before
    /// digits becomes the `+` again.
    pub fn parse(from: &str) -> Option<Self> {
        let bare = trimmed(from);
        if bare.is_empty() {
            return None;
        }
        let mut before = from.chars().take_while(|c| surrounds(*c));
        let number = PhoneNumber::parse(bare).or_else(|error| {
            if before.any(|c| c == ' ') {
                PhoneNumber::parse(&format!("+{bare}"))
            } else {
                Err(error)
            }
        });
        Some(number.map_or_else(|_| Self::Name(bare.to_owned()), Self::Number))
    }

    /// The text for Medic.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Number(number) => number.as_str(),
            Self::Name(name) => name,
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number(_) => "Sender::Number(…)",
            Self::Name(_) => "Sender::Name(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn international_numbers_are_numbers() {
        for text in ["+254700000001", " +254700000001 ", "+1234567"] {
            assert_eq!(PhoneNumber::parse(text).unwrap().as_str(), text.trim());
        }
    }

    #[test]
    fn what_medic_could_not_normalise_is_no_number() {
        for text in [
            "",
            "+",
            "Safaricom",
            "20880",
            "0700000000",
            "254700000001",
            "+0700000000",
            "+25470000000a",
            "+2547 0000 0001",
            "+1234567890123456",
            "+254700000001,+254700000002",
        ] {
            assert_eq!(PhoneNumber::parse(text), Err(NotAPhoneNumber), "{text}");
        }
    }

    #[test]
    fn a_sender_may_be_a_name_with_spaces() {
        assert_eq!(
            Sender::parse("Airtel Money"),
            Some(Sender::Name("Airtel Money".to_owned()))
        );
        assert_eq!(Sender::parse("20880").unwrap().as_str(), "20880");
        assert_eq!(Sender::parse("  "), None);
    }

    #[test]
    fn a_plus_that_the_form_turned_into_a_space_comes_back() {
        assert_eq!(
            Sender::parse(" 254700000001").unwrap().as_str(),
            "+254700000001"
        );
    }

    #[test]
    fn what_surrounds_a_sender_does_not_change_it() {
        for (from, expected) in [
            ("\u{feff}+254700000001\r\n", "+254700000001"),
            ("\r\n 254700000001\u{200b}", "+254700000001"),
            (" Airtel Money\r\n", "Airtel Money"),
            ("\u{feff}20880\t", "20880"),
        ] {
            assert_eq!(Sender::parse(from).unwrap().as_str(), expected, "{from:?}");
        }
        assert_eq!(Sender::parse("\u{feff}\r\n"), None);
    }

    #[test]
    fn debug_and_display_hide_the_number() {
        let number = PhoneNumber::parse("+254700000001").unwrap();
        let shown = format!("{number:?} {number} {:?}", Sender::Number(number.clone()));
        assert!(!shown.contains("2547"), "{shown}");
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_is_accepted_round_trips(text in ".{0,40}") {
            if let Ok(number) = PhoneNumber::parse(&text) {
                prop_assert_eq!(PhoneNumber::parse(number.as_str()), Ok(number.clone()));
            }
            if let Some(sender) = Sender::parse(&text) {
                prop_assert!(!sender.as_str().trim().is_empty());
            }
        }
    }
}
