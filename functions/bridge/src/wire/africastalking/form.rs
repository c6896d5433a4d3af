//! The fields of a callback, from a form or from JSON.

use std::collections::HashMap;

use serde_json::Value;

use crate::domain::ids::IdError;
use crate::wire::json::parse_lenient;

/// What is wrong with a callback, by the name of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadField {
    /// The field's name.
    pub field: &'static str,
    /// What is wrong with it. Never holds the field's value.
    pub problem: &'static str,
}

impl BadField {
    /// What is wrong with the field `id`.
    pub fn id(error: IdError) -> Self {
        Self {
            field: "id",
            problem: match error {
                IdError::Empty => "is missing or empty",
                IdError::TooLong => "is too long",
            },
        }
    }
}

/// The fields by name. Their order and number differ between callbacks.
pub struct Fields(HashMap<String, String>);

impl Fields {
    /// Reads a body: JSON when its content type (in lower case) says so, a form otherwise. Bytes that are no UTF-8
    /// become U+FFFD. Of a repeated field the first value that is not empty counts.
    pub fn read(content_type: Option<&[u8]>, body: &[u8]) -> Result<Self, BadField> {
        let is_json = content_type.is_some_and(|content_type| {
            let essence = content_type.split(|byte| *byte == b';').next();
            let essence = essence.unwrap_or_default().trim_ascii();
            matches!(essence, b"application/json" | b"text/json") || essence.ends_with(b"+json")
        });
        if is_json {
            Self::read_json(body)
        } else {
            Ok(Self::read_form(body))
        }
    }

    fn read_form(body: &[u8]) -> Self {
        let mut fields: HashMap<String, String> = HashMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            let known = fields.entry(name.into_owned()).or_default();
            if known.is_empty() {
                *known = value.into_owned();
            }
        }
        Self(fields)
    }

    fn read_json(body: &[u8]) -> Result<Self, BadField> {
        let Ok(Value::Object(object)) = parse_lenient(body) else {
            return Err(BadField {
                field: "the body",
                problem: "is no JSON object",
            });
        };
        let texts = object.into_iter().filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, text)),
            Value::Number(number) => Some((name, number.to_string())),
            Value::Bool(flag) => Some((name, flag.to_string())),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        });
        Ok(Self(texts.collect()))
    }

    /// The field, unless it is missing or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form(body: &[u8]) -> Fields {
        Fields::read(Some(b"application/x-www-form-urlencoded"), body)
            .ok()
            .unwrap()
    }

    #[test]
    fn a_real_form_is_read() {
        let fields = form(include_bytes!(
            "../../../tests/payloads/incoming-space-date.form"
        ));
        assert_eq!(fields.get("from"), Some("+254700000002"));
        assert_eq!(
            fields.get("text"),
            Some("heey this is a message from a phone")
        );
        assert_eq!(fields.get("date"), Some("2021-01-14 08:10:15"));
        assert_eq!(fields.get("cost"), None);
    }

    #[test]
    fn of_a_repeated_field_the_first_that_is_not_empty_counts() {
        assert_eq!(form(b"id=&id=a&id=b").get("id"), Some("a"));
    }

    #[test]
    fn invalid_utf_8_is_read_lossily() {
        assert_eq!(
            form(b"text=a%FFb%C3%A9").get("text"),
            Some("a\u{fffd}b\u{e9}")
        );
        assert_eq!(form(b"text=a\xffb").get("text"), Some("a\u{fffd}b"));
    }

    #[test]
    fn json_with_the_same_fields_is_read() {
        let read =
            |body: &str| Fields::read(Some(b"application/json; charset=utf-8"), body.as_bytes());
        let fields = read(r#"{"id":7,"text":"\ud800x","linkId":null,"a":[1]}"#)
            .ok()
            .unwrap();
        assert_eq!(fields.get("id"), Some("7"));
        assert_eq!(fields.get("text"), Some("\u{fffd}x"));
        assert_eq!(fields.get("linkId"), None);
        for body in ["", "[]", "7", "id=a"] {
            assert!(read(body).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Fields::read(None, &body);
            let _ = Fields::read(Some(b"application/json"), &body);
        }

        #[test]
        fn what_a_form_carries_comes_out_unchanged(text in "\\PC{1,60}") {
            let body = form_urlencoded::Serializer::new(String::new()).append_pair("text", &text).finish();
            let fields = form(body.as_bytes());
            prop_assert_eq!(fields.get("text"), Some(text.as_str()));
        }
    }
}
