//! Messages that Africa's Talking does not accept, or not at once.

use anyhow::ensure;
use futures_util::future::try_join_all;
use sandbox::africastalking::AfricasTalkingFault;
use sandbox::faults::Scope;
use sandbox::medic::MessageState;

use crate::deployed::{Bridge, MARK, on_a_stack_of_its_own, on_the_shared_stack};

#[test]
fn a_final_refusal_is_failed_in_medic_with_africas_talkings_reason() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let refusals = [
            (AfricasTalkingFault::UserInBlacklist, "UserInBlacklist"),
            (
                AfricasTalkingFault::InvalidPhoneNumber,
                "InvalidPhoneNumber",
            ),
            (
                AfricasTalkingFault::UnsupportedNumberType,
                "UnsupportedNumberType",
            ),
            (AfricasTalkingFault::CouldNotRoute, "CouldNotRoute"),
            (AfricasTalkingFault::RiskHold, "RiskHold"),
        ];
        let failures = refusals.map(|(fault, reason)| async move {
            let phone = bridge.number();
            let his = Scope::Matching(phone.clone());
            bridge.africastalking.fault(fault, his).await;
            let id = bridge.send(&phone, &format!("{MARK} refused")).await?;
            let shown = bridge.until_medic_shows(&id, MessageState::Failed).await?;
            let details = shown
                .history
                .last()
                .and_then(|change| change.details.clone());
            ensure!(details.as_deref() == Some(reason), "{details:?}");
            ensure!(bridge.sends_to(&phone).len() == 1);
            Ok(())
        });
        try_join_all(failures).await?;
        Ok(())
    })
}

#[test]
fn a_send_whose_answer_is_lost_is_not_sent_again_at_once() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let faults = [
            AfricasTalkingFault::AcceptedClose,
            AfricasTalkingFault::AcceptedHttp503,
            AfricasTalkingFault::AcceptedTruncated,
            AfricasTalkingFault::AcceptedInternalServerError,
        ];
        let outbox = &bridge.stack.outputs().outbox_queue_url;
        let sends = faults.map(|fault| async move {
            let phone = bridge.number();
            let his = || Scope::Matching(phone.clone());
            bridge
                .africastalking
                .fault(AfricasTalkingFault::ReportsNone, his())
                .await;
            bridge.africastalking.fault(fault, his()).await;
            let id = bridge.send(&phone, &format!("{MARK} in doubt")).await?;
            let row = bridge.until_sending_is(&id, "unknown").await?;
            ensure!(
                row["attempts"] == 1 && row["unknown_outcomes"] == 1,
                "{row}"
            );
            // The copy waits for a report, two minutes and more.
            bridge.until_waiting(outbox, &id, 100..=150).await?;
            ensure!(bridge.sends_to(&phone).len() == 1, "{fault:?}");
            ensure!(bridge.on_phone(&phone).len() == 1, "{fault:?}");
            bridge
                .until_medic_shows(&id, MessageState::ReceivedByGateway)
                .await?;
            Ok(())
        });
        try_join_all(sends).await?;
        Ok(())
    })
}

#[test]
fn what_surely_was_not_sent_waits_as_long_as_its_reason_asks_for() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let outbox = &bridge.stack.outputs().outbox_queue_url;
        let cases = [
            (AfricasTalkingFault::Http400, "HTTP 400", 1..=9),
            (AfricasTalkingFault::Http429, "HTTP 429", 20..=44),
            (
                AfricasTalkingFault::DoNotDisturb,
                "DoNotDisturbRejection",
                1700..=2600,
            ),
        ];
        let sends = cases.map(|(fault, reason, waits_s)| async move {
            let phone = bridge.number();
            let his = Scope::Matching(phone.clone());
            bridge.africastalking.fault(fault, his).await;
            let id = bridge.send(&phone, &format!("{MARK} later")).await?;
            let row = bridge.until_sending_is(&id, "waiting").await?;
            ensure!(row["sending"]["reason"] == reason, "{row}");
            bridge.until_waiting(outbox, &id, waits_s).await?;
            bridge
                .until_medic_shows(&id, MessageState::ReceivedByGateway)
                .await?;
            ensure!(bridge.on_phone(&phone).is_empty());
            Ok(())
        });
        try_join_all(sends).await?;
        Ok(())
    })
}

#[test]
fn a_failure_of_the_account_opens_the_circuit_and_fails_nothing() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        for (fault, cause) in [
            (AfricasTalkingFault::OutOfCredit, "insufficient_balance"),
            (AfricasTalkingFault::NoRecipients, "invalid_sender_id"),
            (AfricasTalkingFault::Http401, "credentials_refused"),
        ] {
            let all = Scope::UntilCleared;
            bridge.africastalking.fault(fault, all).await;
            let first = bridge.number();
            let paused = bridge.send(&first, &format!("{MARK} held")).await?;
            bridge.until_sending_is(&paused, "waiting").await?;
            let account = bridge.row("account").await?.unwrap();
            ensure!(account["open_circuits"][0]["cause"] == cause, "{account}");

            // One was enough to know: what comes now waits for the pilot without asking.
            let second = bridge.number();
            let waiting = bridge.send(&second, &format!("{MARK} held, too")).await?;
            let outbox = &bridge.stack.outputs().outbox_queue_url;
            bridge.until_waiting(outbox, &waiting, 100..=245).await?;
            ensure!(bridge.sends_to(&first).len() == 1, "{fault:?}");
            ensure!(bridge.sends_to(&second).is_empty(), "{fault:?}");
            for id in [&paused, &waiting] {
                bridge
                    .until_medic_shows(id, MessageState::ReceivedByGateway)
                    .await?;
            }
            // And what comes in is not held up.
            let id = bridge.sms(&second, &format!("{MARK} incoming")).await?;
            bridge.stored(&id).await?;
            bridge.africastalking.clear_fault(fault).await;
            forget_the_outbox(bridge).await?;
        }
        bridge
            .until_logged("outbound-sender", "circuit_opened", 3)
            .await
    })
}

#[test]
fn five_calls_in_a_row_without_an_answer_open_the_circuit_and_fail_nothing() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let opened_before = bridge.count_of("outbound-sender", "circuit_opened").await?;
        let all = Scope::UntilCleared;
        bridge
            .africastalking
            .fault(AfricasTalkingFault::Http503, all)
            .await;
        let without_answer = [(); 5].map(|()| bridge.number());
        let mut ids = Vec::new();
        for phone in &without_answer {
            ids.push(bridge.send(phone, &format!("{MARK} in vain")).await?);
        }
        for id in &ids {
            bridge.until_sending_is(id, "unknown").await?;
        }
        bridge
            .until_logged("outbound-sender", "circuit_opened", opened_before + 1)
            .await?;
        let account = bridge.row("account").await?.unwrap();
        ensure!(
            account["open_circuits"][0]["cause"] == "no_answer",
            "{account}"
        );

        // What comes now becomes the pilot, and waits for its turn without a call.
        let phone = bridge.number();
        let waiting = bridge.send(&phone, &format!("{MARK} held")).await?;
        let outbox = &bridge.stack.outputs().outbox_queue_url;
        bridge.until_waiting(outbox, &waiting, 5..=75).await?;
        ensure!(bridge.sends_to(&phone).is_empty());
        ids.push(waiting);
        for id in &ids {
            bridge
                .until_medic_shows(id, MessageState::ReceivedByGateway)
                .await?;
        }
        for phone in &without_answer {
            ensure!(bridge.sends_to(phone).len() == 1);
        }
        forget_the_outbox(bridge).await
    })
}

#[test]
fn while_africas_talking_cannot_be_reached_messages_wait_and_are_sent_once_then()
-> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let all = Scope::UntilCleared;
        bridge
            .africastalking
            .fault(AfricasTalkingFault::Down, all)
            .await;
        let phone = bridge.number();
        let id = bridge.send(&phone, &format!("{MARK} nobody there")).await?;
        let row = bridge.until_sending_is(&id, "waiting").await?;
        ensure!(
            row["sending"]["reason"] == "no connection" && row.get("unknown_outcomes").is_none(),
            "{row}"
        );
        bridge
            .africastalking
            .clear_fault(AfricasTalkingFault::Down)
            .await;
        bridge
            .until_medic_shows(&id, MessageState::Delivered)
            .await?;
        ensure!(bridge.on_phone(&phone).len() == 1);
        Ok(())
    })
}

/// Takes away what would wait for longer than the tests run.
async fn forget_the_outbox(bridge: &Bridge) -> anyhow::Result<()> {
    let outputs = bridge.stack.outputs();
    let queue = serde_json::json!({ "QueueUrl": outputs.outbox_queue_url });
    let aws = bridge.stack.aws();
    aws.call("sqs", "AmazonSQS.PurgeQueue", &queue).await?;
    let key = serde_json::json!({
        "TableName": outputs.ledger_table, "Key": { "pk": { "S": "account" } },
    });
    let target = "DynamoDB_20120810.DeleteItem";
    aws.call("dynamodb", target, &key).await?;
    Ok(())
}
