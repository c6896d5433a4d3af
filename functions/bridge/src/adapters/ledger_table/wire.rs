//! What DynamoDB is sent and what it answers, as far as it is used.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

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
    #[serde(default)]
    pub consistent_read: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BatchGetItemAnswer {
    pub responses: HashMap<String, Vec<Item>>,
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
    #[serde(default)]
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
    #[serde(default)]
    pub items: Vec<Item>,
    /// How many they are.
    pub count: u64,
    /// Where the next page begins, if there is one.
    pub last_evaluated_key: Option<Item>,
}
