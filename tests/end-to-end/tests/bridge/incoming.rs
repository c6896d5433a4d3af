//! SMS from phones to Medic.

use std::fs;

use anyhow::ensure;
use futures_util::future::try_join_all;
use sandbox::tools::repository;

use crate::deployed::{Bridge, MARK, OPT_OUT_TEXT, id, on_a_stack_of_its_own, on_the_shared_stack};
use crate::driving::{CallbackRoute, FORM, answer, form, until};

const INCOMING: CallbackRoute = CallbackRoute::IncomingMessages;

/// Texts that something on the way could touch.
const DIFFICULT_TEXTS: [&str; 14] = [
    "  kept with its spaces  ",
    "lines\nand\r\nlines\r and a\ttab",
    "a&b=c+d%20e%zz?f#g;h",
    "\"quoted\" \\ back\\u0041slashed {\"json\": [null]}",
    "control \u{1}\u{8}\u{b}\u{c}\u{e}\u{1b}\u{1f}\u{7f}\u{80}\u{9f} characters",
    "nothing \u{0} in the middle",
    "no characters \u{fffe}\u{ffff}\u{fdd0}\u{1ffff}\u{10ffff} at all",
    "an order \u{feff}\u{202e}of\u{202c}\u{200b} bytes",
    "replaced \u{fffd}",
    "Häufig, größer, naïve, ¿señor?",
    "አዲስ አበባ हिन्दी العربية 中文 สวัสดี",
    "cafe\u{301} and caf\u{e9}",
    "🤰🏾 👩‍👩‍👧‍👦 🇰🇪",
    "<b>&amp;</b> ${x} {{y}} '; DROP TABLE--",
];

#[test]
fn an_opt_out_becomes_one_sms_with_the_text_of_the_parameter() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let phone = bridge.number();
        let url = &bridge.stack.outputs().opt_outs_callback_url;
        let url = url.trim_end_matches("?key=");
        let key = form(&[("key", &bridge.generated_key)]);
        let body = form(&[("senderId", "20880"), ("phoneNumber", &phone)]);
        // As it is pasted, with a slash that somebody typed, and without the key.
        for (url, expected) in [
            (format!("{url}?{key}"), 200),
            (format!("{url}/?{key}"), 200),
            (url.to_owned(), 403),
        ] {
            let request = bridge.request_to(&url).header("content-type", FORM);
            let answer = answer(request.body(body.clone())).await?;
            ensure!(answer.status == expected, "{answer:?}");
        }
        let of_phone = || {
            let mut stored = bridge.medic.stored();
            stored.retain(|sms| sms.from == phone);
            stored
        };
        until("the opt-out in Medic", || !of_phone().is_empty()).await?;
        ensure!(bridge.africastalking.opt_out(&phone).await? == 200);
        // The others came with the same id, and are no second SMS.
        let next = bridge.sms(&phone, "later").await?;
        bridge.stored(&next).await?;
        let texts: Vec<String> = of_phone().into_iter().map(|sms| sms.content).collect();
        ensure!(texts == [OPT_OUT_TEXT, "later"], "{texts:?}");
        Ok(())
    })
}

/// Waits until Medic has stored this, character by character and once.
async fn stored_as(bridge: &Bridge, id: &str, from: &str, content: &str) -> anyhow::Result<()> {
    let stored = bridge.stored(id).await?;
    ensure!(
        (stored.from.as_str(), stored.content.as_str()) == (from, content),
        "{content:?} of {from:?} arrived as {stored:?}"
    );
    Ok(())
}

async fn accepted(bridge: &Bridge, content_type: &str, body: Vec<u8>) -> anyhow::Result<()> {
    let request = bridge.request(INCOMING);
    let answer = answer(request.header("content-type", content_type).body(body)).await?;
    ensure!(answer.status == 200, "{answer:?}");
    Ok(())
}

async fn accepted_form(bridge: &Bridge, fields: &[(&str, &str)]) -> anyhow::Result<()> {
    accepted(bridge, FORM, form(fields).into_bytes()).await
}

#[test]
fn every_character_of_a_text_reaches_medic_unchanged() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let phone = &bridge.number();
        let arrivals = DIFFICULT_TEXTS.map(|text| async move {
            let (id, text) = (id(), format!("{MARK} {text}"));
            let fields = [("id", id.as_str()), ("from", phone), ("text", &text)];
            accepted_form(bridge, &fields).await?;
            stored_as(bridge, &id, phone, &text).await
        });
        try_join_all(arrivals).await?;
        Ok(())
    })
}

#[test]
fn every_character_of_a_json_text_reaches_medic_unchanged() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let phone = &bridge.number();
        let content_types = ["application/json", "application/json; charset=utf-8"];
        let arrivals = DIFFICULT_TEXTS
            .iter()
            .enumerate()
            .map(|(n, text)| async move {
                let (id, text) = (id(), format!("{MARK} {text}"));
                let body = serde_json::json!({
                    "text": text, "linkId": null, "id": id, "cost": 1.5, "from": phone, "to": 20880,
                });
                let content_type = content_types[n % content_types.len()];
                accepted(bridge, content_type, body.to_string().into_bytes()).await?;
                stored_as(bridge, &id, phone, &text).await
            });
        try_join_all(arrivals).await?;
        Ok(())
    })
}

#[test]
fn what_cannot_be_decoded_reaches_medic_as_replacement_characters() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let phone = &bridge.number();
        let encoded_phone = &form(&[("from", phone)]);
        let json = "application/json";
        let cases: [(&str, &[u8], &str); 7] = [
            (FORM, b"a%FFb", "a\u{fffd}b"),
            (FORM, b"a\xffb", "a\u{fffd}b"),
            (FORM, b"cut off %F0%9F%98", "cut off \u{fffd}"),
            // Half of a surrogate pair in UTF-8, as some gateways write it.
            (FORM, b"half %ED%A0%BD", "half \u{fffd}\u{fffd}\u{fffd}"),
            (json, br"half \ud83d of it", "half \u{fffd} of it"),
            (json, br"\udc00\ud83d\ude00", "\u{fffd}😀"),
            (json, b"a\xffb", "a\u{fffd}b"),
        ];
        let arrivals = cases.map(|(content_type, text, expected)| async move {
            let id = id();
            let body = if content_type == json {
                let start = format!(r#"{{"id":"{id}","from":"{phone}","text":""#);
                [start.as_bytes(), text, br#""}"#].concat()
            } else {
                let start = format!("id={id}&{encoded_phone}&text=");
                [start.as_bytes(), text].concat()
            };
            accepted(bridge, content_type, body).await?;
            stored_as(bridge, &id, phone, expected).await
        });
        try_join_all(arrivals).await?;
        Ok(())
    })
}

#[test]
fn an_sms_without_a_text_reaches_medic_as_one_space() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let (empty, missing, null, phone) = (id(), id(), id(), bridge.number());
        accepted_form(bridge, &[("id", &empty), ("from", &phone), ("text", "")]).await?;
        accepted_form(bridge, &[("from", &phone), ("id", &missing)]).await?;
        let json = serde_json::json!({ "id": null, "from": phone, "text": null }).to_string();
        let json = json.replacen("null", &format!("\"{null}\""), 1);
        accepted(bridge, "application/json", json.into_bytes()).await?;
        for id in [&empty, &missing, &null] {
            stored_as(bridge, id, &phone, " ").await?;
        }
        Ok(())
    })
}

#[test]
fn fields_may_come_in_any_order_repeated_unknown_or_not_at_all() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let phone = &bridge.number();
        let cases: [&[(&str, &str)]; 5] = [
            &[
                ("cost", "None"),
                ("text", "{text}"),
                ("from", "{from}"),
                ("id", "{id}"),
            ],
            &[
                ("id", "{id}"),
                ("from", "{from}"),
                ("text", "{text}"),
                ("linkId", "0"),
            ],
            &[
                ("text", ""),
                ("id", "{id}"),
                ("text", "{text}"),
                ("from", "{from}"),
                ("text", "another"),
                ("id", "another"),
                ("from", "another"),
            ],
            &[
                ("", ""),
                ("newField", "something new"),
                ("from", "{from}"),
                ("networkCode", "63902"),
                ("id", "{id}"),
                ("text", "{text}"),
                ("from[]", "x"),
            ],
            &[
                ("from", "{from}"),
                ("to", ""),
                ("id", "{id}"),
                ("text", "{text}"),
                ("cost", "KES 1.00"),
            ],
        ];
        let arrivals = cases.map(|fields| async move {
            let (id, text) = (id(), format!("{MARK} in any order"));
            let fields: Vec<(&str, &str)> = fields
                .iter()
                .map(|(name, value)| match *value {
                    "{id}" => (*name, id.as_str()),
                    "{from}" => (*name, phone.as_str()),
                    "{text}" => (*name, text.as_str()),
                    other => (*name, other),
                })
                .collect();
            accepted_form(bridge, &fields).await?;
            stored_as(bridge, &id, phone, &text).await
        });
        try_join_all(arrivals).await?;
        Ok(())
    })
}

#[test]
fn a_form_is_read_whatever_its_content_type_and_base64_encoded_or_not() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        // API Gateway hands over text/… as it is, and all of the others in base64.
        let content_types = [
            "text/plain",
            "text/plain; charset=ISO-8859-1",
            "Application/X-WWW-Form-URLEncoded; Charset=UTF-8",
            "application/octet-stream",
            "no content type",
        ];
        let phone = &bridge.number();
        let arrivals = content_types.map(|content_type| async move {
            let (id, text) = (id(), format!("{MARK} in a form, é"));
            let fields = [("id", id.as_str()), ("from", phone), ("text", &text)];
            accepted(bridge, content_type, form(&fields).into_bytes()).await?;
            stored_as(bridge, &id, phone, &text).await
        });
        try_join_all(arrivals).await?;
        let (id, text) = (id(), format!("{MARK} without a content type"));
        let fields = [("id", id.as_str()), ("from", phone), ("text", &text)];
        let answer = answer(bridge.request(INCOMING).body(form(&fields))).await?;
        ensure!(answer.status == 200, "{answer:?}");
        stored_as(bridge, &id, phone, &text).await
    })
}

#[test]
fn a_sender_may_be_a_name_with_spaces() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        for from in [
            "MTN",
            "Airtel Money",
            "M-PESA 2",
            "20880",
            "Ünïcode",
            "0700 000 001",
        ] {
            let (id, text) = (id(), format!("{MARK} from a name"));
            accepted_form(bridge, &[("id", &id), ("from", from), ("text", &text)]).await?;
            stored_as(bridge, &id, from, &text).await?;
        }
        // A number whose plus was not encoded.
        let (id, phone) = (id(), bridge.number());
        let body = format!("id={id}&from={phone}&text=x");
        accepted(bridge, FORM, body.into_bytes()).await?;
        stored_as(bridge, &id, &phone, "x").await
    })
}

#[test]
fn a_date_that_cannot_be_read_does_not_cost_the_message() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let phone = &bridge.number();
        let dates = [
            "2017-05-03T06:04:45Z",
            "2021-01-14 08:10:15",
            "2021-01-14 08:10:15.250",
            "",
            "None",
            "14/01/2021",
            "99999999999999999999",
            "+999999-01-01T00:00:00Z",
            "2021-02-30 25:61:61",
        ];
        let arrivals = dates.map(|date| async move {
            let (id, text) = (id(), format!("{MARK} dated {date}"));
            let fields = [
                ("date", date),
                ("id", id.as_str()),
                ("from", phone),
                ("text", &text),
            ];
            accepted_form(bridge, &fields).await?;
            stored_as(bridge, &id, phone, &text).await
        });
        try_join_all(arrivals).await?;
        Ok(())
    })
}

#[test]
fn real_callbacks_reach_medic_as_they_are() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let mut posted = 0;
        for file in fs::read_dir(repository().join("functions/bridge/tests/payloads"))? {
            let path = file?.path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !(name.starts_with("incoming-") && name.ends_with(".form")) {
                continue;
            }
            // The file's last line has an end, what was posted had none.
            let body = fs::read(&path)?.trim_ascii_end().to_vec();
            accepted(bridge, FORM, body.clone()).await?;
            let field = |name: &str| {
                let mut fields = form_urlencoded::parse(&body);
                let (_, value) = fields.find(|(key, _)| key == name).unwrap();
                value.into_owned()
            };
            stored_as(bridge, &field("id"), &field("from"), &field("text")).await?;
            for line in bridge.stack.log_lines(INCOMING.function()).await? {
                ensure!(!line.contains(&field("text")), "{line}");
            }
            posted += 1;
        }
        ensure!(posted >= 2, "{posted} payloads");
        Ok(())
    })
}

#[test]
fn the_messages_of_one_sender_reach_medic_in_order() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let conversations =
            [bridge.number(), bridge.number(), bridge.number()].map(|phone| async move {
                let mut sent = Vec::new();
                for n in 0..6 {
                    sent.push(bridge.sms(&phone, &format!("{MARK} {n}")).await?);
                }
                until("all of them in Medic", || {
                    sent.iter().all(|id| !bridge.copies_in_medic(id).is_empty())
                })
                .await?;
                let mut stored = bridge.medic.stored();
                stored.retain(|stored| stored.from == phone);
                let stored: Vec<String> = stored.into_iter().map(|stored| stored.id).collect();
                ensure!(stored == sent, "{sent:?} came as {stored:?}");
                Ok(())
            });
        try_join_all(conversations).await?;
        Ok(())
    })
}

#[test]
fn a_callback_that_comes_again_is_one_message_in_medic() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let (again, phone, text) = (id(), bridge.number(), format!("{MARK} once"));
        let fields = [("id", again.as_str()), ("from", &phone), ("text", &text)];
        let posts = try_join_all((0..4).map(|_| bridge.post(INCOMING, &fields))).await?;
        ensure!(posts.iter().all(|answer| answer.status == 200), "{posts:?}");
        stored_as(bridge, &again, &phone, &text).await?;

        // After five minutes the queue has forgotten it, and Medic recognises it.
        bridge.pass_time()?;
        let posts_before = bridge.medic.posts().len();
        ensure!(bridge.post(INCOMING, &fields).await?.status == 200);
        until("the second time in a POST to Medic", || {
            let posts = bridge.posts_since(posts_before);
            posts
                .iter()
                .any(|post| post.message_ids.contains(&again) && post.worked)
        })
        .await?;
        let copies = bridge.copies_in_medic(&again);
        ensure!(copies.len() == 1, "{copies:?}");
        Ok(())
    })
}
