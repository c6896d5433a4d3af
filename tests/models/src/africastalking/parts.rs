//! The number of parts that a text needs.

/// The GSM 03.38 alphabet without its extension.
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Its extension: each of these takes two places.
const GSM_EXTENSION: &str = "\u{c}^{}\\[~]|€";

fn gsm_places(letter: char) -> Option<usize> {
    if GSM.contains(letter) {
        Some(1)
    } else if GSM_EXTENSION.contains(letter) {
        Some(2)
    } else {
        None
    }
}

/// Counts the parts of a text. A text in the GSM alphabet has 160 places in a single part, or 153 in each
/// of several. Any other text is UTF-16, with 70 places or 67. No letter is cut in two.
pub(super) fn count(text: &str) -> u32 {
    let gsm: Option<Vec<usize>> = text.chars().map(gsm_places).collect();
    match gsm {
        Some(places) => parts(&places, 160, 153),
        None => parts(
            &text.chars().map(char::len_utf16).collect::<Vec<_>>(),
            70,
            67,
        ),
    }
}

fn parts(places: &[usize], alone: usize, joined: usize) -> u32 {
    if places.iter().sum::<usize>() <= alone {
        return 1;
    }
    let mut parts = 1;
    let mut used = 0;
    for letter in places {
        if used + letter > joined {
            parts += 1;
            used = 0;
        }
        used += letter;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_its_alphabet_says() {
        assert_eq!(count(""), 1);
        assert_eq!(count(&"a".repeat(160)), 1);
        assert_eq!(count(&"a".repeat(161)), 2);
        assert_eq!(count(&"a".repeat(306)), 2);
        assert_eq!(count(&"a".repeat(307)), 3);
        assert_eq!(count(&"€".repeat(80)), 1);
        assert_eq!(count(&"€".repeat(81)), 2);
        assert_eq!(count(&"ሰ".repeat(70)), 1);
        assert_eq!(count(&"ሰ".repeat(71)), 2);
        assert_eq!(count(&"😀".repeat(35)), 1);
        assert_eq!(count(&"😀".repeat(36)), 2);
    }

    #[test]
    fn no_letter_is_cut_in_two() {
        // 76 extended letters fill 152 of 153 places, and the next does not fit.
        assert_eq!(count(&"€".repeat(152)), 2);
        assert_eq!(count(&"€".repeat(153)), 3);
    }
}
