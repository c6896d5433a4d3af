//! Events that nobody would send, and queues that do not take what is put into them.

use std::time::Instant;

use anyhow::ensure;
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::alone::{Alone, Queues, key, status_of};
use crate::deployed::{MARK, run};
use crate::driving::{CallbackRoute, form, until};

/// An event of the HTTP API.
fn event(callback: CallbackRoute, query: &str, body: &str) -> Value {
    let path = format!("/api/v1/sms/africastalking/{}", callback.function());
    json!({
        "version": "2.0",
        "routeKey": format!("POST {path}"),
        "rawPath": path,
        "rawQueryString": query,
        "headers": { "content-type": "application/x-www-form-urlencoded", "host": "a" },
        "requestContext": { "http": { "method": "POST", "path": path }, "stage": "$default" },
        "body": body,
        "isBase64Encoded": false,
    })
}

/// A callback as it should be.
fn good_event(callback: CallbackRoute) -> Value {
    let phone = "+254700000098";
    let body = match callback {
        CallbackRoute::IncomingMessages => form(&[("id", "a-1"), ("from", phone), ("text", MARK)]),
        CallbackRoute::DeliveryReports => {
            form(&[("id", "a-1"), ("status", "Success"), ("phoneNumber", phone)])
        }
    };
    event(callback, &form(&[("key", &key())]), &body)
}

/// Events of every wrong shape, as they are on the wire.
fn hostile_events(callback: CallbackRoute) -> Vec<String> {
    let good = good_event(callback);
    let wrong_values = [
        json!(null),
        json!(true),
        json!(-1.5e300),
        json!(""),
        json!("\u{0}\u{ffff}"),
        json!([[], {}]),
        json!({ "a": { "b": null } }),
    ];
    let mut events: Vec<String> = wrong_values.iter().map(Value::to_string).collect();
    // Each field of a good event missing or of another type, one after another.
    let pointers = [
        "/rawPath",
        "/rawQueryString",
        "/headers",
        "/headers/content-type",
        "/headers/host",
        "/requestContext",
        "/requestContext/http",
        "/requestContext/http/method",
        "/body",
        "/isBase64Encoded",
    ];
    for pointer in pointers {
        for wrong in &wrong_values {
            let mut event = good.clone();
            *event.pointer_mut(pointer).unwrap() = wrong.clone();
            events.push(event.to_string());
        }
    }
    let mut huge = good.clone();
    for n in 0..200 {
        huge["headers"][format!("x-{n}")] = "y".repeat(10_000).into();
    }
    huge["rawQueryString"] = "key=".repeat(100_000).into();
    events.push(huge.to_string());
    let mut not_base64 = good.clone();
    not_base64["isBase64Encoded"] = true.into();
    not_base64["body"] = "%%% no base64 %%%".into();
    events.push(not_base64.to_string());
    events.push(format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000)));
    let deep = format!(
        "{}{}",
        "{\"a\":".repeat(500),
        "1".to_owned() + &"}".repeat(500)
    );
    events.push(
        good.to_string()
            .replacen('{', &format!("{{\"deep\":{deep},"), 1),
    );
    // Half of a surrogate pair, which no Rust text can hold, in every text that matters.
    for text in [
        "\"body\":\"",
        "\"rawQueryString\":\"",
        "\"rawPath\":\"",
        "\"host\":\"",
        "\"method\":\"",
    ] {
        let replaced = good
            .to_string()
            .replacen(text, &format!("{text}\\ud83d"), 1);
        assert!(replaced.contains("\\ud83d"), "{text}");
        events.push(replaced);
    }
    events
}

#[test]
fn every_event_however_hostile_is_answered_and_the_function_lives() -> anyhow::Result<()> {
    run(try_join_all(CallbackRoute::BOTH.map(
        |callback| async move {
            let mut function = Alone::start(callback, Queues::Take).await?;
            for event in hostile_events(callback) {
                let short: String = event.chars().take(300).collect();
                let answer = function.invoke(event).await;
                let answer = answer.map_err(|error| error.context(short.clone()))?;
                let status = status_of(&answer)?;
                // What is wrong may be in a place that does not matter.
                ensure!(
                    status == 200 || (400..500).contains(&status),
                    "{short}: {answer}"
                );
                ensure!(function.is_alive()?, "{short}");
            }
            let good = function.invoke(good_event(callback).to_string()).await?;
            ensure!(status_of(&good)? == 200, "{good}");
            let log = function.log();
            let is_fine = |line: &String| !line.contains(MARK) && !line.contains("panic");
            ensure!(log.iter().all(is_fine), "{log:?}");
            Ok(())
        },
    )))?;
    Ok(())
}

#[test]
fn half_of_a_surrogate_pair_anywhere_in_an_event_costs_no_message() -> anyhow::Result<()> {
    run(async {
        let callback = CallbackRoute::IncomingMessages;
        let function = Alone::start(callback, Queues::Take).await?;
        let good = good_event(callback).to_string();
        for (from, to) in [
            ("\"body\":\"", "\"body\":\"x=\\ud83d&"),
            ("\"host\":\"", "\"host\":\"\\udc00"),
            (
                "\"rawQueryString\":\"",
                "\"rawQueryString\":\"a=\\ud83d\\ud83d&",
            ),
        ] {
            let event = good.replacen(from, to, 1);
            ensure!(event != good);
            let answer = function.invoke(event).await?;
            ensure!(status_of(&answer)? == 200, "{from}: {answer}");
        }
        Ok(())
    })
}

#[test]
fn other_methods_are_405_what_is_at_other_paths_is_kept_and_no_query_is_logged()
-> anyhow::Result<()> {
    run(async {
        for callback in CallbackRoute::BOTH {
            let function = Alone::start(callback, Queues::Take).await?;
            for method in ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "", "P\u{d6}ST"] {
                let mut event = good_event(callback);
                event["requestContext"]["http"]["method"] = method.into();
                let answer = function.invoke(event.to_string()).await?;
                ensure!(status_of(&answer)? == 405, "{method}: {answer}");
            }
            for path in [
                "",
                "/",
                "/api/v1/sms/africastalking",
                "/api/v1/sms/other",
                "\u{e9}",
            ] {
                let mut event = good_event(callback);
                event["rawPath"] = path.into();
                let answer = function.invoke(event.to_string()).await?;
                ensure!(status_of(&answer)? == 400, "{path}: {answer}");
            }
            ensure!(function.sends() == 5, "each of the five is dead-lettered");
            until("twelve lines in the log", || function.log().len() >= 12).await?;
            let log = function.log().join("\n");
            ensure!(!log.contains(MARK) && !log.contains("key="), "{log}");
        }
        Ok(())
    })
}

#[test]
fn a_200_is_not_given_before_the_queue_has_it() -> anyhow::Result<()> {
    run(async {
        for callback in CallbackRoute::BOTH {
            let function = Alone::start(callback, Queues::TakeLater).await?;
            let event = good_event(callback).to_string();
            let mut answer = std::pin::pin!(function.invoke(event));
            let asked = until("a call of the queue", || function.sends() == 1);
            tokio::select! {
                biased;
                answer = &mut answer => anyhow::bail!("answered too early: {answer:?}"),
                asked = asked => asked?,
            }
            function.let_go();
            let answer = answer.await?;
            ensure!(status_of(&answer)? == 200, "{answer}");
        }
        Ok(())
    })
}

#[test]
fn what_the_queue_does_not_take_is_a_5xx_after_some_tries() -> anyhow::Result<()> {
    run(async {
        let kinds = [
            Queues::RefuseTheMessage,
            Queues::DoNotExist,
            Queues::Fail,
            Queues::AreThrottled,
            Queues::TalkNonsense,
            Queues::HangUp,
            Queues::Hang,
        ];
        let cases = CallbackRoute::BOTH.map(|callback| kinds.map(|queues| (callback, queues)));
        let refusals = cases
            .into_iter()
            .flatten()
            .map(|(callback, queues)| async move {
                let mut function = Alone::start(callback, queues).await?;
                let answer = function.invoke(good_event(callback).to_string()).await?;
                ensure!(status_of(&answer)? == 503, "{queues:?}: {answer}");
                if matches!(queues, Queues::Fail | Queues::AreThrottled | Queues::HangUp) {
                    ensure!(function.sends() > 1, "{queues:?}: it was tried once");
                }
                ensure!(function.is_alive()?);
                anyhow::Ok(())
            });
        try_join_all(refusals).await?;
        Ok(())
    })
}

#[test]
fn a_callback_that_names_no_message_is_a_5xx_while_it_cannot_be_dead_lettered() -> anyhow::Result<()>
{
    run(async {
        for callback in CallbackRoute::BOTH {
            let function = Alone::start(callback, Queues::DoNotExist).await?;
            let event = event(callback, &form(&[("key", &key())]), "text=x");
            let answer = function.invoke(event.to_string()).await?;
            ensure!(status_of(&answer)? == 503, "{answer}");
        }
        Ok(())
    })
}

#[test]
fn wrong_keys_cannot_make_a_function_hammer_the_secret_store() -> anyhow::Result<()> {
    run(async {
        for callback in CallbackRoute::BOTH {
            let function = Alone::start(callback, Queues::Take).await?;
            let begin = Instant::now();
            for n in 0..300 {
                let query = form(&[("key", &format!("{MARK}-{n}"))]);
                let answer = function
                    .invoke(event(callback, &query, "id=a").to_string())
                    .await?;
                ensure!(status_of(&answer)? == 403, "{answer}");
            }
            let intervals = usize::try_from(begin.elapsed().as_secs() / 5)?;
            let reads = function.secret_reads();
            ensure!(reads <= 2 + intervals, "{reads} reads");
            ensure!(function.sends() == 0, "something was put into a queue");
            let log = function.log().join("\n");
            ensure!(!log.contains(MARK), "{log}");
        }
        Ok(())
    })
}

#[test]
fn a_function_starts_without_the_secret_and_answers_5xx_until_it_can_read_it() -> anyhow::Result<()>
{
    run(async {
        for callback in CallbackRoute::BOTH {
            let mut function = Alone::start_with(callback, Queues::Take, None).await?;
            let answer = function.invoke(good_event(callback).to_string()).await?;
            ensure!(status_of(&answer)? == 503, "{answer}");
            ensure!(function.is_alive()?);
            until("the reason in the log", || {
                let log = function.log().join("\n");
                log.contains("key_unavailable") && log.contains("AccessDenied")
            })
            .await?;
        }
        Ok(())
    })
}
