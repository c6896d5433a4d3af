//! The sender id of a message, by the prefix of the recipient's number.

use super::phone_number::PhoneNumber;

/// The registered sender ids (short codes or alphanumeric names) of the account.
///
/// Written as `MYORG,+256=20880,+234=OTHER`: one for all numbers, and others for those that begin
/// with a prefix. The longest prefix wins; without any, Africa's Talking uses its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SenderIds {
    default: Option<String>,
    by_prefix: Vec<(String, String)>,
}

/// What is wrong with a list of sender ids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SenderIdsError {
    /// A prefix that is no beginning of an international number.
    #[error("{0:?} is no prefix: it must be a + and digits")]
    Prefix(String),
    /// A prefix or the default given twice.
    #[error("{0:?} is given twice")]
    Repeated(String),
    /// A sender id that is empty or holds a separator or a control character.
    #[error("{0:?} is no sender id")]
    SenderId(String),
}

impl SenderIds {
    /// Reads the list; an empty text is an empty list.
    ///
    /// # Errors
    /// For a prefix that is none, anything given twice, and an empty sender id.
    pub fn parse(list: &str) -> Result<Self, SenderIdsError> {
        let mut ids = Self::default();
        for entry in list
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
        {
            match entry.split_once('=') {
                None => {
                    let id = sender_id(entry)?;
                    if ids.default.replace(id).is_some() {
                        return Err(SenderIdsError::Repeated(entry.to_owned()));
                    }
                }
                Some((prefix, id)) => {
                    let prefix = prefix.trim();
                    let digits = prefix.strip_prefix('+').unwrap_or_default();
                    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                        return Err(SenderIdsError::Prefix(prefix.to_owned()));
                    }
                    if ids.by_prefix.iter().any(|(known, _)| known == prefix) {
                        return Err(SenderIdsError::Repeated(prefix.to_owned()));
                    }
                    ids.by_prefix
                        .push((prefix.to_owned(), sender_id(id.trim())?));
                }
            }
        }
        ids.by_prefix
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(ids)
    }

    /// The sender id for a message to this number. With `None`, Africa's Talking uses its default.
    pub fn for_number(&self, number: &PhoneNumber) -> Option<&str> {
        self.by_prefix
            .iter()
            .find(|(prefix, _)| number.as_str().starts_with(prefix))
            .map(|(_, id)| id.as_str())
            .or(self.default.as_deref())
    }
}

fn sender_id(text: &str) -> Result<String, SenderIdsError> {
    if text.is_empty() || text.contains('=') || text.chars().any(char::is_control) {
        Err(SenderIdsError::SenderId(text.to_owned()))
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(number: &str) -> PhoneNumber {
        PhoneNumber::parse(number).unwrap()
    }

    #[test]
    fn the_longest_prefix_wins() {
        let ids = SenderIds::parse("MYORG, +256=20880,+25670=MTN UG").unwrap();
        assert_eq!(ids.for_number(&to("+254700000001")), Some("MYORG"));
        assert_eq!(ids.for_number(&to("+256100000001")), Some("20880"));
        assert_eq!(ids.for_number(&to("+256700000001")), Some("MTN UG"));
    }

    #[test]
    fn an_empty_list_leaves_the_choice_to_africas_talking() {
        assert_eq!(
            SenderIds::parse("")
                .unwrap()
                .for_number(&to("+254700000001")),
            None
        );
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            SenderIds::parse("256=X"),
            Err(SenderIdsError::Prefix("256".to_owned()))
        );
        assert_eq!(
            SenderIds::parse("A,B"),
            Err(SenderIdsError::Repeated("B".to_owned()))
        );
        assert_eq!(
            SenderIds::parse("+1=A,+1=B"),
            Err(SenderIdsError::Repeated("+1".to_owned()))
        );
        assert_eq!(
            SenderIds::parse("+1="),
            Err(SenderIdsError::SenderId(String::new()))
        );
    }
}
