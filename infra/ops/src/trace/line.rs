//! Putting what rows remember into one order.

use bridge::domain::delivery::SmsRow;
use bridge::domain::message::MessageRow;
use bridge::domain::message::history::What;
use bridge::domain::status::Status;

use super::sentences;

/// Something that happened.
#[derive(Debug, PartialEq, Eq)]
pub struct Moment {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What, in words.
    pub what: String,
}

/// The life of a message: what its row remembers, and the reports on it in the order in which they
/// came, each with what it changed.
pub fn time_line(row: &MessageRow, sms: &[SmsRow]) -> Vec<Moment> {
    let mut moments = vec![Moment {
        at_ms: row.first_offered_ms,
        what: "Medic offered it".to_owned(),
    }];
    let mut attempt = 0;
    for event in &row.history {
        if event.what == What::Called {
            attempt += 1;
        }
        moments.push(Moment {
            at_ms: event.at_ms,
            what: sentences::event(&event.what, row, attempt),
        });
    }
    moments.extend(reports(row, sms));
    // What happened in the same millisecond stays in the order in which it was written down.
    moments.sort_by_key(|moment| moment.at_ms);
    moments
}

fn reports(row: &MessageRow, sms: &[SmsRow]) -> Vec<Moment> {
    let mut reports: Vec<_> = sms.iter().flat_map(|sms| &sms.reports).collect();
    reports.sort_by_key(|report| report.received_at_ms);
    let mut known = first_status(row, reports.first().map(|report| report.received_at_ms));
    reports
        .into_iter()
        .map(|report| {
            let effect = match report.meaning() {
                None => "; nobody knows this word, and it changes nothing".to_owned(),
                Some((status, _)) if status > known => {
                    known = status;
                    String::new()
                }
                Some(_) => format!("; it changes nothing, {} is known", known.medic_name()),
            };
            Moment {
                at_ms: report.received_at_ms,
                what: format!("{}{effect}", sentences::report(report)),
            }
        })
        .collect()
}

/// The status by the word of Africa's Talking's answer: to what it rose in the write that noted the
/// answer, if no report can have had a part in that.
fn first_status(row: &MessageRow, first_report_ms: Option<i64>) -> Status {
    let is_acceptance = |what: &What| matches!(what, What::Accepted { .. });
    let accepted = row.history.iter().find(|event| is_acceptance(&event.what));
    let Some(at_ms) = accepted.map(|event| event.at_ms) else {
        return Status::Unsent;
    };
    if first_report_ms.is_some_and(|report_ms| report_ms <= at_ms) {
        return Status::Unsent;
    }
    let with_it = row.history.iter().filter(|event| event.at_ms == at_ms);
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

    fn report(status: &str, received_at_ms: i64) -> Report {
        Report {
            status: status.to_owned(),
            failure_reason: None,
            network_code: Some("63902".to_owned()),
            received_at_ms,
        }
    }

    #[test]
    fn reports_stand_in_the_order_of_arrival_and_say_what_they_changed() {
        let mut row = MessageRow::new(MedicMessageId::new("uuid-1").unwrap(), 1);
        let at_id = AtMessageId::new("ATXid_1").unwrap();
        let event = |at_ms, what| Event { at_ms, what };
        row.history = vec![
            event(2, What::Called),
            event(
                3,
                What::Accepted {
                    at_id: Some(at_id.clone()),
                },
            ),
            event(
                6,
                What::Rose {
                    status: Status::Delivered,
                    reason: None,
                },
            ),
        ];
        let mut sms = SmsRow::new(at_id);
        sms.reports = vec![
            report("Success", 5),
            report("Sent", 7),
            report("Teleported", 8),
        ];
        let line: Vec<String> = time_line(&row, &[sms])
            .into_iter()
            .map(|moment| format!("{} {}", moment.at_ms, moment.what))
            .collect();
        assert_eq!(
            line,
            [
                "1 Medic offered it",
                "2 Africa's Talking is called, attempt 1",
                "3 Africa's Talking has it as ATXid_1, no price named, 0 segments",
                "5 delivery report from network 63902: Success",
                "6 its status rises to DELIVERED",
                "7 delivery report from network 63902: Sent; it changes nothing, DELIVERED is known",
                "8 delivery report from network 63902: Teleported; nobody knows this word, and it changes nothing",
            ]
        );
    }
}
