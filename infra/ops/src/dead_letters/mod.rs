//! `dead-letters`: lists, shows, redrives and discards messages that could not be processed.
//!
//! Besides the messages in the three dead-letter queues, these are the statuses that Medic has refused.
//! Those are in the ledger, and the same command reports them again.

mod item;
mod queue;
mod redrive;
mod refused_status;
mod source_queue;

use bridge::domain::time::Timestamp;
use bridge::ports::Clock as _;
use serde_json::{Value, json};

use crate::arguments::{DeadLetterKind, DeadLettersCommand, Selection};
use crate::failure::Failure;
use crate::stack::Stack;
use crate::terminal::{Terminal, format_duration, format_time};

pub use item::DeadLetterItem;
pub use queue::peek;
use refused_status::RefusedStatus;
pub use refused_status::report_again;
pub use source_queue::SourceQueue;

/// Runs one of the commands.
///
/// # Errors
/// When AWS cannot be asked, or the command could not do everything.
pub async fn run(
    stack: &Stack,
    terminal: &Terminal,
    command: DeadLettersCommand,
) -> Result<(), Failure> {
    match command {
        DeadLettersCommand::List { of, json } => list(stack, terminal, of, json).await,
        DeadLettersCommand::Show { id, reveal, json } => {
            show(stack, terminal, &id, reveal, json).await
        }
        DeadLettersCommand::Redrive { what } => {
            redrive::run(stack, terminal, &Chosen::new(what)?).await
        }
        DeadLettersCommand::Discard { what, yes } => {
            discard(stack, terminal, &Chosen::new(what)?, yes).await
        }
    }
}

/// The messages that a command is for: those with these ids, or all if there are none.
pub struct Chosen {
    ids: Vec<String>,
    of: Option<DeadLetterKind>,
}

impl Chosen {
    fn new(selection: Selection) -> Result<Self, Failure> {
        if selection.ids.is_empty() && !selection.all {
            return Err(Failure::Usage(
                "which ones? Name their ids (`cargo ops dead-letters list`), or say --all"
                    .to_owned(),
            ));
        }
        Ok(Self {
            ids: selection.ids,
            of: selection.of,
        })
    }

    fn is_all(&self) -> bool {
        self.ids.is_empty()
    }

    fn has(&self, id: &str) -> bool {
        self.is_all() || self.ids.iter().any(|chosen| chosen == id)
    }

    fn queues(&self) -> Vec<SourceQueue> {
        SourceQueue::ALL
            .into_iter()
            .filter(|queue| is_of(self.of, queue.of()))
            .collect()
    }

    fn has_statuses(&self) -> bool {
        is_of(self.of, DeadLetterKind::Statuses)
    }
}

fn is_of(wanted: Option<DeadLetterKind>, of: DeadLetterKind) -> bool {
    wanted.is_none_or(|wanted| wanted == of)
}

async fn list(
    stack: &Stack,
    terminal: &Terminal,
    of: Option<DeadLetterKind>,
    json: bool,
) -> Result<(), Failure> {
    let chosen = Chosen {
        ids: Vec::new(),
        of,
    };
    let now = terminal.now();
    let mut values: Vec<Value> = Vec::new();
    let mut hidden = 0;
    for queue in chosen.queues() {
        let peeked = peek(stack, queue).await?;
        values.extend(peeked.items.iter().map(|item| item.to_json(false)));
        hidden += peeked.out_of_sight;
    }
    if chosen.has_statuses() {
        let refused = refused_status::all(stack, terminal).await?;
        values.extend(refused.iter().map(RefusedStatus::to_json));
    }
    if json {
        terminal.json(&json!({ "dead_letters": values, "out_of_sight": hidden }));
        return Ok(());
    }
    for value in &values {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let since = value.get("dead_lettered_at_ms").and_then(Value::as_i64);
        let since = since.map(Timestamp::from_millis);
        let since = since.map_or(String::new(), |since| {
            format!(" {} ago", format_duration(now.since(since)))
        });
        terminal.say(&format!("{}  {}{since}", text("id"), text("of")));
        terminal.say(&format!("    {}", text("what")));
        terminal.say(&format!("    {}", text("reason")));
    }
    if values.is_empty() {
        terminal.note("Nothing is in the dead-letter queues.");
    }
    if hidden > 0 {
        terminal.note(&format!(
            "{hidden} more cannot be seen now: somebody else looks at them, or they stand behind these in \
             the same message group, or are older than what one look takes. They come when these are gone."
        ));
    }
    Ok(())
}

async fn show(
    stack: &Stack,
    terminal: &Terminal,
    id: &str,
    reveal: bool,
    json: bool,
) -> Result<(), Failure> {
    let mut found: Option<Value> = None;
    for queue in SourceQueue::ALL {
        let peeked = peek(stack, queue).await?;
        let item = peeked.items.iter().find(|item| item.message_id == id);
        found = item.map(|item| item.to_json(reveal));
        if found.is_some() {
            break;
        }
    }
    if found.is_none() {
        let refused = refused_status::all(stack, terminal).await?;
        let status = refused.iter().find(|status| status.row.id.as_str() == id);
        found = status.map(RefusedStatus::to_json);
    }
    let found = found.ok_or_else(|| not_there(&[id.to_owned()]))?;
    if json {
        terminal.json(&found);
        return Ok(());
    }
    for (name, value) in found.as_object().into_iter().flatten() {
        let shown = match (name.as_str(), value) {
            ("dead_lettered_at_ms", Value::Number(number)) => {
                format_time(Timestamp::from_millis(number.as_i64().unwrap_or(0)))
            }
            (_, Value::String(text)) => text.clone(),
            (_, other) => other.to_string(),
        };
        terminal.say(&format!("{name:16}{shown}"));
    }
    if !reveal {
        terminal.note("--reveal shows numbers and texts.");
    }
    Ok(())
}

async fn discard(
    stack: &Stack,
    terminal: &Terminal,
    chosen: &Chosen,
    yes: bool,
) -> Result<(), Failure> {
    let mut discarded: Vec<String> = Vec::new();
    let mut hidden = 0;
    for queue in chosen.queues() {
        let peeked = queue::reserve(stack, queue).await?;
        let (gone, kept): (Vec<DeadLetterItem>, Vec<DeadLetterItem>) = peeked
            .items
            .into_iter()
            .partition(|item| chosen.has(&item.message_id));
        queue::release(stack, queue, &kept).await;
        if gone.is_empty() {
            hidden += peeked.out_of_sight;
            continue;
        }
        for item in &gone {
            terminal.note(&format!("{}  {}", item.message_id, item.what(false)));
        }
        let question = format!("Throw away {} for good?", gone.len());
        match if yes {
            Ok(true)
        } else {
            terminal.confirm(&question)
        } {
            Ok(true) => {}
            Ok(false) => {
                queue::release(stack, queue, &gone).await;
                return Err(Failure::Problem("Nothing was thrown away.".to_owned()));
            }
            Err(failure) => {
                queue::release(stack, queue, &gone).await;
                return Err(failure);
            }
        }
        let deleted = queue::delete(stack, queue, &gone).await;
        discarded.extend(deleted.iter().map(|item| item.message_id.clone()));
        if deleted.len() < gone.len() {
            return Err(Failure::Problem(format!(
                "{} of {} are still there",
                gone.len() - deleted.len(),
                gone.len()
            )));
        }
    }
    terminal.say(&format!("Thrown away: {}", discarded.len()));
    if chosen.is_all() && discarded.is_empty() && hidden > 0 {
        return Err(out_of_sight(hidden));
    }
    let missing: Vec<String> = chosen
        .ids
        .iter()
        .filter(|id| !discarded.contains(id))
        .cloned()
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(not_there(&missing))
    }
}

/// The queue holds messages that the command could not receive.
fn out_of_sight(count: usize) -> Failure {
    Failure::Problem(format!(
        "{count} cannot be seen: another command works on them, or one that died did; then they come back \
         within {} minutes, and the command can be given again",
        queue::WORK_S / 60
    ))
}

fn not_there(ids: &[String]) -> Failure {
    Failure::Problem(format!(
        "not among what is in the dead-letter queues (or hidden for the moment, because somebody looks at it): {}",
        ids.join(", ")
    ))
}
