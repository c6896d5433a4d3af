//! JSON from and to other systems: read leniently, written so that every queue and server accepts
//! it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::text::trimmed;
use crate::wire::charset;

/// Reads JSON from outside.
///
/// Invalid UTF-8 and escapes of lone UTF-16 surrogates become U+FFFD. JavaScript writes such
/// escapes, and one of them must not make a whole response or event unreadable. The same holds for a
/// byte order mark, for UTF-16, and for whatever else surrounds it.
///
/// # Errors
/// When it is no JSON even so.
pub fn parse_lenient(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(bytes).or_else(|_| parse_text(&charset::decode(bytes, None)))
}

/// Reads JSON that is text already, as [`parse_lenient`] does.
///
/// # Errors
/// When it is no JSON even so.
pub fn parse_text<T: DeserializeOwned>(text: &str) -> Result<T, serde_json::Error> {
    let text = trimmed(text);
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&replace_lone_surrogates(text)))
}

/// A field of an object by its name, in whatever letter case it is written.
pub fn field<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        let mut fields = object.as_object()?.iter();
        let same = |field: &str| trimmed(field).eq_ignore_ascii_case(name);
        fields.find_map(|(field, value)| same(field).then_some(value))
    })
}

/// The text of a text or a number.
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The largest number of values and field names in a response. A good response has some hundreds.
/// In memory each can take hundreds of times its bytes in JSON, so that a megabyte of small ones
/// needs more memory than a function has.
const MAX_VALUES_OF_AN_ANSWER: usize = 10_000;

/// Reads the response of a server, as [`parse_lenient`] does.
///
/// # Errors
/// When it is no JSON, or has more values than any good response.
pub fn parse_answer(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let text = charset::decode(bytes, None);
    if values(text.as_bytes()) > MAX_VALUES_OF_AN_ANSWER {
        return Err(serde::de::Error::custom("more values than any answer has"));
    }
    parse_text(&text)
}

/// How many values and names JSON has, or what precedes its first error, at most one too few.
fn values(json: &[u8]) -> usize {
    let mut count = 0;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' | b',' | b':' => count += 1,
            b'"' => {
                while let Some(inside) = bytes.next() {
                    match inside {
                        b'"' => break,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    count
}

/// Writes JSON with everything outside ASCII escaped: SQS refuses some characters (U+FFFE, U+FFFF,
/// most control characters), and no escape sequence is one of them. U+007F is escaped too.
pub fn to_ascii(value: &impl Serialize) -> String {
    // The types of this crate have text keys only, so that this cannot fail; and were it to, an
    // empty body would be seen at once by whoever reads it.
    let json = serde_json::to_string(value).unwrap_or_default();
    if json.bytes().all(|byte| byte.is_ascii() && byte != 0x7f) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() * 2);
    for character in json.chars() {
        if character.is_ascii() && character != '\u{7f}' {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    escaped
}

/// Replaces each escape of a surrogate that has no partner by that of U+FFFD.
fn replace_lone_surrogates(json: &str) -> String {
    let mut fixed = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        fixed.push_str(before);
        let length = match surrogate(escape) {
            Some(0xD800..=0xDBFF) => {
                let second = escape.get(6..).and_then(surrogate);
                if second.is_some_and(|unit| (0xDC00..=0xDFFF).contains(&unit)) {
                    fixed.push_str(escape.get(..12).unwrap_or_default());
                    12
                } else {
                    fixed.push_str("\\ufffd");
                    6
                }
            }
            Some(_) => {
                fixed.push_str("\\ufffd");
                6
            }
            None => {
                // Two characters at once, so that the second backslash of `\\` starts nothing.
                let length = escape.chars().take(2).map(char::len_utf8).sum();
                fixed.push_str(escape.get(..length).unwrap_or_default());
                length
            }
        };
        rest = escape.get(length..).unwrap_or_default();
    }
    fixed.push_str(rest);
    fixed
}

/// The surrogate that the text's first six characters escape, if they do.
fn surrogate(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let unit = u16::from_str_radix(digits, 16).ok()?;
    (0xD800..=0xDFFF).contains(&unit).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_lone_surrogate_becomes_the_replacement_character() {
        for (text, expected) in [
            (r#"{"a":"\ud800"}"#, "\u{fffd}"),
            (r#"{"a":"x\uDC00y"}"#, "x\u{fffd}y"),
            (r#"{"a":"\ud83d\ude00 \ud83d"}"#, "😀 \u{fffd}"),
            (r#"{"a":"\ud83dé"}"#, "\u{fffd}é"),
            (r#"{"a":"\\ud800\ud800"}"#, "\\ud800\u{fffd}"),
            (r#"{"a":"\ud800\ud83d\ude00"}"#, "\u{fffd}😀"),
        ] {
            assert_eq!(
                parse_lenient(text.as_bytes()).unwrap(),
                json!({"a": expected}),
                "{text}"
            );
        }
    }

    #[test]
    fn invalid_utf_8_is_read_lossily() {
        assert_eq!(
            parse_lenient(b"{\"a\":\"\xff\"}").unwrap(),
            json!({"a": "\u{fffd}"})
        );
    }

    #[test]
    fn what_surrounds_json_does_not_change_it() {
        let json = r#"{"a":"é"}"#;
        let utf_16 = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let marked = format!("\u{feff}{json}");
            marked.encode_utf16().flat_map(bytes).collect()
        };
        for body in [
            format!("\u{feff}{json}").into_bytes(),
            format!("\u{feff}\r\n {json}\r\n\0").into_bytes(),
            utf_16(u16::to_le_bytes),
            utf_16(u16::to_be_bytes),
        ] {
            for read in [parse_lenient(&body), parse_answer(&body)] {
                assert_eq!(read.unwrap(), json!({"a": "é"}), "{body:?}");
            }
        }
    }

    #[test]
    fn a_field_is_found_in_whatever_letter_case_it_is_written() {
        let object = json!({"USERDATA": 1, "\u{feff}b ": 2, "c": 3, "C": 4});
        assert_eq!(field(&object, "UserData"), Some(&json!(1)));
        assert_eq!(field(&object, "b"), Some(&json!(2)));
        assert_eq!(field(&object, "C"), Some(&json!(4)));
        assert_eq!(field(&object, "d"), None);
        assert_eq!(field(&json!([1]), "d"), None);
    }

    #[test]
    fn many_values_in_utf_16_are_counted_too() {
        let body = format!("[\"∀\",{}0]", "0,".repeat(MAX_VALUES_OF_AN_ANSWER));
        let body: Vec<u8> = body.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(parse_answer(&body).is_err());
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        assert!(parse_lenient(b"<html>").is_err());
        assert!(parse_lenient(b"{\"a\":\"\\ud800").is_err());
        assert!(parse_lenient(b"").is_err());
    }

    #[test]
    fn an_answer_of_more_values_than_a_good_one_is_not_read() {
        let many = |count: usize, item: &str| format!("[{}0]", item.repeat(count)).into_bytes();
        assert!(parse_answer(&many(MAX_VALUES_OF_AN_ANSWER - 1, "0,")).is_ok());
        assert!(parse_answer(&many(MAX_VALUES_OF_AN_ANSWER, "0,")).is_err());
        assert!(parse_answer(&many(MAX_VALUES_OF_AN_ANSWER / 2, "{\"\":0},")).is_err());
        // What is in a text is text.
        let text = many(1, &format!("\"{}\",", r#"[{,:\"\\"#.repeat(10_000)));
        assert!(parse_answer(&text).is_ok());
    }

    #[test]
    fn what_sqs_refuses_is_escaped() {
        let written = to_ascii(&json!("\u{ffff}\u{fffe}\u{1}é😀\u{7f}"));
        assert_eq!(
            written,
            "\"\\uffff\\ufffe\\u0001\\u00e9\\ud83d\\ude00\\u007f\""
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_printable_ascii_and_reads_back(text in any::<String>()) {
            let written = to_ascii(&json!({ "text": text }));
            prop_assert!(written.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            prop_assert_eq!(parse_lenient(written.as_bytes()).unwrap(), json!({ "text": text }));
        }

        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_lenient(&bytes);
        }

        #[test]
        fn fixing_never_panics_and_leaves_no_lone_surrogate(
            text in r#"("|\\|u|\\u[dD][89a-fA-F][0-9a-f]{2}|é|[a-f0-9]){0,30}"#
        ) {
            let _ = replace_lone_surrogates(&text);
            let inside: String = text.replace('"', "").trim_end_matches('\\').to_owned();
            let fixed = replace_lone_surrogates(&inside);
            // Mending a second time finds nothing left to fix.
            prop_assert_eq!(replace_lone_surrogates(&fixed), fixed);
        }
    }
}
