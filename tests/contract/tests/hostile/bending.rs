//! Changes good input into bad input that keeps most of its structure, so that it gets past the first
//! check.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

/// Texts that break parsers, or that mean something to some of them.
const TOKENS: [&str; 48] = [
    "",
    " ",
    "\t",
    "\r\n",
    "\0",
    "\u{7f}",
    "\u{85}",
    "\u{feff}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{202e}",
    "é",
    "😀",
    "\"",
    "\\",
    "\\u",
    "\\ud800",
    "\\udc00",
    "\\ud83d\\ude00",
    "\\u0000",
    "{",
    "}",
    "[",
    "]",
    "[[[[[[[[",
    ",",
    ":",
    "&",
    "=",
    "+",
    ";",
    "%",
    "%00",
    "%FF",
    "%ed%a0%80",
    "%zz",
    "null",
    "true",
    "0",
    "-1",
    "1e999",
    "-0.0",
    "18446744073709551616",
    "9223372036854775807",
    "None",
    "Success",
    "kind",
    "statusCode",
];

/// A text that somebody might put where another was expected.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(TOKENS.as_slice()).prop_map(str::to_owned),
        2 => "\\PC{0,12}",
        1 => any::<String>(),
        1 => (select(TOKENS.as_slice()), 0_usize..700).prop_map(|(token, times)| token.repeat(times)),
        1 => any::<i64>().prop_map(|number| number.to_string()),
    ]
}

/// One change to bytes.
#[derive(Clone, Debug)]
enum ByteChange {
    Insert(Index, Vec<u8>),
    Set(Index, u8),
    Flip(Index, u8),
    Cut(Index),
    Behead(Index),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
}

fn byte_change() -> impl Strategy<Value = ByteChange> {
    prop_oneof![
        4 => (any::<Index>(), select(TOKENS.as_slice()))
            .prop_map(|(at, token)| ByteChange::Insert(at, token.as_bytes().to_vec())),
        1 => (any::<Index>(), proptest::collection::vec(any::<u8>(), 1..6))
            .prop_map(|(at, bytes)| ByteChange::Insert(at, bytes)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| ByteChange::Set(at, byte)),
        2 => (any::<Index>(), 0_u8..8).prop_map(|(at, bit)| ByteChange::Flip(at, bit)),
        1 => any::<Index>().prop_map(ByteChange::Cut),
        1 => any::<Index>().prop_map(ByteChange::Behead),
        2 => (any::<Index>(), 1_usize..20).prop_map(|(at, length)| ByteChange::Remove(at, length)),
        2 => (any::<Index>(), 1_usize..40, 1_usize..40)
            .prop_map(|(at, length, times)| ByteChange::Repeat(at, length, times)),
    ]
}

impl ByteChange {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match self {
            Self::Insert(at, new) => {
                let at = place(at);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Set(at, byte) => {
                let at = place(at);
                if let Some(old) = bytes.get_mut(at) {
                    *old = *byte;
                }
            }
            Self::Flip(at, bit) => {
                let at = place(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Self::Cut(at) => bytes.truncate(place(at)),
            Self::Behead(at) => drop(bytes.drain(..place(at))),
            Self::Remove(at, length) => {
                let at = place(at);
                let end = bytes.len().min(at + length);
                bytes.drain(at..end);
            }
            Self::Repeat(at, length, times) => {
                let at = place(at);
                let end = bytes.len().min(at + length);
                let again = bytes[at..end].repeat(*times);
                bytes.splice(at..at, again);
            }
        }
    }
}

/// These bytes with a few changes. Now and then they are unchanged, and now and then they are replaced.
pub fn bent(good: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let changed = proptest::collection::vec(byte_change(), 0..5).prop_map(move |changes| {
        let mut bytes = good.clone();
        for change in &changes {
            change.apply(&mut bytes);
        }
        bytes
    });
    prop_oneof![
        30 => changed,
        1 => proptest::collection::vec(any::<u8>(), 0..300),
    ]
}

/// One change to a JSON document, at a node that is counted from its root.
#[derive(Clone, Debug)]
enum JsonChange {
    Replace(Index, Value),
    Remove(Index),
    Rename(Index, String),
    Deepen(Index, usize),
    Multiply(Index, usize),
}

/// A value that nobody expects there.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => text().prop_map(Value::String),
        2 => select(vec![
            Value::Null, true.into(), false.into(), json!([]), json!({}), json!([[]]), json!([null]),
            json!({"": ""}), json!({"S": "a"}),
        ]),
        2 => select(vec![
            json!(0), json!(-1), json!(1), json!(100), json!(101), json!(102), json!(401), json!(402),
            json!(405), json!(409), json!(499), json!(500), json!(1.5), json!(-0.0), json!(1e300),
            json!(u64::MAX), json!(i64::MIN), json!(i64::MAX), json!(u32::MAX), json!(2),
        ]),
        1 => any::<i64>().prop_map(Value::from),
    ]
}

fn json_change() -> impl Strategy<Value = JsonChange> {
    prop_oneof![
        5 => (any::<Index>(), value()).prop_map(|(at, value)| JsonChange::Replace(at, value)),
        2 => any::<Index>().prop_map(JsonChange::Remove),
        1 => (any::<Index>(), text()).prop_map(|(at, name)| JsonChange::Rename(at, name)),
        1 => (any::<Index>(), 1_usize..140).prop_map(|(at, depth)| JsonChange::Deepen(at, depth)),
        1 => (any::<Index>(), 2_usize..60).prop_map(|(at, times)| JsonChange::Multiply(at, times)),
    ]
}

impl JsonChange {
    fn apply(&self, document: &mut Value) {
        let (Self::Replace(at, _)
        | Self::Remove(at)
        | Self::Rename(at, _)
        | Self::Deepen(at, _)
        | Self::Multiply(at, _)) = self;
        let mut nodes = count(document) - 1;
        if let Some(change) = at.index(nodes + 1).checked_sub(1) {
            nodes = change;
            self.apply_inside(document, &mut nodes);
        } else if let Self::Replace(_, value) = self {
            *document = value.clone();
        } else if let Self::Deepen(_, depth) = self {
            deepen(document, *depth);
        }
    }

    /// Changes the node that is `left` nodes further on. Returns whether there was such a node.
    fn apply_inside(&self, parent: &mut Value, left: &mut usize) -> bool {
        match parent {
            Value::Array(items) => {
                for at in 0..items.len() {
                    if *left == 0 {
                        self.apply_to_item(items, at);
                        return true;
                    }
                    *left -= 1;
                    if self.apply_inside(&mut items[at], left) {
                        return true;
                    }
                }
                false
            }
            Value::Object(fields) => {
                let names: Vec<String> = fields.keys().cloned().collect();
                for name in names {
                    if *left == 0 {
                        self.apply_to_field(fields, &name);
                        return true;
                    }
                    *left -= 1;
                    if self.apply_inside(&mut fields[&name], left) {
                        return true;
                    }
                }
                false
            }
            _ => false,
        }
    }

    fn apply_to_item(&self, items: &mut Vec<Value>, at: usize) {
        match self {
            Self::Replace(_, value) => items[at] = value.clone(),
            Self::Remove(_) => drop(items.remove(at)),
            Self::Rename(..) => items.reverse(),
            Self::Deepen(_, depth) => deepen(&mut items[at], *depth),
            Self::Multiply(_, times) => {
                let item = items[at].clone();
                items.extend(std::iter::repeat_n(item, *times));
            }
        }
    }

    fn apply_to_field(&self, fields: &mut Map<String, Value>, name: &str) {
        match self {
            Self::Replace(_, value) => fields[name] = value.clone(),
            Self::Remove(_) => drop(fields.remove(name)),
            Self::Rename(_, new) => {
                let value = fields.remove(name).unwrap_or_default();
                fields.insert(new.clone(), value);
            }
            Self::Deepen(_, depth) => deepen(&mut fields[name], *depth),
            Self::Multiply(_, times) => {
                for number in 0..*times {
                    let value = fields[name].clone();
                    fields.insert(format!("{name}{number}"), value);
                }
            }
        }
    }
}

fn deepen(value: &mut Value, depth: usize) {
    for _ in 0..depth {
        *value = json!([value.take()]);
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}

/// This document, changed in a few nodes.
pub fn bent_json(good: Value) -> impl Strategy<Value = Value> {
    proptest::collection::vec(json_change(), 0..4).prop_map(move |changes| {
        let mut document = good.clone();
        for change in &changes {
            change.apply(&mut document);
        }
        document
    })
}

/// This document, changed in a few nodes, written down, and then perhaps changed in a few bytes.
pub fn bent_json_bytes(good: Value) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop_oneof![
        3 => Just(Vec::new()),
        1 => proptest::collection::vec(byte_change(), 1..4),
    ];
    (bent_json(good), changes).prop_map(|(document, changes)| {
        let mut bytes = document.to_string().into_bytes();
        for change in &changes {
            change.apply(&mut bytes);
        }
        bytes
    })
}

/// The JSON in a file.
pub fn json_of(file: &str) -> Value {
    serde_json::from_str(file).unwrap()
}
