//! Random ids, and the time, for the stand-ins.

use std::time::{SystemTime, UNIX_EPOCH};

use ring::rand::SecureRandom as _;

/// Thirty-two random hexadecimal digits, as in Africa's Talking's `ATXid_…`.
///
/// # Errors
/// When the system has no source of random numbers.
pub fn thirty_two_hex_digits() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 16];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| anyhow::anyhow!("the system has no randomness"))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// A random UUID (version 4) in its usual spelling.
///
/// # Errors
/// When the system has no source of random numbers.
pub fn uuid() -> anyhow::Result<String> {
    let digits = thirty_two_hex_digits()?;
    let mut uuid = String::with_capacity(36);
    for (place, digit) in digits.chars().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(match place {
            12 => '4',
            16 => 'a',
            _ => digit,
        });
    }
    Ok(uuid)
}

/// Milliseconds since 1970, UTC.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Reads a phone number that somebody typed into a URL. In a query, a `+` arrives as a space.
#[must_use]
pub fn typed_number(typed: &str) -> String {
    match typed.strip_prefix(' ') {
        Some(rest) => format!("+{}", rest.trim_end()),
        None => typed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_uuid_has_its_usual_spelling() {
        let uuid = uuid().unwrap();
        let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert!(uuid.chars().all(|c| c == '-' || c.is_ascii_hexdigit()));
    }

    #[test]
    fn a_leading_space_was_a_plus() {
        assert_eq!(typed_number(" 254700000001"), "+254700000001");
        assert_eq!(typed_number("+254700000001"), "+254700000001");
        assert_eq!(typed_number("MTN"), "MTN");
    }
}
