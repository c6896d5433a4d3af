//! The URLs for Africa's Talking's dashboard.

use bridge::secrets::KeySecret;
use serde_json::json;

use crate::failure::Failure;
use crate::stack::Stack;
use crate::terminal::Terminal;

/// The stack's output with the URL for SMS that come in.
pub const INCOMING_MESSAGES: &str = "IncomingMessagesCallbackUrl";
/// The stack's output with the URL for delivery reports.
pub const DELIVERY_REPORTS: &str = "DeliveryReportsCallbackUrl";
/// The stack's output with the URL for opt-outs.
pub const OPT_OUTS: &str = "OptOutsCallbackUrl";
/// The stack's output with the secret that holds the incoming key.
pub const KEY_SECRET: &str = "IncomingKeySecretArn";

/// Prints the URLs with the key.
///
/// # Errors
/// When the key cannot be read, or there is none.
pub async fn show(stack: &Stack, terminal: &Terminal, json: bool) -> Result<(), Failure> {
    let keys = read_keys(stack).await?;
    if keys.key.is_empty() {
        return Err(Failure::Problem(
            "the incoming key's secret has no key; `cargo ops rotate-key` makes one".to_owned(),
        ));
    }
    print(stack, terminal, &keys, json)
}

/// Prints the URLs with the newer of these keys.
///
/// # Errors
/// When the stack has no outputs with the URLs.
pub fn print(
    stack: &Stack,
    terminal: &Terminal,
    keys: &KeySecret,
    json: bool,
) -> Result<(), Failure> {
    let incoming = with_key(&stack.callback_url(INCOMING_MESSAGES)?, &keys.key);
    let reports = with_key(&stack.callback_url(DELIVERY_REPORTS)?, &keys.key);
    let opt_outs = with_key(&stack.callback_url(OPT_OUTS)?, &keys.key);
    if json {
        let rotating = keys.second_key.is_some();
        terminal.json(&json!({
            "incoming_messages": incoming, "delivery_reports": reports, "opt_outs": opt_outs,
            "old_key_is_valid": rotating,
        }));
        return Ok(());
    }
    terminal.say("In Africa's Talking's dashboard, under SMS, \"SMS callback URLs\":");
    terminal.say(&format!("  Incoming messages  {incoming}"));
    terminal.say(&format!("  Delivery reports   {reports}"));
    terminal.say(&format!("  Bulk SMS opt-out   {opt_outs}"));
    terminal.note("Whoever has these URLs can call them: treat them as passwords.");
    Ok(())
}

/// Reads the keys as the webhooks read them.
///
/// # Errors
/// When the secret cannot be read.
pub async fn read_keys(stack: &Stack) -> Result<KeySecret, Failure> {
    let text = stack
        .read_secret(KEY_SECRET)
        .await?
        .map_err(|error| Failure::aws("read the incoming key", &error.0))?;
    Ok(KeySecret::read(&text))
}

/// Adds the key to a URL that ends in `key=`.
pub fn with_key(url: &str, key: &str) -> String {
    let key: String = form_urlencoded::byte_serialize(key.as_bytes()).collect();
    format!("{url}{key}")
}
