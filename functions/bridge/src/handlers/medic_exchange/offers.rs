//! What Medic wants sent.

use super::handler::MedicExchange;
use super::reports::Reports;
use crate::domain::message::{MessageRow, Sending};
use crate::ledger;
use crate::log::{LogEvent, Redacted};
use crate::ports::{Key, LedgerError, LedgerStore, Medic, NewMessage, Queue, Row, Runtime};
use crate::queue::log_queue_errors;
use crate::wire::medic::Offer;
use crate::wire::queue_messages::{OutboxMessage, OutgoingSms, encode};

/// The largest body for `outbox`, in bytes. An SMS has at most 255 parts, which is 39,015 characters,
/// and each of them is at most six bytes in a body; SQS takes a mebibyte.
const LARGEST_BODY: usize = 256 * 1024;

impl<L: LedgerStore, Q: Queue, M: Medic, S: Runtime> MedicExchange<L, Q, M, S> {
    /// Takes what was offered. When the ledger does not answer nothing is taken, and Medic offers it
    /// again.
    pub(super) async fn take_offers(&self, offers: Vec<Offer>, reports: &mut Reports) {
        let new: Vec<Offer> = offers
            .into_iter()
            .filter(|offer| !reports.offered.contains(&offer.id))
            .collect();
        if new.is_empty() {
            return;
        }
        if let Err(error) = self.take_new_offers(new, reports).await {
            self.log_ledger_error(&error);
        }
    }

    /// A message that the ledger does not know goes into `outbox`, and the next POST acknowledges it:
    /// were it the other way round, a crash between the two would leave a message that is acknowledged
    /// and never sent. Its row begins with the sender. If this invocation ends before that POST, Medic
    /// offers the message again, and the claim absorbs the second copy. One that the ledger knows is told
    /// its status again, for Medic has missed it, or has failed on it.
    async fn take_new_offers(
        &self,
        offers: Vec<Offer>,
        reports: &mut Reports,
    ) -> Result<(), LedgerError> {
        let now = self.runtime.now();
        let keys: Vec<Key> = offers
            .iter()
            .map(|offer| Key::Message(offer.id.clone()))
            .collect();
        let rows = ledger::read(&self.ledger, &keys).await?;
        let mut to_send = Vec::new();
        for offer in offers {
            let row = rows.message(&offer.id);
            if row.is_some_and(|row| row.is_set_aside(now)) {
                reports.offered.insert(offer.id);
            } else if row
                .is_none_or(|row| row.sending == Sending::Queued && row.refused().is_none())
            {
                let first_offered = row.map_or(now, |row| row.first_offered);
                let sms = OutgoingSms {
                    id: offer.id,
                    to: offer.to,
                    content: offer.content,
                    first_offered,
                };
                let body = encode(&OutboxMessage::Send(sms.clone()));
                if body.len() > LARGEST_BODY {
                    self.refuse_too_long(&sms, reports).await;
                } else {
                    to_send.push((sms, body));
                }
            } else {
                reports.want(offer.id);
            }
        }
        let queued = self.send_to_outbox(to_send).await;
        if let Some(medic_ids) = Redacted::all(queued.iter().map(|sms| Redacted::new(&sms.id))) {
            self.runtime.record(LogEvent::MessagesOffered { medic_ids });
        }
        for sms in queued {
            if rows.message(&sms.id).is_none() {
                reports.taken.insert(sms.id.clone(), sms.first_offered);
            }
            reports.want(sms.id);
        }
        Ok(())
    }

    /// Fails a message that no queue can hold.
    async fn refuse_too_long(&self, sms: &OutgoingSms, reports: &mut Reports) {
        let key = Key::Message(sms.id.clone());
        let begun = ledger::change(&self.ledger, &self.runtime, &[key], |rows| {
            let row = rows
                .message(&sms.id)
                .cloned()
                .unwrap_or_else(|| MessageRow::new(sms.id.clone(), sms.first_offered));
            (vec![Row::Message(row.too_long())], ())
        })
        .await;
        if let Err(error) = begun {
            // Not acknowledged: Medic offers it again.
            self.log_ledger_error(&error);
            return;
        }
        reports.want(sms.id.clone());
    }

    /// Those that the queue has taken.
    async fn send_to_outbox(&self, messages: Vec<(OutgoingSms, String)>) -> Vec<OutgoingSms> {
        if messages.is_empty() {
            return Vec::new();
        }
        let (messages, bodies): (Vec<_>, Vec<_>) = messages
            .into_iter()
            .map(|(sms, body)| (sms, NewMessage { body, fifo: None }))
            .unzip();
        let sent = self.outbox.send(bodies).await;
        log_queue_errors(&sent, &self.runtime);
        messages
            .into_iter()
            .zip(sent)
            .filter_map(|(sms, sent)| sent.is_ok().then_some(sms))
            .collect()
    }
}
