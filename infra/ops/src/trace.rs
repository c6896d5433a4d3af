//! `trace`: prints what happened to an SMS as a time line, from the ledger, the dead-letter queues and the
//! exchange's row.

mod line;
mod sentences;

use bridge::domain::delivery::SmsRow;
use bridge::domain::exchange::Quarantined;
use bridge::domain::ids::{AtMessageId, IncomingId, MedicMessageId};
use bridge::domain::message::MessageRow;
use bridge::domain::phone_number::PhoneNumber;
use bridge::ledger;
use bridge::ports::{Key, KeyedHash as _, Row};
use bridge::secrets::NumberHash;
use serde_json::{Value, json};

use crate::callbacks::KEY_SECRET;
use crate::dead_letters::{DeadLetterItem, SourceQueue, peek};
use crate::failure::Failure;
use crate::scan::scan;
use crate::stack::Stack;
use crate::terminal::{Progress, Terminal, format_time};
use line::time_line;

/// What to print, and how.
pub struct How {
    /// How many messages to print for a phone number at most.
    pub limit: usize,
    /// Whether to show phone numbers and texts.
    pub reveal: bool,
    /// Whether to print JSON for a program.
    pub json: bool,
}

/// A message.
struct Life {
    message: MessageRow,
    /// Why nothing is sent now, if it waits for that.
    stopped: Option<String>,
}

/// The rows found for an id or a number.
#[derive(Default)]
struct TraceResult {
    lives: Vec<Life>,
    /// SMS with reports that match no message.
    unclaimed: Vec<SmsRow>,
    dead_letters: Vec<DeadLetterItem>,
    /// The SMS that came in and waits in quarantine, with its id.
    quarantined: Option<(String, Quarantined)>,
}

/// Prints what is known of a message, an SMS or a phone number.
///
/// # Errors
/// When nothing is known, or AWS cannot be asked.
pub async fn show(
    stack: &Stack,
    terminal: &Terminal,
    what: &str,
    how: &How,
) -> Result<(), Failure> {
    let mut found = match PhoneNumber::parse(what) {
        Ok(number) => of_number(stack, terminal, &number).await?,
        Err(_) => of_id(stack, terminal, what).await?,
    };
    for queue in SourceQueue::ALL {
        let peeked = peek(stack, queue).await?;
        let about = peeked.items.into_iter().filter(|item| item.is_about(what));
        found.dead_letters.extend(about);
    }
    found
        .lives
        .sort_by_key(|life| std::cmp::Reverse(life.message.first_offered));
    let more = found.lives.len().saturating_sub(how.limit);
    found.lives.truncate(how.limit);
    if found.lives.is_empty()
        && found.unclaimed.is_empty()
        && found.dead_letters.is_empty()
        && found.quarantined.is_none()
    {
        return Err(nothing_known(what));
    }
    if how.json {
        terminal.json(&to_json(&found, how.reveal));
    } else {
        print(terminal, &found, how.reveal);
    }
    if more > 0 {
        terminal.note(&format!(
            "{more} older ones are left out; --limit shows more."
        ));
    }
    Ok(())
}

fn nothing_known(what: &str) -> Failure {
    let advice = if what.starts_with('+') {
        "the ledger has no SMS to this number, and nothing from or to it is dead-lettered"
    } else if what.bytes().all(|byte| byte.is_ascii_digit()) {
        "a phone number begins with + and its country's code"
    } else {
        "the ledger does not know this id, and nothing of it is dead-lettered. If it is of an SMS that came in: that \
         is in the queue to Medic (`cargo ops doctor` says how much waits there) or in Medic. If Medic wants \
         it sent: it has not been taken yet, or is older than what the ledger keeps"
    };
    Failure::Problem(format!("nothing is known: {advice}"))
}

async fn of_id(stack: &Stack, terminal: &Terminal, id: &str) -> Result<TraceResult, Failure> {
    let store = stack.ledger(terminal)?;
    let failed = |error: bridge::ports::LedgerError| Failure::aws("read the ledger", &error.0);
    let wrong = |_| Failure::Usage("an id is not empty, and not longer than 512 bytes".to_owned());
    let message_id = MedicMessageId::new(id).map_err(wrong)?;
    let at_id = AtMessageId::new(id).map_err(wrong)?;
    let keys = [
        Key::Message(message_id.clone()),
        Key::Sms(at_id.clone()),
        Key::Exchange,
    ];
    let rows = ledger::read(&store, &keys).await.map_err(failed)?;
    let quarantined = rows.exchange().quarantined;
    let mut found = TraceResult {
        quarantined: IncomingId::new(id)
            .ok()
            .and_then(|incoming| quarantined.get(&incoming).cloned())
            .map(|one| (id.to_owned(), one)),
        ..TraceResult::default()
    };
    let message = match (rows.message(&message_id), rows.sms(&at_id)) {
        (Some(row), _) => Some(row.clone()),
        (None, Some(sms)) => match &sms.message {
            Some(owner) => {
                let key = Key::Message(owner.clone());
                let rows = ledger::read(&store, &[key]).await.map_err(failed)?;
                rows.message(owner).cloned()
            }
            None => None,
        },
        (None, None) => None,
    };
    match message {
        Some(message) => found.lives.push(life(stack, terminal, message).await?),
        None => found.unclaimed.extend(rows.sms(&at_id).cloned()),
    }
    Ok(found)
}

/// Finds the messages to a number by its hash, because the ledger keeps no number. It reads the whole
/// ledger.
async fn of_number(
    stack: &Stack,
    terminal: &Terminal,
    number: &PhoneNumber,
) -> Result<TraceResult, Failure> {
    let hashes = NumberHash::new(stack.secret(KEY_SECRET)?, terminal);
    let hash = (&hashes)
        .hash(number.as_str())
        .await
        .map_err(|error| Failure::aws("read the key that numbers are hashed under", &error.0))?;
    let mut messages = Vec::new();
    let mut found = TraceResult::default();
    scan(
        stack,
        terminal,
        "number_hash = :hash",
        &[(":hash", &hash)],
        |row| match row {
            Row::Message(row) => messages.push(row),
            Row::Sms(row) if row.message.is_none() => found.unclaimed.push(row),
            _ => {}
        },
    )
    .await?;
    let mut progress = Progress::begin(terminal, "messages read");
    for message in messages {
        found.lives.push(life(stack, terminal, message).await?);
        progress.at(found.lives.len());
    }
    Ok(found)
}

async fn life(stack: &Stack, terminal: &Terminal, message: MessageRow) -> Result<Life, Failure> {
    let store = stack.ledger(terminal)?;
    let rows = ledger::read(&store, &[Key::Account])
        .await
        .map_err(|error| Failure::aws("read the ledger", &error.0))?;
    Ok(Life {
        stopped: sentences::stopped(&message, &rows.account()),
        message,
    })
}

fn print(terminal: &Terminal, found: &TraceResult, reveal: bool) {
    for life in &found.lives {
        terminal.say(&format!("SMS {}", life.message.id.as_str()));
        for moment in time_line(&life.message) {
            terminal.say(&format!("  {}  {}", format_time(moment.at), moment.what));
        }
        for line in sentences::now(&life.message).iter().chain(&life.stopped) {
            terminal.say(&format!("  {line}"));
        }
    }
    for sms in &found.unclaimed {
        terminal.say(&format!(
            "SMS {} is unmatched here, as far as is known",
            sms.id.as_str()
        ));
        for report in &sms.reports {
            let at = format_time(report.received_at);
            terminal.say(&format!("  {at}  {}", sentences::report(report)));
        }
    }
    if let Some((id, one)) = &found.quarantined {
        terminal.say(&format!("SMS {id} came in, and waits in quarantine"));
        terminal.say(&format!(
            "  {}  Medic failed on it for the first time; by now {} times beside others that it stored",
            format_time(one.since),
            one.failures
        ));
        terminal.say(&format!("  {}  it is retried", format_time(one.until)));
    }
    for item in &found.dead_letters {
        terminal.say(&format!(
            "dead-lettered ({}) {}",
            item.message_id,
            item.what(reveal)
        ));
        terminal.say(&format!(
            "  {}  {}",
            format_time(item.dead_lettered_at),
            item.reason(reveal)
        ));
    }
}

fn to_json(found: &TraceResult, reveal: bool) -> Value {
    let lives = found.lives.iter().map(|life| {
        let moments = time_line(&life.message);
        let moments: Vec<Value> = moments
            .iter()
            .map(|moment| json!({ "at_ms": moment.at, "what": moment.what }))
            .collect();
        json!({
            "id": life.message.id.as_str(),
            "status": life.message.status.medic_name(),
            "reported": life.message.reported.map(bridge::domain::status::Status::medic_name),
            "at_ids": life.message.at_ids.iter().map(AtMessageId::as_str).collect::<Vec<_>>(),
            "time_line": moments,
            "now": sentences::now(&life.message),
            "stopped": life.stopped,
        })
    });
    let unclaimed = found.unclaimed.iter().map(|sms| {
        json!({
            "at_id": sms.id.as_str(),
            "reports": sms.reports.iter().map(sentences::report).collect::<Vec<_>>(),
        })
    });
    json!({
        "messages": lives.collect::<Vec<_>>(),
        "unmatched": unclaimed.collect::<Vec<_>>(),
        "quarantined": found.quarantined.iter().map(|(id, one)| json!({
            "id": id,
            "failures": one.failures,
            "since_ms": one.since,
            "until_ms": one.until,
        })).collect::<Vec<_>>(),
        "dead_letters": found.dead_letters.iter().map(|item| item.to_json(reveal)).collect::<Vec<_>>(),
    })
}
