//! The character set of a text from outside.
//!
//! Africa's Talking writes UTF-8. Proxies and frameworks on the way have written others, and byte
//! order marks. The standard library decodes UTF-16, and Windows-1252 differs from Unicode in 32
//! characters: a crate for all of the web's character sets would bring the tables of some forty into
//! every function.

use std::borrow::Cow;

/// A character set that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8, and ASCII.
    Utf8,
    /// Windows-1252, and what is declared as ISO-8859-1, as on the web.
    Windows1252,
    /// UTF-16, in the order that its first bytes show.
    Utf16,
}

/// The characters of Windows-1252 from 0x80 to 0x9F. Those that it leaves out are control characters.
const WINDOWS_1252: [char; 32] = [
    '\u{20ac}', '\u{81}', '\u{201a}', '\u{192}', '\u{201e}', '\u{2026}', '\u{2020}', '\u{2021}',
    '\u{2c6}', '\u{2030}', '\u{160}', '\u{2039}', '\u{152}', '\u{8d}', '\u{17d}', '\u{8f}',
    '\u{90}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}', '\u{2022}', '\u{2013}', '\u{2014}',
    '\u{2dc}', '\u{2122}', '\u{161}', '\u{203a}', '\u{153}', '\u{9d}', '\u{17e}', '\u{178}',
];

impl Charset {
    /// The one that a content type declares. `None` when it declares none, or one that is not read.
    pub fn declared(content_type: &[u8]) -> Option<Self> {
        let content_type = String::from_utf8_lossy(content_type).to_ascii_lowercase();
        let mut parameters = content_type.split(';').skip(1);
        let charset = parameters.find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            (name.trim() == "charset").then(|| value.trim().trim_matches(['"', '\'']).to_owned())
        })?;
        match charset.as_str() {
            "utf-8" | "utf8" | "us-ascii" | "ascii" => Some(Self::Utf8),
            "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" | "latin-1" | "l1"
            | "windows-1252" | "cp1252" | "x-cp1252" => Some(Self::Windows1252),
            "utf-16" | "utf16" | "utf-16le" | "utf-16be" | "ucs-2" => Some(Self::Utf16),
            _ => None,
        }
    }

    /// The text of bytes that were percent-encoded. A form in UTF-16 encodes the bytes of UTF-8. What is
    /// valid UTF-8 is UTF-8 whatever is declared, because some servers declare ISO-8859-1 for everything.
    /// What is no character of the set becomes U+FFFD.
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Utf8 | Self::Utf16 => String::from_utf8_lossy(bytes),
            Self::Windows1252 => match std::str::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(_) => bytes.iter().copied().map(of_windows_1252).collect(),
            },
        }
    }
}

fn of_windows_1252(byte: u8) -> char {
    let special = byte.checked_sub(0x80).map(usize::from);
    let special = special.and_then(|index| WINDOWS_1252.get(index));
    special.copied().unwrap_or(char::from(byte))
}

/// The text of a whole body, without its byte order mark.
///
/// UTF-16 shows itself by its mark, or by a zero as its first or second byte: neither a form nor JSON
/// begins so. What is valid UTF-8 is UTF-8, because API Gateway may have converted it. For all else
/// the declared character set counts.
pub fn decode(bytes: &[u8], declared: Option<Charset>) -> Cow<'_, str> {
    match bytes {
        [0xef, 0xbb, 0xbf, text @ ..] => String::from_utf8_lossy(text),
        [0xff, 0xfe, text @ ..] => of_utf_16(text, u16::from_le_bytes).into(),
        [0xfe, 0xff, text @ ..] => of_utf_16(text, u16::from_be_bytes).into(),
        [1..=0x7f, 0, ..] => of_utf_16(bytes, u16::from_le_bytes).into(),
        [0, 1..=0x7f, ..] => of_utf_16(bytes, u16::from_be_bytes).into(),
        _ => match (std::str::from_utf8(bytes), declared) {
            (Ok(text), _) => text.into(),
            (Err(_), Some(Charset::Windows1252)) => Charset::Windows1252.decode(bytes),
            (Err(_), _) => String::from_utf8_lossy(bytes),
        },
    }
}

fn of_utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (units, rest) = bytes.as_chunks::<2>();
    let characters = char::decode_utf16(units.iter().copied().map(unit));
    let mut text: String = characters
        .map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    if !rest.is_empty() {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_declared_character_set_is_found_however_it_is_written() {
        let declared = |text: &str| Charset::declared(text.as_bytes());
        for text in [
            "text/plain; charset=iso-8859-1",
            "text/plain;Charset=\"ISO-8859-1\"; boundary=x",
            "text/plain; boundary=x ; charset = windows-1252 ",
        ] {
            assert_eq!(declared(text), Some(Charset::Windows1252), "{text}");
        }
        assert_eq!(declared("a/b; charset=UTF-8"), Some(Charset::Utf8));
        assert_eq!(declared("a/b; charset='utf-16le'"), Some(Charset::Utf16));
        for text in ["", "charset=utf-8", "a/b; charset=klingon", "a/b; charset"] {
            assert_eq!(declared(text), None, "{text}");
        }
    }

    #[test]
    fn a_body_is_read_whatever_it_is_written_in() {
        let utf_16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(bytes).collect()
        };
        for text in ["id=é😀", "\u{feff}id=é😀"] {
            for body in [
                text.as_bytes().to_vec(),
                utf_16(text, u16::to_le_bytes),
                utf_16(text, u16::to_be_bytes),
            ] {
                assert_eq!(decode(&body, None), "id=é😀", "{body:?}");
            }
        }
        let latin = b"\x80 caf\xe9";
        assert_eq!(decode(latin, Some(Charset::Windows1252)), "€ café");
        assert_eq!(decode(latin, None), "\u{fffd} caf\u{fffd}");
        // Declared, and yet something else.
        assert_eq!(decode("é".as_bytes(), Some(Charset::Windows1252)), "é");
        assert_eq!(decode(b"id=a", Some(Charset::Utf16)), "id=a");
        assert_eq!(decode(b"a\0b", None), "a\u{fffd}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Charset::declared(&bytes);
            for charset in [Charset::Utf8, Charset::Windows1252, Charset::Utf16] {
                let _ = charset.decode(&bytes);
                let _ = decode(&bytes, Some(charset));
            }
        }
    }
}
