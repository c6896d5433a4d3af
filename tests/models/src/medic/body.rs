//! The body of a POST, read as Medic reads it.

use serde::Serialize;
use serde_json::Value;

/// Stands where the JSON had half of a surrogate pair, which no Rust text can hold. It begins and
/// ends with a character that no text uses.
const LONE_SURROGATE: &str = "\u{fdd0}lone surrogate\u{fdd0}";

/// A message that has all it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedMessage {
    /// The gateway's id.
    pub id: String,
    /// The sender.
    pub from: String,
    /// Whether the sender came as a JSON number: replies go to a number then.
    pub from_is_number: bool,
    /// The text; an object is kept as its JSON.
    pub content: String,
}

impl PostedMessage {
    /// The name by which a fault can choose it.
    pub(super) fn names(&self) -> [&str; 3] {
        [&self.id, &self.from, &self.content]
    }

    /// Whether Medic's database refuses it, every time.
    pub(super) fn cannot_be_written(&self) -> bool {
        self.names()
            .iter()
            .any(|text| text.contains(LONE_SURROGATE))
    }
}

/// A status that a gateway reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportedStatus {
    /// The message it is about.
    pub id: String,
    /// The status.
    pub status: String,
    /// The reason, if one was given.
    pub reason: Option<String>,
}

/// The values that make Medic answer 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServerError;

/// A POST that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Posted {
    /// The messages that have all they need; the others are dropped without a word.
    pub messages: Vec<PostedMessage>,
    /// How many messages there were.
    pub message_count: usize,
    /// The updates. An error in them shows only when their turn comes.
    pub updates: Result<Vec<ReportedStatus>, ServerError>,
}

impl Posted {
    pub(super) fn message_ids(&self) -> Vec<String> {
        self.messages
            .iter()
            .map(|message| message.id.clone())
            .collect()
    }

    /// The names by which a fault can choose it: ids, senders and contents of messages, ids of updates.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let messages = self.messages.iter().flat_map(PostedMessage::names);
        let updates = self
            .updates
            .iter()
            .flatten()
            .map(|update| update.id.as_str());
        messages.chain(updates)
    }

    pub(super) fn concerns(&self, text: &str) -> bool {
        self.names().any(|name| name.contains(text))
    }
}

/// Reads a body.
pub(super) fn read(body: &[u8]) -> Result<Posted, ServerError> {
    let text = without_lone_surrogates(&String::from_utf8_lossy(body));
    let body: Value = serde_json::from_str(&text).map_err(|_| ServerError)?;
    if !body.is_object() && !body.is_array() {
        return Err(ServerError);
    }
    let messages = list(body.get("messages"))?;
    if messages.iter().any(Value::is_null) {
        return Err(ServerError);
    }
    Ok(Posted {
        message_count: messages.len(),
        messages: messages.iter().filter_map(incoming).collect(),
        updates: updates(body.get("updates")),
    })
}

/// A missing list is an empty one; `null` and everything else is an error.
fn list(value: Option<&Value>) -> Result<&[Value], ServerError> {
    match value {
        None => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(ServerError),
    }
}

/// `null` is an empty list here, unlike among the messages (observed on CHT 5.2.0).
fn updates(value: Option<&Value>) -> Result<Vec<ReportedStatus>, ServerError> {
    let value = value.filter(|value| !value.is_null());
    list(value)?.iter().map(update).collect()
}

/// A value that JavaScript takes for true, as a text.
fn truthy(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        Value::Number(number) if number.as_f64() == Some(0.0) => None,
        other => Some(other.to_string()),
    }
}

fn incoming(message: &Value) -> Option<PostedMessage> {
    Some(PostedMessage {
        id: truthy(message.get("id"))?,
        from: truthy(message.get("from"))?,
        from_is_number: message.get("from").is_some_and(Value::is_number),
        content: truthy(message.get("content"))?,
    })
}

fn update(update: &Value) -> Result<ReportedStatus, ServerError> {
    if update.is_null() {
        return Err(ServerError);
    }
    Ok(ReportedStatus {
        id: truthy(update.get("id")).unwrap_or_default(),
        status: truthy(update.get("status")).unwrap_or_default(),
        reason: truthy(update.get("reason")),
    })
}

/// Replaces each escaped half of a surrogate pair that stands alone.
fn without_lone_surrogates(json: &str) -> String {
    let mut clean = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        clean.push_str(before);
        let length = match escaped_unit(escape) {
            Some(0xd800..=0xdbff)
                if matches!(
                    escape.get(6..).and_then(escaped_unit),
                    Some(0xdc00..=0xdfff)
                ) =>
            {
                12
            }
            Some(0xd800..=0xdfff) => {
                clean.push_str(LONE_SURROGATE);
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            Some(_) => 6,
            // A backslash and whatever it escapes.
            None => 1 + escape.chars().nth(1).map_or(0, char::len_utf8),
        };
        let (whole, after) = escape.split_at_checked(length).unwrap_or((escape, ""));
        clean.push_str(whole);
        rest = after;
    }
    clean.push_str(rest);
    clean
}

/// The UTF-16 unit of an escape such as `\ud83d` at the beginning.
fn escaped_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn content(escaped: &str) -> PostedMessage {
        let body = format!(
            r#"{{"messages":[{{"id":"a","from":"b","content":"{escaped}"}}],"updates":[]}}"#
        );
        read(body.as_bytes()).unwrap().messages.remove(0)
    }

    #[test]
    fn a_lone_surrogate_is_found_and_a_pair_is_not() {
        for lone in [
            r"\ud800",
            r"x\uD83Dx",
            r"\ude00",
            r"\ude00\ud83d",
            r"\ud83d\ud83d\ude00",
            r"\ud83d\u0041",
        ] {
            assert!(content(lone).cannot_be_written(), "{lone}");
        }
        assert_eq!(content(r"\ud83d\ude00").content, "😀");
        assert_eq!(content(r"\\ud800").content, r"\ud800");
        assert_eq!(content(r#"\"\u00e9\n\\"#).content, "\"é\n\\");
        assert!(!content(r"\\ud800").cannot_be_written());
    }

    #[test]
    fn what_is_not_true_in_javascript_drops_a_message() {
        let body = br#"{"messages":[
            {"id":"","from":"b","content":"c"}, {"id":"a","from":null,"content":"c"}, {"id":"a","from":"b"},
            {"id":0,"from":"b","content":"c"}, {"id":"a","from":false,"content":"c"}, {}, 7,
            {"id":"a","from":"b","content":" "}],"updates":[]}"#;
        let posted = read(body).unwrap();
        assert_eq!((posted.message_count, posted.messages.len()), (8, 1));
    }

    #[test]
    fn bytes_that_are_not_utf_8_become_replacement_characters() {
        let posted =
            read(b"{\"messages\":[{\"id\":\"a\",\"from\":\"b\",\"content\":\"\xff\"}]}").unwrap();
        assert_eq!(posted.messages.first().unwrap().content, "\u{fffd}");
    }
}
