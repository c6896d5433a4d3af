//! The ledger's table with its three sparse indexes, as far as the bridge calls it.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::units::{Item, read_units, size, write_units};

/// The sparse indexes: their partition key, and their sort key if they have one.
const INDEXES: [(&str, Option<&str>); 3] = [
    ("unreported", Some("first_offered_ms")),
    ("unsettled", None),
    ("awaiting_final_report", Some("first_offered_ms")),
];

/// What a call cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Units {
    /// Of the table.
    pub writes: u64,
    /// Of its indexes.
    pub index_writes: u64,
    /// Read units.
    pub reads: f64,
}

/// An answer: its HTTP status and its body.
pub type Answer = (u16, Value);

/// The place of a row in an index: its partition key, its sort key, its own key.
type Entry = (String, u64, String);

/// The table.
#[derive(Debug, Default)]
pub struct Table {
    items: HashMap<String, Item>,
    entries: [BTreeMap<Entry, ()>; 3],
}

impl Table {
    /// How many rows have a key that begins so.
    pub fn count(&self, prefix: &str) -> usize {
        self.items
            .keys()
            .filter(|key| key.starts_with(prefix))
            .count()
    }

    /// The size of all rows, in bytes.
    pub fn bytes(&self) -> usize {
        self.items.values().map(size).sum()
    }

    /// One call of DynamoDB's JSON protocol, and what it cost.
    ///
    /// # Errors
    /// When the bridge calls something that is not played here.
    pub fn call(&mut self, action: &str, input: &Value) -> anyhow::Result<(Answer, Units)> {
        match action {
            "BatchGetItem" => self.batch_get(input),
            "Query" => self.query(input),
            "PutItem" => self.put_item(input),
            "TransactWriteItems" => self.transact(input),
            _ => bail!("DynamoDB's {action} is not played here"),
        }
    }

    fn batch_get(&self, input: &Value) -> anyhow::Result<(Answer, Units)> {
        let tables = input.get("RequestItems").and_then(Value::as_object);
        let mut units = Units::default();
        let mut responses = serde_json::Map::new();
        for (table, request) in tables.context("no RequestItems")? {
            let keys = request.get("Keys").and_then(Value::as_array);
            let mut found = Vec::new();
            for key in keys.context("no Keys")? {
                let item = self.items.get(text(key, "pk")?);
                let bytes = item.map_or(0, size);
                units.reads += f64::from(u32::try_from(read_units(bytes))?);
                found.extend(item.cloned().map(Value::Object));
            }
            responses.insert(table.clone(), Value::Array(found));
        }
        let answer = json!({ "Responses": responses, "UnprocessedKeys": {} });
        Ok(((200, answer), units))
    }

    fn query(&self, input: &Value) -> anyhow::Result<(Answer, Units)> {
        let name = input.get("IndexName").and_then(Value::as_str);
        let index = INDEXES.iter().position(|(index, _)| Some(*index) == name);
        let entries = self
            .entries
            .get(index.context("no such index")?)
            .context("no index")?;
        let values = input
            .get("ExpressionAttributeValues")
            .and_then(Value::as_object);
        let values = values.context("no values")?;
        let wanted = values.values().find_map(|value| value.get("S")?.as_str());
        let wanted = wanted.context("no value")?.to_owned();
        let time = |name: &str| values.get(name)?.get("N")?.as_str()?.parse().ok();
        let times = time(":first").unwrap_or(0)..=time(":last").unwrap_or(u64::MAX);
        let limit = input
            .get("Limit")
            .and_then(Value::as_u64)
            .unwrap_or(u64::MAX);
        let found: Vec<Value> = entries
            .range((wanted.clone(), *times.start(), String::new())..)
            .take_while(|((value, time, _), ())| *value == wanted && times.contains(time))
            .take(usize::try_from(limit)?)
            .map(|((_, _, pk), ())| json!({ "pk": { "S": pk } }))
            .collect();
        // About eighty bytes an entry; eventually consistent, half a unit for 4 KB.
        let units = Units {
            reads: 0.5 * f64::from(u32::try_from(read_units(found.len() * 80))?),
            ..Units::default()
        };
        Ok((
            (200, json!({ "Count": found.len(), "Items": found })),
            units,
        ))
    }

    fn put_item(&mut self, input: &Value) -> anyhow::Result<(Answer, Units)> {
        let (pk, item) = item_of(input)?;
        let mut units = Units {
            writes: self.write_cost(&pk, &item),
            ..Units::default()
        };
        if !self.holds(&pk, input)? {
            let mut refusal = json!({
                "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                "message": "The conditional request failed",
            });
            if let (Some(old), Some(fields)) = (self.items.get(&pk), refusal.as_object_mut()) {
                fields.insert("Item".to_owned(), Value::Object(old.clone()));
            }
            return Ok(((400, refusal), units));
        }
        units.index_writes = self.put(pk, item);
        Ok(((200, json!({})), units))
    }

    fn transact(&mut self, input: &Value) -> anyhow::Result<(Answer, Units)> {
        let parts = input.get("TransactItems").and_then(Value::as_array);
        let mut puts = Vec::new();
        let mut units = Units::default();
        let mut reasons = Vec::new();
        let mut all_kept = true;
        for part in parts.context("no TransactItems")? {
            let put = part.get("Put").context("only puts are played here")?;
            let (pk, item) = item_of(put)?;
            units.writes += 2 * self.write_cost(&pk, &item);
            if self.holds(&pk, put)? {
                reasons.push(json!({ "Code": "None" }));
            } else {
                all_kept = false;
                reasons.push(match self.items.get(&pk) {
                    Some(old) => json!({ "Code": "ConditionalCheckFailed", "Item": old }),
                    None => json!({ "Code": "ConditionalCheckFailed" }),
                });
            }
            puts.push((pk, item));
        }
        if !all_kept {
            let refusal = json!({
                "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
                "Message": "Transaction cancelled", "CancellationReasons": reasons,
            });
            return Ok(((400, refusal), units));
        }
        for (pk, item) in puts {
            units.index_writes += self.put(pk, item);
        }
        Ok(((200, json!({})), units))
    }

    fn write_cost(&self, pk: &str, item: &Item) -> u64 {
        let before = self.items.get(pk).map_or(0, size);
        write_units(size(item).max(before))
    }

    /// Whether the row is what it is expected to be.
    fn holds(&self, pk: &str, put: &Value) -> anyhow::Result<bool> {
        let row = self.items.get(pk);
        match put.get("ConditionExpression").and_then(Value::as_str) {
            Some("attribute_not_exists(pk)") => Ok(row.is_none()),
            Some("version = :expected") => {
                let expected = put.pointer("/ExpressionAttributeValues/:expected/S");
                Ok(row.and_then(|row| row.get("version")?.get("S")) == expected)
            }
            other => bail!("the condition {other:?} is not played here"),
        }
    }

    /// Puts a row, and says how many index entries that changed.
    fn put(&mut self, pk: String, item: Item) -> u64 {
        let mut writes = 0;
        let before = self.items.get(&pk);
        for ((attribute, sort), entries) in INDEXES.iter().zip(&mut self.entries) {
            let old = before.and_then(|row| entry(row, attribute, *sort, &pk));
            let new = entry(&item, attribute, *sort, &pk);
            if old == new {
                continue;
            }
            if let Some(old) = old {
                entries.remove(&old);
                writes += 1;
            }
            if let Some(new) = new {
                entries.insert(new, ());
                writes += 1;
            }
        }
        self.items.insert(pk, item);
        writes
    }
}

fn entry(row: &Item, attribute: &str, sort: Option<&str>, pk: &str) -> Option<Entry> {
    let value = row.get(attribute)?.get("S")?.as_str()?.to_owned();
    let sort = match sort {
        Some(sort) => row.get(sort)?.get("N")?.as_str()?.parse().ok()?,
        None => 0,
    };
    Some((value, sort, pk.to_owned()))
}

fn item_of(put: &Value) -> anyhow::Result<(String, Item)> {
    let item = put
        .get("Item")
        .and_then(Value::as_object)
        .context("no Item")?;
    let pk = item
        .get("pk")
        .and_then(|pk| pk.get("S"))
        .and_then(Value::as_str);
    Ok((pk.context("no pk")?.to_owned(), item.clone()))
}

fn text<'a>(key: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    let value = key.get(name).and_then(|value| value.get("S"));
    value
        .and_then(Value::as_str)
        .context("a key without its value")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(version: &str, unreported: bool, expected: Option<&str>) -> Value {
        let mut item = json!({
            "pk": {"S": "message#1"}, "version": {"S": version}, "first_offered_ms": {"N": "5"},
        });
        if unreported {
            item["unreported"] = json!({"S": "yes"});
        }
        match expected {
            None => json!({"Item": item, "ConditionExpression": "attribute_not_exists(pk)"}),
            Some(expected) => json!({
                "Item": item, "ConditionExpression": "version = :expected",
                "ExpressionAttributeValues": {":expected": {"S": expected}},
            }),
        }
    }

    #[test]
    fn a_row_is_written_on_its_condition_only_and_its_index_entries_are_counted() {
        let mut table = Table::default();
        let (answer, units) = table.call("PutItem", &put("a", true, None)).unwrap();
        assert_eq!((answer.0, units.writes, units.index_writes), (200, 1, 1));
        let (answer, units) = table.call("PutItem", &put("b", true, None)).unwrap();
        assert_eq!((answer.0, units.writes, units.index_writes), (400, 1, 0));
        let query =
            json!({"IndexName": "unreported", "ExpressionAttributeValues": {":yes": {"S": "yes"}}});
        let (answer, _) = table.call("Query", &query).unwrap();
        assert_eq!(answer.1["Items"][0]["pk"]["S"], "message#1");
        let transaction = json!({"TransactItems": [{"Put": put("c", false, Some("a"))}]});
        let (answer, units) = table.call("TransactWriteItems", &transaction).unwrap();
        assert_eq!((answer.0, units.writes, units.index_writes), (200, 2, 1));
        assert_eq!(table.call("Query", &query).unwrap().0.1["Count"], 0);
        let (answer, _) = table.call("TransactWriteItems", &transaction).unwrap();
        assert_eq!(
            answer.1["CancellationReasons"][0]["Item"]["version"]["S"],
            "c"
        );
    }

    #[test]
    fn an_index_with_a_sort_key_is_asked_for_a_stretch_of_it() {
        let mut table = Table::default();
        let mut item = put("a", false, None);
        item["Item"]["awaiting_final_report"] = json!({"S": "yes"});
        table.call("PutItem", &item).unwrap();
        let mut found = |first: &str, last: &str| {
            let values = json!({
                ":first": {"N": first}, ":last": {"N": last}, ":yes": {"S": "yes"},
            });
            let query =
                json!({"IndexName": "awaiting_final_report", "ExpressionAttributeValues": values});
            table.call("Query", &query).unwrap().0.1["Count"].clone()
        };
        assert_eq!(
            [found("0", "4"), found("5", "5"), found("6", "9")],
            [0, 1, 0]
        );
    }
}
