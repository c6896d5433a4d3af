//! The ledger's table with its sparse index, as far as the bridge calls it: DynamoDB's JSON
//! protocol over the model.

use anyhow::{Context as _, bail, ensure};
use models::dynamodb::units::{self, Attributes};
use models::dynamodb::{CompletedWrite, Entry, Put, Table, TableItem, Units};
use serde_json::{Value, json};

/// The sparse index, by its partition key, and its sort key.
const INDEX: (&str, &str) = ("unreported", "first_offered_ms");

/// DynamoDB charges for so many bytes more than a row has, for its own index.
const STORED_BESIDE_A_ROW: usize = 100;

const MONTH_S: f64 = 30.0 * 24.0 * 60.0 * 60.0;

/// A response: its HTTP status and its body.
pub type AwsResponse = (u16, Value);

/// A row.
#[derive(Clone, Debug)]
struct StoredItem {
    pk: String,
    attributes: Attributes,
}

impl StoredItem {
    fn byte_months(&self, now_s: f64) -> f64 {
        let expires_at_s = || {
            let number = self.attributes.get("expires_at_s")?.get("N")?;
            number.as_str()?.parse::<f64>().ok()
        };
        let months = expires_at_s().map_or(0.0, |at_s| (at_s - now_s).max(0.0) / MONTH_S);
        let bytes = self.bytes().saturating_add(STORED_BESIDE_A_ROW);
        f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) * months
    }
}

impl TableItem for StoredItem {
    type Key = String;

    fn key(&self) -> String {
        self.pk.clone()
    }

    fn version(&self) -> &str {
        let version = self.attributes.get("version");
        let text = version.and_then(|version| version.get("S")?.as_str());
        text.unwrap_or_default()
    }

    fn bytes(&self) -> usize {
        units::size(&self.attributes)
    }

    fn entries(&self) -> Vec<Entry> {
        let (index, sort) = INDEX;
        let entry = || {
            let partition = self.attributes.get(index)?.get("S")?.as_str()?.to_owned();
            let number = self.attributes.get(sort)?.get("N")?;
            Some(Entry {
                index,
                partition,
                sort: number.as_str()?.parse().ok()?,
            })
        };
        entry().into_iter().collect()
    }
}

/// The table.
#[derive(Debug, Default)]
pub struct InMemoryLedger(Table<StoredItem>);

impl InMemoryLedger {
    /// How many rows have a key that begins so.
    pub fn count(&self, prefix: &str) -> usize {
        let begins_so = |item: &&StoredItem| item.pk.starts_with(prefix);
        self.0.items().filter(begins_so).count()
    }

    /// What is charged for keeping all rows from now, in seconds since 1970, until they expire: bytes times
    /// months. A row that never expires counts for nothing.
    pub fn byte_months(&self, now_s: f64) -> f64 {
        self.0.items().map(|item| item.byte_months(now_s)).sum()
    }

    /// One call of DynamoDB's JSON protocol, and what it cost.
    ///
    /// # Errors
    /// When the bridge calls something that is not played here.
    pub fn call(&mut self, action: &str, input: &Value) -> anyhow::Result<(AwsResponse, Units)> {
        match action {
            "BatchGetItem" => self.batch_get(input),
            "Query" => self.query(input),
            "PutItem" => self.put_item(input),
            _ => bail!("DynamoDB's {action} is not played here"),
        }
    }

    fn batch_get(&self, input: &Value) -> anyhow::Result<(AwsResponse, Units)> {
        let tables = input.get("RequestItems").and_then(Value::as_object);
        let mut units = Units::default();
        let mut responses = serde_json::Map::new();
        for (table, request) in tables.context("no RequestItems")? {
            let keys = request.get("Keys").and_then(Value::as_array);
            let keys = keys.context("no Keys")?.iter();
            let keys: anyhow::Result<Vec<String>> = keys.map(|key| text(key, "pk")).collect();
            let (found, reads) = self.0.read(keys?);
            units.reads += reads;
            let found = found.into_iter().map(|item| json!(item.attributes));
            responses.insert(table.clone(), found.collect());
        }
        let answer = json!({ "Responses": responses, "UnprocessedKeys": {} });
        Ok(((200, answer), units))
    }

    fn query(&self, input: &Value) -> anyhow::Result<(AwsResponse, Units)> {
        let name = input.get("IndexName").and_then(Value::as_str);
        let (index, _) = INDEX;
        ensure!(name == Some(index), "no such index");
        let values = input.get("ExpressionAttributeValues");
        let values = values.and_then(Value::as_object).context("no values")?;
        let wanted = values.values().find_map(|value| value.get("S")?.as_str());
        let time = |name: &str| values.get(name)?.get("N")?.as_str()?.parse().ok();
        let times = time(":first").unwrap_or(0)..=time(":last").unwrap_or(i64::MAX);
        let limit = input.get("Limit").and_then(Value::as_u64);
        let limit = usize::try_from(limit.unwrap_or(u64::MAX))?;
        let wanted = wanted.context("no value")?;
        let (found, reads) = self.0.query(index, wanted, times, limit);
        let found: Vec<Value> = found
            .iter()
            .map(|item| json!({ "pk": { "S": item.pk } }))
            .collect();
        let units = Units {
            reads,
            ..Units::default()
        };
        let answer = json!({ "Count": found.len(), "Items": found });
        Ok(((200, answer), units))
    }

    fn put_item(&mut self, input: &Value) -> anyhow::Result<(AwsResponse, Units)> {
        let written = self.0.write(put_of(input)?);
        Ok(match written {
            Ok(written) => ((200, json!({})), self.learned(&written)),
            Err(conflict) => {
                let mut refusal = json!({
                    "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                    "message": "The conditional request failed",
                });
                if let (Some(found), Some(fields)) = (conflict.found, refusal.as_object_mut()) {
                    fields.insert("Item".to_owned(), Value::Object(found.attributes));
                }
                ((400, refusal), conflict.units)
            }
        })
    }

    /// Here, the index learns at once.
    fn learned(&mut self, written: &CompletedWrite<StoredItem>) -> Units {
        self.0.learn(&written.change);
        written.units
    }
}

/// A put with its condition: that the row is not there, or that it has this version.
fn put_of(put: &Value) -> anyhow::Result<Put<StoredItem>> {
    let item = put.get("Item").context("no Item")?;
    let expected = match put.get("ConditionExpression").and_then(Value::as_str) {
        Some("attribute_not_exists(pk)") => None,
        Some("version = :expected") => {
            let values = put.get("ExpressionAttributeValues").context("no values")?;
            Some(text(values, ":expected")?)
        }
        other => bail!("the condition {other:?} is not played here"),
    };
    Ok(Put {
        item: StoredItem {
            pk: text(item, "pk")?,
            attributes: item.as_object().context("no Item")?.clone(),
        },
        expected,
    })
}

fn text(values: &Value, name: &str) -> anyhow::Result<String> {
    let value = values.get(name).and_then(|value| value.get("S"));
    let text = value.and_then(Value::as_str);
    Ok(text.context("a value is missing")?.to_owned())
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
        let mut table = InMemoryLedger::default();
        let (answer, units) = table.call("PutItem", &put("a", true, None)).unwrap();
        assert_eq!((answer.0, units.writes, units.index_writes), (200, 1, 1));
        let (answer, units) = table.call("PutItem", &put("b", true, None)).unwrap();
        assert_eq!((answer.0, units.writes, units.index_writes), (400, 1, 0));
        let query =
            json!({"IndexName": "unreported", "ExpressionAttributeValues": {":yes": {"S": "yes"}}});
        let (answer, _) = table.call("Query", &query).unwrap();
        assert_eq!(answer.1["Items"][0]["pk"]["S"], "message#1");
        let next = put("c", false, Some("a"));
        let (answer, units) = table.call("PutItem", &next).unwrap();
        assert_eq!((answer.0, units.writes, units.index_writes), (200, 1, 1));
        assert_eq!(table.call("Query", &query).unwrap().0.1["Count"], 0);
        let (answer, _) = table.call("PutItem", &next).unwrap();
        assert_eq!(answer.1["Item"]["version"]["S"], "c");
    }

    #[test]
    fn an_index_with_a_sort_key_is_asked_for_a_stretch_of_it() {
        let mut table = InMemoryLedger::default();
        let mut item = put("a", false, None);
        item["Item"]["unreported"] = json!({"S": "yes"});
        table.call("PutItem", &item).unwrap();
        let mut found = |first: &str, last: &str| {
            let values = json!({
                ":first": {"N": first}, ":last": {"N": last}, ":yes": {"S": "yes"},
            });
            let query = json!({"IndexName": "unreported", "ExpressionAttributeValues": values});
            table.call("Query", &query).unwrap().0.1["Count"].clone()
        };
        assert_eq!(
            [found("0", "4"), found("5", "5"), found("6", "9")],
            [0, 1, 0]
        );
    }
}
