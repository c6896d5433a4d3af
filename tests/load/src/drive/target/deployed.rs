//! A stack that is in use, with its own Medic and Africa's Talking: what comes in is followed in the log, what
//! goes out in the ledger.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use bridge::domain::ids::{MedicMessageId, loggable};
use bridge::domain::message::MessageRow;
use bridge::domain::message::history::What;
use bridge::domain::status::Status;
use bridge::ledger;
use bridge::ports::Key;
use ops::access::Access;
use ops::callbacks::{INCOMING_MESSAGES, read_keys, with_key};
use ops::failure::Failure;
use ops::stack::Stack;
use ops::terminal::Terminal;
use sandbox::medic::MessageState;
use serde_json::Value;

use crate::drive::result::{FollowedOutgoing, RunResult};
use crate::observed::{AwsFigures, observe, read_log};

/// How often log and ledger are read.
const READ_INTERVAL: Duration = Duration::from_secs(3);

/// A line may come into the log so much later than its time.
const LATE_AT_MOST: Duration = Duration::from_secs(60);

/// What is said of SMS in the log: an SMS that came in, and one that Medic wants sent.
const STORED: &str = "message_stored";
const OFFERED: &str = "messages_offered";

/// A stack in use.
#[derive(Debug)]
pub struct DeployedTarget {
    stack: Stack,
    terminal: Terminal,
    incoming_url: String,
    began: SystemTime,
    /// At least so long it follows what Medic wants sent.
    follows_for: Duration,
    read: Option<Instant>,
    read_until: SystemTime,
    /// When Medic stored each SMS.
    stored: BTreeMap<String, u64>,
    /// When the bridge was offered each message.
    offered: BTreeMap<String, u64>,
}

impl DeployedTarget {
    /// Finds a stack in the account and region of the AWS configuration.
    ///
    /// # Errors
    /// When there is no such stack, or AWS cannot be asked.
    pub async fn find(name: &str, follows_for: Duration) -> anyhow::Result<Self> {
        let access = Access::of_the_cli(None, None).await?;
        let stack = Stack::find(&access, Some(name)).await?;
        let keys = read_keys(&stack).await?;
        let began = SystemTime::now();
        Ok(Self {
            incoming_url: with_key(&stack.callback_url(INCOMING_MESSAGES)?, &keys.key),
            terminal: Terminal::default(),
            stack,
            began,
            follows_for,
            read: None,
            read_until: began,
            stored: BTreeMap::new(),
            offered: BTreeMap::new(),
        })
    }

    /// Its name in words.
    #[must_use]
    pub fn name(&self) -> String {
        let region = &self.stack.access.region;
        format!("the stack `{}` in {region}", self.stack.name)
    }

    /// Where incoming messages are posted, key included.
    #[must_use]
    pub fn incoming_url(&self) -> &str {
        &self.incoming_url
    }

    /// What AWS did since it was found, also for others.
    ///
    /// # Errors
    /// When AWS cannot be asked.
    pub async fn figures(&self) -> anyhow::Result<AwsFigures> {
        observe(&self.stack, self.began).await
    }

    /// Whether it has followed what Medic wants sent for long enough.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        let since = self.began.elapsed().unwrap_or_default();
        since >= self.follows_for
    }

    /// Looks where each SMS is. A message that is handed over again is logged again: whether Medic has stored
    /// it again can only be seen in Medic.
    ///
    /// # Errors
    /// When log or ledger cannot be read.
    pub async fn check(&mut self, result: &mut RunResult) -> anyhow::Result<()> {
        if self.read.is_some_and(|read| read.elapsed() < READ_INTERVAL) {
            return Ok(());
        }
        self.read_log().await?;
        for sms in &mut result.messages {
            // The log has an id that could be a phone number as a hash.
            let stored_ms = self.stored.get(&loggable(&sms.id));
            sms.stored_ms = stored_ms.copied().into_iter().collect();
        }
        result.outgoing = self.outgoing().await?;
        self.read = Some(Instant::now());
        Ok(())
    }

    async fn read_log(&mut self) -> anyhow::Result<()> {
        let group = format!("/aws/lambda/{}/medic-exchange", self.stack.name);
        let from = self.read_until.checked_sub(LATE_AT_MOST);
        let from = from.unwrap_or(self.began).max(self.began);
        let now = SystemTime::now();
        for (event, id, times) in [
            (STORED, "id", &mut self.stored),
            (OFFERED, "medic_ids", &mut self.offered),
        ] {
            let pattern = format!("\"{event}\"");
            for (at_ms, line) in read_log(&self.stack, &group, &pattern, from, now).await? {
                for id in ids_in(&line, event, id) {
                    times.entry(id).or_insert(at_ms.unsigned_abs());
                }
            }
        }
        self.read_until = now;
        Ok(())
    }

    /// Every message that Medic has offered since, by its row in the ledger.
    async fn outgoing(&self) -> anyhow::Result<Vec<FollowedOutgoing>> {
        let ids = self.offered.keys().cloned();
        let ids: Vec<MedicMessageId> = ids.filter_map(|id| MedicMessageId::new(id).ok()).collect();
        let keys: Vec<Key> = ids.iter().cloned().map(Key::Message).collect();
        let store = self.stack.ledger(&self.terminal)?;
        let rows = ledger::read(&store, &keys).await;
        let rows = rows.map_err(|error| Failure::aws("read the ledger", &error.0))?;
        let followed = ids.iter().map(|id| {
            let offered_ms = self.offered.get(id.as_str()).copied().unwrap_or_default();
            followed(id.as_str(), offered_ms, rows.message(id))
        });
        Ok(followed.collect())
    }
}

/// The ids in a line of the log about this event.
fn ids_in(line: &str, event: &str, name: &str) -> Vec<String> {
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    let text = |name: &str| line.get(name).and_then(Value::as_str);
    let ids = text(name).filter(|_| text("event") == Some(event));
    let ids = ids.into_iter().flat_map(|ids| ids.split(", "));
    ids.map(str::to_owned).collect()
}

/// What the ledger says of a message. Its status is the one that Medic has taken, and it is to be the ledger's
/// own when that is final.
fn followed(id: &str, offered_ms: u64, row: Option<&MessageRow>) -> FollowedOutgoing {
    let mut sms = FollowedOutgoing {
        offered: true,
        expected: None,
        ..FollowedOutgoing::new(id.to_owned(), offered_ms, MessageState::Delivered)
    };
    let Some(row) = row else {
        return sms;
    };
    for event in &row.history {
        let at_ms = event.at.as_millis().unsigned_abs();
        match &event.what {
            What::Accepted { .. } | What::Matched { .. } => sms.sent_ms.push(at_ms),
            What::Lost { .. } => drop(sms.sent_ms.pop()),
            What::Reported { status } => {
                sms.state = MessageState::after(status.medic_name());
                sms.state_ms = at_ms;
            }
            _ => {}
        }
    }
    let is_final = matches!(row.status, Status::Failed | Status::Delivered);
    sms.expected = is_final.then(|| MessageState::after(row.status.medic_name()));
    sms
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridge::domain::message::history::Event;
    use bridge::domain::time::Timestamp;

    #[test]
    fn only_the_event_that_is_asked_for_names_an_sms() {
        let line = r#"{"event":"message_stored","function":"f","id":"a","level":"info"}"#;
        assert_eq!(ids_in(line, STORED, "id"), ["a"]);
        assert!(ids_in(line, OFFERED, "id").is_empty());
        assert!(ids_in("REPORT message_stored", STORED, "id").is_empty());
        let line = r#"{"event":"messages_offered","medic_ids":"a, b"}"#;
        assert_eq!(ids_in(line, OFFERED, "medic_ids"), ["a", "b"]);
    }

    #[test]
    fn a_message_has_ended_when_medic_knows_its_final_status() {
        let id = MedicMessageId::new("m").unwrap();
        let mut row = MessageRow::begun(id, Timestamp::from_millis(1));
        assert!(followed("m", 1, None).sent_ms.is_empty());
        let happens = |row: &mut MessageRow, at, what| {
            let at = Timestamp::from_millis(at);
            row.history.push(Event { at, what });
        };
        happens(&mut row, 2, What::Accepted { at_id: None });
        row.status = Status::Delivered;
        assert!(!followed("m", 1, Some(&row)).has_ended());
        let status = Status::Delivered;
        happens(&mut row, 5, What::Reported { status });
        let sms = followed("m", 1, Some(&row));
        assert!(sms.has_ended());
        assert_eq!((sms.sent_ms.as_slice(), sms.state_ms), ([2].as_slice(), 5));
        happens(&mut row, 6, What::Accepted { at_id: None });
        assert_eq!(followed("m", 1, Some(&row)).sent_ms.len(), 2);
    }
}
