//! Merges the history of a message with the reports on it.

use bridge::domain::message::MessageRow;
use bridge::domain::message::history::What;
use bridge::domain::status::Status;
use bridge::domain::time::Timestamp;

use super::sentences;

/// One line of the time line.
#[derive(Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// What, in a sentence.
    pub what: String,
}

/// The history of a message in order of time, with the reports on it. Each report says whether it
/// changed the status.
pub fn time_line(row: &MessageRow) -> Vec<Moment> {
    let mut moments = vec![Moment {
        at: row.first_offered,
        what: "Medic offered the message.".to_owned(),
    }];
    let mut attempt = 0;
    for event in &row.history {
        if event.what == What::Called {
            attempt += 1;
        }
        moments.push(Moment {
            at: event.at,
            what: sentences::event(&event.what, row, attempt),
        });
    }
    moments.extend(reports(row));
    // The sort is stable: steps of one millisecond stay in the order of the row.
    moments.sort_by_key(|moment| moment.at);
    moments
}

fn reports(row: &MessageRow) -> Vec<Moment> {
    let mut reports: Vec<_> = row.reports.iter().map(|own| &own.report).collect();
    reports.sort_by_key(|report| report.received_at);
    let mut known = first_status(row, reports.first().map(|report| report.received_at));
    reports
        .into_iter()
        .map(|report| {
            let effect = match report.meaning() {
                None => "; this status is unknown and changes nothing".to_owned(),
                Some((status, _)) if status > known => {
                    known = status;
                    String::new()
                }
                Some(_) => format!("; the status stays {}", known.medic_name()),
            };
            Moment {
                at: report.received_at,
                what: format!("{}{effect}.", sentences::report(report)),
            }
        })
        .collect()
}

/// The status that Africa's Talking's response gave the message. `UNSENT` if a report came before the
/// write that recorded the response, because the status may be the report's then.
fn first_status(row: &MessageRow, first_report: Option<Timestamp>) -> Status {
    let is_acceptance = |what: &What| matches!(what, What::Accepted { .. });
    let accepted = row.history.iter().find(|event| is_acceptance(&event.what));
    let Some(at) = accepted.map(|event| event.at) else {
        return Status::Unsent;
    };
    if first_report.is_some_and(|report| report <= at) {
        return Status::Unsent;
    }
    let with_it = row.history.iter().filter(|event| event.at == at);
    with_it
        .filter_map(|event| match event.what {
            What::Rose { status, .. } => Some(status),
            _ => None,
        })
        .max()
        .unwrap_or(Status::Unsent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridge::domain::delivery::Report;
    use bridge::domain::ids::{AtMessageId, MedicMessageId};
    use bridge::domain::message::history::Event;

    fn report(status: &str, received_at: Timestamp) -> Report {
        Report {
            status: status.to_owned(),
            failure_reason: None,
            network_code: Some("63902".to_owned()),
            received_at,
        }
    }

    #[test]
    fn reports_stand_in_the_order_of_arrival_and_say_what_they_changed() {
        let mut row = MessageRow::new(
            MedicMessageId::new("uuid-1").unwrap(),
            Timestamp::from_millis(1),
        );
        let at_id = AtMessageId::new("ATXid_1").unwrap();
        let event = |at, what| Event { at, what };
        row.history = vec![
            event(Timestamp::from_millis(2), What::Called),
            event(
                Timestamp::from_millis(3),
                What::Accepted {
                    at_id: Some(at_id.clone()),
                },
            ),
            event(
                Timestamp::from_millis(6),
                What::Rose {
                    status: Status::Delivered,
                    reason: None,
                },
            ),
        ];
        row.at_ids = vec![at_id.clone()];
        let reports = [
            report("Success", Timestamp::from_millis(5)),
            report("Sent", Timestamp::from_millis(7)),
            report("Teleported", Timestamp::from_millis(8)),
        ];
        let row = row.with_reports(&at_id, &reports);
        let line: Vec<String> = time_line(&row)
            .into_iter()
            .map(|moment| format!("{} {}", moment.at.as_millis(), moment.what))
            .collect();
        assert_eq!(
            line,
            [
                "1 Medic offered the message.",
                "2 A send request goes to Africa's Talking (attempt 1).",
                "3 Africa's Talking accepted the message (ATXid_1, no price named, 0 segments).",
                "5 Delivery report from network 63902: Success.",
                "6 The status rose (DELIVERED).",
                "7 Delivery report from network 63902: Sent; the status stays DELIVERED.",
                "8 Delivery report from network 63902: Teleported; this status is unknown and changes nothing.",
            ]
        );
    }
}
