//! The facts that a page shows, at one moment: at both ends, in the queues, in the ledger.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use super::{SandboxSystem, real};
use crate::africastalking::{
    AfricasTalkingFault, CallbackAttempt, CallbackKind, PhoneSms, SmsToPhone,
};
use crate::faults::Active;
use crate::medic::{MedicFault, OutgoingMessage, StoredMessage};
use crate::stack::WaitingMessage;

/// The queues of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StackQueue {
    Exchange,
    ExchangeDeadLetter,
    Outbox,
    OutboxDeadLetter,
    Reports,
    ReportsDeadLetter,
}

impl StackQueue {
    pub(super) const ALL: [Self; 6] = [
        Self::Exchange,
        Self::ExchangeDeadLetter,
        Self::Outbox,
        Self::OutboxDeadLetter,
        Self::Reports,
        Self::ReportsDeadLetter,
    ];

    fn url(self, system: &SandboxSystem) -> &str {
        let outputs = system.stack.outputs();
        match self {
            Self::Exchange => &outputs.exchange_queue_url,
            Self::ExchangeDeadLetter => &outputs.exchange_dead_letter_queue_url,
            Self::Outbox => &outputs.outbox_queue_url,
            Self::OutboxDeadLetter => &outputs.outbox_dead_letter_queue_url,
            Self::Reports => &outputs.reports_queue_url,
            Self::ReportsDeadLetter => &outputs.reports_dead_letter_queue_url,
        }
    }
}

/// A message in a queue.
#[derive(Clone, Debug)]
pub(super) struct MessageInQueue {
    /// Its body as JSON; of what was dead-lettered, the body that could not be processed.
    pub body: Value,
    /// Why it was dead-lettered.
    pub reason: Option<String>,
    /// How often it was received.
    pub receives: u64,
    /// When it can be received, in milliseconds since 1970.
    pub next_try_ms: i64,
}

impl MessageInQueue {
    fn of(message: &WaitingMessage, ahead_ms: i64) -> Self {
        let body: Value = serde_json::from_str(&message.body).unwrap_or_default();
        let inner = body.get("body").and_then(Value::as_str);
        let reason = body.get("reason").and_then(Value::as_str);
        Self {
            reason: reason.map(str::to_owned),
            body: match inner {
                Some(inner) => serde_json::from_str(inner).unwrap_or_default(),
                None => body,
            },
            receives: message.receives,
            next_try_ms: i64::try_from(message.visible_at_s * 1000)
                .unwrap_or(i64::MAX)
                .saturating_sub(ahead_ms),
        }
    }

    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.body.get(field).and_then(Value::as_str)
    }

    /// Whether it carries this: an `incoming` SMS, one to `send`, a `poll`.
    pub(super) fn is(&self, kind: &str) -> bool {
        self.text("kind") == Some(kind)
    }
}

/// The state of the emulator of AWS.
#[derive(Clone, Debug, Default)]
pub(super) struct Inside {
    pub queues: BTreeMap<StackQueue, Vec<MessageInQueue>>,
    pub rows: Vec<Value>,
}

impl Inside {
    /// Looks. All queues are read at one moment.
    pub(super) async fn observe(system: &SandboxSystem) -> anyhow::Result<Self> {
        let mut found = system.stack.aws().peek_all().await?;
        let ahead_ms = i64::try_from(system.queue_clock.ahead().as_millis())?;
        let mut queues = BTreeMap::new();
        for queue in StackQueue::ALL {
            let messages = found
                .remove(queue.url(system))
                .with_context(|| format!("the emulator has no queue {queue:?}"))?;
            let messages = messages
                .iter()
                .map(|message| MessageInQueue::of(message, ahead_ms));
            queues.insert(queue, messages.collect());
        }
        let rows = system.stack.ledger().await?;
        Ok(Self { queues, rows })
    }

    pub(super) fn queue(&self, queue: StackQueue) -> &[MessageInQueue] {
        self.queues.get(&queue).map_or(&[], Vec::as_slice)
    }

    /// The ledger's rows about messages of Medic, by its ids.
    pub(super) fn message_rows(&self) -> HashMap<&str, &Value> {
        self.rows
            .iter()
            .filter_map(|row| {
                let key = row.get("pk")?.as_str()?;
                Some((key.strip_prefix("message#")?, row))
            })
            .collect()
    }
}

/// The SMS that phones have sent. Read before everything else: an SMS that was accepted until then is in
/// a queue, or has left it for Medic, when the queues are read.
#[derive(Clone, Debug, Default)]
pub(super) struct Phones {
    pub sent: Vec<PhoneSms>,
    pub reports: Vec<CallbackAttempt>,
}

impl Phones {
    pub(super) fn observe(system: &SandboxSystem) -> Self {
        if let Some(account) = &system.real.africastalking {
            return real::phones(account);
        }
        let africastalking = &system.africastalking;
        let mut reports = africastalking.callbacks();
        reports.retain(|callback| callback.kind == CallbackKind::Report);
        Self {
            sent: africastalking.from_phones(),
            reports,
        }
    }
}

/// The messages at the two ends, and the state of both. Read after everything else.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    pub landed: Vec<SmsToPhone>,
    pub paused_reports: usize,
    pub africastalking_faults: Vec<Active<AfricasTalkingFault>>,
    pub stored: Vec<StoredMessage>,
    pub outgoing: Vec<OutgoingMessage>,
    /// The ids of incoming messages in POSTs that Medic works on.
    pub at_medic: HashSet<String>,
    pub paused_posts: usize,
    pub medic_faults: Vec<Active<MedicFault>>,
    pub replies: bool,
    pub medic_is_real: bool,
    pub phones_are_real: bool,
    /// The facts about a real Medic.
    pub real_medic: Option<Value>,
    /// The facts about a real account of Africa's Talking.
    pub real_africastalking: Option<Value>,
}

impl Ends {
    pub(super) fn observe(system: &SandboxSystem) -> Self {
        let (africastalking, medic) = (&system.africastalking, &system.medic);
        let at_medic = medic
            .posts()
            .into_iter()
            .filter(|post| !post.ended)
            .flat_map(|post| post.message_ids)
            .collect();
        Self {
            landed: africastalking.accepted(),
            paused_reports: africastalking.paused_reports(),
            africastalking_faults: africastalking.active_faults(),
            stored: medic.stored(),
            outgoing: medic.all_outgoing(),
            at_medic,
            paused_posts: medic.paused(),
            medic_faults: medic.active_faults(),
            replies: medic.replies(),
            ..Self::default()
        }
    }
}

/// Everything, in the order in which it was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub phones: Phones,
    pub inside: Inside,
    pub ends: Ends,
}
