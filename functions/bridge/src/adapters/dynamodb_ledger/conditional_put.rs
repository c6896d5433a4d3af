//! Writes on the condition that a row has not changed.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};

use super::errors::{failed, unsendable};
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

    /// Writes it alone. Every write has a version of its own.
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
            return Ok(Written::Done);
        };
        match error.as_service_error() {
            // A repeat inside the call: the first one took effect, and its answer was lost.
            Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                let now = refused.item();
                Ok(done_if(now.is_some_and(|now| has_version(now, version))))
            }
            Some(PutItemError::TransactionConflictException(_)) => Ok(Written::Conflict),
            _ => Err(failed(&error)),
        }
    }
}

/// Writes all of them together or none.
pub async fn write_all(
    puts: Vec<ConditionalPut>,
    client: &Client,
    table: &str,
    version: &str,
) -> Result<Written, LedgerError> {
    let items = puts.into_iter().map(|put| {
        let put = Put::builder()
            .table_name(table)
            .set_item(Some(put.item))
            .condition_expression(put.condition)
            .set_expression_attribute_values(put.values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()?;
        Ok(TransactWriteItem::builder().put(put).build())
    });
    let items = items.collect::<Result<_, _>>().map_err(unsendable)?;
    let written = client
        .transact_write_items()
        .client_request_token(version)
        .set_transact_items(Some(items))
        .send()
        .await;
    let Err(error) = written else {
        return Ok(Written::Done);
    };
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            after_cancellation(cancelled.cancellation_reasons(), version)
                .ok_or_else(|| failed(&error))
        }
        Some(TransactWriteItemsError::TransactionInProgressException(_)) => Ok(Written::Conflict),
        _ => Err(failed(&error)),
    }
}

fn done_if(done: bool) -> Written {
    if done {
        Written::Done
    } else {
        Written::Conflict
    }
}

/// What a cancelled transaction means. `None` if it was cancelled for another reason than a
/// concurrent write.
fn after_cancellation(reasons: &[CancellationReason], version: &str) -> Option<Written> {
    let codes = || {
        reasons
            .iter()
            .filter_map(CancellationReason::code)
            .filter(|code| *code != "None")
    };
    if codes().any(|code| !matches!(code, "ConditionalCheckFailed" | "TransactionConflict")) {
        return None;
    }
    let ours = !reasons.is_empty()
        && reasons.iter().all(|reason| {
            let now = reason.item();
            now.is_some_and(|now| has_version(now, version))
        });
    Some(done_if(ours))
}

fn has_version(item: &Item, version: &str) -> bool {
    string(item, "version") == Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(code: &str, version: Option<&str>) -> CancellationReason {
        let item = version.map(|version| Item::from([("version".to_owned(), text(version))]));
        CancellationReason::builder()
            .code(code)
            .set_item(item)
            .build()
    }

    #[test]
    fn a_cancelled_transaction_is_done_only_when_every_row_is_as_we_wrote_it() {
        let ours = || reason("ConditionalCheckFailed", Some("v"));
        assert_eq!(
            after_cancellation(&[ours(), ours()], "v"),
            Some(Written::Done)
        );
        assert_eq!(
            after_cancellation(&[ours(), reason("None", None)], "v"),
            Some(Written::Conflict)
        );
        assert_eq!(
            after_cancellation(
                &[reason("TransactionConflict", None), reason("None", None)],
                "v"
            ),
            Some(Written::Conflict)
        );
        assert_eq!(
            after_cancellation(&[reason("ThrottlingError", None)], "v"),
            None
        );
    }
}
