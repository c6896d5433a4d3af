//! The sentence for each log event and for each step in the history of a message. Log lines, the
//! sandbox's page and `cargo ops trace` use these same sentences.

use super::event::LogEvent;
use crate::domain::message::history::What;

const ACCEPTED: &str = "Africa's Talking accepted the message.";
const POSTPONED: &str = "The message was not sent; a retry is scheduled.";
const OUTCOME_UNKNOWN: &str = "It is unknown whether the message was sent.";
const MATCHED: &str = "A delivery report shows that the message was sent.";
const REASSIGNED: &str = "An SMS turned out to belong to another message.";
const REPORTED: &str = "Medic took the status.";
const REFUSED: &str = "Medic refused the status.";

impl LogEvent {
    /// What happened, in a sentence of at most 60 bytes. The event's fields say of which message and
    /// why. CloudWatch charges for each byte of it.
    pub fn message(&self) -> &'static str {
        match self {
            Self::IncomingQueued { .. } => "The incoming SMS is in the queue.",
            Self::ReportQueued { .. } => "The delivery report is in the queue.",
            Self::OptOutReceived { .. } => "A recipient has opted out.",
            Self::KeyRefused { .. } => "A callback came without a valid key.",
            Self::KeyNotConfigured { .. } => "No incoming key is configured.",
            Self::KeyUnavailable { .. } => "The incoming key cannot be read.",
            Self::CallbackRefused { .. } => "A callback was refused.",
            Self::CallbackNotQueued { .. } => "The queue did not take a callback.",
            Self::CallbackAtWrongUrl { .. } => "A callback came to another URL than its own.",
            Self::ReportRecorded { .. } => "The delivery report is in the ledger.",
            Self::UnknownReportStatus { .. } => "A delivery report has an unknown status.",
            Self::ReportMatched { .. } => MATCHED,
            Self::ReportMatchAmbiguous { .. } => "A delivery report matches more than one message.",
            Self::FinalStatusRecorded { .. } => "The message has its final status.",
            Self::SendAnswered { .. } => "Africa's Talking answered the send request.",
            Self::SendAccepted { .. } => ACCEPTED,
            Self::SendFailed { .. } => "The message will not be sent.",
            Self::SendPostponed { .. } => POSTPONED,
            Self::SendOutcomeUnknown { .. } => OUTCOME_UNKNOWN,
            Self::CircuitOpened { .. } => "The circuit breaker is open.",
            Self::CircuitStillOpen { .. } => "The circuit breaker stays open.",
            Self::CircuitClosed { .. } => "The circuit breaker is closed.",
            Self::RecipientLimitExceeded { .. } => "The recipient limit stopped a message.",
            Self::AtIdReassigned { .. } => REASSIGNED,
            Self::AcceptanceQueued { .. } => "The acceptance waits in the queue for the ledger.",
            Self::AcceptanceNotKept { .. } => "Neither ledger nor queue took an acceptance.",
            Self::BalanceRead { .. } => "The account balance was read.",
            Self::BalanceUnknown { .. } => "The account balance is unknown.",
            Self::BalanceUnreadable { .. } => "The account balance cannot be read.",
            Self::Posted { .. } => "Medic answered a POST.",
            Self::MessageStored { .. } => "Medic stored the incoming SMS.",
            Self::MessagesOffered { .. } => "What Medic wants sent is in the queue.",
            Self::OfferUnreadable => "A message from Medic cannot be read.",
            Self::StatusFailed { .. } => "Medic failed on a status; it is retried within a minute.",
            Self::StatusSetAside { .. } => "Medic failed on a status; it is retried in an hour.",
            Self::StatusRefused { .. } => REFUSED,
            Self::Quarantined { .. } => "Medic failed on a message; it is in quarantine now.",
            Self::InQuarantine { .. } => "Some messages are in quarantine.",
            Self::MedicUnavailable { .. } => "Medic is unavailable; the batch will be retried.",
            Self::MedicNeedsAttention { .. } => {
                "Requests to Medic fail until somebody fixes the cause."
            }
            Self::MedicRefusedCredentials { .. } => "Medic refused the credentials.",
            Self::StatusesUnreported { .. } => "Some statuses are not reported to Medic yet.",
            Self::QueueStalled { .. } => "A queue has messages, and nobody receives them.",
            Self::AttemptNeverEnded { .. } => "The function was killed during an attempt.",
            Self::DeadLettered { .. } => "A message went to the dead-letter queue.",
            Self::ReturnedForRetry { .. } => "Old messages went back to the queue for a retry.",
            Self::LedgerFailed { .. } => "A request to the ledger failed.",
            Self::RowUnreadable { .. } => "A row of the ledger cannot be read.",
            Self::QueueFailed { .. } => "A request to a queue failed.",
            Self::CredentialsUnavailable { .. } => "The credentials cannot be read.",
            Self::BatchUnreadable => "The batch cannot be read.",
            Self::CannotRun { .. } => "The function cannot run.",
            Self::Panicked { .. } => "The function panicked.",
        }
    }
}

impl What {
    /// What happened, in the sentence of the log event for the same thing, if there is one.
    pub fn message(&self) -> &'static str {
        match self {
            Self::Called => "A send request goes to Africa's Talking.",
            Self::Waiting { .. } => POSTPONED,
            Self::OutcomeUnknown { .. } => OUTCOME_UNKNOWN,
            Self::Accepted { .. } => ACCEPTED,
            Self::Matched { .. } => MATCHED,
            Self::Lost { .. } => REASSIGNED,
            Self::Rose { .. } => "The status rose.",
            Self::Reported { .. } => REPORTED,
            Self::Refused { .. } => REFUSED,
            Self::ToBeReportedAgain => "The status will be reported to Medic again.",
        }
    }
}

#[cfg(test)]
mod tests {
    /// Every string in the code above.
    fn sentences() -> Vec<&'static str> {
        let source = include_str!("messages.rs");
        let (code, _) = source.split_once("#[cfg(test)]").unwrap();
        code.split('"').skip(1).step_by(2).collect()
    }

    #[test]
    fn each_message_is_one_short_sentence_of_its_own() {
        let sentences = sentences();
        assert!(sentences.len() > 40, "{sentences:?}");
        for sentence in &sentences {
            assert!(sentence.len() <= 60, "{sentence}");
            assert!(sentence.starts_with(|c: char| c.is_ascii_uppercase()));
            assert_eq!(sentence.find('.'), Some(sentence.len() - 1), "{sentence}");
        }
        let mut unique = sentences.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), sentences.len());
    }
}
