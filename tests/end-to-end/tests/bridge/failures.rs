//! Medic away, in doubt, or refusing: nothing accepted is lost, and nothing is stored twice.

use anyhow::ensure;
use sandbox::faults::Scope;
use sandbox::medic::{MedicFault, MessageState, Post};

use crate::deployed::{Bridge, MARK, MEDIC_TIMEOUT_S, id, on_a_stack_of_its_own};
use crate::driving::{found, until};

const EXCHANGE: &str = "medic-exchange";

fn exchange_queue(bridge: &Bridge) -> &str {
    &bridge.stack.outputs().exchange_queue_url
}

/// Lets waits end until Medic has all of these.
pub async fn until_stored(bridge: &Bridge, ids: &[String]) -> anyhow::Result<()> {
    bridge.pass_time()?;
    until("all of them in Medic", || {
        ids.iter().all(|id| !bridge.copies_in_medic(id).is_empty())
    })
    .await?;
    found("an empty queue", async || {
        let depth = bridge.stack.aws().depth(exchange_queue(bridge)).await?;
        Ok((depth.total() == 0).then_some(()))
    })
    .await?;
    for id in ids {
        let copies = bridge.copies_in_medic(id);
        ensure!(copies.len() == 1, "{copies:?}");
    }
    Ok(())
}

/// The order in which Medic has stored these.
fn order_in_medic(bridge: &Bridge, ids: &[&String]) -> Vec<String> {
    let mut stored = bridge.medic.stored();
    stored.retain(|stored| ids.contains(&&stored.id));
    stored.into_iter().map(|stored| stored.id).collect()
}

/// Sends SMS while nothing reaches Medic, so that they are in one batch then.
async fn while_medic_is_away(bridge: &Bridge, sms: &[(&str, &str)]) -> anyhow::Result<Vec<String>> {
    bridge
        .medic
        .fault(MedicFault::Down, Scope::UntilCleared)
        .await;
    let mut ids = Vec::new();
    for (phone, text) in sms {
        ids.push(bridge.sms(phone, text).await?);
    }
    bridge
        .until_waiting(exchange_queue(bridge), &ids[0], 1..=20)
        .await?;
    bridge.medic.clear_fault(MedicFault::Down).await;
    Ok(ids)
}

#[test]
fn what_comes_while_medic_is_away_is_stored_once_and_in_order_when_it_is_back() -> anyhow::Result<()>
{
    on_a_stack_of_its_own(async |bridge| {
        bridge
            .medic
            .fault(MedicFault::Down, Scope::UntilCleared)
            .await;
        let (mother, nurse) = (bridge.number(), bridge.number());
        let mut ids = Vec::new();
        for (n, phone) in [&mother, &nurse, &mother, &mother, &nurse]
            .into_iter()
            .enumerate()
        {
            ids.push(
                bridge
                    .sms(phone, &format!("{MARK} {n} while Medic is away"))
                    .await?,
            );
        }
        // The waits grow.
        let queue = exchange_queue(bridge);
        bridge.until_waiting(queue, &ids[0], 1..=6).await?;
        bridge.pass_time()?;
        bridge.until_waiting(queue, &ids[0], 7..=12).await?;
        bridge.pass_time()?;
        bridge.until_waiting(queue, &ids[0], 13..=24).await?;
        ensure!(ids.iter().all(|id| bridge.copies_in_medic(id).is_empty()));

        bridge.medic.clear_fault(MedicFault::Down).await;
        until_stored(bridge, &ids).await?;
        for of_one in [vec![&ids[0], &ids[2], &ids[3]], vec![&ids[1], &ids[4]]] {
            let order = order_in_medic(bridge, &of_one);
            ensure!(order.iter().eq(of_one.iter().copied()), "{order:?}");
        }
        Ok(())
    })
}

#[test]
fn a_post_whose_answer_is_lost_is_stored_once_and_replied_to_once() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let reply = format!("{MARK} asante");
        bridge.medic.set_auto_reply(Some(&reply));
        for fault in [
            MedicFault::CommittedHang,
            MedicFault::CommittedClose,
            MedicFault::CommittedTruncated,
            MedicFault::CommittedProxy504Html,
        ] {
            let text = format!("{MARK} doubt {}", id());
            let ours = Scope::Matching(text.clone());
            bridge.medic.fault(fault, ours).await;
            let before = bridge.medic.posts().len();
            let phone = bridge.number();
            let id = bridge.sms(&phone, &text).await?;
            // Medic may still be working: the wait is longer than the time-out of a POST.
            let queue = exchange_queue(bridge);
            bridge
                .until_waiting(queue, &id, MEDIC_TIMEOUT_S + 1..=12)
                .await?;
            ensure!(bridge.copies_in_medic(&id).len() == 1, "{fault:?}");
            bridge.medic.clear_fault(fault).await;
            until_stored(bridge, std::slice::from_ref(&id)).await?;

            // Nothing was brought again before Medic had answered an empty POST.
            let posts = bridge.posts_since(before);
            let with_it = |post: &&Post| post.message_ids.contains(&id);
            let attempts: Vec<&Post> = posts.iter().filter(with_it).collect();
            ensure!(attempts.len() == 2, "{fault:?}: {posts:?}");
            ensure!(attempts[0].fault == Some(fault));
            let control = &bridge.medic.posts()[attempts[0].number + 1];
            ensure!(
                control.messages == 0 && control.updates.is_empty(),
                "{posts:?}"
            );
            until("the reply", || {
                !bridge.africastalking.phone(&phone).is_empty()
            })
            .await?;
        }
        bridge.pass_time()?;
        let accepted = bridge.africastalking.accepted();
        let replies = accepted.iter().filter(|sms| sms.text == reply);
        ensure!(replies.count() == 4);
        Ok(())
    })
}

#[test]
fn a_medic_that_starts_or_answers_with_a_page_of_html_is_not_believed() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        // How long what could not be brought waits: nothing was done, or nobody knows.
        for (fault, waits_s) in [
            (MedicFault::Starting, 30..=46),
            (MedicFault::Html200, 30..=46),
            (MedicFault::NoMessages, MEDIC_TIMEOUT_S + 1..=12),
            (MedicFault::Close, MEDIC_TIMEOUT_S + 1..=12),
            (MedicFault::Redirect, 30..=46),
        ] {
            bridge.medic.fault(fault, Scope::UntilCleared).await;
            let id = bridge
                .sms(&bridge.number(), &format!("{MARK} start"))
                .await?;
            bridge
                .until_waiting(exchange_queue(bridge), &id, waits_s)
                .await?;
            ensure!(bridge.copies_in_medic(&id).is_empty());
            bridge.medic.clear_fault(fault).await;
            until_stored(bridge, &[id]).await?;
        }
        Ok(())
    })
}

#[test]
fn one_message_that_medic_refuses_for_ever_is_quarantined_then_dead_lettered_and_holds_up_no_other()
-> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let good = format!("{MARK} good");
        // Medic stores: a message may be suspected, whatever the stack was used for before.
        let before = bridge.sms(&bridge.number(), &good).await?;
        bridge.stored(&before).await?;
        let poison = format!("{MARK} sumu {}", id());
        let only_it = Scope::Matching(poison.clone());
        bridge.medic.fault(MedicFault::PoisonMessage, only_it).await;
        let quarantined_before = bridge.count_of(EXCHANGE, "quarantined").await?;
        let phones = [
            bridge.number(),
            bridge.number(),
            bridge.number(),
            bridge.number(),
            bridge.number(),
        ];
        let sms: Vec<(&str, &str)> = phones
            .iter()
            .enumerate()
            .map(|(n, phone)| {
                (
                    phone.as_str(),
                    if n == 2 { &poison } else { &good }.as_str(),
                )
            })
            .collect();
        let mut ids = while_medic_is_away(bridge, &sms).await?;
        let poisoned = ids.remove(2);
        bridge.pass_time()?;
        for id in &ids {
            bridge.stored(id).await?;
        }
        let quarantined = bridge.until_quarantined(&poisoned).await?;
        ensure!(quarantined["quarantine"]["failures"] == 1);
        bridge
            .until_logged(EXCHANGE, "quarantined", quarantined_before + 1)
            .await?;
        // Nothing waits behind it, and it stays where it is for its hour, also when SQS hands it out.
        let dead_letter_queue = &bridge.stack.outputs().exchange_dead_letter_queue_url;
        ids.push(bridge.sms(&phones[2], &good).await?);
        bridge.pass_time()?;
        for id in &ids {
            bridge.stored(id).await?;
            let copies = bridge.copies_in_medic(id);
            ensure!(copies.len() == 1, "{copies:?}");
        }
        ensure!(bridge.stack.quarantined(&poisoned).await?.is_some());
        ensure!(
            bridge
                .stack
                .aws()
                .peek(dead_letter_queue)
                .await?
                .iter()
                .all(|message| !message.body.contains(&poisoned))
        );

        // Others were stored since, as after each of its hours.
        let dead_lettered_before = bridge.count_of(EXCHANGE, "dead_lettered").await?;
        bridge.stack.end_quarantine(&poisoned, 4).await?;
        let dead_letter = bridge.dead_letter(dead_letter_queue, &poisoned).await?;
        let reason = dead_letter["reason"].as_str().unwrap();
        ensure!(reason.contains("Server error"), "{reason}");
        ensure!(dead_letter["retryable"] == true, "{dead_letter}");
        ensure!(bridge.copies_in_medic(&poisoned).is_empty());
        // Somebody has to look at it.
        bridge
            .until_logged(EXCHANGE, "dead_lettered", dead_lettered_before + 1)
            .await
    })
}

#[test]
fn a_message_in_quarantine_is_stored_once_when_medic_takes_it() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let good = format!("{MARK} good");
        let before = bridge.sms(&bridge.number(), &good).await?;
        bridge.stored(&before).await?;
        let poison = format!("{MARK} sumu {}", id());
        let only_it = Scope::Matching(poison.clone());
        bridge.medic.fault(MedicFault::PoisonMessage, only_it).await;
        let poisoned = bridge.sms(&bridge.number(), &poison).await?;
        bridge.until_quarantined(&poisoned).await?;
        bridge.medic.clear_fault(MedicFault::PoisonMessage).await;
        bridge.stack.end_quarantine(&poisoned, 1).await?;
        until_stored(bridge, &[poisoned]).await
    })
}

#[test]
fn a_refused_password_is_not_tried_again_and_again_and_nothing_is_lost() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let password = format!("{MARK}-changed-{}", id());
        bridge.medic.set_credentials("gateway", &password);
        let refused_before = bridge
            .count_of(EXCHANGE, "medic_refused_credentials")
            .await?;
        let posts_before = bridge.medic.posts().len();
        let (mother, nurse) = (bridge.number(), bridge.number());
        let mut ids = Vec::new();
        for (n, phone) in [&mother, &nurse, &mother].into_iter().enumerate() {
            ids.push(bridge.sms(phone, &format!("{MARK} {n} locked out")).await?);
            bridge.stack.poll().await?;
        }
        // Ten refusals in ten seconds lock the user name: two in a minute do not.
        for refusals in 1..=2 {
            let count = refused_before + usize::try_from(refusals)?;
            bridge
                .until_logged(EXCHANGE, "medic_refused_credentials", count)
                .await?;
            let (receives, waits_s) = bridge.waiting(exchange_queue(bridge), "").await?;
            ensure!(receives == refusals, "{receives} receives");
            ensure!((20..=46).contains(&waits_s), "it waits {waits_s} s");
            let posts = bridge.posts_since(posts_before).into_iter();
            let refused = posts.filter(|post| post.status == Some(401)).count();
            ensure!(
                u64::try_from(refused)? == refusals,
                "{refused} refused POSTs"
            );
            if refusals == 1 {
                bridge.pass_time()?;
            }
        }
        ensure!(ids.iter().all(|id| bridge.copies_in_medic(id).is_empty()));

        // Mended.
        let api_key = format!("{MARK}-api-key");
        bridge
            .stack
            .set_credentials(&api_key, "gateway", &password)
            .await?;
        until_stored(bridge, &ids).await?;
        let order = order_in_medic(bridge, &[&ids[0], &ids[2]]);
        ensure!(order == [ids[0].clone(), ids[2].clone()], "{order:?}");
        Ok(())
    })
}

#[test]
fn a_status_whose_answer_is_lost_is_reported_again_and_the_message_is_sent_once()
-> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        // Medic has written what it was told, or has not and offers the message again.
        for fault in [MedicFault::CommittedClose, MedicFault::Close] {
            let phone = bridge.number();
            let id = bridge.medic.queue(&phone, &format!("{MARK} told"))?;
            let its = Scope::Matching(id.clone());
            bridge.medic.fault(fault, its).await;
            let before = bridge.medic.posts().len();
            bridge.stack.poll().await?;
            until("the POST that tells it", || {
                let posts = bridge.posts_since(before);
                posts.iter().any(|post| post.fault == Some(fault))
            })
            .await?;
            until("the SMS", || !bridge.sends_to(&phone).is_empty()).await?;
            bridge.medic.clear_fault(fault).await;
            bridge.pass_time()?;
            bridge
                .until_medic_shows(&id, MessageState::Delivered)
                .await?;
            ensure!(bridge.sends_to(&phone).len() == 1, "{fault:?}");
        }
        Ok(())
    })
}

#[test]
fn a_status_that_medic_refuses_for_ever_is_left_alone_and_holds_up_no_other() -> anyhow::Result<()>
{
    on_a_stack_of_its_own(async |bridge| {
        let aside_before = bridge.count_of(EXCHANGE, "status_set_aside").await?;
        let (refused_phone, phone) = (bridge.number(), bridge.number());
        let refused = bridge
            .medic
            .queue(&refused_phone, &format!("{MARK} refused"))?;
        let only_it = Scope::Matching(refused.clone());
        bridge.medic.fault(MedicFault::PoisonUpdate, only_it).await;
        let good = bridge.send(&phone, &format!("{MARK} good")).await?;
        bridge
            .until_medic_shows(&good, MessageState::Delivered)
            .await?;
        until("the SMS", || !bridge.sends_to(&refused_phone).is_empty()).await?;
        // Its status failed by now. What Medic takes next shows that it takes others.
        let next = bridge.send(&phone, &format!("{MARK} next")).await?;
        bridge
            .until_medic_shows(&next, MessageState::Delivered)
            .await?;
        bridge
            .until_logged(EXCHANGE, "status_set_aside", aside_before + 1)
            .await?;
        let row = bridge.row(&format!("message#{refused}")).await?.unwrap();
        ensure!(
            row["refusal"]["answer"]
                .to_string()
                .contains("Server error"),
            "{row}"
        );
        ensure!(bridge.sends_to(&refused_phone).len() == 1);

        // Fixed. Without waiting for an hour. A POST may still be on its way that fails.
        bridge.medic.clear_fault(MedicFault::PoisonUpdate).await;
        let forget = serde_json::json!({
            "TableName": bridge.stack.outputs().ledger_table,
            "Key": { "pk": { "S": format!("message#{refused}") } },
            "UpdateExpression": "REMOVE refusal",
        });
        let aws = bridge.stack.aws();
        let forgotten = found("the end of the refusals", async || {
            aws.call("dynamodb", "DynamoDB_20120810.UpdateItem", &forget)
                .await?;
            let shown = bridge.medic.outgoing(&refused);
            Ok(shown.filter(|shown| shown.state == MessageState::Delivered))
        });
        let delivered = bridge.until_medic_shows(&refused, MessageState::Delivered);
        tokio::try_join!(delivered, forgotten)?;
        Ok(())
    })
}

#[test]
fn a_full_disk_dead_letters_nothing_and_loses_nothing() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let before = bridge
            .sms(&bridge.number(), &format!("{MARK} room"))
            .await?;
        bridge.stored(&before).await?;
        bridge
            .medic
            .fault(MedicFault::FullDisk, Scope::UntilCleared)
            .await;
        let text = format!("{MARK} full disk");
        let quarantined = bridge.sms(&bridge.number(), &text).await?;
        // A Medic that stores nothing and answers an empty POST looks as if this one were poison.
        bridge.until_quarantined(&quarantined).await?;
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(bridge.sms(&bridge.number(), &text).await?);
        }
        // Nothing was newly stored since: no other is suspected, and the tries are brief.
        let queue = exchange_queue(bridge);
        for _ in 0..3 {
            bridge.until_waiting(queue, &ids[0], 15..=24).await?;
            bridge.pass_time()?;
        }
        for id in &ids {
            ensure!(bridge.stack.quarantined(id).await?.is_none());
            ensure!(bridge.copies_in_medic(id).is_empty());
        }
        bridge.medic.clear_fault(MedicFault::FullDisk).await;
        bridge.pass_time()?;
        for id in &ids {
            bridge.stored(id).await?;
        }
        // It comes back by itself.
        ids.push(quarantined);
        until_stored(bridge, &ids).await?;
        let dead_letter_queue = &bridge.stack.outputs().exchange_dead_letter_queue_url;
        let dead_letter = bridge.stack.aws().peek(dead_letter_queue).await?;
        let ours = |body: &str| ids.iter().any(|id| body.contains(id.as_str()));
        ensure!(
            !dead_letter.iter().any(|message| ours(&message.body)),
            "{dead_letter:?}"
        );
        Ok(())
    })
}

#[test]
fn a_queue_message_that_nobody_can_read_is_dead_lettered() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let outputs = bridge.stack.outputs();
        for (queue, dead_letter_queue, group) in [
            (
                &outputs.exchange_queue_url,
                &outputs.exchange_dead_letter_queue_url,
                Some("medic"),
            ),
            (
                &outputs.reports_queue_url,
                &outputs.reports_dead_letter_queue_url,
                None,
            ),
            (
                &outputs.outbox_queue_url,
                &outputs.outbox_dead_letter_queue_url,
                None,
            ),
        ] {
            for (start, end) in [
                ("no JSON ", ""),
                (r#"{"v":99,"x":""#, "\"}"),
                (r#"{"v":1,"kind":""#, "\"}"),
            ] {
                let body = format!("{start}{}{end}", id());
                bridge.stack.aws().send(queue, &body, group).await?;
                let dead_letter = bridge.dead_letter(dead_letter_queue, &body).await?;
                ensure!(dead_letter["body"] == body, "{dead_letter}");
            }
        }
        Ok(())
    })
}
