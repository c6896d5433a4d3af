//! An upgrade from the last release: its template is deployed, every kind of message waits in its queues and every kind of
//! message's row is in its ledger, in the form of that release. Then the present template is deployed over it.
//!
//! What a release leaves behind is in `released/VERSION`, and `cargo bundle --keep-for-upgrades` writes it. The programs
//! of a release are not kept, so nothing runs before the upgrade.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use reqwest::Method;
use sandbox::medic::MessageState;
use sandbox::stack;
use serde_json::{Map, Value, json};

use crate::deployed::{Bridge, MARK, run};
use crate::driving::found;

/// The mappings of the three workers.
const MAPPINGS: [&str; 3] = [
    "MedicExchangeMapping",
    "OutboundSenderMapping",
    "ReportRecorderMapping",
];

/// Where a release is kept.
struct Release(PathBuf);

impl Release {
    /// The last one.
    fn last() -> anyhow::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("released");
        let mut releases = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let numbers: Result<Vec<u32>, _> = name.split('.').map(str::parse).collect();
            releases.push((numbers.context(name)?, entry.path()));
        }
        let last = releases.into_iter().max();
        Ok(Self(last.context("no release is kept")?.1))
    }

    /// Its template, in a folder where the present programs are what it deploys.
    fn template(&self) -> anyhow::Result<PathBuf> {
        let program = stack::program("medic-exchange");
        let functions = program.ancestors().nth(2).context("no folder")?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("released");
        let template = folder.join("infra/template.yaml");
        fs::create_dir_all(folder.join("infra"))?;
        fs::copy(self.0.join("template.yaml"), &template)?;
        let link = folder.join("functions");
        if !link.exists() {
            std::os::unix::fs::symlink(functions, link)?;
        }
        Ok(template)
    }

    /// One of its stored forms, with other values in some fields.
    fn stored(&self, name: &str, changed: Value) -> anyhow::Result<Value> {
        let file = self.0.join("golden").join(format!("{name}.json"));
        let text = fs::read(&file).with_context(|| file.display().to_string())?;
        let mut stored: Value = serde_json::from_slice(&text)?;
        let fields = stored.as_object_mut().context("no object")?;
        if let Value::Object(changed) = changed {
            fields.extend(changed);
        }
        Ok(stored)
    }
}

fn now_ms() -> anyhow::Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::try_from(since.as_millis())?)
}

/// A value as DynamoDB writes it.
fn attribute(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(value) => json!({ "BOOL": value }),
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::String(text) => json!({ "S": text }),
        Value::Array(list) => json!({ "L": list.iter().map(attribute).collect::<Vec<_>>() }),
        Value::Object(fields) => json!({ "M": attributes(fields) }),
    }
}

fn attributes(fields: &Map<String, Value>) -> Map<String, Value> {
    let attributes = fields.iter();
    attributes
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect()
}

/// Puts a row into the ledger.
async fn put(bridge: &Bridge, pk: &str, mut row: Value) -> anyhow::Result<()> {
    let fields = row.as_object_mut().context("no object")?;
    fields.insert("pk".to_owned(), pk.into());
    fields.insert("version".to_owned(), "of-the-release".into());
    fields.insert("changed_at_ms".to_owned(), now_ms()?.into());
    let item = attributes(fields);
    let table = &bridge.stack.outputs().ledger_table;
    let input = json!({ "TableName": table, "Item": item });
    let put = bridge
        .stack
        .aws()
        .call("dynamodb", "DynamoDB_20120810.PutItem", &input);
    put.await?;
    Ok(())
}

async fn switch(bridge: &Bridge, enabled: bool) -> anyhow::Result<()> {
    for mapping in MAPPINGS {
        let mapping = bridge.stack.resource(mapping).await?;
        let path = format!("event-source-mappings/{mapping}");
        let input = json!({ "Enabled": enabled });
        bridge
            .stack
            .aws()
            .lambda(Method::PUT, &path, &input)
            .await?;
    }
    Ok(())
}

#[test]
fn what_the_last_release_has_left_is_taken_up_and_nothing_is_lost_or_sent_twice()
-> anyhow::Result<()> {
    run(async {
        stack::prepare().await?;
        let release = Release::last()?;
        let bridge = Bridge::deploy_template(&release.template()?).await?;
        switch(&bridge, false).await?;
        let now = now_ms()?;
        let outputs = bridge.stack.outputs();
        let queue = async |url: &str, body: Value, group: Option<&str>| {
            bridge.stack.aws().send(url, &body.to_string(), group).await
        };
        let medic = |what: &str| {
            bridge
                .medic
                .queue(&bridge.number(), &format!("{MARK} {what}"))
        };

        // SMS that came in: one that waits, one whose quarantine is over, and a dead letter.
        let incoming = |id: &str| {
            json!({ "id": id, "from": bridge.number(), "content": format!("{MARK} {id}"),
                "sent_at_ms": now, "received_at_ms": now })
        };
        let exchange = &outputs.exchange_queue_url;
        let waiting = release.stored("exchange-incoming-v1", incoming("waiting"))?;
        queue(exchange, waiting, Some("medic")).await?;
        let mut quarantined = release.stored("exchange-quarantined-v1", incoming("quarantined"))?;
        quarantined["quarantine"]["since_ms"] = now.into();
        queue(exchange, quarantined, Some("quarantine-released")).await?;
        let dead_letter = release.stored("dead-letter-v1", json!({}))?;
        let input = json!({
            "QueueUrl": outputs.exchange_dead_letter_queue_url, "MessageBody": dead_letter.to_string(),
            "MessageGroupId": "medic", "MessageDeduplicationId": "dead-letter",
        });
        let aws = bridge.stack.aws();
        aws.call("sqs", "AmazonSQS.SendMessage", &input).await?;

        // One that was offered and not sent.
        let unsent = medic("unsent")?;
        let changed = json!({ "id": unsent, "to": bridge.medic.outgoing(&unsent).context("gone")?.to,
            "first_offered_ms": now });
        queue(
            &outputs.outbox_queue_url,
            release.stored("outbox-send-v1", changed)?,
            None,
        )
        .await?;
        // One that was sent, and whose acceptance could not be written down.
        let unwritten = medic("unwritten")?;
        let calling = json!({ "is": "calling", "claim": "of-the-release", "since_ms": now });
        let row = json!({ "id": unwritten, "first_offered_ms": now, "sending": calling, "status": "unsent",
            "reported": "unsent", "at_ids": [], "reports": [], "charges": [], "log": [] });
        put(
            &bridge,
            &format!("message#{unwritten}"),
            release.stored("message-row-with-reports-v1", row)?,
        )
        .await?;
        let mut accepted = release.stored(
            "outbox-accepted-v1",
            json!({ "id": unwritten, "first_offered_ms": now, "called_at_ms": now }),
        )?;
        accepted["acceptance"]["at_id"] = "ATXid_unwritten".into();
        queue(&outputs.outbox_queue_url, accepted, None).await?;
        // One that was sent, and whose report waits.
        let unread = medic("unread")?;
        let row = json!({ "id": unread, "first_offered_ms": now, "status": "sent", "reported": "sent",
            "at_ids": ["ATXid_unread"], "reports": [] });
        put(
            &bridge,
            &format!("message#{unread}"),
            release.stored("message-row-with-reports-v1", row)?,
        )
        .await?;
        let pointer = json!({ "id": "ATXid_unread", "message": unread, "reports": [] });
        put(
            &bridge,
            "sms#ATXid_unread",
            release.stored("sms-row-v1", pointer)?,
        )
        .await?;
        let report = json!({ "id": "ATXid_unread", "status": "Success", "failure_reason": null, "received_at_ms": now });
        queue(
            &outputs.reports_queue_url,
            release.stored("report-v1", report)?,
            None,
        )
        .await?;
        // One that was delivered, and Medic does not know it yet.
        let unreported = medic("unreported")?;
        let row = json!({ "id": unreported, "first_offered_ms": now, "unreported": "yes" });
        put(
            &bridge,
            &format!("message#{unreported}"),
            release.stored("message-row-with-reports-v1", row)?,
        )
        .await?;

        bridge.update_all(&[]).await?;
        switch(&bridge, true).await?;

        for id in ["waiting", "quarantined"] {
            bridge.stored(id).await?;
            ensure!(bridge.copies_in_medic(id).len() == 1, "{id}");
        }
        for id in [&unsent, &unread, &unreported] {
            bridge
                .until_medic_shows(id, MessageState::Delivered)
                .await?;
        }
        bridge
            .until_medic_shows(&unwritten, MessageState::Sent)
            .await?;
        // What waits for a visibility timeout comes again, and is not sent again.
        bridge.pass_time()?;
        found("empty queues", async || {
            let queues = [&outputs.outbox_queue_url, &outputs.reports_queue_url];
            for queue in queues {
                let waiting = bridge.stack.aws().peek(queue).await?;
                ensure!(waiting.is_empty(), "{waiting:?}");
            }
            Ok(Some(()))
        })
        .await?;
        let sends = bridge.africastalking.requests();
        ensure!(sends.len() == 1, "sent again: {sends:?}");
        let dead_lettered = bridge
            .stack
            .aws()
            .take_all(&outputs.exchange_dead_letter_queue_url)
            .await?;
        ensure!(dead_lettered.len() == 1, "{dead_lettered:?}");
        Ok(())
    })
}
