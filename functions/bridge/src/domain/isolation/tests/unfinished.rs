//! What becomes of a message during which earlier invocations were killed.

use super::*;

/// A batch, received before or not; how many attempts at which message never ended; and what is done.
struct Story {
    memory: ExchangeRow,
    waiting: Vec<Candidate>,
    received_before: bool,
    unfinished: &'static [(&'static str, u32)],
    expected: &'static str,
}

fn begin(story: Story) -> Isolation {
    let mut isolation = Isolation::begin(story.memory, story.waiting, story.received_before);
    for (name, attempts) in story.unfinished {
        isolation.note_unfinished(&id(name), *attempts);
    }
    isolation
}

#[test]
fn a_message_that_killed_an_attempt_goes_alone_and_last_and_into_quarantine_after_two() {
    let fresh = ExchangeRow::default;
    for story in [
        // Alone and last, also among messages that nobody had before.
        Story {
            memory: fresh(),
            waiting: vec![new("a1"), new("b1"), new("c1")],
            received_before: false,
            unfinished: &[("b1", 1)],
            expected: "a1,c1+ | b1",
        },
        // After an empty POST that was answered, if nothing else was.
        Story {
            memory: fresh(),
            waiting: vec![new("a1")],
            received_before: false,
            unfinished: &[("a1", 1)],
            expected: "- | a1",
        },
        Story {
            memory: fresh(),
            waiting: vec![old("a1"), old("b1")],
            received_before: true,
            unfinished: &[("a1", 1)],
            expected: "- | b1 | a1",
        },
        // What its sender sent later waits for it.
        Story {
            memory: fresh(),
            waiting: vec![old("a1"), old("a2"), old("b1")],
            received_before: true,
            unfinished: &[("a1", 1)],
            expected: "- | b1 | a1 | a2",
        },
        // Two attempts, and the budget allows it.
        Story {
            memory: fresh(),
            waiting: vec![old("a1"), old("a2"), old("b1")],
            received_before: true,
            unfinished: &[("a1", 2)],
            expected: "- | quarantine a1 1 | a2 | b1",
        },
        // Two attempts, and the budget does not.
        Story {
            memory: row(false),
            waiting: vec![old("a1"), old("b1")],
            received_before: true,
            unfinished: &[("a1", 2)],
            expected: "- | b1 | a1",
        },
        // Whatever is newly stored before is budget enough.
        Story {
            memory: row(false),
            waiting: vec![old("a1"), new("b1")],
            received_before: true,
            unfinished: &[("a1", 2)],
            expected: "- | b1 | quarantine a1 1",
        },
        // The budget is for one of several messages.
        Story {
            memory: fresh(),
            waiting: vec![old("a1"), old("b1")],
            received_before: true,
            unfinished: &[("a1", 9), ("b1", 2)],
            expected: "- | quarantine a1 1 | b1",
        },
        // One attempt is enough for a message that was in quarantine, and no budget is needed.
        Story {
            memory: row(false),
            waiting: vec![tagged("a1", 1, 0)],
            received_before: true,
            unfinished: &[("a1", 1)],
            expected: "- | quarantine a1 1",
        },
        Story {
            memory: row(true),
            waiting: vec![tagged("a1", 4, 0)],
            received_before: true,
            unfinished: &[("a1", 1)],
            expected: "- | dead-letter a1: the function was killed while it brought this message alone",
        },
    ] {
        let expected = story.expected;
        let (done, _) = play(begin(story), Timestamp::from_millis(1), medic);
        assert_eq!(done, expected);
    }
}

#[test]
fn the_reason_for_quarantine_says_whether_medic_never_answered_or_the_function_was_killed() {
    for (was_killed, why) in [(true, NEVER_ENDED), (false, NO_ANSWER)] {
        let mut memory = ExchangeRow::default();
        memory.posts_in_doubt.insert(id("a1"), 2);
        let mut isolation = Isolation::begin(memory, vec![old("a1")], false);
        if was_killed {
            isolation.note_unfinished(&id("a1"), 2);
        }
        match isolation.next(Timestamp::from_millis(1)) {
            Step::Quarantine(_, quarantine) => assert_eq!(quarantine.answer, why),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_attempt_that_never_ended_takes_back_no_doubt() {
    let mut memory = ExchangeRow::default();
    memory.posts_in_doubt.insert(id("a1"), 3);
    let waiting = vec![old("a1"), old("b1")];
    let mut isolation = Isolation::begin(memory, waiting, true);
    isolation.note_unfinished(&id("a1"), 1);
    isolation.note_unfinished(&id("b1"), 4);
    let memory = isolation.into_memory(false);
    let expected = [(id("a1"), 3), (id("b1"), 4)];
    assert_eq!(memory.posts_in_doubt, expected.into());
}
