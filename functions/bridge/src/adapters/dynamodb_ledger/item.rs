//! A row of the ledger as an item of DynamoDB.
//!
//! The fields of the row are attributes. Beside them are
//!
//! | attribute | |
//! |---|---|
//! | `pk` | `message#…`, `sms#…`, `recipient#…`, `attempts#…`, `account` or `exchange` |
//! | `version` | changes with every write; the condition of the next write |
//! | `changed_at_ms` | when it was last written, in milliseconds since 1970 |
//! | `unreported` | only while the message's status is unreported: the key of the sparse index |
//! | `expires_at_s` | when DynamoDB may delete it, in seconds since 1970 |

use std::collections::HashMap;
use std::time::Duration;

pub use aws_sdk_dynamodb::types::AttributeValue;
use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};

use crate::domain::attempts::AttemptsRow;
use crate::domain::circuit_breaker::AccountRow;
use crate::domain::delivery::SmsRow;
use crate::domain::exchange::ExchangeRow;
use crate::domain::message::MessageRow;
use crate::domain::recipient_limit::RecipientRow;
use crate::domain::time::Timestamp;
use crate::ports::{Key, LedgerError, Row, Version};

/// A row as DynamoDB has it.
pub type Item = HashMap<String, AttributeValue>;

/// Reports of SMS that are unmatched are kept for a week: those of another application, or left over
/// from Medic's own integration.
const UNMATCHED_RETENTION: Duration = Duration::from_hours(7 * 24);

/// The limits of a recipient count over a day at most. Reports are matched with calls for two days.
const RECIPIENT_RETENTION: Duration = Duration::from_hours(3 * 24);

/// No record stays in its queue for longer.
const ATTEMPTS_RETENTION: Duration = Duration::from_hours(14 * 24);

/// The item of a row that is written `now` and kept for this long, if its kind has no retention of its
/// own.
///
/// # Errors
/// When it has something that no item can hold.
pub fn of_row(
    row: &Row,
    version: &str,
    mut retention: Duration,
    now: Timestamp,
) -> Result<Item, LedgerError> {
    let unwritable =
        |error: serde_dynamo::Error| LedgerError(format!("a row cannot be written: {error}"));
    let mut item: Item = match row {
        Row::Message(message) => {
            let mut item: Item = to_item(message).map_err(unwritable)?;
            if message.is_unreported() {
                item.insert("unreported".to_owned(), text("yes"));
            }
            item
        }
        Row::Sms(sms) => {
            if sms.message.is_none() {
                retention = UNMATCHED_RETENTION;
            }
            to_item(sms).map_err(unwritable)?
        }
        Row::Account(account) => to_item(account).map_err(unwritable)?,
        Row::Exchange(exchange) => to_item(exchange).map_err(unwritable)?,
        Row::Attempts(attempts) => {
            retention = ATTEMPTS_RETENTION;
            to_item(attempts).map_err(unwritable)?
        }
        Row::Recipient(recipient) => {
            retention = RECIPIENT_RETENTION;
            to_item(recipient).map_err(unwritable)?
        }
    };
    item.extend(primary_key(&row.key()));
    item.insert("version".to_owned(), text(version));
    item.insert("changed_at_ms".to_owned(), number(now.as_millis()));
    if !matches!(row, Row::Account(_) | Row::Exchange(_)) {
        let expires_at_s = (now + retention).as_millis() / 1000;
        item.insert("expires_at_s".to_owned(), number(expires_at_s));
    }
    Ok(item)
}

pub fn primary_key(key: &Key) -> Item {
    let pk = match key {
        Key::Message(id) => format!("message#{}", id.as_str()),
        Key::Sms(id) => format!("sms#{}", id.as_str()),
        Key::Account => "account".to_owned(),
        Key::Exchange => "exchange".to_owned(),
        Key::Attempts(record) => format!("attempts#{record}"),
        Key::Recipient(number_hash) => format!("recipient#{number_hash}"),
    };
    Item::from([("pk".to_owned(), text(pk))])
}

/// The row that an item is.
///
/// # Errors
/// When this version cannot read it. Carries nothing of it.
pub fn row(item: Item) -> Result<(Row, Version), LedgerError> {
    let version = Version(string(&item, "version").unwrap_or_default().to_owned());
    let pk = pk(&item).unwrap_or_default().to_owned();
    // Says where it is and what kind of fault it has, and nothing of what is in it.
    let unreadable =
        |_: serde_dynamo::Error| LedgerError("a row cannot be read by this version".to_owned());
    let row = if pk.starts_with("message#") {
        Row::Message(from_item::<MessageRow>(item).map_err(unreadable)?)
    } else if pk.starts_with("sms#") {
        Row::Sms(from_item::<SmsRow>(item).map_err(unreadable)?)
    } else if pk.starts_with("recipient#") {
        Row::Recipient(from_item::<RecipientRow>(item).map_err(unreadable)?)
    } else if pk.starts_with("attempts#") {
        Row::Attempts(from_item::<AttemptsRow>(item).map_err(unreadable)?)
    } else if pk == "exchange" {
        Row::Exchange(from_item::<ExchangeRow>(item).map_err(unreadable)?)
    } else {
        Row::Account(from_item::<AccountRow>(item).map_err(unreadable)?)
    };
    Ok((row, version))
}

pub fn pk(item: &Item) -> Option<&str> {
    string(item, "pk")
}

/// An attribute that is a text.
pub fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    match item.get(name)? {
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}

pub fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::AtMessageId;
    use proptest::prelude::*;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    #[test]
    fn a_row_survives_being_an_item() {
        for golden in [
            include_str!("../../../tests/golden/message-row-v1.json"),
            include_str!("../../../tests/golden/message-row-with-history-v1.json"),
            include_str!("../../../tests/golden/message-row-with-reports-v1.json"),
        ] {
            let message: MessageRow = serde_json::from_str(golden).unwrap();
            let mut item: Item = to_item(&message).unwrap();
            item.extend(primary_key(&Key::Message(message.id.clone())));
            item.insert("version".to_owned(), text("v"));
            let read = row(item).unwrap();
            assert!(read == (Row::Message(message), Version("v".to_owned())));
        }
    }

    #[test]
    fn every_row_of_version_one_is_read_and_written_as_it_was() {
        fn same<R: Serialize + DeserializeOwned>(golden: &str, key: &Key, wrap: fn(R) -> Row) {
            let read: R = serde_json::from_str(golden).unwrap();
            let written = serde_json::to_value(&read).unwrap();
            let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
            assert_eq!(written, golden);
            let mut item: Item = to_item(&read).unwrap();
            item.extend(primary_key(key));
            item.insert("version".to_owned(), text("v"));
            assert!(row(item).unwrap() == (wrap(read), Version("v".to_owned())));
        }
        let golden = include_str!("../../../tests/golden/account-row-v1.json");
        same::<AccountRow>(golden, &Key::Account, Row::Account);
        let golden = include_str!("../../../tests/golden/exchange-row-v1.json");
        same::<ExchangeRow>(golden, &Key::Exchange, Row::Exchange);
        let golden = include_str!("../../../tests/golden/recipient-row-v1.json");
        let recipient = Key::Recipient("98aca5c7".to_owned());
        same::<RecipientRow>(golden, &recipient, Row::Recipient);
        let golden = include_str!("../../../tests/golden/attempts-row-v1.json");
        let attempts = Key::Attempts("059f36b4-87a3-44ab-83d2-661975830a7d".to_owned());
        same::<AttemptsRow>(golden, &attempts, Row::Attempts);
        let golden = include_str!("../../../tests/golden/sms-row-v1.json");
        let sms = AtMessageId::new("ATXid_00000000000000000000000000000001").unwrap();
        same::<SmsRow>(golden, &Key::Sms(sms), Row::Sms);
    }

    #[test]
    fn a_cause_of_a_later_version_keeps_the_circuit_open() {
        let later = r#"{"open_circuits":[{"of":"account","cause":"a_new_one","since_ms":1,"next_try_ms":2}]}"#;
        let account: AccountRow = serde_json::from_str(later).unwrap();
        assert!(account.stops(None));
    }

    proptest! {
        #[test]
        fn no_item_makes_it_panic(pk in ".{0,12}", name in "[a-z_]{1,12}", value in ".{0,20}") {
            let mut item = Item::from([("pk".to_owned(), text(pk))]);
            item.insert(name, text(value));
            let _ = row(item);
        }
    }
}
