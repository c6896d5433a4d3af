//! Keeps a callback that was not taken, so that a later version can read it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::domain::time::Timestamp;
use crate::wire::africastalking::callback::{
    CallbackContent, CallbackReading, MAX_BODY_BYTES, ReceivedCallback,
};
use crate::wire::queue_messages::{DeadCallback, DeadLetter, KeptCallback};

/// A header is kept up to this many characters.
const MAX_HEADER: usize = 200;

impl DeadCallback {
    /// The dead letter of a callback. Of a body over the limit the first part is kept.
    pub fn new(received: &ReceivedCallback<'_>, reason: String, now: Timestamp) -> Self {
        let kept = received.body.get(..MAX_BODY_BYTES).unwrap_or(received.body);
        let header = |text: Option<&str>| text.map(|text| text.chars().take(MAX_HEADER).collect());
        let is_text = std::str::from_utf8(kept).is_ok();
        Self {
            dead_letter: DeadLetter {
                reason,
                retryable: false,
                dead_lettered_at: now,
                body: String::from_utf8_lossy(kept).into_owned(),
            },
            callback: KeptCallback {
                url: received.url,
                content_type: header(received.content_type),
                content_encoding: header(received.content_encoding),
                bytes: (!is_text).then(|| STANDARD.encode(kept)),
                is_cut: kept.len() < received.body.len(),
            },
        }
    }

    /// Reads it again.
    ///
    /// # Errors
    /// The reason why it cannot be processed by this version either.
    pub fn read(&self, number_hash_key: &str) -> Result<CallbackContent, String> {
        let KeptCallback {
            url,
            content_type,
            content_encoding,
            bytes,
            is_cut,
        } = &self.callback;
        if *is_cut {
            return Err("only its first part was kept".to_owned());
        }
        let bytes = bytes.as_ref().map(|bytes| STANDARD.decode(bytes));
        let body = match &bytes {
            Some(Ok(bytes)) => bytes.as_slice(),
            Some(Err(_)) => return Err("its body is no base64".to_owned()),
            None => self.dead_letter.body.as_bytes(),
        };
        let received = ReceivedCallback {
            url: *url,
            content_type: content_type.as_deref(),
            content_encoding: content_encoding.as_deref(),
            body,
        };
        match received.read(number_hash_key, self.dead_letter.dead_lettered_at) {
            CallbackReading::Good(content) | CallbackReading::AtWrongUrl(content) => Ok(content),
            CallbackReading::Bad(bad) => Err(format!("{} {}", bad.field, bad.problem)),
            CallbackReading::TooLarge => Err("its body is too large".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::callback::Callback;
    use crate::wire::queue_messages::{decode, encode};

    fn kept(body: &[u8], content_type: &str) -> DeadCallback {
        let received = ReceivedCallback {
            url: Some(Callback::DeliveryReport),
            content_type: Some(content_type),
            content_encoding: None,
            body,
        };
        let dead = DeadCallback::new(&received, "why".to_owned(), Timestamp::from_millis(5));
        decode(&encode(&dead)).unwrap()
    }

    #[test]
    fn a_kept_callback_is_read_again_as_it_came() {
        let body = b"id=in-1&from=a&text=caf\xe9";
        let content = kept(body, "text/plain; charset=iso-8859-1").read("key");
        let Ok(CallbackContent::Incoming(sms)) = content else {
            panic!("an SMS")
        };
        assert_eq!((sms.id.as_str(), sms.content.as_str()), ("in-1", "café"));
        assert_eq!(sms.received_at, Timestamp::from_millis(5));
        // An earlier version kept the text alone.
        let refused = kept(b"text=x", "").read("key");
        assert_eq!(refused.unwrap_err(), "id is missing or empty");
    }

    #[test]
    fn of_a_body_over_the_limit_the_first_part_is_kept_and_marked() {
        let body = "id=in-1&from=a&text=".to_owned() + &"x".repeat(MAX_BODY_BYTES);
        let kept = kept(body.as_bytes(), "");
        assert!(kept.callback.is_cut);
        assert_eq!(kept.dead_letter.body, body[..MAX_BODY_BYTES]);
        assert!(kept.read("key").is_err());
    }
}
