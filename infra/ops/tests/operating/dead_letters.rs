//! What is dead-lettered: order is kept, nothing is lost or doubled, and nothing is thrown away unasked.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::ensure;
use sandbox::faults::Scope;
use sandbox::medic::{MedicFault, MessageState};
use serde_json::{Value, json};

use crate::deployed::{DeployedSystem, on_the_system};

/// The body of an SMS that came in at this time.
fn incoming(id: &str, from: &str, received_at_ms: i64) -> String {
    json!({
        "v": 1, "kind": "incoming", "id": id, "from": from, "content": "x",
        "sent_at_ms": received_at_ms, "received_at_ms": received_at_ms,
    })
    .to_string()
}

fn wrapped(body: &str, retryable: bool) -> String {
    json!({ "v": 1, "reason": "why", "retryable": retryable, "dead_lettered_at_ms": 1, "body": body })
        .to_string()
}

/// So many have been dead-lettered: for ids that are not used twice.
static DEAD_LETTERED: AtomicU32 = AtomicU32::new(0);

async fn dead_letter(
    system: &DeployedSystem,
    queue: &str,
    body: &str,
    group: Option<&str>,
) -> anyhow::Result<()> {
    let mut input = json!({ "QueueUrl": queue, "MessageBody": body });
    if let (Some(group), Some(fields)) = (group, input.as_object_mut()) {
        let id = format!("{group}-{}", DEAD_LETTERED.fetch_add(1, Ordering::Relaxed));
        fields.insert("MessageGroupId".to_owned(), group.into());
        fields.insert("MessageDeduplicationId".to_owned(), id.into());
    }
    let aws = system.stack.aws();
    aws.call("sqs", "AmazonSQS.SendMessage", &input).await?;
    Ok(())
}

async fn list(system: &DeployedSystem) -> anyhow::Result<Vec<Value>> {
    let list = system
        .ops(&["dead-letters", "list", "--json"])
        .await?
        .json()?;
    Ok(list["dead_letters"].as_array().unwrap().clone())
}

fn id(name: &str) -> String {
    format!("{name}-{}", std::process::id())
}

#[test]
fn one_senders_messages_are_put_back_in_the_order_in_which_they_came() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let queue = &system.stack.outputs().exchange_dead_letter_queue_url;
        let (mother, nurse) = (system.number(), system.number());
        // Dead-lettered in another order; the last three as SQS itself does it, in one group.
        for (n, from, as_sqs) in [
            (5, &mother, false),
            (1, &mother, false),
            (3, &nurse, false),
            (2, &nurse, true),
            (4, &mother, true),
            (6, &mother, true),
        ] {
            let body = incoming(&id(&format!("order-{n}")), from, n);
            if as_sqs {
                dead_letter(system, queue, &body, Some("medic")).await?;
            } else {
                let group = format!("dead-letter-{n}");
                dead_letter(system, queue, &wrapped(&body, true), Some(&group)).await?;
            }
        }
        let reasons = list(system).await?;
        let by_sqs = |item: &&Value| item["reason"].as_str().unwrap().contains("SQS itself");
        ensure!(reasons.iter().filter(by_sqs).count() >= 1, "{reasons:?}");

        let output = system
            .ops(&["dead-letters", "redrive", "--all", "--of", "exchange"])
            .await?
            .well()?;
        ensure!(output.contains("Put back: 6"), "{output}");
        for n in 1..=6 {
            ensure!(system.until_stored(&id(&format!("order-{n}"))).await? == 1);
        }
        let order_of = |number: &str| {
            let stored = system.medic.stored();
            let of_one = stored.iter().filter(|sms| sms.from == number);
            of_one.map(|sms| sms.id.clone()).collect::<Vec<_>>()
        };
        let ids = |numbers: &[i32]| -> Vec<String> {
            numbers.iter().map(|n| id(&format!("order-{n}"))).collect()
        };
        ensure!(
            order_of(&mother) == ids(&[1, 4, 5, 6]),
            "{:?}",
            order_of(&mother)
        );
        ensure!(order_of(&nurse) == ids(&[2, 3]), "{:?}", order_of(&nurse));
        ensure!(list(system).await?.is_empty());
        Ok(())
    })
}

#[test]
fn a_command_that_died_after_the_first_half_is_given_again_and_nothing_is_doubled()
-> anyhow::Result<()> {
    on_the_system(async |system| {
        let queue = &system.stack.outputs().exchange_dead_letter_queue_url;
        let sms = id("died");
        let body = incoming(&sms, &system.number(), 1);
        dead_letter(
            system,
            queue,
            &wrapped(&body, true),
            Some("dead-letter-died"),
        )
        .await?;
        let dead_letters = list(system).await?;
        let dead_letter_id = dead_letters[0]["id"].as_str().unwrap().to_owned();
        // What the command did before it died: it is in its queue again, and still dead-lettered.
        let half = json!({
            "QueueUrl": system.stack.outputs().exchange_queue_url, "MessageBody": body,
            "MessageGroupId": "medic", "MessageDeduplicationId": format!("retry-{dead_letter_id}"),
        });
        system
            .stack
            .aws()
            .call("sqs", "AmazonSQS.SendMessage", &half)
            .await?;
        ensure!(system.until_stored(&sms).await? == 1);

        let output = system
            .ops(&["dead-letters", "redrive", &dead_letter_id])
            .await?
            .well()?;
        ensure!(output.contains("Put back: 1"), "{output}");
        ensure!(list(system).await?.is_empty());
        system.until_well().await?;
        ensure!(system.until_stored(&sms).await? == 1);
        Ok(())
    })
}

#[test]
fn what_a_dead_command_hides_is_said_and_nothing_overtakes_it() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let queue = &system.stack.outputs().exchange_dead_letter_queue_url;
        let (sms, from) = (id("hidden"), system.number());
        let body = wrapped(&incoming(&sms, &from, 1), true);
        dead_letter(system, queue, &body, Some("dead-letter-hidden")).await?;
        let change_visibility = json!({ "QueueUrl": queue, "VisibilityTimeout": 900 });
        let aws = system.stack.aws();
        let hidden = aws
            .call("sqs", "AmazonSQS.ReceiveMessage", &change_visibility)
            .await?;
        let handle = hidden["Messages"][0]["ReceiptHandle"].clone();
        let later = wrapped(&incoming(&id("later"), &from, 2), true);
        dead_letter(system, queue, &later, Some("dead-letter-later")).await?;

        let refused = system.ops(&["dead-letters", "redrive", "--all"]).await?;
        ensure!(refused.status == 1, "{refused:?}");
        ensure!(refused.err.contains("1 cannot be seen"), "{refused:?}");
        let back = json!({ "QueueUrl": queue, "ReceiptHandle": handle, "VisibilityTimeout": 0 });
        aws.call("sqs", "AmazonSQS.ChangeMessageVisibility", &back)
            .await?;
        let output = system
            .ops(&["dead-letters", "redrive", "--all"])
            .await?
            .well()?;
        ensure!(output.contains("Put back: 2"), "{output}");
        ensure!(system.until_stored(&sms).await? == 1);
        ensure!(system.until_stored(&id("later")).await? == 1);
        let stored = system.medic.stored();
        let of_one = stored.iter().filter(|sms| sms.from == from);
        let order: Vec<&str> = of_one.map(|sms| sms.id.as_str()).collect();
        ensure!(order == [sms.as_str(), &id("later")], "{order:?}");
        Ok(())
    })
}

#[test]
fn what_names_no_message_is_not_put_back_and_thrown_away_only_when_somebody_says_so()
-> anyhow::Result<()> {
    on_the_system(async |system| {
        let queue = &system.stack.outputs().reports_dead_letter_queue_url;
        dead_letter(system, queue, &wrapped("status=Success", false), None).await?;
        let dead_letters = list(system).await?;
        let dead_letter_id = dead_letters[0]["id"].as_str().unwrap().to_owned();
        let output = system.ops(&["dead-letters", "redrive", "--all"]).await?;
        ensure!(
            output.status == 1 && output.err.contains("id is missing or empty"),
            "{output:?}"
        );
        let output = system.ops(&["dead-letters", "redrive"]).await?;
        ensure!(
            output.status == 2 && output.err.contains("--all"),
            "{output:?}"
        );

        // Nobody is at the keyboard.
        let output = system
            .ops(&["dead-letters", "discard", &dead_letter_id])
            .await?;
        ensure!(
            output.status == 2 && output.err.contains("--yes"),
            "{output:?}"
        );
        ensure!(list(system).await?.len() == 1);
        let output = system
            .ops(&["dead-letters", "discard", "no-such-id", "--yes"])
            .await?;
        ensure!(output.status == 1, "{output:?}");
        ensure!(list(system).await?.len() == 1);
        let output = system
            .ops(&["dead-letters", "discard", &dead_letter_id, "--yes"])
            .await?
            .well()?;
        ensure!(output.contains("Thrown away: 1"), "{output}");
        ensure!(list(system).await?.is_empty());
        let output = system
            .ops(&["dead-letters", "show", &dead_letter_id])
            .await?;
        ensure!(output.status == 1, "{output:?}");
        Ok(())
    })
}

#[test]
fn a_number_in_a_reason_is_shown_only_to_who_asks_for_it() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let queue = &system.stack.outputs().exchange_dead_letter_queue_url;
        let (sms, from) = (id("reason"), system.number());
        let body = json!({
            "v": 1, "retryable": true, "dead_lettered_at_ms": 1, "body": incoming(&sms, &from, 1),
            "reason": format!("refused: HTTP 500: {from}"),
        });
        dead_letter(system, queue, &body.to_string(), Some("dead-letter-reason")).await?;
        let dead_letters = list(system).await?;
        let dead_letter_id = dead_letters[0]["id"].as_str().unwrap();
        for arguments in [
            vec!["dead-letters", "list"],
            vec!["dead-letters", "list", "--json"],
            vec!["dead-letters", "show", dead_letter_id],
            vec!["dead-letters", "show", dead_letter_id, "--json"],
            vec!["trace", &sms],
            vec!["trace", &sms, "--json"],
        ] {
            let shown = system.ops(&arguments).await?.well()?;
            ensure!(shown.contains("refused: HTTP"), "{arguments:?}: {shown}");
            ensure!(!shown.contains(&from[4..]), "{arguments:?}: {shown}");
        }
        for arguments in [
            ["dead-letters", "show", dead_letter_id, "--reveal"].as_slice(),
            &["trace", &sms, "--reveal"],
        ] {
            let shown = system.ops(arguments).await?.well()?;
            let reason = format!("refused: HTTP 500: {from}");
            ensure!(shown.contains(&reason), "{arguments:?}: {shown}");
        }
        system
            .ops(&["dead-letters", "discard", dead_letter_id, "--yes"])
            .await?
            .well()?;
        Ok(())
    })
}

#[test]
fn a_report_and_an_sms_to_a_phone_are_put_back_into_their_own_queues() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let outputs = system.stack.outputs();
        let (number, sms, report) = (system.number(), id("put-back"), id("ATXid_put_back"));
        let send = json!({
            "v": 1, "kind": "send", "id": sms, "to": number, "content": "dead-lettered once",
            "first_offered_ms": now_ms(),
        });
        dead_letter(
            system,
            &outputs.outbox_dead_letter_queue_url,
            &wrapped(&send.to_string(), true),
            None,
        )
        .await?;
        let body = json!({ "v": 1, "id": report, "status": "Success", "received_at_ms": now_ms() });
        dead_letter(
            system,
            &outputs.reports_dead_letter_queue_url,
            &body.to_string(),
            None,
        )
        .await?;
        let output = system
            .ops(&["dead-letters", "redrive", "--all"])
            .await?
            .well()?;
        ensure!(output.contains("Put back: 2"), "{output}");
        system
            .found(
                "the SMS on the phone and the report in the ledger",
                async || {
                    let arrived = system.phones.phone(&number).len() == 1;
                    let recorded = system.row(&format!("sms#{report}")).await.is_ok();
                    Ok((arrived && recorded).then_some(()))
                },
            )
            .await?;
        let reported = system.ops(&["trace", &report]).await?.well()?;
        ensure!(
            reported.contains("unmatched") && reported.contains("Success"),
            "{reported}"
        );
        system.until_well().await
    })
}

#[test]
fn a_status_that_medic_refused_is_listed_and_reported_again() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let sms = system.send(&system.number(), "refused").await?;
        system
            .until_medic_shows(&sms, MessageState::Delivered)
            .await?;
        system
            .medic
            .fault(MedicFault::PoisonUpdate, Scope::Matching(sms.clone()))
            .await;
        let phone = system.number();
        let other = system.send(&system.number(), "taken").await?;
        system
            .until_medic_shows(&other, MessageState::Delivered)
            .await?;
        system
            .ops(&["replay-reports", &sms, &other])
            .await?
            .well()?;
        let refused = system
            .found("the refusal", async || {
                // Something that Medic takes beside it shows that it is not Medic that is broken.
                system.phones.sms_from_phone(&phone, "taken").await?;
                let dead_letters = list(system).await?;
                Ok(dead_letters
                    .into_iter()
                    .find(|item| item["id"] == sms.as_str()))
            })
            .await?;
        ensure!(refused["of"] == "statuses", "{refused}");
        let reported = system.ops(&["trace", &sms]).await?.well()?;
        ensure!(
            reported.contains("Medic fails on that status"),
            "{reported}"
        );

        system.medic.clear_faults().await;
        system
            .ops(&["dead-letters", "redrive", &sms])
            .await?
            .well()?;
        system
            .found("the status told", async || {
                let row = system.row(&format!("message#{sms}")).await?;
                Ok((row["reported"] == "delivered").then_some(()))
            })
            .await?;
        ensure!(list(system).await?.is_empty());
        Ok(())
    })
}

fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(since.unwrap().as_millis()).unwrap()
}
