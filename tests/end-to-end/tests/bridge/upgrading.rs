//! A stack that is deployed again while messages are on their way, and one that is removed.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use sandbox::faults::Scope;
use sandbox::medic::{MedicFault, MessageState};

use crate::deployed::{Bridge, MARK, on_a_stack_of_its_own, run};
use crate::driving::{FORM, answer, form, found};

/// Resources that hold messages, keys or addresses: were one of them made anew, its content would be gone.
const LASTING: [&str; 10] = [
    "ExchangeQueue",
    "ExchangeDeadLetterQueue",
    "ReportsQueue",
    "ReportsDeadLetterQueue",
    "OutboxQueue",
    "OutboxDeadLetterQueue",
    "Ledger",
    "IncomingKeySecret",
    "CredentialsSecret",
    "HttpApi",
];

/// What these are called outside of the template.
async fn names(bridge: &Bridge) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let mut names = BTreeMap::new();
    for resource in LASTING {
        names.insert(resource, bridge.stack.resource(resource).await?);
    }
    Ok(names)
}

#[test]
fn an_update_of_a_running_stack_loses_nothing_and_makes_nothing_anew() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let before = names(bridge).await?;
        bridge
            .medic
            .fault(MedicFault::Down, Scope::UntilCleared)
            .await;
        let phone = bridge.number();
        let incoming = bridge
            .sms(&phone, &format!("{MARK} during an update"))
            .await?;
        let queue = &bridge.stack.outputs().exchange_queue_url;
        bridge.until_waiting(queue, &incoming, 1..=20).await?;

        bridge.update("RecipientSameTextPerDay", "21").await?;
        ensure!(names(bridge).await? == before);
        let secret = &bridge.stack.outputs().incoming_key_secret_arn;
        let secret = bridge.stack.aws().secret(secret).await?;
        ensure!(secret["key"] == bridge.generated_key.as_str());

        bridge.medic.clear_fault(MedicFault::Down).await;
        bridge.pass_time()?;
        bridge.stored(&incoming).await?;
        ensure!(bridge.copies_in_medic(&incoming).len() == 1);
        // The credentials are what they were, too.
        let outgoing = bridge
            .send(&phone, &format!("{MARK} after an update"))
            .await?;
        bridge
            .until_medic_shows(&outgoing, MessageState::Delivered)
            .await?;
        ensure!(bridge.sends_to(&phone).len() == 1);
        Ok(())
    })
}

#[test]
fn what_was_sent_is_still_known_when_the_stack_is_removed() -> anyhow::Result<()> {
    run(async {
        let bridge = Bridge::deploy().await?;
        let text = format!("{MARK} before the end");
        let id = bridge.send(&bridge.number(), &text).await?;
        bridge
            .until_medic_shows(&id, MessageState::Delivered)
            .await?;
        bridge.stack.delete().await?;
        let queue = &bridge.stack.outputs().outbox_queue_url;
        found("a stack without queues", async || {
            let gone = bridge.stack.aws().depth(queue).await.is_err();
            Ok(gone.then_some(()))
        })
        .await?;
        let row = bridge.row(&format!("message#{id}")).await?;
        ensure!(row.is_some_and(|row| row["status"] == "delivered"));
        Ok(())
    })
}

#[test]
fn a_stack_gets_a_host_name_of_its_own_and_the_webhooks_answer_to_it() -> anyhow::Result<()> {
    const DOMAIN: &str = "sms.example.org";
    const CERTIFICATE: &str = "arn:aws:acm:us-east-1:123456789012:certificate/of-that-name";
    run(async {
        let bridge = Bridge::deploy().await?;
        // The name without its certificate is refused.
        let alone = [("DomainName", DOMAIN)];
        ensure!(bridge.update_all(&alone).await.is_err());
        let domain = [("DomainName", DOMAIN), ("CertificateArn", CERTIFICATE)];
        let stack = bridge.update_all(&domain).await?;
        let (incoming, reports) = stack.callback_urls().await?;
        for (url, fields) in [
            (
                incoming,
                [("id", "a"), ("from", "+254700000010"), ("text", MARK)],
            ),
            (reports, [("id", "ATXid_a"), ("status", "Sent"), ("x", "")]),
        ] {
            let path = url.strip_prefix(&format!("https://{DOMAIN}"));
            let path = path.with_context(|| format!("{url} has another name"))?;
            // Nobody has the name in their DNS.
            let request = bridge
                .request_to(&format!("{}{path}", bridge.emulator.url()))
                .header("host", DOMAIN)
                .header("content-type", FORM);
            let answer = answer(request.body(form(&fields))).await?;
            ensure!(answer.status == 200, "{path}: {answer:?}");
        }
        bridge.stored("a").await?;
        Ok(())
    })
}
