//! What becomes of a message during which earlier invocations were killed.

use super::*;

/// A batch, received before or not; which messages have an attempt that never ended; and what is done.
struct Story {
    memory: ExchangeRow,
    waiting: Vec<Candidate>,
    received_before: bool,
    unfinished: &'static [&'static str],
    expected: &'static str,
}

fn begin(story: Story) -> Isolation {
    let mut isolation = Isolation::begin(story.memory, story.waiting, story.received_before);
    for name in story.unfinished {
        isolation.note_unfinished(&id(name));
    }
    isolation
}

#[test]
fn a_message_during_which_the_function_was_killed_goes_alone_and_last() {
    let fresh = ExchangeRow::default;
    for story in [
        // Alone and last, also among messages that nobody had before.
        Story {
            memory: fresh(),
            waiting: vec![new("a1"), new("b1"), new("c1")],
            received_before: false,
            unfinished: &["b1"],
            expected: "a1,c1+ | b1",
        },
        // After an empty POST that was answered, if nothing else was.
        Story {
            memory: fresh(),
            waiting: vec![new("a1")],
            received_before: false,
            unfinished: &["a1"],
            expected: "- | a1",
        },
        Story {
            memory: fresh(),
            waiting: vec![old("a1"), old("b1")],
            received_before: true,
            unfinished: &["a1"],
            expected: "- | b1 | a1",
        },
        // What its sender sent later waits for it.
        Story {
            memory: fresh(),
            waiting: vec![old("a1"), old("a2"), old("b1")],
            received_before: true,
            unfinished: &["a1"],
            expected: "- | b1 | a1 | a2",
        },
        // Being killed is no failure of Medic's: it is quarantined neither with the budget nor without.
        Story {
            memory: row(true),
            waiting: vec![old("a1"), old("a2"), old("b1")],
            received_before: true,
            unfinished: &["a1"],
            expected: "- | b1 | a1 | a2",
        },
        // A message that was in quarantine goes behind everything else in any case.
        Story {
            memory: row(false),
            waiting: vec![tagged("a1", 1, 0), old("b1")],
            received_before: true,
            unfinished: &["a1"],
            expected: "- | b1 | a1",
        },
    ] {
        let expected = story.expected;
        let (done, _) = play(begin(story), Timestamp::from_millis(1), medic);
        assert_eq!(done, expected);
    }
}
