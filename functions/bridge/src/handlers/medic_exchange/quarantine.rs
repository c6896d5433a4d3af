//! Moving messages: into quarantine, back from it, and into the dead-letter queue.
//!
//! Each move sends first and lets the old record be deleted afterwards. A crash between the two leaves
//! a copy, which Medic recognises by its id.

use super::handler::MedicExchange;
use super::round::Round;
use crate::domain::backoff::whole_seconds;
use crate::domain::ids::IncomingId;
use crate::domain::quarantine::Quarantine;
use crate::log::{LogEvent, Redacted};
use crate::ports::{Fifo, LedgerStore, Medic, NewMessage, Queue, QueueError, Record, Runtime};
use crate::queue::dead_letter::dead_letter_or_return;
use crate::queue::log_queue_errors;
use crate::wire::queue_messages::MEDIC_GROUP;
use crate::wire::queue_messages::{ExchangeMessage, QuarantinedSms, decode, encode};

/// Why a message is dead-lettered on which Medic fails again and again.
pub(super) const REFUSED: &str = "Medic refuses this message while it takes others";

impl<L: LedgerStore, Q: Queue, M: Medic, S: Runtime> MedicExchange<L, Q, M, S> {
    /// Puts a message into a message group of its own, where nobody waits behind it. All records that
    /// brought it are done with then.
    pub(super) async fn quarantine(
        &self,
        id: &IncomingId,
        quarantine: &Quarantine,
        round: &mut Round<'_>,
    ) {
        let Some(message) = round.batch.youngest_of(id) else {
            return;
        };
        let name = format!("quarantine-{}", message.record.message_id);
        let body = encode(&ExchangeMessage::Quarantined(QuarantinedSms {
            sms: message.sms.clone(),
            quarantine: quarantine.clone(),
        }));
        match self.send_to(name.clone(), name, body).await {
            Ok(()) => {
                self.runtime.record(LogEvent::Quarantined {
                    id: Redacted::new(id),
                    failures: quarantine.failures,
                });
                round.batch.mark_gone(id);
                let now = self.runtime.now();
                round.isolation.quarantined(id, quarantine, now);
            }
            Err(error) => {
                log_queue_errors(&[Err(error)], &self.runtime);
                round.isolation.keep(id);
            }
        }
    }

    /// Puts a message into the dead-letter queue, with what Medic answered.
    pub(super) async fn dead_letter(
        &self,
        id: &IncomingId,
        category: &str,
        answer: &str,
        round: &mut Round<'_>,
    ) {
        let Some(message) = round.batch.youngest_of(id) else {
            return;
        };
        let (dead_letters, runtime) = (&self.dead_letters, &self.runtime);
        if dead_letter_or_return(dead_letters, message.record, category, answer, runtime).await {
            round.batch.mark_gone(id);
            round.isolation.dead_lettered(id);
        } else {
            round.isolation.keep(id);
        }
    }

    /// Records of quarantined messages. Whose time is over goes back into the main group, at its end;
    /// the others stay hidden. Nothing else is ever done with them. Returns the message ids of those
    /// that go back into the queue.
    pub(super) async fn release(&self, records: &[&Record]) -> Vec<String> {
        let now = self.runtime.now();
        let mut back = Vec::new();
        let mut hidden = Vec::new();
        for record in records {
            let until = match decode(&record.body) {
                Ok(ExchangeMessage::Quarantined(one)) => one.quarantine.until,
                // Whatever it is: the main group knows what to do with it.
                _ => now,
            };
            let wait = until.since(now);
            if !wait.is_zero() {
                hidden.push((*record, whole_seconds(wait)));
            } else if let Err(error) = self.send_back(record).await {
                log_queue_errors(&[Err(error)], &self.runtime);
                back.push(record.message_id.clone());
            }
        }
        if !hidden.is_empty() {
            // One that cannot be hidden comes back sooner, and is hidden then.
            log_queue_errors(
                &self.exchange.change_visibility(&hidden).await,
                &self.runtime,
            );
        }
        back.extend(hidden.iter().map(|(record, _)| record.message_id.clone()));
        back
    }

    async fn send_back(&self, record: &Record) -> Result<(), QueueError> {
        let id = format!("back-{}", record.message_id);
        self.send_to(MEDIC_GROUP.to_owned(), id, record.body.clone())
            .await
    }

    /// The deduplication id is made of the id of the record that moves: new for each life of a message,
    /// and the same when a move is repeated.
    async fn send_to(
        &self,
        group: String,
        deduplication_id: String,
        body: String,
    ) -> Result<(), QueueError> {
        let message = NewMessage {
            body,
            fifo: Some(Fifo {
                group,
                deduplication_id,
            }),
        };
        self.exchange
            .send(vec![message])
            .await
            .into_iter()
            .collect()
    }
}
