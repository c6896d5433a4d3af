//! Who may call: the key in the callback's address, and what a function's role allows.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::ensure;
use futures_util::future::try_join_all;
use serde_json::json;

use crate::callbacks::{incoming, number_of_all, report};
use crate::deployed::{Bridge, MARK, id, on_a_stack_of_its_own, on_the_shared_stack};
use crate::driving::{CallbackRoute, FORM, answer, form, found};

use CallbackRoute::{DeliveryReports, IncomingMessages};

/// A wrong key that no other test uses.
fn wrong_key() -> String {
    static USED: AtomicUsize = AtomicUsize::new(0);
    format!("{MARK}-wrong-{}", USED.fetch_add(1, Ordering::Relaxed))
}

/// Waits until a key is let in or not, at both callbacks. A wrong key each time has the functions
/// read the secret again, as soon as they may.
async fn until_answered(bridge: &Bridge, key: &str, status: u16) -> anyhow::Result<()> {
    found(&format!("an answer {status}"), async || {
        incoming(bridge, &wrong_key()).await?;
        report(bridge, &wrong_key()).await?;
        let answers = [incoming(bridge, key).await?, report(bridge, key).await?];
        let all = answers.iter().all(|answer| answer.status == status);
        Ok(all.then_some(()))
    })
    .await
}

async fn put_keys(bridge: &Bridge, keys: &serde_json::Value) -> anyhow::Result<()> {
    let secret = &bridge.stack.outputs().incoming_key_secret_arn;
    bridge.stack.aws().put_secret(secret, keys).await
}

/// Forbids a function something, as if its role did not allow it.
async fn forbid(bridge: &Bridge, role: &str, action: &str) -> anyhow::Result<()> {
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Deny", "Action": action, "Resource": "*" }],
    })
    .to_string();
    let role = bridge.stack.resource(role).await?;
    let parameters = [
        ("RoleName", role.as_str()),
        ("PolicyName", "forbidden"),
        ("PolicyDocument", &policy),
    ];
    let aws = bridge.stack.aws();
    aws.query("iam", "2010-05-08", "PutRolePolicy", &parameters)
        .await?;
    Ok(())
}

/// Takes back what [`forbid`] did.
async fn allow(bridge: &Bridge, role: &str) -> anyhow::Result<()> {
    let role = bridge.stack.resource(role).await?;
    let parameters = [("RoleName", role.as_str()), ("PolicyName", "forbidden")];
    let aws = bridge.stack.aws();
    aws.query("iam", "2010-05-08", "DeleteRolePolicy", &parameters)
        .await?;
    Ok(())
}

#[test]
fn nobody_gets_in_without_the_right_key() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let right = &bridge.generated_key;
        for callback in CallbackRoute::BOTH {
            let url = bridge.url(callback);
            let wrong = wrong_key();
            let queries = [
                String::new(),
                "?".to_owned(),
                "?key".to_owned(),
                "?key=".to_owned(),
                form(&[("key", &wrong)]),
                form(&[("key", &right[1..])]),
                form(&[("key", &right[..right.len() - 1])]),
                form(&[("key", &format!("{right}{right}"))]),
                form(&[("KEY", right)]),
                form(&[("k", right)]),
                form(&[("key", &wrong), ("key", right)]),
                form(&[("key[]", right)]),
            ];
            let id = id();
            // Wherever else the right key is, it opens nothing.
            let body = form(&[
                ("key", right),
                ("id", &id),
                ("from", number_of_all()),
                ("status", "Success"),
            ]);
            let answers = queries.map(|query| {
                let url = format!("{url}?{}", query.trim_start_matches('?'));
                let request = bridge.request_to(&url).header("content-type", FORM);
                answer(request.header("x-key", right).body(body.clone()))
            });
            for answer in try_join_all(answers).await? {
                ensure!(answer.status == 403, "{answer:?}");
                ensure!(!answer.body.contains(MARK), "{answer:?}");
            }
            let log = bridge.log(callback.function()).await?;
            let refusals = log.iter().filter(|entry| entry["event"] == "key_refused");
            ensure!(refusals.count() >= 12, "refusals are logged and counted");
            ensure!(bridge.copies_in_medic(&id).is_empty());
        }
        Ok(())
    })
}

#[test]
fn a_key_is_exchanged_for_another_without_a_redeploy_and_without_losing_an_sms()
-> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let old = bridge.generated_key.as_str();
        let new = format!("{MARK}-new-key/+&=%");
        ensure!(incoming(bridge, old).await?.status == 200);
        ensure!(incoming(bridge, &new).await?.status == 403);

        // Two keys are valid: within seconds, and not only when something else was asked for.
        put_keys(bridge, &json!({ "key": new, "second_key": old })).await?;
        let is_in = async || Ok((incoming(bridge, &new).await?.status == 200).then_some(()));
        found("the new key let in", is_in).await?;
        until_answered(bridge, &new, 200).await?;
        until_answered(bridge, old, 200).await?;

        // The dashboard of Africa's Talking gets the new one.
        let incoming_url = bridge.url_with(IncomingMessages, &new);
        bridge
            .africastalking
            .set_callbacks(incoming_url, bridge.url_with(DeliveryReports, &new));
        let phone = bridge.number();
        let id = bridge.sms(&phone, &format!("{MARK} new key")).await?;
        bridge.stored(&id).await?;

        // The old one is taken away.
        put_keys(bridge, &json!({ "key": new })).await?;
        until_answered(bridge, old, 403).await?;
        let id = bridge.sms(&phone, &format!("{MARK} only key")).await?;
        bridge.stored(&id).await?;

        put_keys(bridge, &json!({ "key": old })).await?;
        until_answered(bridge, old, 200).await?;
        let (incoming_url, reports_url) = bridge.stack.callback_urls().await?;
        bridge
            .africastalking
            .set_callbacks(incoming_url, reports_url);
        Ok(())
    })
}

#[test]
fn without_any_key_nobody_gets_in_and_the_log_says_what_to_configure() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let key = bridge.generated_key.as_str();
        put_keys(bridge, &json!({ "key": "" })).await?;
        until_answered(bridge, key, 403).await?;
        for callback in CallbackRoute::BOTH {
            bridge
                .until_logged(callback.function(), "key_not_configured", 1)
                .await?;
            let log = bridge.log(callback.function()).await?;
            let mut entries = log.iter();
            let entry = entries.find(|entry| entry["event"] == "key_not_configured");
            let advice = entry.unwrap()["advice"].to_string();
            ensure!(advice.contains("IncomingKeySecretArn"), "{advice}");
        }
        put_keys(bridge, &json!({ "key": key })).await?;
        until_answered(bridge, key, 200).await
    })
}

#[test]
fn while_the_secret_is_out_of_reach_known_keys_work_and_others_get_a_5xx() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let key = bridge.generated_key.as_str();
        until_answered(bridge, key, 200).await?;
        let roles = ["IncomingMessagesRole", "DeliveryReportsRole"];
        for role in roles {
            forbid(bridge, role, "secretsmanager:GetSecretValue").await?;
        }
        // It may be a new key: a refusal would lose the SMS that it came with.
        until_answered(bridge, &wrong_key(), 503).await?;
        ensure!(incoming(bridge, key).await?.status == 200);
        ensure!(report(bridge, key).await?.status == 200);
        for role in roles {
            allow(bridge, role).await?;
        }
        until_answered(bridge, &wrong_key(), 403).await
    })
}

#[test]
fn what_a_role_does_not_allow_is_refused_and_what_the_queue_does_not_take_is_a_5xx()
-> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let key = bridge.generated_key.as_str();
        ensure!(incoming(bridge, key).await?.status == 200);
        ensure!(report(bridge, key).await?.status == 200);
        let roles = ["IncomingMessagesRole", "DeliveryReportsRole"];
        for role in roles {
            forbid(bridge, role, "sqs:SendMessage").await?;
        }
        let (id, phone, text) = (id(), bridge.number(), format!("{MARK} not taken"));
        let fields = [("id", id.as_str()), ("from", &phone), ("text", &text)];
        let answer = bridge.post(IncomingMessages, &fields).await?;
        ensure!(answer.status == 503, "{answer:?}");
        let answer = report(bridge, key).await?;
        ensure!(answer.status == 503, "{answer:?}");
        // Nor is what should be dead-lettered answered for.
        let answer = bridge
            .post(IncomingMessages, &[("text", text.as_str())])
            .await?;
        ensure!(answer.status == 503, "{answer:?}");
        for role in roles {
            allow(bridge, role).await?;
        }

        // Africa's Talking tries again.
        ensure!(bridge.copies_in_medic(&id).is_empty());
        ensure!(bridge.post(IncomingMessages, &fields).await?.status == 200);
        ensure!(bridge.stored(&id).await?.content == text);
        Ok(())
    })
}
