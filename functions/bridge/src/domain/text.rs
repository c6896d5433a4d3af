//! Text that came from outside, without what surrounds it.

/// The text without what surrounds it and does not change it: blanks, line ends, control characters,
/// byte order marks, and invisible characters that stick to what is copied from a page or a chat.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(surrounds)
}

/// Whether a character at an end of a value is no part of it.
pub fn surrounds(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(
            character,
            '\u{feff}'
                | '\u{ad}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_surrounds_a_value_is_no_part_of_it() {
        for text in [
            "a b",
            " a b",
            "a b\r\n",
            "\u{feff}a b",
            "\t\u{a0}a b\u{200e}",
            "\u{202a}a b\u{202c}\0",
        ] {
            assert_eq!(trimmed(text), "a b", "{text:?}");
        }
        assert_eq!(trimmed(" \u{feff}\r\n"), "");
    }
}
