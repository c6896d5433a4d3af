//! Statuses on which Medic failed. The exchange reports them again within a minute, or after an hour if they were
//! set aside.

use bridge::domain::ids::MedicMessageId;
use bridge::domain::message::MessageRow;
use bridge::ledger;
use bridge::ports::{Key, Row};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::scan::scan;
use crate::stack::Stack;
use crate::terminal::Terminal;

/// A message whose status Medic refused.
pub struct RefusedStatus {
    pub row: MessageRow,
}

impl RefusedStatus {
    pub fn to_json(&self) -> Value {
        let refusal = self.row.refusal.as_ref();
        json!({
            "id": self.row.id.as_str(),
            "of": "statuses",
            "what": format!("status {} of SMS {}", self.row.status.medic_name(), self.row.id.as_str()),
            "reason": refusal.map_or("", |refusal| refusal.answer.as_str()),
            "retryable": true,
            "dead_lettered_at_ms": refusal.and_then(|refusal| refusal.at),
        })
    }
}

/// Reads all refused statuses from the ledger.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn all(stack: &Stack, terminal: &Terminal) -> Result<Vec<RefusedStatus>, Failure> {
    let mut refused = Vec::new();
    scan(stack, terminal, "attribute_exists(refusal)", &[], |row| {
        if let Row::Message(row) = row
            && row.refused().is_some()
        {
            refused.push(RefusedStatus { row });
        }
    })
    .await?;
    Ok(refused)
}

/// Lets the next poll report a message's current status to Medic again. Returns whether there is such a
/// message.
///
/// # Errors
/// When the ledger cannot be written.
pub async fn report_again(
    stack: &Stack,
    terminal: &Terminal,
    id: &MedicMessageId,
) -> Result<bool, Failure> {
    let store = stack.ledger(terminal)?;
    let key = Key::Message(id.clone());
    ledger::change(&store, &terminal, &[key], |rows| {
        let row = rows.message(id).cloned();
        let is_there = row.is_some();
        let again = row.map(|row| Row::Message(row.to_be_reported_again()));
        (again.into_iter().collect(), is_there)
    })
    .await
    .map_err(|error| Failure::aws("write the ledger", &error.0))
}
