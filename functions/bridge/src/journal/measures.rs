//! What of each entry is counted or measured.

use super::Entry;
use crate::domain::status::Status;
use crate::metrics::{Dimension, Measure, Metric};

impl Entry {
    /// What of it is counted or measured.
    pub fn measures(&self) -> Vec<Measure> {
        use Metric as M;
        let one = |metric| vec![Measure::one(metric)];
        match self {
            Self::IncomingQueued { .. } => one(M::IncomingReceived),
            Self::ReportQueued { .. } => one(M::ReportsReceived),
            Self::KeyRefused { .. } | Self::KeyNotConfigured { .. } => one(M::KeyRefused),
            Self::CallbackRefused { .. }
            | Self::KeyOutOfReach { .. }
            | Self::CallbackNotQueued { .. } => one(M::CallbacksRefused),
            Self::ReportRecorded { .. } => one(M::ReportsRecorded),
            Self::UnknownReportStatus { .. } => one(M::UnknownReportStatuses),
            Self::Ended {
                status, network, ..
            } => vec![failure(*status != Status::Delivered, network)],
            Self::SendFailed { .. } => vec![failure(true, "none")],
            Self::Answered { code, .. } => {
                vec![Measure::one(M::Answers).by(Dimension::Code, code.as_str())]
            }
            Self::SendAccepted {
                cost,
                segments,
                since_offer_ms,
                ..
            } => {
                let charged = cost.iter().map(|cost| {
                    Measure::money(M::Cost, cost.micros)
                        .by(Dimension::Currency, cost.currency_label())
                });
                let sent = [
                    Measure::of(M::Segments, *segments),
                    Measure::of(M::OfferToAfricasTalking, (*since_offer_ms).max(0)),
                ];
                sent.into_iter().chain(charged).collect()
            }
            Self::SendingHeld { .. } | Self::SendingStillHeld { .. } => one(M::SendingHeld),
            Self::FuseBlown { .. } => one(M::FuseBlown),
            Self::BalanceRead { balance } => vec![Measure::money(M::Balance, balance.micros())],
            Self::Posted { updates, .. } => {
                let told = (*updates > 0).then(|| Measure::of(M::StatusesTold, *updates));
                one(M::PostsAnswered).into_iter().chain(told).collect()
            }
            Self::MessageStored {
                since_callback_ms, ..
            } => vec![Measure::of(M::CallbackToMedic, (*since_callback_ms).max(0))],
            Self::MessageOffered { .. } => one(M::MessagesOffered),
            Self::MedicTrouble { .. } => one(M::MedicTrouble),
            Self::MedicNeedsMending { .. } | Self::MedicRefusedCredentials { .. } => {
                one(M::MedicRefused)
            }
            Self::StatusesUntold { oldest_s } => vec![Measure::of(M::OldestUntold, *oldest_s)],
            Self::GivenBack { oldest_s, .. } => vec![Measure::of(M::OldestWaiting, *oldest_s)],
            Self::Unreported { messages } => {
                vec![Measure::of(M::UnreportedAfterADay, *messages)]
            }
            Self::Parked { .. } => one(M::Parked),
            Self::StatusRefused { .. }
            | Self::RowUnreadable { .. }
            | Self::BatchUnreadable
            | Self::CannotRun { .. }
            | Self::Panicked { .. } => one(M::Faults),
            Self::EvidenceAdopted { .. }
            | Self::EvidenceAmbiguous { .. }
            | Self::SendPostponed { .. }
            | Self::SendOutcomeUnknown { .. }
            | Self::SendingResumed
            | Self::IdTakenBack { .. }
            | Self::AcceptanceQueued { .. }
            | Self::BalanceUnknown { .. }
            | Self::OfferUnreadable
            | Self::StatusTold { .. }
            | Self::LedgerTrouble { .. }
            | Self::QueueTrouble { .. }
            | Self::CredentialsTrouble { .. } => Vec::new(),
        }
    }
}

fn failure(failed: bool, network: &'static str) -> Measure {
    let percent = if failed { 100 } else { 0 };
    Measure::of(Metric::FailureRate, percent).by(Dimension::Network, network)
}

#[cfg(test)]
mod tests {
    use super::super::tests::line;
    use super::super::{Callback, Shown};
    use super::*;
    use crate::domain::account::AccountTrouble;
    use crate::domain::answer_code::AnswerCode;
    use crate::domain::balance::Balance;
    use crate::domain::cost::Cost;
    use crate::domain::message::FailureReason;
    use serde_json::Value;

    #[test]
    fn what_nobody_would_ask_for_is_no_metric() {
        assert_eq!(line(&Entry::SendingResumed).get("_aws"), None);
    }

    #[test]
    fn an_acceptance_tells_its_cost_its_segments_and_its_whole_wait() {
        let accepted = |cost| Entry::SendAccepted {
            message: Shown::new(&"m"),
            at_id: None,
            attempt: 1,
            status: Status::Sent,
            cost,
            segments: 2,
            since_offer_ms: 90_000,
        };
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
        let stored = Entry::MessageStored {
            id: Shown::new(&"m"),
            since_callback_ms: -3,
        };
        assert_eq!(line(&stored)["CallbackToMedic"], 0);
    }

    #[test]
    fn the_minutes_poll_that_brings_nothing_counts_itself_and_nothing_else() {
        let posted = |updates| Entry::Posted {
            messages: 0,
            updates,
            offers: 0,
        };
        let idle = line(&posted(0));
        assert_eq!(idle["PostsAnswered"], 1);
        assert_eq!(idle.get("StatusesTold"), None);
        assert_eq!(line(&posted(3))["StatusesTold"], 3);
    }

    #[test]
    fn a_failure_is_all_of_a_hundred_and_a_delivery_none_of_it() {
        let ended = |status| Entry::Ended {
            message: Shown::new(&"m"),
            at_id: Shown::new(&"a"),
            status,
            reason: None,
            network: "63902",
        };
        assert_eq!(line(&ended(Status::Failed))["FailureRate"], 100);
        assert_eq!(line(&ended(Status::Delivered))["FailureRate"], 0);
        assert_eq!(line(&ended(Status::Delivered))["network"], "63902");
    }

    /// An entry for each metric.
    fn of_every_kind() -> Vec<Entry> {
        let some = || Shown::new(&"some");
        let callback = Callback::IncomingMessage;
        vec![
            Entry::IncomingQueued { id: some() },
            Entry::ReportQueued { at_id: some() },
            Entry::KeyRefused { callback },
            Entry::CallbackRefused {
                callback,
                status: 400,
                reason: "x",
            },
            Entry::MessageStored {
                id: some(),
                since_callback_ms: 1,
            },
            Entry::Posted {
                messages: 0,
                updates: 1,
                offers: 0,
            },
            Entry::MessageOffered { message: some() },
            Entry::MedicRefusedCredentials { trouble: some() },
            Entry::MedicTrouble { trouble: some() },
            Entry::StatusesUntold { oldest_s: 1 },
            Entry::Unreported { messages: 1 },
            Entry::Answered {
                message: some(),
                attempt: 1,
                code: AnswerCode::NO_ANSWER,
                took_ms: 1,
            },
            Entry::SendAccepted {
                message: some(),
                at_id: None,
                attempt: 1,
                status: Status::Sent,
                cost: Cost::parse("KES 1"),
                segments: 1,
                since_offer_ms: 1,
            },
            Entry::SendFailed {
                message: some(),
                attempt: 1,
                reason: FailureReason::new("expired"),
            },
            Entry::SendingHeld {
                trouble: AccountTrouble::InsufficientBalance,
            },
            Entry::FuseBlown {
                message: some(),
                reason: "fuse",
            },
            Entry::BalanceRead {
                balance: Balance::of_answer(br#"{"UserData":{"balance":"KES 1"}}"#).unwrap(),
            },
            Entry::ReportRecorded {
                at_id: some(),
                message: None,
                status: None,
            },
            Entry::UnknownReportStatus { at_id: some() },
            Entry::GivenBack {
                records: 1,
                oldest_s: 700,
            },
            Entry::Parked {
                message_id: some(),
                id: None,
                reason: some(),
            },
            Entry::BatchUnreadable,
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
