//! `parked`: what could not be processed, why, and what becomes of it.
//!
//! Beside what is in the three parked queues these are the statuses that Medic refused: they are in
//! the ledger, and put back by the same command.

mod lot;
mod refused;
mod retry;

use bridge::ports::Clock as _;
use serde_json::{Value, json};

use crate::arguments::{ParkedCommand, ParkedOf, Selection};
use crate::failure::Failure;
use crate::stack::Stack;
use crate::terminal::{Terminal, shown_duration, shown_time};

pub use lot::{Item, Lot, look};
use refused::RefusedStatus;
pub use refused::tell_again;

/// Does what the command says.
///
/// # Errors
/// When AWS cannot be asked, or not everything could be done.
pub async fn run(
    stack: &Stack,
    terminal: &Terminal,
    command: ParkedCommand,
) -> Result<(), Failure> {
    match command {
        ParkedCommand::List { of, json } => list(stack, terminal, of, json).await,
        ParkedCommand::Show { id, reveal, json } => show(stack, terminal, &id, reveal, json).await,
        ParkedCommand::Retry { what } => retry::run(stack, terminal, &Chosen::new(what)?).await,
        ParkedCommand::Discard { what, yes } => {
            discard(stack, terminal, &Chosen::new(what)?, yes).await
        }
    }
}

/// What a command is about: some by their ids, or all.
pub struct Chosen {
    ids: Vec<String>,
    of: Option<ParkedOf>,
}

impl Chosen {
    fn new(selection: Selection) -> Result<Self, Failure> {
        if selection.ids.is_empty() && !selection.all {
            return Err(Failure::Usage(
                "which ones? Name their ids (`cargo ops parked list`), or say --all".to_owned(),
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

    fn lots(&self) -> Vec<Lot> {
        Lot::ALL
            .into_iter()
            .filter(|lot| is_of(self.of, lot.of()))
            .collect()
    }

    fn has_statuses(&self) -> bool {
        is_of(self.of, ParkedOf::Statuses)
    }
}

fn is_of(wanted: Option<ParkedOf>, of: ParkedOf) -> bool {
    wanted.is_none_or(|wanted| wanted == of)
}

async fn list(
    stack: &Stack,
    terminal: &Terminal,
    of: Option<ParkedOf>,
    json: bool,
) -> Result<(), Failure> {
    let chosen = Chosen {
        ids: Vec::new(),
        of,
    };
    let now_ms = terminal.now_ms();
    let mut values: Vec<Value> = Vec::new();
    let mut hidden = 0;
    for lot in chosen.lots() {
        let looked = look(stack, lot).await?;
        values.extend(looked.items.iter().map(|item| item.to_json(false)));
        hidden += looked.out_of_sight;
    }
    if chosen.has_statuses() {
        let refused = refused::all(stack, terminal).await?;
        values.extend(refused.iter().map(RefusedStatus::to_json));
    }
    if json {
        terminal.json(&json!({ "parked": values, "out_of_sight": hidden }));
        return Ok(());
    }
    for value in &values {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let since_ms = value.get("parked_at_ms").and_then(Value::as_i64);
        let since = since_ms.map_or(String::new(), |since_ms| {
            format!(" {} ago", shown_duration(now_ms.saturating_sub(since_ms)))
        });
        terminal.say(&format!("{}  {}{since}", text("id"), text("of")));
        terminal.say(&format!("    {}", text("what")));
        terminal.say(&format!("    {}", text("reason")));
    }
    if values.is_empty() {
        terminal.note("Nothing is parked.");
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
    for lot in Lot::ALL {
        let looked = look(stack, lot).await?;
        let item = looked.items.iter().find(|item| item.message_id == id);
        found = item.map(|item| item.to_json(reveal));
        if found.is_some() {
            break;
        }
    }
    if found.is_none() {
        let refused = refused::all(stack, terminal).await?;
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
            ("parked_at_ms", Value::Number(number)) => shown_time(number.as_i64().unwrap_or(0)),
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
    for lot in chosen.lots() {
        let looked = lot::hold(stack, lot).await?;
        let (gone, kept): (Vec<Item>, Vec<Item>) = looked
            .items
            .into_iter()
            .partition(|item| chosen.has(&item.message_id));
        lot::release(stack, lot, &kept).await;
        if gone.is_empty() {
            hidden += looked.out_of_sight;
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
                lot::release(stack, lot, &gone).await;
                return Err(Failure::Trouble("Nothing was thrown away.".to_owned()));
            }
            Err(failure) => {
                lot::release(stack, lot, &gone).await;
                return Err(failure);
            }
        }
        let deleted = lot::delete(stack, lot, &gone).await;
        discarded.extend(deleted.iter().map(|item| item.message_id.clone()));
        if deleted.len() < gone.len() {
            return Err(Failure::Trouble(format!(
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

/// Nothing could be done, and yet there is something.
fn out_of_sight(count: usize) -> Failure {
    Failure::Trouble(format!(
        "{count} cannot be seen: another command works on them, or one that died did; then they come back \
         within {} minutes, and the command can be given again",
        lot::WORK_S / 60
    ))
}

fn not_there(ids: &[String]) -> Failure {
    Failure::Trouble(format!(
        "not among what is parked (or hidden for the moment, because somebody looks at it): {}",
        ids.join(", ")
    ))
}
