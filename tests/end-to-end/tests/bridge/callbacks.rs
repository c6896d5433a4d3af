//! What the two callbacks make of what comes, with the right key and whatever else.

use anyhow::ensure;
use futures_util::future::try_join_all;
use sandbox::africastalking;

use crate::deployed::{Bridge, MARK, id, on_a_stack_of_its_own, on_the_shared_stack};
use crate::driving::{CallbackResponse, CallbackRoute, FORM, answer, form, found};

use CallbackRoute::{DeliveryReports, IncomingMessages};

/// The fields of a form.
type Form<'a> = &'a [(&'a str, &'a str)];

/// A good incoming message.
pub async fn incoming(bridge: &Bridge, key: &str) -> anyhow::Result<CallbackResponse> {
    let (id, phone, text) = (id(), number_of_all(), format!("{MARK} with a key"));
    let fields = [("id", id.as_str()), ("from", phone), ("text", &text)];
    bridge.post_with_key(IncomingMessages, key, &fields).await
}

/// A good delivery report, about an SMS that is unmatched.
pub async fn report(bridge: &Bridge, key: &str) -> anyhow::Result<CallbackResponse> {
    let at_id = format!("ATXid_{}", id());
    let fields = [
        ("id", at_id.as_str()),
        ("status", "Success"),
        ("phoneNumber", number_of_all()),
    ];
    bridge.post_with_key(DeliveryReports, key, &fields).await
}

/// For callbacks of which nobody looks where they go.
pub fn number_of_all() -> &'static str {
    "+254700000099"
}

#[test]
fn a_callback_that_names_no_message_is_a_400_and_dead_lettered_to_be_looked_at()
-> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let outputs = bridge.stack.outputs();
        let phone = bridge.number();
        let too_long = "x".repeat(600);
        // Which callback, its fields, and the field that the answer has to name.
        let cases: [(CallbackRoute, Form, &str); 10] = [
            (IncomingMessages, &[("from", &phone)], "id"),
            (IncomingMessages, &[("id", ""), ("from", &phone)], "id"),
            (IncomingMessages, &[("id", " "), ("from", &phone)], "id"),
            (
                IncomingMessages,
                &[("id", &too_long), ("from", &phone)],
                "id",
            ),
            (IncomingMessages, &[("id", "ID")], "from"),
            (IncomingMessages, &[("id", "ID"), ("from", "")], "from"),
            (IncomingMessages, &[("id", "ID"), ("from", " \t ")], "from"),
            (DeliveryReports, &[("status", "Success")], "id"),
            (DeliveryReports, &[("id", "ID")], "status"),
            (DeliveryReports, &[("id", "ID"), ("status", " ")], "status"),
        ];
        let dead_letters = cases.map(|(callback, fields, field)| {
            let unique = format!("{MARK} {}", id());
            async move {
                let queue = match callback {
                    IncomingMessages => &outputs.exchange_dead_letter_queue_url,
                    DeliveryReports => &outputs.reports_dead_letter_queue_url,
                };
                let fields: Vec<(&str, &str)> = [("text", unique.as_str())]
                    .iter()
                    .chain(fields)
                    .copied()
                    .collect();
                let answer = bridge.post(callback, &fields).await?;
                ensure!(answer.status == 400, "{fields:?}: {answer:?}");
                let names_it = answer.body.split_whitespace().next() == Some(field);
                ensure!(names_it, "{fields:?}: {answer:?}");
                let encoded = form(&[("", &unique)]);
                let dead_letter = bridge.dead_letter(queue, &encoded).await?;
                ensure!(dead_letter["body"] == form(&fields), "{dead_letter}");
                ensure!(dead_letter["retryable"] == false, "{dead_letter}");
                let reason = dead_letter["reason"].as_str().unwrap();
                ensure!(reason.starts_with(field), "{dead_letter}");
                Ok(())
            }
        });
        try_join_all(dead_letters).await?;
        for callback in CallbackRoute::BOTH {
            let log = bridge.log(callback.function()).await?;
            let counted = log.iter().filter(|entry| entry["CallbacksRefused"] == 1);
            ensure!(counted.count() >= 3, "they are counted");
        }
        Ok(())
    })
}

#[test]
fn a_json_body_that_is_no_object_is_a_400_and_dead_lettered() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        for callback in CallbackRoute::BOTH {
            let outputs = bridge.stack.outputs();
            let queue = match callback {
                IncomingMessages => &outputs.exchange_dead_letter_queue_url,
                DeliveryReports => &outputs.reports_dead_letter_queue_url,
            };
            for (start, end) in [("[\"", "\"]"), ("{\"id\": \"", ""), ("", ""), ("\"", "\"")] {
                let unique = id();
                let request = bridge
                    .request(callback)
                    .header("content-type", "application/json");
                let answer = answer(request.body(format!("{start}{unique}{end}"))).await?;
                ensure!(answer.status == 400, "{start}…{end}: {answer:?}");
                bridge.dead_letter(queue, &unique).await?;
            }
        }
        Ok(())
    })
}

#[test]
fn nothing_personal_is_in_the_attributes_of_what_is_dead_lettered() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let (phone, text) = (bridge.number(), format!("{MARK} dead-lettered"));
        let fields = [("from", phone.as_str()), ("text", &text)];
        ensure!(bridge.post(IncomingMessages, &fields).await?.status == 400);
        let queue = &bridge.stack.outputs().exchange_dead_letter_queue_url;
        let dead_letter = found("something dead-lettered", async || {
            Ok(bridge.stack.aws().take_all(queue).await?.pop())
        })
        .await?;
        let attributes = format!(
            "{}{}",
            dead_letter.attributes, dead_letter.system_attributes
        );
        ensure!(
            !attributes.contains(&phone[1..]) && !attributes.contains(MARK),
            "{attributes}"
        );
        Ok(())
    })
}

#[test]
fn a_body_over_64_kib_is_a_413_and_one_of_64_kib_is_not() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let phone = bridge.number();
        let (id, other) = (id(), id());
        let body = |id: &str, length: usize| {
            let start = form(&[("id", id), ("from", &phone), ("text", "")]);
            let rest = length - start.len();
            format!("{start}{}", "x".repeat(rest))
        };
        for callback in CallbackRoute::BOTH {
            for length in [64 * 1024 + 1, 1024 * 1024] {
                let request = bridge.request(callback).header("content-type", FORM);
                let answer = answer(request.body(body(&other, length))).await?;
                ensure!(answer.status == 413, "{length}: {answer:?}");
            }
        }
        let longest = body(&id, 64 * 1024);
        let request = bridge
            .request(IncomingMessages)
            .header("content-type", FORM);
        let answer = answer(request.body(longest.clone())).await?;
        ensure!(answer.status == 200, "{answer:?}");
        ensure!(longest.ends_with(&bridge.stored(&id).await?.content));
        ensure!(bridge.copies_in_medic(&other).is_empty());
        Ok(())
    })
}

#[test]
fn hostile_requests_are_turned_down_and_nothing_breaks() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        for callback in CallbackRoute::BOTH {
            let url = bridge.url(callback);
            let queries = [
                "key=%",
                "key=%zz%00%ff",
                "key=%F0%9F%98%80",
                "&&&===;;;",
                "key=a;key=b",
                "%6bey=x",
                "key=${jndi:ldap://x}&key[$ne]=1&__proto__[key]=1",
                "key=%2e%2e%2f%2e%2e%2f",
            ];
            let long = format!("{}key=x", "a=b&".repeat(1000));
            for query in queries.into_iter().chain([long.as_str()]) {
                let request = bridge.request_to(&format!("{url}?{query}"));
                let answer = answer(request.header("content-type", FORM).body("id=a")).await?;
                ensure!((400..500).contains(&answer.status), "{query}: {answer:?}");
            }
            // With the right key, and a body that cannot be read.
            let encodings = ["gzip", "br", "deflate", "zstd", "gzip, identity", "\u{e9}"];
            for encoding in encodings {
                let request = bridge
                    .request(callback)
                    .header("content-encoding", encoding);
                let answer = answer(request.body("id=a&from=b&status=c")).await?;
                ensure!(answer.status == 400, "{encoding}: {answer:?}");
            }
            for content_type in [
                "",
                ";;;",
                "application/json;",
                "multipart/form-data; boundary=x",
            ] {
                let request = bridge
                    .request(callback)
                    .header("content-type", content_type);
                let answer = answer(request.body(vec![0, 159, 146, 150])).await?;
                ensure!(answer.status == 400, "{content_type}: {answer:?}");
            }
            let no_body = answer(bridge.request(callback)).await?;
            ensure!(no_body.status == 400, "{no_body:?}");
            // And a good one after all of that.
            let good = match callback {
                IncomingMessages => incoming(bridge, &bridge.generated_key).await?,
                DeliveryReports => report(bridge, &bridge.generated_key).await?,
            };
            ensure!(good.status == 200, "{good:?}");
        }
        Ok(())
    })
}

#[test]
fn a_slash_at_the_end_of_a_callback_url_is_no_other_path() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let key = form(&[("key", &bridge.generated_key)]);
        let id = id();
        let phone = bridge.number();
        let sms = form(&[
            ("id", &id),
            ("from", &phone),
            ("text", "a slash"),
            ("to", "20880"),
        ]);
        let report = form(&[("id", "ATXid_slash"), ("status", "Sent")]);
        for (callback, body) in [(IncomingMessages, sms), (DeliveryReports, report)] {
            let url = format!("{}/?{key}", bridge.url(callback));
            let request = bridge.request_to(&url).header("content-type", FORM);
            let answer = answer(request.body(body)).await?;
            ensure!(answer.status == 200, "{callback:?}: {answer:?}");
        }
        bridge.stored(&id).await?;
        Ok(())
    })
}

#[test]
fn nothing_is_served_at_other_paths_and_by_other_methods() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let key = bridge.generated_key.as_str();
        for callback in CallbackRoute::BOTH {
            let url = bridge.url_with(callback, key);
            for method in [
                "GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "ANYTHING",
            ] {
                let method = reqwest::Method::from_bytes(method.as_bytes())?;
                let answer = answer(bridge.request_by(method.clone(), &url)).await?;
                let is_refused = matches!(answer.status, 404 | 405) || method == "OPTIONS";
                ensure!(is_refused, "{method}: {answer:?}");
                ensure!(answer.status < 500, "{method}: {answer:?}");
            }
            for path in [
                "/",
                "/other",
                "/delivery-reports/x",
                "/incoming-messages/x",
                "/.env",
            ] {
                let url = bridge.url(callback).replace("/africastalking/", "/other/");
                let url = format!("{url}{path}?{}", form(&[("key", key)]));
                let answer = answer(bridge.request_to(&url)).await?;
                ensure!(answer.status == 404, "{path}: {answer:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn a_callback_at_a_misspelt_url_needs_the_key_and_is_kept() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let (id, phone) = (id(), bridge.number());
        let sms = form(&[("id", &id), ("from", &phone), ("text", "misspelt")]);
        let report = form(&[("id", "ATXid_misspelt"), ("status", "Sent")]);
        for (callback, body) in [(IncomingMessages, sms), (DeliveryReports, report)] {
            for (key, expected) in [("wrong", 403), (&*bridge.generated_key, 400)] {
                let url = format!("{}x?{}", bridge.url(callback), form(&[("key", key)]));
                let request = bridge.request_to(&url).header("content-type", FORM);
                let answer = answer(request.body(body.clone())).await?;
                ensure!(answer.status == expected, "{key}: {answer:?}");
            }
        }
        let misspelt = ("incoming-messages", "callback_at_wrong_url");
        bridge.until_logged(misspelt.0, misspelt.1, 2).await?;
        Ok(())
    })
}

#[test]
fn africas_talking_is_answered_200_once_and_does_not_try_again() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let phone = bridge.number();
        let id = bridge.sms(&phone, &format!("{MARK} answered")).await?;
        let callbacks = bridge.africastalking.callbacks();
        let mut ours = callbacks.iter().filter(|callback| callback.id == id);
        let first = ours.next().unwrap();
        ensure!(first.kind == africastalking::CallbackKind::Incoming);
        ensure!(first.status == Some(200) && ours.next().is_none());
        bridge.stored(&id).await?;
        Ok(())
    })
}
