//! Writes down why a message waits, so that it can be traced before anything was tried.

use futures_util::future::join_all;

use super::handler::{OutboundSender, recipient};
use crate::domain::failure_reason::FailureReason;
use crate::domain::message::MessageRow;
use crate::ledger;
use crate::ports::{
    AfricasTalking, AfricasTalkingAccount, Key, KeyedHash, LedgerError, LedgerStore, Queue, Record,
    Row, Runtime,
};
use crate::wire::queue_messages::{OutboxMessage, OutgoingSms, decode};

/// At so many receives it is looked whether a message that waits has its row: at the first, and once or
/// twice more in case the ledger was ill. What waits for hours does not cost a read each time.
const RECEIVES_NOTED: u32 = 3;

impl<L, Q, A, H, S> OutboundSender<L, Q, A, H, S>
where
    L: LedgerStore,
    Q: Queue,
    A: AfricasTalking + AfricasTalkingAccount,
    H: KeyedHash,
    S: Runtime,
{
    /// Begins the rows of messages that are held for the first time, side by side. A message waits all
    /// the same when that fails.
    pub(super) async fn note_first_waits(&self, held: &[(&Record, &FailureReason)]) {
        let notes = held
            .iter()
            .filter(|(record, _)| record.receive_count <= RECEIVES_NOTED)
            .filter_map(|(record, reason)| match decode(&record.body) {
                Ok(OutboxMessage::Send(sms)) => Some((sms, reason)),
                _ => None,
            });
        let noted = notes.map(async |(sms, reason)| self.note_wait(&sms, reason).await);
        for result in join_all(noted).await {
            if let Err(error) = result {
                self.log_ledger_error(&error);
            }
        }
    }

    /// Begins the row of a message that has to wait before anything was tried.
    pub(super) async fn note_wait(
        &self,
        sms: &OutgoingSms,
        reason: &FailureReason,
    ) -> Result<(), LedgerError> {
        let number_hash = match recipient(sms) {
            Ok(to) => self.hashes.hash(to.as_str()).await.ok(),
            Err(_) => None,
        };
        let now = self.runtime.now();
        let keys = [Key::Message(sms.id.clone())];
        ledger::change(&self.ledger, &self.runtime, &keys, |rows| {
            if rows.message(&sms.id).is_some() {
                return (Vec::new(), ());
            }
            let row = MessageRow {
                number_hash: number_hash.clone(),
                ..MessageRow::begun(sms.id.clone(), sms.first_offered)
            };
            (vec![Row::Message(row.waiting(reason.clone(), now))], ())
        })
        .await
    }
}
