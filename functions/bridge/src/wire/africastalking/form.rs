//! The fields of a callback, from a form, from a form of several parts, or from JSON.

use std::collections::HashMap;

use percent_encoding::percent_decode;
use serde_json::value::RawValue;

use super::multipart;
use crate::domain::ids::IdError;
use crate::domain::text::trimmed;
use crate::wire::charset::{self, Charset};
use crate::wire::json::parse_text;

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

/// The fields with their names. Their order and number differ between callbacks.
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads a body: what it is shows the body itself, and the content type only its character set.
    ///
    /// A proxy or a framework may have changed either, so JSON that came as a form is read, and a form
    /// that came as JSON. Bytes that are no character become U+FFFD. Of a repeated field the first value
    /// that is not empty counts.
    ///
    /// # Errors
    /// When the body is announced as JSON or as a form of several parts, and is neither of the three.
    pub fn read(content_type: Option<&[u8]>, body: &[u8]) -> Result<Self, BadField> {
        let content_type = content_type.unwrap_or_default();
        let declared = Charset::declared(content_type);
        let text = charset::decode(body, declared);
        if let Some(fields) = of_json(&text) {
            return Ok(Self(fields));
        }
        if let Some(fields) = multipart::read(&text) {
            return Ok(Self(fields));
        }
        // A byte order mark and UTF-16 are gone from the text. Bytes of an old character set are not.
        let bytes = std::str::from_utf8(body).map_or(body, |_| text.as_bytes());
        let bytes = if is_wide(body) {
            text.as_bytes()
        } else {
            bytes
        };
        let form = Self(of_form(bytes, declared.unwrap_or(Charset::Utf8)));
        match announced(content_type) {
            Some(problem) if form.bare("id").is_none() => Err(BadField {
                field: "the body",
                problem,
            }),
            _ => Ok(form),
        }
    }

    /// The field, unless it is missing or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let values = |same: fn(&str, &str) -> bool| {
            let mut fields = self.0.iter();
            fields.find_map(|(field, value)| {
                (same(trimmed(field), name) && !value.is_empty()).then_some(value.as_str())
            })
        };
        values(|field, name| field == name).or_else(|| values(str::eq_ignore_ascii_case))
    }

    /// The field without what surrounds it, unless it is missing or nothing is left: for everything
    /// but the text of an SMS.
    pub fn bare(&self, name: &str) -> Option<&str> {
        self.get(name)
            .map(trimmed)
            .filter(|value| !value.is_empty())
    }
}

/// What is wrong with a body that is not what its content type announces.
fn announced(content_type: &[u8]) -> Option<&'static str> {
    let content_type = content_type.to_ascii_lowercase();
    let essence = content_type.split(|byte| *byte == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    if matches!(essence, b"application/json" | b"text/json") || essence.ends_with(b"+json") {
        return Some("is no JSON object");
    }
    essence
        .starts_with(b"multipart/")
        .then_some("has no parts of a form")
}

/// The fields of a JSON object. Numbers keep their digits: as a float a long id would be another one.
fn of_json(text: &str) -> Option<Vec<(String, String)>> {
    if !trimmed(text).starts_with('{') {
        return None;
    }
    let object: HashMap<String, Box<RawValue>> = parse_text(text).ok()?;
    let texts = object.into_iter().filter_map(|(name, value)| {
        let raw = value.get();
        match raw.as_bytes().first()? {
            b'"' => Some((name, parse_text(raw).ok()?)),
            b'n' | b'[' | b'{' => None,
            _ => Some((name, raw.to_owned())),
        }
    });
    Some(texts.collect())
}

/// Whether a body has two bytes for each character.
fn is_wide(body: &[u8]) -> bool {
    body.iter().take(2).any(|byte| *byte == 0)
        || body.starts_with(&[0xff, 0xfe])
        || body.starts_with(&[0xfe, 0xff])
}

/// The fields of a form. What is raw in it and surrounds it, such as a line end that a proxy adds, is
/// no part of its last value.
fn of_form(body: &[u8], charset: Charset) -> Vec<(String, String)> {
    let pairs = without_line_ends(body).split(|byte| *byte == b'&');
    let pairs = pairs.filter(|pair| !pair.is_empty()).map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let mut half = || unescaped(halves.next().unwrap_or_default(), charset);
        (half(), half())
    });
    pairs.collect()
}

fn without_line_ends(body: &[u8]) -> &[u8] {
    let is_content = |byte: &u8| !matches!(byte, b'\r' | b'\n' | 0);
    let begin = body.iter().position(is_content).unwrap_or(body.len());
    let end = body
        .iter()
        .rposition(is_content)
        .map_or(begin, |last| last + 1);
    body.get(begin..end).unwrap_or_default()
}

/// A name or a value of a form. The percent-encoded bytes are of the declared character set; what is
/// raw and valid UTF-8 is UTF-8.
fn unescaped(half: &[u8], charset: Charset) -> String {
    let spaced: Vec<u8> = half
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    let bytes: Vec<u8> = percent_decode(&spaced).collect();
    let is_text = !half.is_ascii() && std::str::from_utf8(&bytes).is_ok();
    let charset = if is_text { Charset::Utf8 } else { charset };
    charset.decode(&bytes).into_owned()
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
        for body in ["", "[]", "7", "from=a", "{\"id\":\"a", "\"id\""] {
            assert!(read(body).is_err(), "{body}");
        }
    }

    #[test]
    fn a_number_in_json_keeps_all_of_its_digits() {
        let body = br#"{"id":12345678901234567890123,"cost":0.80}"#;
        let fields = Fields::read(Some(b"application/json"), body).ok().unwrap();
        assert_eq!(fields.get("id"), Some("12345678901234567890123"));
        assert_eq!(fields.get("cost"), Some("0.80"));
    }

    #[test]
    fn a_form_that_came_as_json_and_json_that_came_as_a_form_are_read() {
        let form = Fields::read(Some(b"application/json"), b"id=a&text=b+c");
        let json = br#" {"id": "a", "text": "b c"} "#;
        for fields in [
            form,
            Fields::read(Some(b"application/x-www-form-urlencoded"), json),
            Fields::read(Some(b"text/plain"), json),
            Fields::read(None, json),
        ] {
            let fields = fields.ok().unwrap();
            assert_eq!(
                (fields.get("id"), fields.get("text")),
                (Some("a"), Some("b c"))
            );
        }
    }

    #[test]
    fn what_surrounds_a_body_or_a_name_does_not_change_a_value() {
        for body in [
            "\u{feff}id=a&text=b c\r\n",
            "\r\nid=a&text=b+c\n\0",
            "%EF%BB%BFid=a&+text%0D%0A=b+c",
            "ID=a&Text=b+c",
            "\u{feff}{\"id\":\"a\",\"text\":\"b c\"}\r\n",
        ] {
            let fields = form(body.as_bytes());
            assert_eq!(fields.get("id"), Some("a"), "{body:?}");
            assert_eq!(fields.get("text"), Some("b c"), "{body:?}");
        }
        assert_eq!(form(b"id=%EF%BB%BFa%0D%0A").bare("id"), Some("a"));
        assert_eq!(form(b"id=+%0D%0A").bare("id"), None);
        // The letter case that is asked for goes first.
        assert_eq!(form(b"ID=a&id=b").get("id"), Some("b"));
    }

    #[test]
    fn the_declared_character_set_is_used() {
        let read = |content_type: &str, body: &[u8]| {
            let fields = Fields::read(Some(content_type.as_bytes()), body);
            fields.ok().unwrap().get("text").map(str::to_owned)
        };
        let cafe = Some("café €".to_owned());
        for charset in ["iso-8859-1", "windows-1252"] {
            let content_type = format!("application/x-www-form-urlencoded; charset={charset}");
            assert_eq!(read(&content_type, b"text=caf%E9+%80"), cafe);
            assert_eq!(read(&content_type, b"text=caf\xe9+\x80"), cafe);
            // API Gateway has converted it.
            assert_eq!(read(&content_type, "text=café+€".as_bytes()), cafe);
        }
        let latin = "application/json; charset=iso-8859-1";
        assert_eq!(read(latin, b"{\"text\":\"caf\xe9 \x80\"}"), cafe);
        for body in [
            "id=a&text=caf%C3%A9+%E2%82%AC",
            "id=a&text=café €",
            "{\"text\":\"café €\"}",
        ] {
            let body: Vec<u8> = body.encode_utf16().flat_map(u16::to_be_bytes).collect();
            assert_eq!(read("text/plain; charset=utf-16", &body), cafe);
            assert_eq!(read("application/json", &body), cafe);
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Fields::read(None, &body);
            for content_type in ["application/json", "multipart/form-data", "a/b; charset=latin1"] {
                let _ = Fields::read(Some(content_type.as_bytes()), &body);
            }
        }

        #[test]
        fn what_a_form_carries_comes_out_unchanged(text in "\\PC{1,60}") {
            let body = form_urlencoded::Serializer::new(String::new()).append_pair("text", &text).finish();
            let fields = form(body.as_bytes());
            prop_assert_eq!(fields.get("text"), Some(text.as_str()));
        }
    }
}
