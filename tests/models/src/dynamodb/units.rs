//! What DynamoDB charges for, by its published rules for on-demand tables.
//!
//! A write unit is 1 KB of an item, and a strongly consistent read unit is 4 KB. Both are rounded up. An
//! index costs for each of its entries that is added, removed or changed.

use serde_json::{Map, Value};

/// The attributes of an item, in DynamoDB's JSON.
pub type Attributes = Map<String, Value>;

/// The size of an item in bytes: the lengths of its names and values.
#[must_use]
pub fn size(item: &Attributes) -> usize {
    item.iter()
        .map(|(name, value)| name.len() + value_size(value))
        .sum()
}

fn value_size(value: &Value) -> usize {
    let Some((kind, value)) = value.as_object().and_then(|typed| typed.iter().next()) else {
        return 0;
    };
    match (kind.as_str(), value) {
        ("S" | "B", Value::String(text)) => text.len(),
        // About a byte for two digits, and one more.
        ("N", Value::String(digits)) => digits.len().div_ceil(2) + 1,
        ("M", Value::Object(fields)) => {
            3 + fields
                .iter()
                .map(|(name, value)| 1 + name.len() + value_size(value))
                .sum::<usize>()
        }
        ("L", Value::Array(values)) => {
            3 + values
                .iter()
                .map(|value| 1 + value_size(value))
                .sum::<usize>()
        }
        _ => 1,
    }
}

/// Write units of an item of so many bytes, before or after, whichever is more.
#[must_use]
pub fn write_units(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(1024).max(1)).unwrap_or(u64::MAX)
}

/// Read units of a strongly consistent read of an item; one that is not there costs one.
#[must_use]
pub fn read_units(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(4096).max(1)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sizes_are_those_of_names_and_values() {
        let item = json!({
            "pk": {"S": "message#1"}, "n": {"N": "1700000000000"},
            "l": {"L": [{"S": "ab"}]}, "m": {"M": {"is": {"S": "x"}}}, "b": {"BOOL": true},
        });
        let Value::Object(item) = item else {
            panic!("an object")
        };
        assert_eq!(
            size(&item),
            (2 + 9) + (1 + 8) + (1 + 3 + 3) + (1 + 3 + 1 + 2 + 1) + 2
        );
    }

    #[test]
    fn units_are_begun_ones() {
        assert_eq!(
            (write_units(1), write_units(1024), write_units(1025)),
            (1, 1, 2)
        );
        assert_eq!((read_units(0), read_units(4097)), (1, 2));
    }
}
