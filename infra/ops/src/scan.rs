//! Reading the whole ledger, where no index leads to what is looked for. It costs what reading the
//! table costs, and takes longer the larger it is.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bridge::adapters::aws::describe;
use bridge::adapters::ledger_table::row;
use bridge::ports::Row;

use crate::failure::Failure;
use crate::stack::Stack;
use crate::terminal::{Progress, Terminal};

/// Gives every row that the filter lets through, in no order. `values` are the filter's texts.
///
/// # Errors
/// When DynamoDB refuses.
pub async fn scan(
    stack: &Stack,
    terminal: &Terminal,
    filter: &str,
    values: &[(&str, &str)],
    mut each: impl FnMut(Row),
) -> Result<(), Failure> {
    let client = stack.aws.dynamodb();
    let table = stack.output("LedgerTable")?;
    let values: HashMap<String, AttributeValue> = values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), AttributeValue::S((*value).to_owned())))
        .collect();
    let mut progress = Progress::begin(terminal, "rows of the ledger looked at");
    let (mut looked_at, mut unreadable) = (0_usize, 0_usize);
    let mut from = None;
    loop {
        let answer = client
            .scan()
            .table_name(table)
            .filter_expression(filter)
            .set_expression_attribute_values(
                Some(values.clone()).filter(|values| !values.is_empty()),
            )
            .set_exclusive_start_key(from)
            .send()
            .await
            .map_err(|error| Failure::aws("read the ledger", &describe(&error)))?;
        looked_at = looked_at.saturating_add(usize::try_from(answer.scanned_count).unwrap_or(0));
        progress.at(looked_at);
        for item in answer.items.unwrap_or_default() {
            match row(item) {
                Ok((row, _)) => each(row),
                Err(_) => unreadable += 1,
            }
        }
        from = answer.last_evaluated_key;
        if from.is_none() {
            break;
        }
    }
    if unreadable > 0 {
        terminal.note(&format!(
            "{unreadable} rows cannot be read by this version; they are left out."
        ));
    }
    Ok(())
}
