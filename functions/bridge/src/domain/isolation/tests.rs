//! What is tried next, and what a result means.

mod statuses;
mod unfinished;

use std::time::Duration;

use super::*;
use crate::domain::status::Status;
use crate::domain::time::Timestamp;

const AN_HOUR_IN: Timestamp = Timestamp::from_millis(60 * 60 * 1000);

fn id(id: &str) -> IncomingId {
    IncomingId::new(id).unwrap()
}

fn status(id: &str) -> StatusCandidate {
    StatusCandidate {
        id: MedicMessageId::new(id).unwrap(),
        status: Status::Sent,
        before: None,
    }
}

/// A message that came now, from a sender by the first letter of its id.
fn new(name: &str) -> Candidate {
    Candidate {
        id: id(name),
        sender: name.chars().take(1).collect(),
        is_new: true,
        quarantine: None,
    }
}

fn old(name: &str) -> Candidate {
    Candidate {
        is_new: false,
        ..new(name)
    }
}

fn tagged(name: &str, failures: u32, progress: u64) -> Candidate {
    Candidate {
        quarantine: Some(Quarantine {
            failures,
            progress,
            since: Timestamp::from_millis(0),
            until: Timestamp::from_millis(0),
            answer: "500".to_owned(),
        }),
        ..new(name)
    }
}

/// A row whose budget for messages is spent at zero, or was earned since.
fn row(is_earned: bool) -> ExchangeRow {
    let mut row = ExchangeRow::default();
    row.messages.spend(Timestamp::from_millis(0));
    if is_earned {
        row.messages.earn();
    }
    row
}

/// Plays an invocation against a Medic, and writes down what is done: `-` is the empty POST, `a1+` is
/// a POST with statuses beside it.
fn play(
    mut isolation: Isolation,
    now: Timestamp,
    mut medic: impl FnMut(&Brought) -> PostEnd,
) -> (String, ExchangeRow) {
    let mut reported = Vec::new();
    for _ in 0..100 {
        let brought = match isolation.next(now) {
            Step::End | Step::Statuses { is_last: true, .. } => break,
            Step::Statuses { .. } => {
                reported.push("statuses".to_owned());
                continue;
            }
            Step::Control => {
                reported.push("-".to_owned());
                Brought::default()
            }
            Step::Messages { ids, with_statuses } => {
                let names: Vec<&str> = ids.iter().map(IncomingId::as_str).collect();
                let plus = if with_statuses { "+" } else { "" };
                reported.push(format!("{}{plus}", names.join(",")));
                let statuses = if with_statuses {
                    vec![status("s")]
                } else {
                    Vec::new()
                };
                Brought {
                    messages: ids,
                    statuses,
                }
            }
            Step::SomeStatuses(ids) => {
                let names: Vec<&str> = ids.iter().map(MedicMessageId::as_str).collect();
                reported.push(names.join(","));
                Brought {
                    messages: Vec::new(),
                    statuses: names.into_iter().map(status).collect(),
                }
            }
            Step::Quarantine(id, quarantine) => {
                reported.push(format!(
                    "quarantine {} {}",
                    id.as_str(),
                    quarantine.failures
                ));
                isolation.quarantined(&id, &quarantine, now);
                continue;
            }
            Step::DeadLetter(id, failure) => {
                reported.push(format!("dead-letter {}: {}", id.as_str(), failure.text()));
                isolation.dead_lettered(&id);
                continue;
            }
            Step::NoteFailure(status, _) => {
                reported.push(format!("note {}", status.id.as_str()));
                isolation.memory.note_progress();
                continue;
            }
            Step::SetAside(status, _) => {
                reported.push(format!("set aside {}", status.id.as_str()));
                isolation.set_aside(&status, now);
                continue;
            }
        };
        let end = medic(&brought);
        isolation.after(&brought, &end, now);
    }
    (reported.join(" | "), isolation.into_memory(true))
}

/// A Medic that fails on what has `bad` in its name, and never answers what has `hang`.
fn medic(brought: &Brought) -> PostEnd {
    let messages = brought.messages.iter().map(IncomingId::as_str);
    let statuses = brought.statuses.iter().map(|status| status.id.as_str());
    let names: Vec<&str> = messages.chain(statuses).collect();
    if names.iter().any(|name| name.contains("hang")) {
        PostEnd::InDoubt
    } else if names.iter().any(|name| name.contains("bad")) {
        PostEnd::Failed("500".to_owned())
    } else {
        PostEnd::Taken
    }
}

#[test]
fn each_batch_has_its_story() {
    let fresh = ExchangeRow::default;
    for (memory, waiting, received_before, expected) in [
        // All is well: each sender's first together, then the next.
        (
            fresh(),
            vec![new("a1"), new("a2"), new("b1")],
            false,
            "a1,b1+ | a2+",
        ),
        // Poison among good ones.
        (
            fresh(),
            vec![new("a1"), new("bbad"), new("c1"), new("b2")],
            false,
            "a1,bbad,c1+ | - | a1 | bbad | - | quarantine bbad 1 | c1 | b2",
        ),
        // A batch that was received before begins with the question, and goes one by one; what is new
        // goes first.
        (
            fresh(),
            vec![old("a1"), old("a2"), new("b1")],
            true,
            "- | b1 | a1 | a2",
        ),
        // Without a budget poison waits, and so does what its sender sent later.
        (
            row(false),
            vec![new("abad"), new("a2"), new("b1")],
            false,
            "abad,b1+ | - | abad | b1",
        ),
        // With one newly stored it does not.
        (
            row(true),
            vec![new("abad"), new("a2")],
            false,
            "abad+ | - | abad | - | quarantine abad 1 | a2",
        ),
        // What was in quarantine goes last, alone, and back without a budget.
        (
            row(false),
            vec![tagged("abad", 1, 0), new("a2")],
            false,
            "a2+ | abad | - | quarantine abad 2",
        ),
        // Not counted, because nothing was newly stored since.
        (
            row(false),
            vec![tagged("abad", 4, 0)],
            false,
            "- | abad | - | quarantine abad 4",
        ),
        // The fifth failure with something newly stored since the fourth.
        (
            row(true),
            vec![tagged("abad", 4, 0)],
            false,
            "- | abad | - | dead-letter abad: 500",
        ),
        // A doubt is the end of the invocation.
        (fresh(), vec![new("ahang"), new("b1")], false, "ahang,b1+"),
    ] {
        let isolation = Isolation::begin(memory, waiting, received_before);
        let (reported, _) = play(isolation, Timestamp::from_millis(1), medic);
        assert_eq!(reported, expected);
    }
}

#[test]
fn a_medic_that_stores_nothing_loses_one_message_an_hour_to_quarantine() {
    let full = |brought: &Brought| match brought.messages.is_empty() {
        true => PostEnd::Taken,
        false => PostEnd::Failed("500".to_owned()),
    };
    let mut memory = ExchangeRow::default();
    let mut waiting = vec![old("a"), old("b"), old("c"), old("d")];
    let mut quarantined = Vec::new();
    for minute in 0..120 {
        let isolation = Isolation::begin(memory, waiting.clone(), true);
        let (reported, now) = play(isolation, Timestamp::from_millis(minute * 60_000), full);
        for one in &waiting {
            if reported.contains(&format!("quarantine {}", one.id.as_str())) {
                quarantined.push(minute);
            }
        }
        waiting.retain(|one| !reported.contains(&format!("quarantine {}", one.id.as_str())));
        memory = now;
    }
    assert_eq!(quarantined, [0, 60]);
}

#[test]
fn what_medic_had_already_is_no_proof_that_it_stores() {
    for (candidate, is_proof) in [
        (new("b1"), true),
        (old("b1"), false),
        (tagged("b1", 1, 0), false),
    ] {
        let mut isolation = Isolation::begin(row(false), vec![candidate], false);
        let brought = Brought {
            messages: vec![id("b1")],
            statuses: Vec::new(),
        };
        isolation.after(&brought, &PostEnd::Taken, Timestamp::from_millis(1));
        assert_eq!(
            isolation
                .into_memory(true)
                .messages
                .allows(Timestamp::from_millis(1)),
            is_proof
        );
    }
    // Nor is what was in a POST that failed.
    let isolation = Isolation::begin(row(false), vec![new("abad"), new("b1")], false);
    let (_, memory) = play(isolation, Timestamp::from_millis(1), medic);
    assert!(!memory.messages.allows(Timestamp::from_millis(1)));
}

#[test]
fn a_medic_that_fails_on_the_control_post_condemns_nothing() {
    let mut isolation = Isolation::begin(ExchangeRow::default(), vec![new("a1")], false);
    let brought = Brought {
        messages: vec![id("a1")],
        statuses: Vec::new(),
    };
    isolation.after(
        &brought,
        &PostEnd::Failed("500".to_owned()),
        Timestamp::from_millis(1),
    );
    assert_eq!(isolation.next(Timestamp::from_millis(1)), Step::Control);
    // Until it is answered nothing else is done.
    assert_eq!(isolation.next(Timestamp::from_millis(1)), Step::Control);
    assert!(
        isolation
            .into_memory(false)
            .messages
            .allows(Timestamp::from_millis(1))
    );
}

#[test]
fn what_ends_alone_in_doubt_after_an_answer_is_quarantined_before_it_is_brought_again() {
    let waiting = || vec![old("ahang"), old("a2"), old("b1")];
    let invocation = |memory: ExchangeRow| {
        let mut isolation = Isolation::begin(memory, waiting(), true);
        isolation.statuses_first = false;
        isolation
    };
    // With others: everybody is in doubt. The play ends as if all were done, which keeps the doubts.
    let first = Isolation::begin(ExchangeRow::default(), waiting(), false);
    let (reported, memory) = play(first, Timestamp::from_millis(1), medic);
    assert_eq!(reported, "ahang,b1+");
    // Alone, after the empty POST.
    let (reported, memory) = play(invocation(memory), Timestamp::from_millis(2), medic);
    assert_eq!(reported, "- | ahang");
    assert_eq!(memory.posts_in_doubt.get(&id("ahang")), Some(&2));
    // It has kept the others waiting until Medic could not be working on it; now nobody waits for it.
    let (reported, memory) = play(invocation(memory), Timestamp::from_millis(3), medic);
    assert_eq!(reported, "- | quarantine ahang 1 | a2 | b1");
    assert!(memory.posts_in_doubt.is_empty());
    assert_eq!(
        memory.quarantined[&id("ahang")].until,
        Timestamp::from_millis(3) + Duration::from_hours(1)
    );
}

#[test]
fn what_ends_alone_in_doubt_without_a_budget_is_brought_after_the_others() {
    let mut memory = row(false);
    memory.posts_in_doubt.insert(id("ahang"), 2);
    let isolation = Isolation::begin(memory.clone(), vec![old("ahang"), old("b1")], true);
    assert_eq!(
        play(isolation, Timestamp::from_millis(1), medic).0,
        "- | b1 | ahang"
    );
    // Whatever is newly stored before is proof enough.
    let isolation = Isolation::begin(memory, vec![old("ahang"), new("b1")], true);
    assert_eq!(
        play(isolation, Timestamp::from_millis(1), medic).0,
        "- | b1 | quarantine ahang 1"
    );
}

#[test]
fn after_a_doubt_over_messages_statuses_have_their_turn_first() {
    let memory = ExchangeRow {
        in_doubt: Some(InDoubt::Messages),
        ..ExchangeRow::default()
    };
    let isolation = Isolation::begin(memory, vec![new("a1"), new("b1")], false);
    assert_eq!(
        play(isolation, Timestamp::from_millis(1), medic).0,
        "- | statuses | a1 | b1"
    );
}
