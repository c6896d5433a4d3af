//! A stack that is deployed again while messages are on their way, and one that is removed.

use std::collections::BTreeMap;

use anyhow::ensure;
use sandbox::faults::Scope;
use sandbox::medic::{MedicFault, MessageState};

use crate::deployed::{Bridge, MARK, on_a_stack_of_its_own, run};
use crate::driving::found;

/// What holds messages, keys or addresses: were one of these made anew, what is in it would be gone.
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
