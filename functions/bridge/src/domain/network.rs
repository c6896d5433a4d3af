//! Mobile networks, as values of a metric's dimension.

/// The codes that Africa's Talking documents for the networks it sends to; `99999` is its sandbox.
const CODES: [&str; 38] = [
    "62001", "62002", "62006", "62120", "62130", "62150", "62160", "63510", "63513", "63514",
    "63601", "63902", "63903", "63907", "63999", "64002", "64003", "64004", "64005", "64007",
    "64009", "64101", "64110", "64111", "64114", "64501", "64502", "64503", "65001", "65010",
    "65501", "65502", "65507", "65510", "61202", "61203", "61205", "99999",
];

/// The network's code as a value of a dimension: the code itself if it is known, `other` for every
/// other one, `none` without a network. Codes come from outside, and each value of a dimension
/// costs money.
pub fn label(code: Option<&str>) -> &'static str {
    match code.map(str::trim) {
        None | Some("") => "none",
        Some(code) => CODES
            .into_iter()
            .find(|known| *known == code)
            .unwrap_or("other"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_codes_are_counted_by() {
        assert_eq!(label(Some("63902")), "63902");
        assert_eq!(label(Some(" 99999 ")), "99999");
        assert_eq!(label(Some("+254700000001")), "other");
        assert_eq!(label(Some("")), "none");
        assert_eq!(label(None), "none");
    }
}
