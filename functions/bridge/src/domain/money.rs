//! An amount of money, in every form that it comes in.

use std::fmt;

use super::text::{surrounds, trimmed};

/// Millionths of the unit of a currency have this many decimals.
const DECIMALS: usize = 6;

/// An exact amount, in millionths of the currency's unit: money is decimal, never a float.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Money {
    /// The currency's code, if there is one.
    pub currency: Option<String>,
    /// The amount in millionths. It can be negative.
    pub micros: i64,
}

/// Symbols and abbreviations of the currencies in which Africa's Talking bills. One that several
/// currencies share (`K`, `CFA`) is not here.
const SYMBOLS: [(&str, &str); 22] = [
    ("KSH", "KES"),
    ("KSHS", "KES"),
    ("USH", "UGX"),
    ("TSH", "TZS"),
    ("RWF", "RWF"),
    ("FRW", "RWF"),
    ("₦", "NGN"),
    ("MK", "MWK"),
    ("ZK", "ZMW"),
    ("GH₵", "GHS"),
    ("GH¢", "GHS"),
    ("GHC", "GHS"),
    ("₵", "GHS"),
    ("BR", "ETB"),
    ("R", "ZAR"),
    ("P", "BWP"),
    ("$", "USD"),
    ("US$", "USD"),
    ("USD$", "USD"),
    ("€", "EUR"),
    ("£", "GBP"),
    ("EURO", "EUR"),
];

impl Money {
    /// Reads an amount: the currency's code or symbol before it, after it, or none; a decimal point or
    /// a decimal comma; groups of thousands; a sign on any side, or brackets; any number of decimals, of
    /// which those after the sixth are rounded. A comma before three digits, as in `1,500`, separates
    /// thousands, unless a zero is before it.
    ///
    /// `None` for everything else, and for an amount that is too large.
    pub fn read(text: &str) -> Option<Self> {
        let text = trimmed(text);
        let in_brackets = text.contains('(') && text.contains(')');
        let text = match in_brackets {
            true => text.replace(['(', ')'], ""),
            false => text.to_owned(),
        };
        let begin = text.find(|c: char| c.is_ascii_digit())?;
        let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
        // A bare `.5` or `,5` begins with its separator.
        let leading = text.get(..begin)?;
        let (before, separator) = match leading.strip_suffix(['.', ',']) {
            Some(rest) if !rest.ends_with(char::is_alphabetic) => {
                (rest, leading.get(rest.len()..)?)
            }
            _ => (leading, ""),
        };
        let (before, minus_before) = without_sign(before)?;
        let (after, minus_after) = without_sign(text.get(end..)?)?;
        let after = after.trim_start_matches('.').trim_start_matches(['/', '=']);
        let currency = match (code(&before)?, code(after)?) {
            (Some(one), Some(other)) if one != other => return None,
            (one, other) => one.or(other),
        };
        let digits = format!("{separator}{}", text.get(begin..end)?);
        let micros = micros(&digits)?;
        let minus = [in_brackets, minus_before, minus_after];
        let is_negative = match minus.iter().filter(|minus| **minus).count() {
            0 => false,
            1 => true,
            _ => return None,
        };
        Some(Self {
            currency,
            micros: if is_negative { -micros } else { micros },
        })
    }
}

/// What is beside the digits without its sign, and whether that is a minus. `None` with two signs.
fn without_sign(text: &str) -> Option<(String, bool)> {
    let is_minus = |c: char| matches!(c, '-' | '\u{2212}' | '\u{2013}');
    let signs = text.chars().filter(|c| is_minus(*c) || *c == '+').count();
    if signs > 1 {
        return None;
    }
    // `100/-` is a whole amount of shillings.
    let is_negative = text.contains(is_minus) && !text.trim().starts_with('/');
    Some((text.replace(|c| is_minus(c) || c == '+', ""), is_negative))
}

/// The code of a currency's code or symbol; nothing of nothing. `None` for all other words.
fn code(word: &str) -> Option<Option<String>> {
    let bare = word.trim_matches(|c: char| surrounds(c) || matches!(c, '.' | ':'));
    let word = bare.to_uppercase();
    if word.is_empty() {
        return Some(None);
    }
    let known = SYMBOLS.iter().find(|(symbol, _)| *symbol == word);
    if let Some((_, code)) = known {
        return Some(Some((*code).to_owned()));
    }
    let is_code = word.len() == 3 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    is_code.then_some(Some(word))
}

/// Millionths of the digits and separators of an amount.
fn micros(digits: &str) -> Option<i64> {
    let (digits, exponent) = match digits.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, decimals) = match decimal_separator(digits)? {
        Some(at) => (digits.get(..at)?, digits.get(at + 1..)?),
        None => (digits, ""),
    };
    let whole = without_groups(whole)?;
    if !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let point = i32::try_from(whole.len()).ok()?.checked_add(exponent)?;
    scaled(&format!("{whole}{decimals}"), point)
}

/// Where the decimals begin, if there are any.
fn decimal_separator(digits: &str) -> Option<Option<usize>> {
    let count = |separator| digits.matches(separator).count();
    let last = digits.rfind(['.', ',']);
    Some(match (count('.'), count(','), last) {
        (0, 0, _) | (_, _, None) => None,
        (1, 0, at) => at,
        (0, 1, Some(at)) => {
            let (before, after) = (digits.get(..at)?, digits.get(at + 1..)?);
            let is_group = after.len() == 3 && !before.is_empty() && !before.starts_with('0');
            (!is_group).then_some(at)
        }
        (0, _, _) | (_, 0, _) => None,
        (points, commas, Some(at)) => {
            let of_the_last = if digits.get(at..)?.starts_with('.') {
                points
            } else {
                commas
            };
            if of_the_last > 1 {
                return None;
            }
            Some(at)
        }
    })
}

/// The digits of a whole number without the separators of its groups: all the same, before three
/// digits at the end, before two or three elsewhere.
fn without_groups(whole: &str) -> Option<String> {
    let separators: Vec<char> = whole.chars().filter(|c| !c.is_ascii_digit()).collect();
    let Some(first) = separators.first() else {
        return Some(whole.to_owned());
    };
    let is_separator = matches!(first, '.' | ',' | '\'' | '\u{2019}' | '_') || surrounds(*first);
    if !is_separator || separators.iter().any(|other| other != first) {
        return None;
    }
    let mut groups: Vec<&str> = whole.split(*first).collect();
    let last = groups.pop()?;
    let are_groups = groups.iter().enumerate().all(|(index, group)| match index {
        0 => (1..=3).contains(&group.len()),
        _ => (2..=3).contains(&group.len()),
    });
    (last.len() == 3 && are_groups).then(|| groups.concat() + last)
}

/// Millionths of a number of digits with its decimal point after so many of them, rounded half up.
fn scaled(digits: &str, point: i32) -> Option<i64> {
    let kept = i64::from(point) + i64::try_from(DECIMALS).ok()?;
    let Ok(kept) = usize::try_from(kept) else {
        return Some(0);
    };
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // More digits than any amount has.
    if kept > digits.len() + 18 {
        return None;
    }
    let cut = digits.get(..kept.min(digits.len()))?;
    let micros = format!("0{cut:0<kept$}").parse::<i64>().ok()?;
    let rounds_up = digits
        .as_bytes()
        .get(kept)
        .is_some_and(|next| *next >= b'5');
    micros.checked_add(i64::from(rounds_up))
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.micros < 0 {
            f.write_str("minus ")?;
        }
        if let Some(currency) = &self.currency {
            write!(f, "{currency} ")?;
        }
        let micros = self.micros.unsigned_abs();
        write!(f, "{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn money(currency: &str, micros: i64) -> Option<Money> {
        Some(Money {
            currency: Some(currency.to_owned()).filter(|code| !code.is_empty()),
            micros,
        })
    }

    #[test]
    fn the_currency_is_read_wherever_and_however_it_is_written() {
        for text in [
            "KES 1.50",
            "1.50 KES",
            "KES1.50",
            "1.50KES",
            "kes 1.5",
            "KSh 1.50",
            "Ksh.1.50",
            "1.50 Kshs",
            "KES\u{a0}1.50",
            "\u{feff}KES 1.50\r\n",
            "KES: 1.50",
            "KES 1.50 KES",
            "+1.50 KES",
            "KES 1,50",
            "KES 1.5000000000",
        ] {
            assert_eq!(Money::read(text), money("KES", 1_500_000), "{text:?}");
        }
        for (text, currency) in [
            ("$1.5", "USD"),
            ("US$ 1.5", "USD"),
            ("1,5 €", "EUR"),
            ("£1.5", "GBP"),
            ("₦1.5", "NGN"),
            ("GH₵ 1.5", "GHS"),
            ("R1.5", "ZAR"),
            ("1.5 QQQ", "QQQ"),
            ("1.5", ""),
        ] {
            assert_eq!(Money::read(text), money(currency, 1_500_000), "{text}");
        }
        for text in ["KES 100/=", "100/= KSh", "KSh 100/-", "100"] {
            assert_eq!(
                Money::read(text).map(|money| money.micros),
                Some(100_000_000),
                "{text}"
            );
        }
    }

    #[test]
    fn a_decimal_comma_is_no_separator_of_thousands() {
        for (text, micros) in [
            ("0", 0),
            ("0.8000", 800_000),
            ("0,8000", 800_000),
            ("0,800", 800_000),
            (".5", 500_000),
            (",5", 500_000),
            ("1.500", 1_500_000),
            ("1,500", 1_500_000_000),
            ("1,500.25", 1_500_250_000),
            ("1.500,25", 1_500_250_000),
            ("1 500,25", 1_500_250_000),
            ("1\u{202f}500,25", 1_500_250_000),
            ("1'500.25", 1_500_250_000),
            ("1,234,567.8", 1_234_567_800_000),
            ("1.234.567,8", 1_234_567_800_000),
            ("1.234.567", 1_234_567_000_000),
            ("1,23,456.7", 123_456_700_000),
            ("1234567.8", 1_234_567_800_000),
            ("0.0000005", 1),
            ("0.00000049999", 0),
            ("1.2345678", 1_234_568),
            ("7.9e-3", 7_900),
            ("1e3", 1_000_000_000),
            ("000000000000000000000001", 1_000_000),
        ] {
            assert_eq!(Money::read(text), money("", micros), "{text}");
        }
    }

    #[test]
    fn an_amount_can_be_less_than_nothing() {
        for text in [
            "KES -12.50",
            "-KES 12.50",
            "-12.50 KES",
            "KES 12.50-",
            "(KES 12.50)",
            "KES (12.50)",
            "KES \u{2212}12.50",
            "-KSh12,5",
        ] {
            assert_eq!(Money::read(text), money("KES", -12_500_000), "{text}");
        }
        let shown = Money::read("KES -0.5").map(|money| money.to_string());
        assert_eq!(shown.as_deref(), Some("minus KES 0.500000"));
    }

    #[test]
    fn what_is_no_amount_is_none() {
        for text in [
            "",
            "None",
            "KES",
            "KES x",
            "KES 1 2",
            "KES --1",
            "-1-",
            "1.2.3",
            "1,2,3",
            "1,000.000.000",
            "12,34,56",
            "KES 1 USD",
            "1 shilling",
            "99999999999999999999",
            "1e99",
            "0x10",
            "1-2",
            "1.50.25,00",
            "KES 0712 345 678 9",
        ] {
            assert_eq!(Money::read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(micros in -1_000_000_000_000_000_i64..1_000_000_000_000_000) {
            let some = Money { currency: Some("KES".to_owned()), micros };
            let shown = some.to_string().replace("minus ", "-");
            prop_assert_eq!(Money::read(&shown), Some(some));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}", money in "[-+().,/=0-9eE KSh$€ ]{0,30}") {
            let _ = Money::read(&text);
            let _ = Money::read(&money);
        }
    }
}
