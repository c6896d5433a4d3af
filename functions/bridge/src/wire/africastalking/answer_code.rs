//! The code of a response to a send request, for metrics.

use serde::Serialize;

use crate::wire::africastalking::send_body::code_in;

/// A code from a short list. Values from outside are never used as dimensions of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct AnswerCode(&'static str);

/// Every `statusCode` that Africa's Talking documents.
const STATUS_CODES: [(u64, &str); 14] = [
    (100, "100"),
    (101, "101"),
    (102, "102"),
    (401, "401"),
    (402, "402"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (407, "407"),
    (409, "409"),
    (500, "500"),
    (501, "501"),
    (502, "502"),
];

impl AnswerCode {
    /// There was no connection.
    pub const NO_CONNECTION: Self = Self("no_connection");
    /// The request was sent, and there was no complete response.
    pub const NO_ANSWER: Self = Self("no_answer");

    /// The code of an HTTP response: the recipient's `statusCode` if there is one, else the HTTP
    /// status.
    pub fn of_answer(http_status: u16, body: &[u8]) -> Self {
        match (http_status, code_in(body)) {
            (200..=299 | 400..=499, Some(code)) => Self::of_status_code(code),
            (200..=299, None) => Self("unreadable"),
            _ => Self::of_http_status(http_status),
        }
    }

    fn of_http_status(status: u16) -> Self {
        Self(match status {
            400 => "http_400",
            401 => "http_401",
            403 => "http_403",
            404 => "http_404",
            429 => "http_429",
            503 => "http_503",
            300..=399 => "http_3xx",
            402 | 405..=428 | 430..=499 => "http_4xx",
            _ => "http_5xx",
        })
    }

    fn of_status_code(code: u64) -> Self {
        let known = STATUS_CODES.into_iter().find(|(known, _)| *known == code);
        Self(known.map_or("other", |(_, label)| label))
    }

    /// The code as text.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(status: u16, body: &str) -> &'static str {
        AnswerCode::of_answer(status, body.as_bytes()).as_str()
    }

    #[test]
    fn the_recipients_code_goes_before_the_http_status() {
        let refused = r#"{"SMSMessageData":{"Recipients":[{"statusCode":406,"status":"x"}]}}"#;
        assert_eq!(code(201, refused), "406");
        assert_eq!(code(409, refused), "406");
        let text = r#"{"SMSMessageData":{"Recipients":[{"statusCode":"101"}]}}"#;
        assert_eq!(code(200, text), "101");
        let named = r#"{"SMSMessageData":{"Recipients":[{"status":"Success"}]}}"#;
        assert_eq!(code(200, named), "101");
        let nobody = r#"{"SMSMessageData":{"Message":"InvalidSenderId","Recipients":[]}}"#;
        assert_eq!(code(201, nobody), "402");
    }

    #[test]
    fn what_nobody_has_seen_is_one_of_a_few_words() {
        let strange = r#"{"SMSMessageData":{"Recipients":[{"statusCode":254700000001}]}}"#;
        assert_eq!(code(200, strange), "other");
        assert_eq!(code(200, "<html>"), "unreadable");
        assert_eq!(
            code(401, "The supplied authentication is invalid"),
            "http_401"
        );
        assert_eq!(code(418, ""), "http_4xx");
        assert_eq!(code(599, ""), "http_5xx");
        assert_eq!(code(302, ""), "http_3xx");
    }
}
