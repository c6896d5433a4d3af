//! Reads the whole ledger, for a search that no index can serve. It costs as much as reading the whole
//! table, and takes longer for a larger one.

use bridge::adapters::dynamodb_ledger::{AttributeValue, Item, row};
use bridge::ports::Row;

use crate::failure::Failure;
use crate::stack::Stack;
use crate::terminal::{Progress, Terminal};

/// Calls `each` with every row that passes the filter, in no order. `values` are the placeholders of the
/// filter with their texts.
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
    let values = values.iter().map(|(name, value)| {
        let value = AttributeValue::S((*value).to_owned());
        ((*name).to_owned(), value)
    });
    let values = Some(values.collect()).filter(|values: &Item| !values.is_empty());
    let scan = stack
        .dynamodb
        .scan()
        .table_name(stack.output("LedgerTable")?)
        .filter_expression(filter)
        .set_expression_attribute_values(values);
    let mut pages = scan.into_paginator().send();
    let mut progress = Progress::begin(terminal, "rows of the ledger looked at");
    let (mut scanned_rows, mut unreadable) = (0_usize, 0_usize);
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::call("read the ledger", &error))?;
        let scanned = usize::try_from(page.scanned_count).unwrap_or_default();
        scanned_rows = scanned_rows.saturating_add(scanned);
        progress.at(scanned_rows);
        for item in page.items.unwrap_or_default() {
            match row(item) {
                Ok((row, _)) => each(row),
                Err(_) => unreadable += 1,
            }
        }
    }
    if unreadable > 0 {
        terminal.note(&format!(
            "{unreadable} rows cannot be read by this version; they are left out."
        ));
    }
    Ok(())
}
