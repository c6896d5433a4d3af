//! The two URLs for Africa's Talking's dashboard.

use bridge::secrets::KeySecret;
use serde_json::json;

use crate::failure::Failure;
use crate::stack::Stack;
use crate::terminal::Terminal;

/// The output with the address for SMS that come in.
pub const INCOMING_MESSAGES: &str = "IncomingMessagesCallbackUrl";
/// The output with the address for delivery reports.
pub const DELIVERY_REPORTS: &str = "DeliveryReportsCallbackUrl";
/// The output with the secret of the incoming key.
pub const KEY_SECRET: &str = "IncomingKeySecretArn";

/// Prints both, with the key.
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

/// Prints both with these keys.
///
/// # Errors
/// When the stack does not say where they are.
pub fn print(
    stack: &Stack,
    terminal: &Terminal,
    keys: &KeySecret,
    json: bool,
) -> Result<(), Failure> {
    let incoming = with_key(&stack.callback_url(INCOMING_MESSAGES)?, &keys.key);
    let reports = with_key(&stack.callback_url(DELIVERY_REPORTS)?, &keys.key);
    if json {
        let rotating = keys.second_key.is_some();
        terminal.json(&json!({
            "incoming_messages": incoming, "delivery_reports": reports, "old_key_is_valid": rotating,
        }));
        return Ok(());
    }
    terminal.say("In Africa's Talking's dashboard, under SMS, \"SMS callback URLs\":");
    terminal.say(&format!("  Incoming messages  {incoming}"));
    terminal.say(&format!("  Delivery reports   {reports}"));
    terminal.note("Whoever has these URLs can call them: treat them as passwords.");
    Ok(())
}

/// The keys, as the callbacks read them.
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

/// An address that ends in `key=`, with the key.
pub fn with_key(url: &str, key: &str) -> String {
    let key: String = form_urlencoded::byte_serialize(key.as_bytes()).collect();
    format!("{url}{key}")
}
