//! What is logged and counted. Every line is one of these entries, so that nothing personal can get
//! into a log: no field of them holds a number, a text or a key.

use std::fmt;

use serde::Serialize;

use crate::domain::account::AccountTrouble;
use crate::domain::message::FailureReason;
use crate::domain::status::Status;

/// Where entries go.
pub trait Journal {
    /// Keeps the entry. Cannot fail: nothing is ever left undone for a log line.
    fn record(&self, entry: Entry);
}

/// Something that may be shown: an identifier in its loggable form, or the text of one of our own
/// errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown(String);

impl Shown {
    /// What the value's `Display` shows. The types of this crate that hold personal data show
    /// nothing of it there.
    pub fn new(value: &impl fmt::Display) -> Self {
        Self(value.to_string())
    }
}

/// Which callback of Africa's Talking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Callback {
    /// An SMS that came in.
    IncomingMessage,
    /// A delivery report.
    DeliveryReport,
}

/// How urgent an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The story of a message.
    Info,
    /// It will be tried again by itself.
    Warn,
    /// Somebody has to do something.
    Error,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[allow(
    missing_docs,
    reason = "the names of events and fields are what is logged, and speak for themselves"
)]
pub enum Entry {
    // The two callbacks.
    IncomingQueued {
        id: Shown,
    },
    ReportQueued {
        at_id: Shown,
    },
    KeyRefused {
        callback: Callback,
    },
    KeyNotConfigured {
        callback: Callback,
        advice: &'static str,
    },
    KeyOutOfReach {
        callback: Callback,
        error: Shown,
    },
    CallbackRefused {
        callback: Callback,
        status: u16,
        reason: &'static str,
    },
    CallbackNotQueued {
        callback: Callback,
        error: Shown,
    },

    // The recorder.
    ReportRecorded {
        at_id: Shown,
        message: Option<Shown>,
        status: Option<Status>,
    },
    UnknownReportStatus {
        at_id: Shown,
    },
    EvidenceAdopted {
        message: Shown,
        at_id: Shown,
    },
    EvidenceAmbiguous {
        at_id: Shown,
    },

    // The sender.
    SendAccepted {
        message: Shown,
        at_id: Option<Shown>,
        attempt: u32,
        status: Status,
        cost: Option<Shown>,
        segments: u32,
    },
    SendFailed {
        message: Shown,
        attempt: u32,
        reason: FailureReason,
    },
    SendPostponed {
        message: Shown,
        attempt: u32,
        reason: FailureReason,
    },
    SendOutcomeUnknown {
        message: Shown,
        attempt: u32,
        reason: FailureReason,
    },
    SendingHeld {
        trouble: AccountTrouble,
    },
    SendingResumed,
    FuseBlown {
        message: Shown,
        reason: &'static str,
    },
    IdTakenBack {
        message: Shown,
        at_id: Shown,
    },
    AcceptanceQueued {
        message: Shown,
    },

    // The exchange.
    Posted {
        messages: usize,
        updates: usize,
        offers: usize,
    },
    MessageStored {
        id: Shown,
    },
    MessageOffered {
        message: Shown,
    },
    OfferUnreadable,
    StatusTold {
        message: Shown,
        status: Status,
    },
    StatusRefused {
        message: Shown,
        status: Status,
    },
    MedicTrouble {
        trouble: Shown,
    },
    MedicNeedsMending {
        trouble: Shown,
    },
    MedicRefusedCredentials {
        trouble: Shown,
    },

    // All that read a queue.
    Parked {
        message_id: Shown,
        reason: Shown,
    },
    LedgerTrouble {
        error: Shown,
    },
    RowUnreadable {
        error: Shown,
    },
    QueueTrouble {
        error: Shown,
    },
    CredentialsTrouble {
        error: Shown,
    },
    BatchUnreadable,
}

impl Entry {
    /// How urgent it is.
    pub fn level(&self) -> Level {
        match self {
            Self::KeyNotConfigured { .. }
            | Self::SendingHeld { .. }
            | Self::FuseBlown { .. }
            | Self::StatusRefused { .. }
            | Self::MedicNeedsMending { .. }
            | Self::MedicRefusedCredentials { .. }
            | Self::RowUnreadable { .. }
            | Self::Parked { .. }
            | Self::CredentialsTrouble { .. }
            | Self::BatchUnreadable => Level::Error,
            Self::KeyRefused { .. }
            | Self::KeyOutOfReach { .. }
            | Self::CallbackRefused { .. }
            | Self::CallbackNotQueued { .. }
            | Self::UnknownReportStatus { .. }
            | Self::EvidenceAmbiguous { .. }
            | Self::IdTakenBack { .. }
            | Self::SendFailed { .. }
            | Self::SendPostponed { .. }
            | Self::SendOutcomeUnknown { .. }
            | Self::AcceptanceQueued { .. }
            | Self::OfferUnreadable
            | Self::MedicTrouble { .. }
            | Self::LedgerTrouble { .. }
            | Self::QueueTrouble { .. } => Level::Warn,
            Self::IncomingQueued { .. }
            | Self::ReportQueued { .. }
            | Self::ReportRecorded { .. }
            | Self::EvidenceAdopted { .. }
            | Self::SendAccepted { .. }
            | Self::SendingResumed
            | Self::Posted { .. }
            | Self::MessageStored { .. }
            | Self::MessageOffered { .. }
            | Self::StatusTold { .. } => Level::Info,
        }
    }

    /// The metric that counts it, if it is counted. Each metric costs money every month in which it
    /// is seen, so that only what somebody would act upon is one.
    pub fn metric(&self) -> Option<&'static str> {
        match self {
            Self::CallbackRefused { .. } => Some("CallbackRefused"),
            Self::KeyRefused { .. } | Self::KeyNotConfigured { .. } => Some("KeyRefused"),
            Self::UnknownReportStatus { .. } => Some("UnknownReportStatus"),
            Self::SendingHeld { .. } => Some("SendingHeld"),
            Self::FuseBlown { .. } => Some("FuseBlown"),
            Self::StatusRefused { .. } => Some("StatusRefused"),
            Self::MedicNeedsMending { .. } => Some("MedicNeedsMending"),
            Self::MedicRefusedCredentials { .. } => Some("MedicRefusedCredentials"),
            Self::RowUnreadable { .. } => Some("RowUnreadable"),
            Self::Parked { .. } => Some("Parked"),
            _ => None,
        }
    }

    /// The entry as one line of JSON, with the metric that counts it in CloudWatch's embedded
    /// metric format.
    pub fn to_line(&self, function: &str, now_ms: i64) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            level: Level,
            function: &'a str,
            #[serde(flatten)]
            entry: &'a Entry,
        }
        let line = Line {
            level: self.level(),
            function,
            entry: self,
        };
        let Ok(mut line) = serde_json::to_value(line) else {
            return String::new();
        };
        if let (Some(metric), Some(fields)) = (self.metric(), line.as_object_mut()) {
            fields.insert(metric.to_owned(), 1.into());
            fields.insert(
                "_aws".to_owned(),
                serde_json::json!({
                    "Timestamp": now_ms,
                    "CloudWatchMetrics": [{
                        "Namespace": METRIC_NAMESPACE,
                        "Dimensions": [["function"]],
                        "Metrics": [{ "Name": metric, "Unit": "Count" }],
                    }],
                }),
            );
        }
        line.to_string()
    }
}

/// The namespace of every metric.
pub const METRIC_NAMESPACE: &str = "cht-africastalking";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_line_of_json_with_its_level() {
        let entry = Entry::KeyRefused {
            callback: Callback::DeliveryReport,
        };
        let line: serde_json::Value =
            serde_json::from_str(&entry.to_line("delivery-reports", 5)).unwrap();
        assert_eq!(line["event"], "key_refused");
        assert_eq!(line["level"], "warn");
        assert_eq!(line["callback"], "delivery_report");
        assert_eq!(line["KeyRefused"], 1);
        assert_eq!(line["_aws"]["Timestamp"], 5);
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"],
            "KeyRefused"
        );
    }

    #[test]
    fn what_nobody_would_act_upon_is_no_metric() {
        let line = Entry::SendingResumed.to_line("outbound-sender", 5);
        assert!(!line.contains("_aws"), "{line}");
    }
}
