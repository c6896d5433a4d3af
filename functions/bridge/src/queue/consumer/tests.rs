//! Records that come again, that kill the function, and that are too old.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::*;
use crate::domain::attempts::{AttemptsRow, UNFINISHED_TO_DEAD_LETTER};
use crate::domain::ids::MedicMessageId;
use crate::log::EventLog;
use crate::ports::{
    Clock, Key, NewMessage, QueueError, RandomSource, Row, Version, Write, Written,
};
use crate::wire::queue_messages::{DeadLetter, decode};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A ledger, the queue, its dead-letter queue and a log. All write down what is done to them, in order.
#[derive(Default)]
struct Bench {
    attempts: RefCell<BTreeMap<String, u32>>,
    steps: RefCell<Vec<String>>,
    log: RefCell<Vec<LogEvent>>,
    reads_fail: bool,
    writes_fail: bool,
    dead_letters_fail: bool,
}

impl Bench {
    /// With so many attempts at these records that never ended.
    fn with_unfinished(attempts: &[(&str, u32)]) -> Self {
        let attempts = attempts.iter().map(|(id, n)| ((*id).to_owned(), *n));
        Self {
            attempts: RefCell::new(attempts.collect()),
            ..Self::default()
        }
    }

    fn step(&self, step: String) {
        self.steps.borrow_mut().push(step);
    }

    fn unfinished(&self, id: &str) -> Option<u32> {
        self.attempts.borrow().get(id).copied()
    }

    /// Processes these records. Those with `bad` in their id are returned, and those with `kill` panic.
    /// Each takes a while, so that it can be seen what runs at the same time. Returns the ids of those
    /// that go back, and what was done.
    async fn process(&self, records: &[Record]) -> (Vec<String>, Vec<String>) {
        let dead_letters = DeadLetterQueue {
            queue: self,
            is_fifo: false,
        };
        let consumer = Consumer {
            queue: &self,
            dead_letters: &dead_letters,
            ledger: self,
            runtime: self,
        };
        let records: Vec<&Record> = records.iter().collect();
        let returned = consumer.process(&records, async |record| {
            let id = &record.message_id;
            self.step(format!("process {id}"));
            tokio::task::yield_now().await;
            assert!(!id.contains("kill"), "this record kills the function");
            self.step(format!("processed {id}"));
            match id.contains("bad") {
                true => Disposition::Return(Wait::Retry),
                false => Disposition::Done,
            }
        });
        (returned.await, self.steps.take())
    }
}

impl LedgerStore for Bench {
    async fn read(&self, keys: &[Key]) -> Result<Vec<(Row, Version)>, LedgerError> {
        if self.reads_fail {
            return Err(LedgerError("no answer".to_owned()));
        }
        let rows = keys.iter().filter_map(|key| {
            let Key::Attempts(record) = key else {
                return None;
            };
            let row = AttemptsRow {
                record: record.clone(),
                unfinished: self.unfinished(record)?,
            };
            Some((Row::Attempts(row), Version(String::new())))
        });
        Ok(rows.collect())
    }

    async fn write(&self, write: Write) -> Result<Written, LedgerError> {
        if self.writes_fail {
            return Err(LedgerError("no answer".to_owned()));
        }
        let Row::Attempts(row) = write.row else {
            panic!("a consumer writes marks only");
        };
        self.step(format!("mark {} {}", row.record, row.unfinished));
        self.attempts
            .borrow_mut()
            .insert(row.record, row.unfinished);
        Ok(Written::Done(Version(String::new())))
    }

    async fn unreported(&self, _: usize) -> Result<Vec<MedicMessageId>, LedgerError> {
        Ok(Vec::new())
    }
}

impl Queue for Bench {
    async fn send(&self, messages: Vec<NewMessage>) -> Vec<Result<(), QueueError>> {
        let sent = messages.iter().map(|message| {
            if self.dead_letters_fail {
                return Err(QueueError::of_server("no answer"));
            }
            let letter: DeadLetter = decode(&message.body).unwrap();
            self.step(format!("dead-letter {}: {}", letter.body, letter.reason));
            Ok(())
        });
        sent.collect()
    }

    async fn change_visibility(&self, records: &[(&Record, i32)]) -> Vec<Result<(), QueueError>> {
        for (record, seconds) in records {
            self.step(format!("return {} in {seconds} s", record.message_id));
        }
        vec![Ok(()); records.len()]
    }
}

impl Clock for Bench {
    fn now(&self) -> Timestamp {
        NOW
    }

    async fn pause(&self, _: Duration) {}
}

impl RandomSource for Bench {
    fn up_to(&self, _: u64) -> u64 {
        0
    }
}

impl EventLog for Bench {
    fn record(&self, event: LogEvent) {
        self.log.borrow_mut().push(event);
    }
}

/// A record that was sent a minute ago, and received so many times.
fn record(id: &str, receive_count: u32) -> Record {
    Record {
        message_id: id.to_owned(),
        receipt_handle: String::new(),
        body: id.to_owned(),
        receive_count,
        sent_at: NOW - Duration::from_mins(1),
        group: None,
    }
}

#[tokio::test]
async fn a_record_that_is_received_for_the_first_time_writes_no_mark() {
    let bench = Bench::default();
    let (returned, steps) = bench.process(&[record("good", 1), record("bad", 1)]).await;
    assert_eq!(returned, ["bad"]);
    let expected = [
        "process good",
        "process bad",
        "processed good",
        "processed bad",
        "return bad in 40 s",
    ];
    assert_eq!(steps, expected);
}

#[tokio::test]
async fn a_record_that_comes_again_is_marked_before_and_acquitted_when_it_is_returned() {
    let bench = Bench::default();
    let (returned, steps) = bench.process(&[record("bad", 2)]).await;
    assert_eq!(returned, ["bad"]);
    let expected = [
        "mark bad 1",
        "process bad",
        "processed bad",
        "mark bad 0",
        "return bad in 40 s",
    ];
    assert_eq!(steps, expected);
    // Also when it is done: another record may kill the function before the queue deletes it.
    let (returned, steps) = bench.process(&[record("good", 2)]).await;
    assert!(returned.is_empty());
    let expected = [
        "mark good 1",
        "process good",
        "processed good",
        "mark good 0",
    ];
    assert_eq!(steps, expected);
}

#[tokio::test]
async fn a_record_with_a_mark_is_processed_alone_after_the_others() {
    let bench = Bench::with_unfinished(&[("bad marked", 3), ("marked", 1), ("acquitted", 0)]);
    let records = [
        record("bad marked", 4),
        record("fresh", 1),
        record("marked", 2),
        record("acquitted", 5),
    ];
    let (returned, steps) = bench.process(&records).await;
    assert_eq!(returned, ["bad marked"]);
    let expected = [
        "process fresh",
        "mark acquitted 1",
        "process acquitted",
        "processed fresh",
        "processed acquitted",
        "mark acquitted 0",
        "mark bad marked 4",
        "process bad marked",
        "processed bad marked",
        "mark bad marked 0",
        "mark marked 2",
        "process marked",
        "processed marked",
        "mark marked 0",
        "return bad marked in 40 s",
    ];
    assert_eq!(steps, expected);
    let logged = [("bad marked", 3), ("marked", 1)].map(|(id, attempts)| {
        let id = Redacted::new(&id);
        LogEvent::AttemptNeverEnded { id, attempts }
    });
    assert_eq!(bench.log.take(), logged);
}

#[tokio::test]
async fn after_ten_attempts_that_never_ended_a_record_is_dead_lettered_with_its_reason() {
    let attempts = [
        ("nine", UNFINISHED_TO_DEAD_LETTER - 1),
        ("ten", UNFINISHED_TO_DEAD_LETTER),
    ];
    let bench = Bench::with_unfinished(&attempts);
    let records = [record("nine", 10), record("ten", 11)];
    let (returned, steps) = bench.process(&records).await;
    assert!(returned.is_empty());
    let dead_lettered = format!("dead-letter ten: {NEVER_ENDED}");
    let expected = [
        "mark nine 10",
        "process nine",
        "processed nine",
        "mark nine 0",
        &dead_lettered,
    ];
    assert_eq!(steps, expected);
}

#[tokio::test]
async fn a_dead_letter_queue_that_does_not_answer_loses_no_record() {
    let bench = Bench {
        dead_letters_fail: true,
        ..Bench::with_unfinished(&[("ten", UNFINISHED_TO_DEAD_LETTER)])
    };
    let old = Record {
        sent_at: NOW - LONGEST_AGE,
        ..record("old", 1)
    };
    let (returned, steps) = bench.process(&[record("ten", 11), old]).await;
    assert_eq!(returned, ["old", "ten"]);
    assert_eq!(steps, ["return old in 40 s", "return ten in 40 s"]);
    assert_eq!(bench.unfinished("ten"), Some(UNFINISHED_TO_DEAD_LETTER));
}

#[tokio::test]
async fn a_panic_is_an_attempt_without_an_end_and_does_not_take_the_others_with_it() {
    let bench = Bench::default();
    let records = [
        record("kill", 2),
        record("kill first", 1),
        record("bad", 2),
        record("good", 1),
    ];
    let (returned, steps) = bench.process(&records).await;
    assert_eq!(returned, ["kill first", "kill", "bad"]);
    assert!(steps.contains(&"processed bad".to_owned()));
    assert!(steps.contains(&"processed good".to_owned()));
    assert_eq!(bench.unfinished("kill"), Some(1));
    assert_eq!(bench.unfinished("bad"), Some(0));
    // Before it is received again nobody can know that it will be.
    assert_eq!(bench.unfinished("kill first"), None);
    // Again and again, until it is dead-lettered.
    for receive_count in 3..=UNFINISHED_TO_DEAD_LETTER + 1 {
        let (returned, _) = bench.process(&[record("kill", receive_count)]).await;
        assert_eq!(returned, ["kill"]);
    }
    let (returned, steps) = bench.process(&[record("kill", 12)]).await;
    assert!(returned.is_empty());
    assert_eq!(steps, [format!("dead-letter kill: {NEVER_ENDED}")]);
}

#[tokio::test]
async fn a_record_that_is_older_than_twelve_days_is_dead_lettered_first() {
    let bench = Bench::with_unfinished(&[("old", 3)]);
    let aged = |id: &str, age: Duration| Record {
        sent_at: NOW - age,
        ..record(id, 20_000)
    };
    let almost = LONGEST_AGE - Duration::from_millis(1);
    let records = [aged("almost", almost), aged("old", LONGEST_AGE)];
    let (returned, steps) = bench.process(&records).await;
    assert!(returned.is_empty());
    let dead_lettered = format!("dead-letter old: {TOO_OLD}");
    let expected = [
        &dead_lettered,
        "mark almost 1",
        "process almost",
        "processed almost",
        "mark almost 0",
    ];
    assert_eq!(steps, expected);
}

#[tokio::test]
async fn without_the_ledger_records_that_come_again_are_returned_unprocessed() {
    for (reads_fail, writes_fail) in [(true, true), (false, true)] {
        let bench = Bench {
            reads_fail,
            writes_fail,
            ..Bench::with_unfinished(&[("marked", 1)])
        };
        let records = [record("good", 1), record("again", 2), record("marked", 2)];
        let (returned, steps) = bench.process(&records).await;
        assert_eq!(returned, ["again", "marked"]);
        let expected = [
            "process good",
            "processed good",
            "return again in 40 s",
            "return marked in 40 s",
        ];
        assert_eq!(steps, expected);
        let log = bench.log.take();
        assert!(
            log.iter()
                .any(|event| matches!(event, LogEvent::LedgerFailed { .. }))
        );
    }
}
