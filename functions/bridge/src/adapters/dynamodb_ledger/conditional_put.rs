//! Writes on the condition that a row has not changed.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;

use super::errors::failed;
use super::item::{Item, string, text};
use crate::ports::{LedgerError, Version, Written};

/// A row to be written, if a condition holds.
pub struct ConditionalPut {
    item: Item,
    condition: &'static str,
    values: Option<Item>,
}

impl ConditionalPut {
    /// The item is written if the stored one has this version, or if there is none.
    pub fn new(item: Item, expected: Option<Version>) -> Self {
        let (condition, values) = match expected {
            None => ("attribute_not_exists(pk)", None),
            Some(Version(version)) => (
                "version = :expected",
                Some(Item::from([(":expected".to_owned(), text(version))])),
            ),
        };
        Self {
            item,
            condition,
            values,
        }
    }

    /// Writes it. Every write has a version of its own.
    pub async fn write(
        self,
        client: &Client,
        table: &str,
        version: &str,
    ) -> Result<Written, LedgerError> {
        let written = client
            .put_item()
            .table_name(table)
            .set_item(Some(self.item))
            .condition_expression(self.condition)
            .set_expression_attribute_values(self.values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = written else {
            return Ok(Written::Done(Version(version.to_owned())));
        };
        match error.as_service_error() {
            // A repeat inside the call: the first one took effect, and its answer was lost.
            Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                let now = refused.item();
                let is_done = now.is_some_and(|now| string(now, "version") == Some(version));
                Ok(match is_done {
                    true => Written::Done(Version(version.to_owned())),
                    false => Written::Conflict,
                })
            }
            _ => Err(failed(&error)),
        }
    }
}
