//! The event that a message has its final status.

use super::event::LogEvent;
use crate::domain::ids::AtMessageId;
use crate::domain::message::MessageRow;
use crate::domain::network;
use crate::domain::redacted::Redacted;
use crate::domain::status::Status;

/// The event of a final status, if reports on this SMS have just raised the status to it.
pub fn ended(before: Status, row: &MessageRow, at_id: &AtMessageId) -> Option<LogEvent> {
    if row.status == before || row.status < Status::Failed {
        return None;
    }
    let reports = row.reports.iter().rev();
    let mut networks = reports.map(|own| &own.report.network_code);
    Some(LogEvent::FinalStatusRecorded {
        medic_id: Redacted::new(&row.id),
        at_id: Redacted::new(at_id),
        status: row.status,
        reason: row
            .failure_reason
            .clone()
            .filter(|_| row.status == Status::Failed),
        network: network::label(networks.find_map(Option::as_deref)),
    })
}
