//! What DynamoDB is sent and what it answers, as far as it is used.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::super::aws::or_default;
use super::Item;

/// Rows to be read, by their table.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BatchGetItem<'a> {
    pub request_items: HashMap<&'a str, Keys>,
}

/// Rows of one table.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Keys {
    pub keys: Vec<Item>,
    #[serde(default, deserialize_with = "or_default")]
    pub consistent_read: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BatchGetItemAnswer {
    #[serde(default, deserialize_with = "or_default")]
    pub responses: HashMap<String, Vec<Item>>,
    #[serde(default, deserialize_with = "or_default")]
    pub unprocessed_keys: HashMap<String, Keys>,
}

/// A row to be written, if a condition holds. What was there is told when it does not.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Put<'a> {
    pub table_name: &'a str,
    pub item: Item,
    pub condition_expression: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression_attribute_values: Option<Item>,
    pub return_values_on_condition_check_failure: &'static str,
}

/// Rows to be written together.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TransactWriteItems<'a> {
    pub client_request_token: &'a str,
    pub transact_items: Vec<TransactItem<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TransactItem<'a> {
    pub put: Put<'a>,
}

/// What a refused write says of the row that is there.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConditionalCheckFailed {
    pub item: Option<Item>,
}

/// What a cancelled transaction says.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TransactionCanceled {
    #[serde(default, deserialize_with = "or_default")]
    pub cancellation_reasons: Vec<CancellationReason>,
}

/// Why it was cancelled, for each of its rows.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CancellationReason {
    pub code: Option<String>,
    pub item: Option<Item>,
}

/// A question to an index.
#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Query<'a> {
    pub table_name: &'a str,
    pub index_name: &'a str,
    pub key_condition_expression: &'a str,
    pub expression_attribute_values: Item,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclusive_start_key: Option<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct QueryAnswer {
    /// The rows, unless only their number was asked for.
    #[serde(default, deserialize_with = "or_default")]
    pub items: Vec<Item>,
    /// How many they are.
    pub count: u64,
    /// Where the next page begins, if there is one.
    pub last_evaluated_key: Option<Item>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_of_an_answer_may_be_null_as_well() {
        for text in [
            "{}",
            r#"{"Responses":{},"UnprocessedKeys":{}}"#,
            r#"{"Responses":null,"UnprocessedKeys":null}"#,
        ] {
            let answer: BatchGetItemAnswer = serde_json::from_str(text).unwrap();
            assert!(answer.responses.is_empty() && answer.unprocessed_keys.is_empty());
        }
        let none = r#"{"Items":null,"Count":0,"LastEvaluatedKey":null}"#;
        let answer: QueryAnswer = serde_json::from_str(none).unwrap();
        assert!(answer.items.is_empty() && answer.last_evaluated_key.is_none());
        let cancelled = r#"{"CancellationReasons":[{"Code":"None","Item":null},{"Code":null}]}"#;
        let cancelled: TransactionCanceled = serde_json::from_str(cancelled).unwrap();
        assert_eq!(cancelled.cancellation_reasons.len(), 2);
    }
}
