//! The table with every call that came.

use std::collections::HashMap;
use std::error::Error;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};

/// The calls of one end.
const END: &str = "end";
/// The place of a call among those of its end.
const PLACE: &str = "place";
/// The call, as JSON.
const CALL: &str = "call";

/// The table does not take or does not give calls.
#[derive(Debug, thiserror::Error)]
#[error("the table of calls cannot be used: {0}")]
pub struct CallTableError(String);

impl CallTableError {
    fn of<E: ProvideErrorMetadata + Error>(error: &SdkError<E>) -> Self {
        let code = error.code().map(str::to_owned);
        Self(code.unwrap_or_else(|| error.to_string()))
    }
}

/// The table.
#[derive(Clone, Debug)]
pub struct CallTable {
    client: Client,
    table: String,
}

impl CallTable {
    /// The table of this name.
    #[must_use]
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// The calls of an end behind a place, with their places, in their order. Strongly consistent.
    ///
    /// # Errors
    /// When DynamoDB refuses.
    pub async fn after(
        &self,
        end: &str,
        place: &str,
    ) -> Result<Vec<(String, String)>, CallTableError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#end = :end AND #place > :place")
            .expression_attribute_names("#end", END)
            .expression_attribute_names("#place", PLACE)
            .expression_attribute_values(":end", AttributeValue::S(end.to_owned()))
            .expression_attribute_values(":place", AttributeValue::S(place.to_owned()));
        let mut items = query.into_paginator().items().send();
        let mut calls = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.map_err(|error| CallTableError::of(&error))?;
            if let (Some(place), Some(call)) = (text(&item, PLACE), text(&item, CALL)) {
                calls.push((place.to_owned(), call.to_owned()));
            }
        }
        Ok(calls)
    }

    /// Records a call at a place. False, if another call has the place.
    ///
    /// # Errors
    /// When DynamoDB refuses.
    pub async fn record(&self, end: &str, place: &str, call: &str) -> Result<bool, CallTableError> {
        let written = self
            .client
            .put_item()
            .table_name(&self.table)
            .item(END, AttributeValue::S(end.to_owned()))
            .item(PLACE, AttributeValue::S(place.to_owned()))
            .item(CALL, AttributeValue::S(call.to_owned()))
            .condition_expression("attribute_not_exists(#place)")
            .expression_attribute_names("#place", PLACE)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = written else {
            return Ok(true);
        };
        match error.as_service_error() {
            // A repeat inside the call: the first one took effect, and its answer was lost.
            Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                let there = refused.item().and_then(|item| text(item, CALL));
                Ok(there == Some(call))
            }
            _ => Err(CallTableError::of(&error)),
        }
    }
}

fn text<'a>(item: &'a HashMap<String, AttributeValue>, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}
