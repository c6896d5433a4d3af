//! How the statuses that Medic fails on are found.

use super::*;

fn failing(names: &[&str]) -> Brought {
    Brought {
        messages: Vec::new(),
        statuses: names.iter().map(|name| status(name)).collect(),
    }
}

#[test]
fn a_status_that_fails_is_found_by_halves() {
    let mut isolation = Isolation::begin(ExchangeRow::default(), Vec::new(), false);
    isolation.after(
        &Brought::default(),
        &PostEnd::Taken,
        Timestamp::from_millis(1),
    );
    let all = failing(&["s1", "s2", "s3bad", "s4"]);
    isolation.after(
        &all,
        &PostEnd::Failed("500".to_owned()),
        Timestamp::from_millis(1),
    );
    let (reported, mut memory) = play(isolation, Timestamp::from_millis(1), medic);
    assert_eq!(reported, "s1,s2 | s3bad,s4 | s3bad | note s3bad | s4");
    // What was taken after it shows that Medic takes others.
    assert_eq!(memory.note_progress(), 1);
}

#[test]
fn a_status_is_set_aside_once_something_was_taken_between_two_failures() {
    let noted = |progress: u64, was_set_aside: bool| {
        Some(FailedBefore {
            progress,
            was_set_aside,
        })
    };
    let (note, aside, keep) = (Some("note"), Some("set aside"), None);
    let answer = || PostEnd::Failed("500".to_owned());
    for (before, is_in_doubt, budget_is_spent, expected) in [
        (None, false, false, note),
        (None, false, true, note),
        (noted(5, false), false, false, keep),
        (noted(4, false), false, false, aside),
        (noted(4, false), false, true, keep),
        // The budget is for new suspicions.
        (noted(4, true), false, true, aside),
        (noted(5, true), false, false, keep),
        // All others wait for each try.
        (None, true, false, aside),
        (None, true, true, note),
        (noted(5, false), true, false, aside),
    ] {
        let mut memory = ExchangeRow::default();
        for _ in 0..5 {
            memory.note_progress();
            memory.statuses.earn();
        }
        if budget_is_spent {
            memory.statuses.spend(Timestamp::from_millis(0));
        }
        memory.statuses_in_doubt = 1;
        let mut isolation = Isolation::begin(memory, Vec::new(), false);
        let brought = Brought {
            messages: Vec::new(),
            statuses: vec![StatusCandidate {
                before,
                ..status("s")
            }],
        };
        let end = match is_in_doubt {
            true => PostEnd::InDoubt,
            false => answer(),
        };
        isolation.after(&brought, &end, Timestamp::from_millis(1));
        let act = isolation.acts.front().map(|act| match act {
            Step::NoteFailure(..) => "note",
            Step::SetAside(..) => "set aside",
            _ => "something else",
        });
        let story = format!("{before:?}, in doubt {is_in_doubt}, spent {budget_is_spent}");
        assert_eq!(act, expected, "{story}");
        let id = MedicMessageId::new("s").unwrap();
        assert!(!isolation.may_bring_status(&id), "{story}");
    }
    // Of a row that could not be read nobody knows how much was taken.
    let mut isolation = Isolation::begin(ExchangeRow::unknown(), Vec::new(), false);
    isolation.after(&failing(&["s"]), &answer(), Timestamp::from_millis(1));
    assert!(isolation.acts.is_empty());
}

#[test]
fn a_medic_that_takes_no_status_is_not_stormed() {
    let mut isolation = Isolation::begin(ExchangeRow::default(), Vec::new(), false);
    isolation.after(
        &Brought::default(),
        &PostEnd::Taken,
        Timestamp::from_millis(1),
    );
    isolation.memory.statuses.spend(Timestamp::from_millis(0));
    let names: Vec<String> = (0..100).map(|n| format!("bad{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    isolation.after(
        &failing(&names),
        &PostEnd::Failed("500".to_owned()),
        Timestamp::from_millis(1),
    );
    let mut posts = 0;
    let (reported, _) = play(isolation, Timestamp::from_millis(1), |brought| {
        posts += 1;
        medic(brought)
    });
    assert!(posts < 12, "{posts}: {reported}");
    assert!(!reported.contains("set aside"), "{reported}");
}

#[test]
fn a_post_of_statuses_that_ends_in_doubt_is_halved_until_one_is_left() {
    let mut memory = ExchangeRow::default();
    for at_most in [100, 50, 25, 12, 6, 3, 1, 1] {
        let mut isolation = Isolation::begin(memory, Vec::new(), true);
        isolation.after(
            &Brought::default(),
            &PostEnd::Taken,
            Timestamp::from_millis(1),
        );
        let is_last = true;
        assert_eq!(
            isolation.next(Timestamp::from_millis(1)),
            Step::Statuses { at_most, is_last }
        );
        isolation.after(
            &failing(&["hang"]),
            &PostEnd::InDoubt,
            Timestamp::from_millis(1),
        );
        memory = isolation.into_memory(false);
    }
    // One alone, not for the first time.
    let mut isolation = Isolation::begin(memory, Vec::new(), true);
    isolation.after(&Brought::default(), &PostEnd::Taken, AN_HOUR_IN);
    isolation.after(&failing(&["hang"]), &PostEnd::InDoubt, AN_HOUR_IN);
    let step = isolation.next(AN_HOUR_IN);
    assert!(matches!(step, Step::SetAside(one, _) if one.id.as_str() == "hang"));
    assert_eq!(isolation.next(AN_HOUR_IN), Step::End);
}

#[test]
fn a_status_is_not_set_aside_at_the_first_doubt() {
    let mut isolation = Isolation::begin(ExchangeRow::default(), Vec::new(), false);
    isolation.after(
        &failing(&["hang"]),
        &PostEnd::InDoubt,
        Timestamp::from_millis(1),
    );
    assert_eq!(isolation.next(Timestamp::from_millis(1)), Step::End);
}
