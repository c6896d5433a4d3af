//! How many segments (SMS parts) a text takes. Networks carry and bill segments.

/// The alphabet in which a text is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alphabet {
    /// The GSM 7-bit default alphabet with its extension table (3GPP TS 23.038).
    Gsm7,
    /// UCS-2: one character outside GSM-7 is enough to need it.
    Ucs2,
}

/// The alphabet and the number of segments of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// The alphabet that it needs.
    pub alphabet: Alphabet,
    /// How many parts; an empty text is one.
    pub count: u32,
}

/// The GSM 7-bit default alphabet, without the escape to the extension table.
const GSM7_BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// The extension table: each takes two septets.
const GSM7_EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// Counts the segments of a text.
///
/// One part holds 160 septets or 70 UTF-16 units. A longer text is concatenated, each part giving
/// six octets to a header: 153 septets or 67 units, and neither an escape sequence nor a surrogate
/// pair is cut in two.
pub fn segments(text: &str) -> Segments {
    match text.chars().map(septets).collect::<Option<Vec<usize>>>() {
        Some(widths) => Segments {
            alphabet: Alphabet::Gsm7,
            count: parts(&widths, 160, 153),
        },
        None => Segments {
            alphabet: Alphabet::Ucs2,
            count: parts(
                &text.chars().map(char::len_utf16).collect::<Vec<_>>(),
                70,
                67,
            ),
        },
    }
}

fn septets(character: char) -> Option<usize> {
    if GSM7_BASIC.contains(character) {
        Some(1)
    } else if GSM7_EXTENSION.contains(character) {
        Some(2)
    } else {
        None
    }
}

fn parts(widths: &[usize], single: usize, concatenated: usize) -> u32 {
    if widths.iter().sum::<usize>() <= single {
        return 1;
    }
    let mut parts = 1;
    let mut used = 0;
    for width in widths {
        if used + width > concatenated {
            parts += 1;
            used = 0;
        }
        used += width;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gsm7(count: u32) -> Segments {
        Segments {
            alphabet: Alphabet::Gsm7,
            count,
        }
    }

    fn ucs2(count: u32) -> Segments {
        Segments {
            alphabet: Alphabet::Ucs2,
            count,
        }
    }

    #[test]
    fn lengths_at_the_borders() {
        assert_eq!(segments(""), gsm7(1));
        assert_eq!(segments(&"a".repeat(160)), gsm7(1));
        assert_eq!(segments(&"a".repeat(161)), gsm7(2));
        assert_eq!(segments(&"a".repeat(306)), gsm7(2));
        assert_eq!(segments(&"a".repeat(307)), gsm7(3));
        assert_eq!(segments(&"ህ".repeat(70)), ucs2(1));
        assert_eq!(segments(&"ህ".repeat(71)), ucs2(2));
        assert_eq!(segments(&"ህ".repeat(134)), ucs2(2));
        assert_eq!(segments(&"ህ".repeat(135)), ucs2(3));
    }

    #[test]
    fn a_character_of_the_extension_table_takes_two() {
        assert_eq!(segments(&"€".repeat(80)), gsm7(1));
        assert_eq!(segments(&"€".repeat(81)), gsm7(2));
        // 152 septets and an escape sequence: it is not cut in two, so 153 are not reached.
        assert_eq!(
            segments(&format!("{}€{}", "a".repeat(152), "a".repeat(152))),
            gsm7(3)
        );
    }

    #[test]
    fn a_surrogate_pair_is_not_cut_in_two() {
        assert_eq!(segments(&"😀".repeat(35)), ucs2(1));
        assert_eq!(segments(&"😀".repeat(66)), ucs2(2));
        assert_eq!(segments(&"😀".repeat(67)), ucs2(3));
    }

    #[test]
    fn the_default_alphabet_has_its_127_characters() {
        assert_eq!(GSM7_BASIC.chars().count(), 127);
        assert_eq!(GSM7_EXTENSION.chars().count(), 10);
    }

    #[test]
    fn a_cedilla_or_a_backtick_needs_ucs2() {
        assert_eq!(segments("ç").alphabet, Alphabet::Ucs2);
        assert_eq!(segments("`").alphabet, Alphabet::Ucs2);
        assert_eq!(segments("Ç").alphabet, Alphabet::Gsm7);
    }

    proptest! {
        #[test]
        fn a_longer_text_never_takes_fewer_segments_in_its_alphabet(text in ".{0,400}", more in ".{0,40}") {
            let longer = format!("{text}{more}");
            if segments(&text).alphabet == segments(&longer).alphabet {
                prop_assert!(segments(&longer).count >= segments(&text).count);
            }
        }

        #[test]
        fn parts_hold_what_they_must(text in ".{0,2000}") {
            let Segments { alphabet, count } = segments(&text);
            let units: usize = match alphabet {
                Alphabet::Gsm7 => text.chars().filter_map(septets).sum(),
                Alphabet::Ucs2 => text.encode_utf16().count(),
            };
            let per_part = if alphabet == Alphabet::Gsm7 { 160 } else { 70 };
            prop_assert!(usize::try_from(count).unwrap() * per_part >= units);
        }
    }
}
