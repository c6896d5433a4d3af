//! What Medic wants sent.

use super::{MedicExchange, Round};
use crate::domain::message::{MessageRow, Sending};
use crate::gateway::Offer;
use crate::journal::{Entry, Shown};
use crate::ledger;
use crate::ports::{Key, LedgerError, LedgerStore, Medic, NewMessage, Queue, Row, Surroundings};
use crate::queue_messages::{OutboxMessage, OutgoingSms, encode};

impl<L: LedgerStore, Q: Queue, M: Medic, S: Surroundings> MedicExchange<L, Q, M, S> {
    /// Takes what was offered. When the ledger does not answer nothing is taken, and Medic offers it
    /// again.
    pub(super) async fn take_offers(&self, offers: Vec<Offer>, round: &mut Round) {
        let new: Vec<Offer> = offers
            .into_iter()
            .filter(|offer| !round.offered.contains(&offer.id))
            .collect();
        if new.is_empty() {
            return;
        }
        if let Err(error) = self.take_new_offers(new, round).await {
            self.surroundings.record(Entry::LedgerTrouble {
                error: Shown::new(&error),
            });
        }
    }

    /// A message that the ledger does not know goes into `outbox` first and gets its row then: were
    /// it the other way round, a crash between the two would leave a message that is acknowledged
    /// and never sent. One that it knows is told its status again, for Medic has missed it; and goes
    /// into `outbox` again while nothing was tried yet, where the claim absorbs the copy.
    async fn take_new_offers(
        &self,
        offers: Vec<Offer>,
        round: &mut Round,
    ) -> Result<(), LedgerError> {
        let now_ms = self.surroundings.now_ms();
        let keys: Vec<Key> = offers
            .iter()
            .map(|offer| Key::Message(offer.id.clone()))
            .collect();
        let rows = ledger::read(&self.ledger, &keys).await?;
        let mut to_send = Vec::new();
        for offer in offers {
            let row = rows.message(&offer.id);
            if row.is_none_or(|row| row.sending == Sending::Queued) {
                let first_offered_ms = row.map_or(now_ms, |row| row.first_offered_ms);
                to_send.push(OutgoingSms {
                    id: offer.id,
                    to: offer.to,
                    content: offer.content,
                    first_offered_ms,
                });
            } else {
                round.offered.insert(offer.id.clone());
                round.tell.push(offer.id);
            }
        }
        for sms in self.send_to_outbox(to_send).await {
            let key = Key::Message(sms.id.clone());
            let begun = ledger::change(&self.ledger, &[key], |rows| {
                let row = rows
                    .message(&sms.id)
                    .cloned()
                    .unwrap_or_else(|| MessageRow::new(sms.id.clone(), sms.first_offered_ms));
                (vec![Row::Message(row)], ())
            })
            .await;
            if let Err(error) = begun {
                // Not acknowledged: Medic offers it again.
                self.surroundings.record(Entry::LedgerTrouble {
                    error: Shown::new(&error),
                });
                continue;
            }
            self.surroundings.record(Entry::MessageOffered {
                message: Shown::new(&sms.id),
            });
            round.offered.insert(sms.id.clone());
            round.tell.push(sms.id);
        }
        Ok(())
    }

    /// Those that the queue has taken.
    async fn send_to_outbox(&self, messages: Vec<OutgoingSms>) -> Vec<OutgoingSms> {
        if messages.is_empty() {
            return messages;
        }
        let bodies = messages
            .iter()
            .map(|sms| NewMessage {
                body: encode(&OutboxMessage::Send(sms.clone())),
                fifo: None,
            })
            .collect();
        let sent = self.outbox.send(bodies).await;
        crate::parking::note_trouble(&sent, &self.surroundings);
        messages
            .into_iter()
            .zip(sent)
            .filter_map(|(sms, sent)| sent.is_ok().then_some(sms))
            .collect()
    }
}
