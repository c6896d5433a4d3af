//! A Lambda function that dies on purpose, in the place of one that reads from a queue. It is killed for
//! its time at the first receive of a message, for its memory at the second, and crashes at the third;
//! then it begins anew.
//!
//! It touches nothing, so each message stays in its queue and can be received again after the visibility
//! timeout.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, abort};

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

const MEBIBYTE: usize = 1024 * 1024;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(die)).await
}

async fn die(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let death = match receives(&event.payload) % 3 {
        1 => "time-out",
        2 => "memory",
        _ => "crash",
    };
    #[allow(
        clippy::print_stdout,
        reason = "the log is where the test sees how it died"
    )]
    {
        println!("{}", json!({ "event": "dying", "of": death }));
    }
    match death {
        "time-out" => std::future::pending().await,
        "memory" => use_up(usize::try_from(event.context.env_config.memory)?),
        _ => abort(),
    }
}

/// How often the message was received that was received most often.
fn receives(batch: &Value) -> u64 {
    let records = batch.get("Records").and_then(Value::as_array);
    let counts = records.into_iter().flatten().filter_map(|record| {
        let count = record.pointer("/attributes/ApproximateReceiveCount")?;
        count.as_str()?.parse().ok()
    });
    counts.max().unwrap_or(1)
}

/// Takes more memory than it may have. Lambda kills it for that. The emulator has no such limit: there
/// it becomes a process that kills itself with the same signal.
fn use_up(memory_mib: usize) -> ! {
    let mut taken = Vec::new();
    for _ in 0..=memory_mib {
        // Not zeroes: what was never written takes no memory.
        taken.push(vec![1_u8; MEBIBYTE]);
    }
    let error = Command::new("sh").args(["-c", "kill -KILL $$"]).exec();
    std::hint::black_box((taken, error));
    abort()
}
