//! Reading the whole ledger, where no index leads to what is looked for. It costs what reading the
//! table costs, and takes longer the larger it is.

use bridge::adapters::ledger_table::{AttributeValue, Item, row};
use bridge::ports::Row;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::stack::Stack;
use crate::terminal::{Progress, Terminal};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Scan<'a> {
    table_name: &'a str,
    filter_expression: &'a str,
    #[serde(skip_serializing_if = "Item::is_empty")]
    expression_attribute_values: Item,
    #[serde(skip_serializing_if = "Option::is_none")]
    exclusive_start_key: Option<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    items: Vec<Item>,
    scanned_count: usize,
    last_evaluated_key: Option<Item>,
}

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
    let values = values.iter().map(|(name, value)| {
        let value = AttributeValue::S((*value).to_owned());
        ((*name).to_owned(), value)
    });
    let mut scan = Scan {
        table_name: stack.output("LedgerTable")?,
        filter_expression: filter,
        expression_attribute_values: values.collect(),
        exclusive_start_key: None,
    };
    let mut progress = Progress::begin(terminal, "rows of the ledger looked at");
    let (mut looked_at, mut unreadable) = (0_usize, 0_usize);
    loop {
        let page = stack.dynamodb.call("Scan", &scan).await;
        let page: Page = page.map_err(|error| Failure::aws("read the ledger", &error))?;
        looked_at = looked_at.saturating_add(page.scanned_count);
        progress.at(looked_at);
        for item in page.items {
            match row(item) {
                Ok((row, _)) => each(row),
                Err(_) => unreadable += 1,
            }
        }
        scan.exclusive_start_key = page.last_evaluated_key;
        if scan.exclusive_start_key.is_none() {
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
