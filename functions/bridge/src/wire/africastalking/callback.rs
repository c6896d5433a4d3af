//! A callback as it came, and what it is.

use std::borrow::Cow;

use super::form::{BadField, Fields};
use super::opt_out::OptOut;
use super::{delivery_report, incoming_message, opt_out};
use crate::domain::callback::Callback;
use crate::domain::time::Timestamp;
use crate::wire::content_encoding;
use crate::wire::queue_messages::{DeliveryReport, IncomingSms};

/// The largest body that is read, in bytes. The longest SMS is far below.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// A callback as it came.
#[derive(Clone, Copy)]
pub struct ReceivedCallback<'a> {
    /// Whose URL it came to. `None`: its path is no callback's.
    pub url: Option<Callback>,
    /// Its header `content-type`.
    pub content_type: Option<&'a str>,
    /// Its header `content-encoding`, in lower case.
    pub content_encoding: Option<&'a str>,
    /// Its body.
    pub body: &'a [u8],
}

/// What a callback is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackContent {
    /// An SMS that came in.
    Incoming(IncomingSms),
    /// A delivery report.
    Report(DeliveryReport),
    /// An opt-out.
    OptOut(OptOut),
}

impl CallbackContent {
    /// Which callback it is.
    pub fn kind(&self) -> Callback {
        match self {
            Self::Incoming(_) => Callback::IncomingMessage,
            Self::Report(_) => Callback::DeliveryReport,
            Self::OptOut(_) => Callback::OptOut,
        }
    }
}

/// What can be made of a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackReading {
    /// It is one of its URL.
    Good(CallbackContent),
    /// It is plainly one of another URL than it came to.
    AtWrongUrl(CallbackContent),
    /// Something is missing in it.
    Bad(BadField),
    /// It is larger than [`MAX_BODY_BYTES`].
    TooLarge,
}

impl ReceivedCallback<'_> {
    /// Reads it.
    pub fn read(&self, number_hash_key: &str, now: Timestamp) -> CallbackReading {
        if self.body.len() > MAX_BODY_BYTES {
            return CallbackReading::TooLarge;
        }
        let body = match self.content_encoding {
            None | Some("identity") => Cow::Borrowed(self.body),
            Some(encodings) => {
                match content_encoding::decoded(encodings, self.body, MAX_BODY_BYTES) {
                    Some(body) => Cow::Owned(body),
                    None => {
                        return CallbackReading::Bad(BadField {
                            field: "the body",
                            problem: "has a content-encoding that cannot be read",
                        });
                    }
                }
            }
        };
        if body.len() > MAX_BODY_BYTES {
            return CallbackReading::TooLarge;
        }
        let fields = match Fields::read(self.content_type.map(str::as_bytes), &body) {
            Ok(fields) => fields,
            Err(bad) => return CallbackReading::Bad(bad),
        };
        let read = |kind| of_kind(kind, &fields, number_hash_key, now);
        let bad = match self.url.map(read) {
            Some(Ok(content)) => return CallbackReading::Good(content),
            Some(Err(bad)) => bad,
            None => BadField {
                field: "the body",
                problem: "is no callback's",
            },
        };
        let mut others = Callback::ALL
            .into_iter()
            .filter(|kind| Some(*kind) != self.url);
        match others.find_map(|kind| read(kind).ok()) {
            Some(content) => CallbackReading::AtWrongUrl(content),
            None => CallbackReading::Bad(bad),
        }
    }

    /// Whether its body is one character again and again: it names nothing that could be kept. A check
    /// of the URL's key posts such a body.
    pub fn names_nothing(&self) -> bool {
        let first = self.body.first();
        self.body.iter().all(|byte| Some(byte) == first)
    }
}

fn of_kind(
    callback: Callback,
    fields: &Fields,
    number_hash_key: &str,
    now: Timestamp,
) -> Result<CallbackContent, BadField> {
    match callback {
        Callback::IncomingMessage => {
            incoming_message::read(fields, now).map(CallbackContent::Incoming)
        }
        Callback::DeliveryReport => {
            delivery_report::read(fields, number_hash_key, now).map(CallbackContent::Report)
        }
        Callback::OptOut => {
            opt_out::read(fields, number_hash_key, now).map(CallbackContent::OptOut)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMS: &str = "id=in-1&from=%2B254700000001&text=hello&to=20880";
    const REPORT: &str = "id=ATXid_1&status=Success&phoneNumber=%2B254700000001";
    const OPT_OUT: &str = "senderId=20880&phoneNumber=%2B254700000001";

    fn read(url: impl Into<Option<Callback>>, body: &str) -> CallbackReading {
        let received = ReceivedCallback {
            url: url.into(),
            content_type: Some("application/x-www-form-urlencoded"),
            content_encoding: None,
            body: body.as_bytes(),
        };
        received.read("key", Timestamp::from_millis(5))
    }

    #[test]
    fn a_callback_at_the_wrong_url_is_read_as_what_it_is() {
        for (right, body) in Callback::ALL.into_iter().zip([SMS, REPORT, OPT_OUT]) {
            let CallbackReading::Good(content) = read(right, body) else {
                panic!("{body}")
            };
            assert_eq!(content.kind(), right);
            for wrong in Callback::ALL.into_iter().filter(|kind| *kind != right) {
                let expected = CallbackReading::AtWrongUrl(content.clone());
                assert_eq!(read(wrong, body), expected, "{body}");
            }
            assert_eq!(read(None, body), CallbackReading::AtWrongUrl(content));
        }
    }

    #[test]
    fn what_is_neither_is_bad_by_the_rules_of_its_url() {
        for (callback, body, field) in [
            (Callback::IncomingMessage, "text=x&id=a", "from"),
            (Callback::IncomingMessage, "id=&status=Success", "id"),
            (Callback::DeliveryReport, "id=a&text=x", "status"),
            (Callback::DeliveryReport, "senderId=a&phoneNumber=", "id"),
            (Callback::OptOut, "phoneNumber=b&status=Success", "senderId"),
        ] {
            let reading = read(callback, body);
            assert!(
                matches!(reading, CallbackReading::Bad(bad) if bad.field == field),
                "{body}"
            );
        }
        let CallbackReading::Bad(bad) = read(None, "a=b") else {
            panic!("it is no callback")
        };
        assert_eq!((bad.field, bad.problem), ("the body", "is no callback's"));
    }
}
