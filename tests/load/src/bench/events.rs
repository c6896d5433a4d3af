//! An event for each function, each with ids that were not used before.

use std::collections::HashMap;

use anyhow::ensure;
use models::lambda;
use serde_json::{Value, json};

use crate::aws::{INCOMING_KEY, InMemoryAws, now_ms};
use crate::lambda::front::{self, INCOMING_PATH, REPORTS_PATH};

/// The form of a callback.
pub fn form(fields: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    form.finish()
}

/// A phone number that nobody can have.
pub fn number(n: u64) -> String {
    format!("+2547000000{:02}", n % 100)
}

/// The id that Africa's Talking gives its n-th SMS here.
pub fn at_id(n: u64) -> String {
    format!("ATXid_{n:032x}")
}

/// The id that Medic gives its n-th message here.
pub fn medic_id(n: u64) -> String {
    format!("9b2b3f6e-5f0a-4a51-9d0c-{n:012x}")
}

/// The form of an incoming message.
pub fn incoming_form(n: u64) -> String {
    let id = format!("ec9adc86-51d5-4bc8-8eb0-{n:012x}");
    form(&[
        ("from", &number(n)),
        ("linkId", "28a92cdf-2d63-4ee3-93df-4233d3de0356"),
        (
            "text",
            "My child has a fever since Monday, what shall I do?",
        ),
        ("id", &id),
        ("date", "2026-11-01 08:09:10"),
        ("to", "20880"),
        ("cost", "None"),
        ("networkCode", "63902"),
    ])
}

/// The form of a delivery report on the n-th SMS.
pub fn report_form(n: u64, status: &str) -> String {
    form(&[
        ("phoneNumber", &number(n)),
        ("retryCount", "0"),
        ("id", &at_id(n)),
        ("status", status),
        ("networkCode", "63902"),
    ])
}

/// The n-th event of a function, as Lambda hands it over; a queue's message is in flight in `aws`.
///
/// # Errors
/// When the queue refuses the message.
pub fn event(aws: &InMemoryAws, function: &str, n: u64) -> anyhow::Result<String> {
    let query = format!("key={INCOMING_KEY}");
    let form_type = "application/x-www-form-urlencoded; charset=utf-8";
    let webhook = |path, form: String| front::event(path, &query, form_type, form.as_bytes());
    let queue = |queue, body: Value| {
        let message = aws.in_flight(queue, &body.to_string())?;
        anyhow::Ok(lambda::event(queue, &[message]))
    };
    let event = match function {
        "incoming-messages" => webhook(INCOMING_PATH, incoming_form(n)),
        "delivery-reports" => webhook(REPORTS_PATH, report_form(n, "Success")),
        "report-recorder" => queue(
            "reports",
            json!({
                "v": 1, "id": at_id(n), "status": "Success", "network_code": "63902",
                "number_hash": "0".repeat(64), "received_at_ms": now_ms(),
            }),
        )?,
        "outbound-sender" => queue(
            "outbox",
            json!({
                "v": 1, "kind": "send", "id": medic_id(n), "to": number(n), "first_offered_ms": now_ms(),
                "content": format!("Please come to the clinic, your number is {n}"),
            }),
        )?,
        _ => queue(
            "exchange.fifo",
            json!({
                "v": 1, "kind": "incoming", "id": format!("ec9adc86-51d5-4bc8-8eb0-{n:012x}"),
                "from": number(n), "content": "My child has a fever since Monday, what shall I do?",
                "sent_at_ms": now_ms(), "received_at_ms": now_ms(),
            }),
        )?,
    };
    Ok(event.to_string())
}

/// Whether a function did what it should: a webhook answered 200, a worker returned nothing to its
/// queue.
///
/// # Errors
/// With the answer, if not.
pub fn succeeded(answer: &Value) -> anyhow::Result<()> {
    let status = answer.get("statusCode").and_then(Value::as_u64);
    let failures = answer.get("batchItemFailures").and_then(Value::as_array);
    ensure!(
        status.is_none_or(|status| status == 200) && failures.is_none_or(Vec::is_empty),
        "the function answered {answer}"
    );
    Ok(())
}

/// The median; of an even count the greater of the two in the middle, of nothing not a number.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How often each value is there.
pub fn tally<T: std::hash::Hash + Eq>(values: impl IntoIterator<Item = T>) -> HashMap<T, usize> {
    let mut tally = HashMap::new();
    for value in values {
        *tally.entry(value).or_default() += 1;
    }
    tally
}
