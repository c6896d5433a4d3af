//! Lambda kills a function for its time or its memory, or the function crashes, or cannot start. Nothing
//! is lost, nothing is done twice, and Lambda counts an error.
//!
//! `src/bin/dying-function.rs` takes the place of each function that reads from a queue. The emulator
//! enforces time-outs and notices when a process ends. It enforces no memory limit: the program takes
//! more memory than it may have, and then kills itself with the signal that Lambda would have used.
//!
//! The emulator evaluates an alarm without its dimensions: each error raises the alarms of all functions. So
//! the tests also read `Errors` of `AWS/Lambda` for the function that died.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use sandbox::medic::MessageState;

use crate::deployed::{Bridge, MARK, on_a_stack_of_its_own};
use crate::driving::{found, until};
use crate::failures::until_stored;
use crate::reports::{at_id, until_recorded};

const DYING_FUNCTION: &str = env!("CARGO_BIN_EXE_dying-function");
/// How it dies, in this order, as a message is received again and again.
const DEATHS: [&str; 3] = ["time-out", "memory", "crash"];
/// The function's time-out meanwhile; the least that Lambda allows.
const TIMEOUT_S: u64 = 1;

/// The begin of a program for AArch64, which Lambda calls arm64.
const ELF: [u8; 20] = [
    0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 183, 0,
];

/// Puts a program in the place of a function's own, calls `bring`, which puts messages into the
/// function's queue, and `harm`, which waits until the program has failed on them. Then the function
/// gets its own program back and empties the queue. Gives what `bring` gave: an id of each message.
async fn while_replaced(
    bridge: &Bridge,
    (function, queue): (&str, &str),
    program: &Path,
    bring: impl AsyncFnOnce() -> anyhow::Result<Vec<String>>,
    harm: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<String>> {
    let dead_lettered_before = dead_letters(bridge).await?;
    let replaced = bridge.stack.replace(function, program, TIMEOUT_S).await?;
    let ids = bring().await?;
    harm().await?;
    found(
        "each message received, and still in the queue",
        async || {
            for id in &ids {
                let (receives, _) = bridge.waiting(queue, id).await?;
                ensure!(receives > 0, "{id} was not received yet");
            }
            Ok(Some(()))
        },
    )
    .await?;
    bridge.stack.restore(replaced).await?;
    bridge.pass_time()?;
    found("an empty queue", async || {
        let depth = bridge.stack.aws().depth(queue).await?;
        Ok((depth.total() == 0).then_some(()))
    })
    .await?;
    ensure!(dead_letters(bridge).await? == dead_lettered_before);
    Ok(ids)
}

/// Lets a function die in each way while it has the messages in hand that `bring` puts into its queue.
async fn while_it_dies(
    bridge: &Bridge,
    (function, queue): (&str, &str),
    bring: impl AsyncFnOnce() -> anyhow::Result<Vec<String>>,
) -> anyhow::Result<Vec<String>> {
    let errors_before = bridge.stack.invocation_errors(function).await?;
    let program = Path::new(DYING_FUNCTION);
    while_replaced(bridge, (function, queue), program, bring, async || {
        for death in DEATHS {
            // It could not return its messages for retry: they wait for the visibility timeout.
            bridge.pass_time()?;
            found(&format!("a death by {death}"), async || {
                let log = bridge.log(function).await?;
                let mut deaths = log.iter().filter(|line| line["event"] == "dying");
                Ok(deaths.any(|line| line["of"] == death).then_some(()))
            })
            .await?;
        }
        until_errors_are(bridge, function, errors_before + 3.0).await
    })
    .await
}

/// Waits until Lambda has counted so many errors of a function, and the function's alarm is raised. It
/// needs no line of the function's own log.
async fn until_errors_are(bridge: &Bridge, function: &str, count: f64) -> anyhow::Result<()> {
    let alarm = match function {
        "medic-exchange" => "ExchangeErrorsAlarm",
        "outbound-sender" => "SenderErrorsAlarm",
        _ => "RecorderErrorsAlarm",
    };
    let alarm = bridge.stack.resource(alarm).await?;
    found(&format!("{count} errors of {function}"), async || {
        let errors = bridge.stack.invocation_errors(function).await?;
        Ok((errors >= count).then_some(()))
    })
    .await?;
    found("an alarm that is raised", async || {
        let alarm = bridge.stack.aws().alarm(&alarm).await?;
        Ok((alarm["StateValue"] == "ALARM").then_some(()))
    })
    .await
}

/// How many messages are in all dead-letter queues.
async fn dead_letters(bridge: &Bridge) -> anyhow::Result<u64> {
    let outputs = bridge.stack.outputs();
    let mut count = 0;
    for queue in [
        &outputs.exchange_dead_letter_queue_url,
        &outputs.reports_dead_letter_queue_url,
        &outputs.outbox_dead_letter_queue_url,
    ] {
        count += bridge.stack.aws().depth(queue).await?.total();
    }
    Ok(count)
}

/// Sends three SMS from phones of their own. Gives their ids.
async fn three_in(bridge: &Bridge) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    for n in 0..3 {
        let text = format!("{MARK} {n} in");
        ids.push(bridge.sms(&bridge.number(), &text).await?);
    }
    Ok(ids)
}

/// Has Medic send three messages to phones of their own. Gives their ids.
async fn three_out(bridge: &Bridge) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    for n in 0..3 {
        let text = format!("{MARK} {n} out");
        ids.push(bridge.send(&bridge.number(), &text).await?);
    }
    Ok(ids)
}

/// Waits until Medic shows each as delivered, and makes sure that each was sent once.
async fn each_is_delivered_once(bridge: &Bridge, ids: &[String]) -> anyhow::Result<()> {
    for id in ids {
        let shown = bridge
            .until_medic_shows(id, MessageState::Delivered)
            .await?;
        let sends = bridge.sends_to(&shown.to);
        ensure!(sends.len() == 1, "{sends:?}");
    }
    Ok(())
}

/// The statuses in the reports of an SMS that the webhook has accepted.
fn reported(bridge: &Bridge, at_id: &str) -> Vec<String> {
    let mut callbacks = bridge.africastalking.callbacks();
    callbacks.retain(|callback| callback.id == at_id && callback.is_accepted());
    let statuses = callbacks.iter().filter_map(|it| it.field("status"));
    statuses.map(str::to_owned).collect()
}

#[test]
fn what_the_exchange_had_in_hand_when_it_died_is_stored_once() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let exchange = (
            "medic-exchange",
            &*bridge.stack.outputs().exchange_queue_url,
        );
        let ids = while_it_dies(bridge, exchange, async || three_in(bridge).await).await?;
        until_stored(bridge, &ids).await
    })
}

#[test]
fn what_the_sender_had_in_hand_when_it_died_is_sent_once() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let sender = ("outbound-sender", &*bridge.stack.outputs().outbox_queue_url);
        let ids = while_it_dies(bridge, sender, async || three_out(bridge).await).await?;
        each_is_delivered_once(bridge, &ids).await
    })
}

#[test]
fn each_report_that_the_recorder_had_in_hand_when_it_died_is_recorded() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let recorder = (
            "report-recorder",
            &*bridge.stack.outputs().reports_queue_url,
        );
        let mut ids = Vec::new();
        let bring = async || {
            ids = three_out(bridge).await?;
            let mut at_ids = Vec::new();
            for id in &ids {
                at_ids.push(at_id(bridge, id).await?);
            }
            until("the last report of each", || {
                let is_last = |status: &String| status == "Success";
                at_ids
                    .iter()
                    .all(|id| reported(bridge, id).iter().any(is_last))
            })
            .await?;
            Ok(at_ids)
        };
        let at_ids = while_it_dies(bridge, recorder, bring).await?;
        for at_id in &at_ids {
            for status in reported(bridge, at_id) {
                until_recorded(bridge, at_id, &status).await?;
            }
        }
        each_is_delivered_once(bridge, &ids).await
    })
}

#[test]
fn what_comes_while_the_exchange_cannot_start_is_stored_once() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let function = "medic-exchange";
        let queue = &bridge.stack.outputs().exchange_queue_url;
        // Built for another processor.
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("arm64");
        fs::write(&program, ELF).context("cannot write the program")?;
        let errors_before = bridge.stack.invocation_errors(function).await?;
        let bring = async || three_in(bridge).await;
        let harm = async || {
            for count in [1.0, 2.0] {
                bridge.pass_time()?;
                until_errors_are(bridge, function, errors_before + count).await?;
            }
            Ok(())
        };
        let ids = while_replaced(bridge, (function, queue), &program, bring, harm).await?;
        until_stored(bridge, &ids).await
    })
}
