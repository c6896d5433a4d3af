//! The metrics of each log event.

use super::event::LogEvent;
use crate::domain::status::Status;
use crate::domain::time::millis;
use crate::log::metrics::{Dimension, Measure, Metric};
use crate::wire::africastalking::answer_code::AnswerCode;

impl LogEvent {
    /// The values that this event adds to metrics; empty if it adds none.
    pub fn measures(&self) -> Vec<Measure> {
        use Metric as M;
        let one = |metric| vec![Measure::one(metric)];
        match self {
            Self::IncomingQueued { .. } => one(M::IncomingReceived),
            Self::OptOutReceived { .. } => one(M::OptOuts),
            Self::KeyRefused { .. } | Self::KeyNotConfigured { .. } => one(M::KeyRefused),
            Self::CallbackRefused { .. }
            | Self::KeyUnavailable { .. }
            | Self::CallbackNotQueued { .. } => one(M::CallbacksRefused),
            Self::CallbackAtWrongUrl { .. } => one(M::CallbacksAtWrongUrl),
            Self::UnknownReportStatus { .. } => one(M::UnknownReportStatuses),
            Self::FinalStatusRecorded {
                status, network, ..
            } => vec![
                Measure::one(M::FinalReports),
                failure(*status != Status::Delivered, network),
            ],
            Self::SendFailed { .. } => vec![failure(true, "none")],
            Self::SendAnswered { code, .. } => vec![answer(*code)],
            Self::SendAccepted {
                code,
                cost,
                segments,
                since_offer,
                ..
            } => {
                let charged = cost.iter().map(|cost| match cost.unreadable {
                    Some(_) => Measure::one(M::AmountsUnreadable),
                    None => Measure::money(M::Cost, cost.micros)
                        .by(Dimension::Currency, cost.currency_label()),
                });
                let sent = [
                    answer(*code),
                    Measure::of(M::Segments, *segments),
                    Measure::of(M::OfferToAfricasTalking, millis(*since_offer)),
                ];
                sent.into_iter().chain(charged).collect()
            }
            Self::CircuitOpened { .. } | Self::CircuitStillOpen { .. } => one(M::CircuitOpened),
            Self::RecipientLimitExceeded { .. } => one(M::RecipientLimitExceeded),
            Self::BalanceUnreadable { .. } => one(M::AmountsUnreadable),
            Self::BalanceRead { balance } => vec![Measure::money(M::Balance, balance.micros())],
            Self::Posted { updates, .. } => {
                let reported = (*updates > 0).then(|| Measure::of(M::StatusesReported, *updates));
                one(M::PostsAnswered).into_iter().chain(reported).collect()
            }
            Self::MessageStored { since_callback, .. } => {
                vec![Measure::of(M::CallbackToMedic, millis(*since_callback))]
            }
            Self::MedicUnavailable { .. } => one(M::MedicUnavailable),
            Self::MedicNeedsAttention { .. } | Self::MedicRefusedCredentials { .. } => {
                one(M::MedicRefused)
            }
            Self::StatusesUnreported { oldest_s } => {
                vec![Measure::of(M::OldestUnreported, *oldest_s)]
            }
            Self::ReturnedForRetry { oldest_s, .. } | Self::InQuarantine { oldest_s, .. } => {
                vec![Measure::of(M::OldestWaiting, *oldest_s)]
            }
            Self::QueueStalled { .. } => one(M::QueueStalled),
            Self::DeadLettered { .. } => one(M::DeadLettered),
            Self::StatusRefused { .. }
            | Self::RowUnreadable { .. }
            | Self::BatchUnreadable
            | Self::CannotRun { .. }
            | Self::AttemptNeverEnded { .. }
            | Self::AcceptanceNotKept { .. }
            | Self::Panicked { .. } => one(M::Faults),
            Self::LedgerFailed { .. }
            | Self::QueueFailed { .. }
            | Self::CredentialsUnavailable { .. } => one(M::AwsFailures),
            Self::ReportQueued { .. }
            | Self::ReportRecorded { .. }
            | Self::MessagesOffered { .. }
            | Self::ReportMatched { .. }
            | Self::ReportMatchAmbiguous { .. }
            | Self::SendPostponed { .. }
            | Self::SendOutcomeUnknown { .. }
            | Self::CircuitClosed { .. }
            | Self::AtIdReassigned { .. }
            | Self::AcceptanceQueued { .. }
            | Self::BalanceUnknown { .. }
            | Self::OfferUnreadable
            | Self::StatusFailed { .. }
            | Self::StatusSetAside { .. }
            | Self::Quarantined { .. } => Vec::new(),
        }
    }
}

fn answer(code: AnswerCode) -> Measure {
    Measure::one(Metric::Answers).by(Dimension::Code, code.as_str())
}

fn failure(failed: bool, network: &'static str) -> Measure {
    let percent = if failed { 100 } else { 0 };
    Measure::of(Metric::FailureRate, percent).by(Dimension::Network, network)
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::line;
    use super::super::{Callback, Redacted, WorkQueue};
    use super::*;
    use crate::domain::balance::Balance;
    use crate::domain::circuit_breaker::Cause;
    use crate::domain::cost::Cost;
    use crate::domain::failure_reason::FailureReason;
    use crate::domain::time::Timestamp;
    use serde_json::Value;
    use std::time::Duration;

    #[test]
    fn what_nobody_would_ask_for_is_no_metric() {
        assert_eq!(line(&LogEvent::OfferUnreadable).get("_aws"), None);
    }

    #[test]
    fn an_acceptance_tells_its_cost_its_segments_and_its_whole_wait() {
        let accepted = |cost| LogEvent::SendAccepted {
            medic_id: Redacted::new(&"m"),
            at_id: None,
            attempt: 1,
            code: AnswerCode::NO_ANSWER,
            took: Duration::from_millis(300),
            status: Status::Sent,
            cost,
            segments: 2,
            since_offer: Duration::from_secs(90),
        };
        let unreadable = line(&accepted(Cost::read("KES some")));
        assert_eq!(unreadable["cost"], "unreadable: KES some");
        assert_eq!(unreadable["AmountsUnreadable"], 1);
        assert_eq!(unreadable.get("Cost"), None);
        let with_cost = line(&accepted(Cost::parse("KES 1.6000")));
        assert_eq!(with_cost["cost"], "KES 1.600000");
        assert_eq!(with_cost["Cost"], 1.6);
        assert_eq!(with_cost["currency"], "KES");
        assert_eq!(with_cost["Segments"], 2);
        assert_eq!(with_cost["OfferToAfricasTalking"], 90_000);
        let without = line(&accepted(None));
        assert_eq!(without["cost"], Value::Null);
        assert_eq!(without.get("Cost"), None);
    }

    #[test]
    fn a_clock_that_is_behind_makes_no_negative_latency() {
        let stored = LogEvent::MessageStored {
            id: Redacted::new(&"m"),
            since_callback: Timestamp::from_millis(2).since(Timestamp::from_millis(5)),
        };
        assert_eq!(line(&stored)["CallbackToMedic"], 0);
    }

    #[test]
    fn the_minutes_poll_that_brings_nothing_counts_itself_and_nothing_else() {
        let posted = |updates| LogEvent::Posted {
            messages: 0,
            updates,
            offers: 0,
            reported: None,
        };
        let idle = line(&posted(0));
        assert_eq!(idle["PostsAnswered"], 1);
        assert_eq!(idle.get("StatusesReported"), None);
        assert_eq!(line(&posted(3))["StatusesReported"], 3);
    }

    #[test]
    fn a_failure_is_all_of_a_hundred_and_a_delivery_none_of_it() {
        let ended = |status| LogEvent::FinalStatusRecorded {
            medic_id: Redacted::new(&"m"),
            at_id: Redacted::new(&"a"),
            status,
            reason: None,
            network: "63902",
        };
        assert_eq!(line(&ended(Status::Failed))["FailureRate"], 100);
        assert_eq!(line(&ended(Status::Delivered))["FailureRate"], 0);
        assert_eq!(line(&ended(Status::Delivered))["network"], "63902");
    }

    /// A log event for each metric.
    fn of_every_kind() -> Vec<LogEvent> {
        let some = || Redacted::new(&"some");
        let callback = Callback::IncomingMessage;
        vec![
            LogEvent::IncomingQueued { id: some() },
            LogEvent::ReportQueued { at_id: some() },
            LogEvent::OptOutReceived {
                id: some(),
                for_medic: true,
            },
            LogEvent::LedgerFailed { error: some() },
            LogEvent::KeyRefused { callback },
            LogEvent::CallbackRefused {
                callback,
                status: 400,
                reason: "x",
            },
            LogEvent::CallbackAtWrongUrl {
                callback: Some(callback),
                advice: "x",
            },
            LogEvent::MessageStored {
                id: some(),
                since_callback: Duration::from_millis(1),
            },
            LogEvent::Posted {
                messages: 0,
                updates: 1,
                offers: 0,
                reported: None,
            },
            LogEvent::MessagesOffered { medic_ids: some() },
            LogEvent::MedicRefusedCredentials { cause: some() },
            LogEvent::MedicUnavailable { cause: some() },
            LogEvent::StatusesUnreported { oldest_s: 1 },
            LogEvent::SendAnswered {
                medic_id: some(),
                attempt: 1,
                code: AnswerCode::NO_ANSWER,
                took: Duration::from_millis(1),
            },
            LogEvent::SendAccepted {
                medic_id: some(),
                at_id: None,
                attempt: 1,
                code: AnswerCode::NO_ANSWER,
                took: Duration::from_millis(1),
                status: Status::Sent,
                cost: Cost::parse("KES 1"),
                segments: 1,
                since_offer: Duration::from_millis(1),
            },
            LogEvent::SendFailed {
                medic_id: some(),
                attempt: 1,
                reason: FailureReason::new("expired"),
            },
            LogEvent::CircuitOpened {
                cause: Cause::InvalidSenderId,
                sender_id: Some(some()),
            },
            LogEvent::RecipientLimitExceeded {
                medic_id: some(),
                reason: "recipient limit",
            },
            LogEvent::BalanceRead {
                balance: Balance::parse("KES 1").unwrap(),
            },
            LogEvent::BalanceUnreadable { as_it_came: some() },
            LogEvent::ReportRecorded {
                at_id: some(),
                medic_id: None,
                status: None,
            },
            LogEvent::UnknownReportStatus { at_id: some() },
            LogEvent::FinalStatusRecorded {
                medic_id: some(),
                at_id: some(),
                status: Status::Delivered,
                reason: None,
                network: "none",
            },
            LogEvent::ReturnedForRetry {
                records: 1,
                oldest_s: 700,
            },
            LogEvent::DeadLettered {
                sqs_message_id: some(),
                id: None,
                reason: some(),
            },
            LogEvent::QueueStalled {
                queue: WorkQueue::Outbox,
                messages: 1,
                since_s: 600,
            },
            LogEvent::BatchUnreadable,
        ]
    }

    #[test]
    fn every_metric_of_the_list_is_counted_with_all_its_dimensions() {
        let lines: Vec<Value> = of_every_kind().iter().map(line).collect();
        for metric in Metric::ALL {
            let mut with_it = lines
                .iter()
                .filter(|line| line.get(metric.name()).is_some());
            let line = with_it.next();
            let line = line.unwrap_or_else(|| panic!("nothing counts {}", metric.name()));
            assert!(line[metric.name()].is_number());
            assert!(line["stack"].is_string());
            for dimension in metric.dimensions().iter().flatten() {
                assert!(line[dimension.name()].is_string(), "{line}");
            }
        }
    }
}
