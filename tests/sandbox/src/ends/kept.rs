//! Ledger and queues between two starts: without them, a second start knows nothing of what the first
//! has sent.
//!
//! The emulator writes them (`emulator.py`), because it alone is there when the sandbox is killed: its
//! functions end first, then it writes what they left. Here they are put back, before the functions
//! get any credentials.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::ids;
use crate::stack::EmulatedStack;
use crate::tools::repository;

/// Message kinds of the exchange's queue that mean nothing to a later start.
const SIGNALS: [&str; 2] = ["poll", "continue"];

/// Statuses of messages that are with the bridge, as far as Medic knows.
const WITH_US: [&str; 2] = ["unsent", "pending"];

/// A folder with what an earlier start has left. Only one sandbox has it at a time.
#[derive(Debug)]
pub struct KeptFolder {
    folder: PathBuf,
    _lock: File,
}

/// How many rows and messages were restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoredCounts {
    /// Rows of the ledger.
    pub rows: usize,
    /// Messages in queues.
    pub messages: usize,
}

impl KeptFolder {
    /// The folder for these two ends: what was sent for one Medic says nothing of another one, nor of
    /// another account.
    ///
    /// # Errors
    /// When it cannot be made, or another sandbox has it.
    pub fn of_ends(medic_url: Option<&str>, username: Option<&str>) -> anyhow::Result<Self> {
        let name = format!(
            "{} {}",
            medic_url.unwrap_or("stand-in"),
            username.unwrap_or("stand-in")
        );
        let name: String = name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '.' {
                    c
                } else {
                    '-'
                }
            })
            .collect();
        Self::at(&repository().join(".kept").join(name))
    }

    /// This folder, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made, or another sandbox has it.
    pub fn at(folder: &Path) -> anyhow::Result<Self> {
        let problem = || format!("cannot use {}", folder.display());
        fs::create_dir_all(folder).with_context(problem)?;
        // Numbers and texts of SMS that wait are in it.
        fs::set_permissions(folder, Permissions::from_mode(0o700)).with_context(problem)?;
        let lock = File::create(folder.join("lock")).with_context(problem)?;
        if lock.try_lock().is_err() {
            bail!(
                "another sandbox keeps its ledger in {}: end it first",
                folder.display()
            );
        }
        Ok(Self {
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the emulator writes to.
    #[must_use]
    pub fn state_file(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    fn key_file(&self) -> PathBuf {
        self.folder.join("incoming-key.json")
    }

    /// The state that an earlier start has left, if there was one.
    ///
    /// # Errors
    /// When it is there and cannot be read: going on without it could send everything again.
    fn state(&self) -> anyhow::Result<Option<Value>> {
        read_json(&self.state_file())
    }

    /// How many messages an earlier start has taken from Medic and not yet reported as sent.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub fn with_us(&self) -> anyhow::Result<u64> {
        let state = self.state()?.unwrap_or_default();
        let rows = state.get("rows").and_then(Value::as_array);
        let with_us = rows.into_iter().flatten().filter(|row| {
            let reported = row.pointer("/reported/S").and_then(Value::as_str);
            reported.is_some_and(|status| WITH_US.contains(&status))
        });
        Ok(u64::try_from(with_us.count())?)
    }

    /// How many SMS wait in the kept queue to the phones.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub fn waiting_for_phones(&self) -> anyhow::Result<u64> {
        let state = self.state()?.unwrap_or_default();
        let queues = state.get("queues").and_then(Value::as_object);
        let outbox = queues
            .into_iter()
            .flatten()
            .filter(|(name, _)| name.contains("Outbox") && !name.contains("DeadLetter"));
        let waiting = outbox.filter_map(|(_, messages)| messages.as_array());
        Ok(u64::try_from(waiting.map(Vec::len).sum::<usize>())?)
    }

    /// Puts everything into a stack that was just deployed and has no credentials yet: the ledger, the
    /// queues, and the key in the callback URLs.
    ///
    /// # Errors
    /// When something of it cannot be put back.
    pub async fn restore(&self, stack: &EmulatedStack) -> anyhow::Result<RestoredCounts> {
        self.restore_key(stack).await?;
        let Some(state) = self.state()? else {
            return Ok(RestoredCounts::default());
        };
        let mut counts = RestoredCounts::default();
        for row in state
            .get("rows")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let input = json!({ "TableName": stack.outputs().ledger_table, "Item": row });
            let put = "DynamoDB_20120810.PutItem";
            stack.aws().call("dynamodb", put, &input).await?;
            counts.rows += 1;
        }
        let queues = state.get("queues").and_then(Value::as_object);
        for (name, messages) in queues.into_iter().flatten() {
            let url = queue_url(stack, name)
                .with_context(|| format!("the stack has no queue {name} any more"))?;
            for message in messages.as_array().into_iter().flatten() {
                if put_back(stack, url, message).await? {
                    counts.messages += 1;
                }
            }
        }
        Ok(counts)
    }

    /// The two URLs in the dashboard go on working, if the tunnel has the same address.
    async fn restore_key(&self, stack: &EmulatedStack) -> anyhow::Result<()> {
        let arn = &stack.outputs().incoming_key_secret_arn;
        if let Some(key) = read_json(&self.key_file())? {
            return stack.aws().put_secret(arn, &key).await;
        }
        let key = stack.aws().secret(arn).await?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(self.key_file())?;
        serde_json::to_writer(file, &key).context("cannot keep the key of the callbacks")
    }
}

/// Puts a message back at the end of its queue, unless it means nothing any more.
async fn put_back(stack: &EmulatedStack, url: &str, message: &Value) -> anyhow::Result<bool> {
    let body = message.get("body").and_then(Value::as_str);
    let body = body.context("a kept message has no body")?;
    let inside: Value = serde_json::from_str(body).unwrap_or_default();
    let kind = inside.get("kind").and_then(Value::as_str);
    if kind.is_some_and(|kind| SIGNALS.contains(&kind)) {
        return Ok(false);
    }
    let mut input = json!({ "QueueUrl": url, "MessageBody": body });
    if let Some(input) = input.as_object_mut() {
        if let Some(attributes) = message.get("attributes").filter(|value| value.is_object()) {
            input.insert("MessageAttributes".to_owned(), attributes.clone());
        }
        if let Some(group) = message.get("group").filter(|value| value.is_string()) {
            input.insert("MessageGroupId".to_owned(), group.clone());
        }
        if url.ends_with(".fifo") {
            let id = ids::uuid()?;
            input.insert("MessageDeduplicationId".to_owned(), id.into());
        }
    }
    stack
        .aws()
        .call("sqs", "AmazonSQS.SendMessage", &input)
        .await?;
    Ok(true)
}

/// The queue of this name. A name is made from those of the stack and of the resource, so it is the
/// same in every start.
fn queue_url<'a>(stack: &'a EmulatedStack, name: &str) -> Option<&'a str> {
    let outputs = stack.outputs();
    [
        &outputs.exchange_queue_url,
        &outputs.exchange_dead_letter_queue_url,
        &outputs.reports_queue_url,
        &outputs.reports_dead_letter_queue_url,
        &outputs.outbox_queue_url,
        &outputs.outbox_dead_letter_queue_url,
    ]
    .into_iter()
    .find(|url| url.rsplit('/').next() == Some(name))
    .map(String::as_str)
}

fn read_json(file: &Path) -> anyhow::Result<Option<Value>> {
    match fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).map(Some).with_context(|| {
            format!(
                "{} cannot be read; without it, what was sent would be sent again",
                file.display()
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("kept-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn a_folder_belongs_to_one_sandbox_at_a_time() {
        let folder = folder("lock");
        let first = KeptFolder::at(&folder).unwrap();
        let problem = KeptFolder::at(&folder).unwrap_err().to_string();
        assert!(problem.contains("another sandbox"), "{problem}");
        drop(first);
        assert_eq!(KeptFolder::at(&folder).unwrap().with_us().unwrap(), 0);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_kept_is_counted_and_what_cannot_be_read_is_no_empty_ledger() {
        let folder = folder("counts");
        let kept = KeptFolder::at(&folder).unwrap();
        let state = json!({
            "rows": [
                { "pk": { "S": "message#1" }, "reported": { "S": "unsent" } },
                { "pk": { "S": "message#2" }, "reported": { "S": "delivered" } },
                { "pk": { "S": "account" } },
            ],
            "queues": {
                "bridge-OutboxQueue-A": [{ "body": "{}" }, { "body": "{}" }],
                "bridge-OutboxDeadLetterQueue-B": [{ "body": "{}" }],
            },
        });
        fs::write(kept.state_file(), state.to_string()).unwrap();
        assert_eq!(kept.with_us().unwrap(), 1);
        assert_eq!(kept.waiting_for_phones().unwrap(), 2);
        fs::write(kept.state_file(), "{\"rows\": [").unwrap();
        let problem = kept.with_us().unwrap_err().to_string();
        assert!(problem.contains("would be sent again"), "{problem}");
        fs::remove_dir_all(folder).unwrap();
    }
}
