//! What a queue promises.

use std::collections::BTreeSet;
use std::time::Duration;

use bridge::domain::ids::IncomingId;
use bridge::domain::time::Timestamp;
use bridge::ports::{Fifo, NewMessage, Queue, Record};
use bridge::wire::queue_messages::{ExchangeMessage, IncomingSms, decode, encode};

use crate::emulator_differences::{
    Difference, GROUP_LOCK, LONGEST_ID, LONGEST_VISIBILITY, NOT_IN_FLIGHT,
};
use crate::rows::STRANGE;

/// A queue to be tried, empty. Its visibility time-out is half a minute.
pub trait QueueBench {
    type Queue: Queue;

    /// The queue, as one more sender gets it.
    fn queue(&self) -> Self::Queue;

    /// Takes up to so many messages, as Lambda does for a function.
    async fn receive(&self, limit: usize) -> Vec<Record>;

    /// Deletes a message that was taken.
    async fn delete(&self, record: &Record);

    /// Lets time pass.
    async fn pass(&self, time: Duration);

    /// The time, as the queue sees it; a second more or less.
    async fn now(&self) -> Timestamp;

    /// Whether this queue is known to differ from AWS in this.
    fn differs(&self, difference: Difference) -> bool;
}

mod standard {
    use super::*;

    crate::for_both! { on_a_standard_queue:
        messages_of_every_size_arrive_unchanged
        what_is_encoded_arrives_whatever_is_in_it
        a_message_says_when_it_was_sent_and_how_often_it_was_received
        a_hidden_message_comes_again_after_its_time_and_not_before
        a_message_can_be_returned_at_once
        many_records_can_be_hidden_together_each_for_its_own_time
        a_record_that_is_gone_is_an_error_and_the_others_are_hidden
        the_visibility_of_what_is_not_in_flight_cannot_be_changed
        nothing_is_hidden_longer_than_twelve_hours
        one_message_that_is_refused_does_not_take_the_others_along
        nothing_to_send_and_nothing_to_hide_is_nothing
    }
}

mod fifo {
    use super::*;

    crate::for_both! { on_a_fifo_queue:
        messages_come_in_the_order_in_which_they_were_sent
        an_id_is_swallowed_for_five_minutes_also_after_the_message_is_gone
        an_id_is_swallowed_also_within_one_call
        another_id_brings_the_same_body_again
        a_group_waits_for_the_message_that_is_in_flight
        a_group_waits_for_the_message_that_is_hidden
        of_a_group_comes_what_precedes_the_first_that_is_hidden
        a_message_without_a_group_is_refused
        an_id_of_more_than_128_characters_is_refused
        one_message_that_is_refused_does_not_take_the_others_along_in_a_fifo_queue
    }
}

/// The visibility time-out of the queue.
const VISIBILITY: Duration = Duration::from_secs(30);

const FIVE_MINUTES: Duration = Duration::from_secs(5 * 60);

fn plain(body: &str) -> NewMessage {
    NewMessage {
        body: body.to_owned(),
        fifo: None,
    }
}

fn grouped(body: &str, deduplication_id: &str) -> NewMessage {
    let fifo = Fifo {
        group: "medic".to_owned(),
        deduplication_id: deduplication_id.to_owned(),
    };
    NewMessage {
        body: body.to_owned(),
        fifo: Some(fifo),
    }
}

async fn send(bench: &impl QueueBench, messages: Vec<NewMessage>) {
    let count = messages.len();
    assert_eq!(bench.queue().send(messages).await, vec![Ok(()); count]);
}

fn bodies(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.body.as_str()).collect()
}

/// Takes and deletes all there is, and gives the bodies in the order in which they came.
async fn drain(bench: &impl QueueBench) -> Vec<String> {
    let mut drained = Vec::new();
    loop {
        let records = bench.receive(10).await;
        if records.is_empty() {
            return drained;
        }
        for record in records {
            bench.delete(&record).await;
            drained.push(record.body);
        }
    }
}

/// Bodies from a few bytes to 400 KB, more than two calls can carry.
fn bodies_of_every_size() -> Vec<String> {
    (0..25_usize)
        .map(|number| {
            let length = match number % 5 {
                0 => 400_000,
                1 => 1,
                2 => 30_000,
                3 => 200,
                _ => 0,
            };
            format!("{number:02} {}", "x".repeat(length))
        })
        .collect()
}

async fn messages_of_every_size_arrive_unchanged(bench: impl QueueBench) {
    let bodies = bodies_of_every_size();
    send(&bench, bodies.iter().map(|body| plain(body)).collect()).await;
    let mut arrived = drain(&bench).await;
    arrived.sort();
    assert!(arrived == bodies);
}

async fn messages_come_in_the_order_in_which_they_were_sent(bench: impl QueueBench) {
    let bodies = bodies_of_every_size();
    let messages = bodies
        .iter()
        .enumerate()
        .map(|(number, body)| grouped(body, &number.to_string()));
    send(&bench, messages.collect()).await;
    send(&bench, vec![grouped("last", "last")]).await;
    let arrived = drain(&bench).await;
    assert!(arrived[..25] == bodies);
    assert_eq!(arrived[25..], ["last"]);
}

async fn what_is_encoded_arrives_whatever_is_in_it(bench: impl QueueBench) {
    let everything: String = ('\0'..='\u{2fff}')
        .chain('\u{fff0}'..='\u{1001f}')
        .collect();
    for content in [STRANGE, &everything, " ", "\u{1}"] {
        let message = ExchangeMessage::Incoming(IncomingSms {
            id: IncomingId::new("id").unwrap(),
            from: STRANGE.to_owned(),
            content: content.to_owned(),
            sent_at: Timestamp::from_millis(i64::MIN),
            received_at: Timestamp::MAX,
        });
        send(&bench, vec![plain(&encode(&message))]).await;
        let arrived = drain(&bench).await;
        assert_eq!(arrived.len(), 1);
        assert!(decode::<ExchangeMessage>(&arrived[0]) == Ok(message));
    }
}

async fn a_message_says_when_it_was_sent_and_how_often_it_was_received(bench: impl QueueBench) {
    let sent = bench.now().await;
    send(&bench, vec![plain("a")]).await;
    let mut ids = BTreeSet::new();
    let mut receipts = BTreeSet::new();
    for receive in 1..=4 {
        let records = bench.receive(10).await;
        assert_eq!(bodies(&records), ["a"]);
        assert_eq!(records[0].receive_count, receive);
        let sent_at = records[0].sent_at;
        let is_near = sent.since(sent_at) <= Duration::from_secs(2)
            && sent_at.since(sent) < Duration::from_secs(10);
        assert!(is_near, "{sent_at:?} and {sent:?}");
        ids.insert(records[0].message_id.clone());
        receipts.insert(records[0].receipt_handle.clone());
        bench.pass(VISIBILITY + Duration::from_secs(1)).await;
    }
    assert_eq!((ids.len(), receipts.len()), (1, 4));
}

async fn a_hidden_message_comes_again_after_its_time_and_not_before(bench: impl QueueBench) {
    send(&bench, vec![plain("a")]).await;
    let records = bench.receive(10).await;
    assert_eq!(
        bench.queue().change_visibility(&[(&records[0], 600)]).await,
        [Ok(())]
    );
    bench.pass(Duration::from_secs(590)).await;
    assert!(bench.receive(10).await.is_empty());
    bench.pass(Duration::from_secs(11)).await;
    let again = bench.receive(10).await;
    assert_eq!((bodies(&again), again[0].receive_count), (vec!["a"], 2));
}

async fn a_message_can_be_returned_at_once(bench: impl QueueBench) {
    send(&bench, vec![plain("a")]).await;
    let records = bench.receive(10).await;
    assert!(bench.receive(10).await.is_empty());
    assert_eq!(
        bench.queue().change_visibility(&[(&records[0], 0)]).await,
        [Ok(())]
    );
    assert_eq!(bodies(&bench.receive(10).await), ["a"]);
}

async fn many_records_can_be_hidden_together_each_for_its_own_time(bench: impl QueueBench) {
    let names: Vec<String> = (0..25).map(|number| format!("{number:02}")).collect();
    send(&bench, names.iter().map(|name| plain(name)).collect()).await;
    let mut records = Vec::new();
    while records.len() < names.len() {
        let more = bench.receive(10).await;
        assert!(!more.is_empty());
        records.extend(more);
    }
    let minutes = |record: &Record| record.body.parse::<i32>().unwrap() % 3 + 1;
    let hidden: Vec<(&Record, i32)> = records
        .iter()
        .map(|record| (record, 60 * minutes(record)))
        .collect();
    assert_eq!(
        bench.queue().change_visibility(&hidden).await,
        vec![Ok(()); names.len()]
    );
    bench.pass(Duration::from_secs(55)).await;
    for minute in 1..=3 {
        assert!(drain(&bench).await.is_empty());
        bench.pass(Duration::from_secs(10)).await;
        let mut arrived = drain(&bench).await;
        arrived.sort();
        let expected = names
            .iter()
            .filter(|name| name.parse::<i32>().unwrap() % 3 + 1 == minute);
        assert_eq!(arrived, expected.cloned().collect::<Vec<_>>());
        bench.pass(Duration::from_secs(50)).await;
    }
}

async fn a_record_that_is_gone_is_an_error_and_the_others_are_hidden(bench: impl QueueBench) {
    send(&bench, ["a", "b", "c"].map(plain).to_vec()).await;
    let records = bench.receive(10).await;
    bench.delete(&records[1]).await;
    let hidden: Vec<(&Record, i32)> = records.iter().map(|record| (record, 60)).collect();
    let results = bench.queue().change_visibility(&hidden).await;
    let good: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, false, true]);
    bench.pass(Duration::from_secs(40)).await;
    assert!(bench.receive(10).await.is_empty());
}

async fn the_visibility_of_what_is_not_in_flight_cannot_be_changed(bench: impl QueueBench) {
    if bench.differs(NOT_IN_FLIGHT) {
        return;
    }
    send(&bench, vec![plain("a")]).await;
    let records = bench.receive(10).await;
    bench.pass(VISIBILITY + Duration::from_secs(1)).await;
    assert!(bench.queue().change_visibility(&[(&records[0], 60)]).await[0].is_err());
    assert_eq!(bodies(&bench.receive(10).await), ["a"]);
}

async fn nothing_is_hidden_longer_than_twelve_hours(bench: impl QueueBench) {
    if bench.differs(LONGEST_VISIBILITY) {
        return;
    }
    send(&bench, vec![plain("a")]).await;
    let records = bench.receive(10).await;
    bench.pass(Duration::from_secs(10)).await;
    let seconds = 12 * 60 * 60;
    assert!(
        bench
            .queue()
            .change_visibility(&[(&records[0], seconds)])
            .await[0]
            .is_err()
    );
    assert!(
        bench
            .queue()
            .change_visibility(&[(&records[0], seconds - 60)])
            .await[0]
            .is_ok()
    );
}

async fn one_message_that_is_refused_does_not_take_the_others_along(bench: impl QueueBench) {
    let messages = ["a", "b", "\u{1}", "d"].map(plain).to_vec();
    let results = bench.queue().send(messages).await;
    let good: Vec<bool> = results.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, true, false, true]);
    let mut arrived = drain(&bench).await;
    arrived.sort();
    assert_eq!(arrived, ["a", "b", "d"]);
}

async fn one_message_that_is_refused_does_not_take_the_others_along_in_a_fifo_queue(
    bench: impl QueueBench,
) {
    let mut messages: Vec<NewMessage> = (0..12)
        .map(|number| grouped(&number.to_string(), &format!("id-{number}")))
        .collect();
    messages[3] = grouped("\u{1}", "refused");
    let results = bench.queue().send(messages).await;
    let refused: Vec<usize> = (0..12).filter(|number| results[*number].is_err()).collect();
    assert_eq!(refused, [3]);
    let expected = ["0", "1", "2", "4", "5", "6", "7", "8", "9", "10", "11"];
    assert_eq!(drain(&bench).await, expected);
}

async fn nothing_to_send_and_nothing_to_hide_is_nothing(bench: impl QueueBench) {
    assert!(bench.queue().send(Vec::new()).await.is_empty());
    assert!(bench.queue().change_visibility(&[]).await.is_empty());
}

async fn an_id_is_swallowed_for_five_minutes_also_after_the_message_is_gone(
    bench: impl QueueBench,
) {
    send(&bench, vec![grouped("a", "id")]).await;
    send(&bench, vec![grouped("a", "id")]).await;
    assert_eq!(drain(&bench).await, ["a"]);
    bench.pass(FIVE_MINUTES - Duration::from_secs(15)).await;
    // Swallowed silently, even with another body.
    send(&bench, vec![grouped("another", "id")]).await;
    assert!(drain(&bench).await.is_empty());
    bench.pass(Duration::from_secs(16)).await;
    send(&bench, vec![grouped("b", "id")]).await;
    assert_eq!(drain(&bench).await, ["b"]);
}

async fn an_id_is_swallowed_also_within_one_call(bench: impl QueueBench) {
    let messages = vec![grouped("a", "1"), grouped("b", "2"), grouped("c", "1")];
    send(&bench, messages).await;
    assert_eq!(drain(&bench).await, ["a", "b"]);
}

async fn another_id_brings_the_same_body_again(bench: impl QueueBench) {
    send(&bench, vec![grouped("a", "1"), grouped("a", "2")]).await;
    assert_eq!(drain(&bench).await, ["a", "a"]);
}

async fn a_group_waits_for_the_message_that_is_in_flight(bench: impl QueueBench) {
    send(&bench, vec![grouped("a", "1"), grouped("b", "2")]).await;
    let first = bench.receive(1).await;
    assert_eq!(bodies(&first), ["a"]);
    assert!(bench.receive(10).await.is_empty());
    send(&bench, vec![grouped("c", "3")]).await;
    assert!(bench.receive(10).await.is_empty());
    bench.delete(&first[0]).await;
    assert_eq!(bodies(&bench.receive(10).await), ["b", "c"]);
}

async fn a_group_waits_for_the_message_that_is_hidden(bench: impl QueueBench) {
    send(&bench, vec![grouped("a", "1"), grouped("b", "2")]).await;
    let first = bench.receive(1).await;
    assert_eq!(
        bench.queue().change_visibility(&[(&first[0], 600)]).await,
        [Ok(())]
    );
    bench.pass(Duration::from_secs(590)).await;
    assert!(bench.receive(10).await.is_empty());
    bench.pass(Duration::from_secs(11)).await;
    let again = bench.receive(10).await;
    assert_eq!(bodies(&again), ["a", "b"]);
    assert_eq!((again[0].receive_count, again[1].receive_count), (2, 1));
}

async fn of_a_group_comes_what_precedes_the_first_that_is_hidden(bench: impl QueueBench) {
    if bench.differs(GROUP_LOCK) {
        return;
    }
    send(
        &bench,
        vec![grouped("a", "1"), grouped("b", "2"), grouped("c", "3")],
    )
    .await;
    let records = bench.receive(10).await;
    assert_eq!(bodies(&records), ["a", "b", "c"]);
    let returned_for_retry = [(&records[0], 0), (&records[1], 60), (&records[2], 0)];
    assert_eq!(
        bench.queue().change_visibility(&returned_for_retry).await,
        [Ok(()), Ok(()), Ok(())]
    );
    assert_eq!(bodies(&bench.receive(10).await), ["a"]);
}

async fn a_message_without_a_group_is_refused(bench: impl QueueBench) {
    let results = bench
        .queue()
        .send(vec![plain("a"), grouped("b", "2")])
        .await;
    assert!(results[0].is_err());
    let arrived = drain(&bench).await;
    assert!(!arrived.contains(&"a".to_owned()));
}

async fn an_id_of_more_than_128_characters_is_refused(bench: impl QueueBench) {
    send(&bench, vec![grouped("a", &"x".repeat(128))]).await;
    assert_eq!(drain(&bench).await, ["a"]);
    if !bench.differs(LONGEST_ID) {
        let too_long = vec![grouped("b", &"x".repeat(129))];
        assert!(bench.queue().send(too_long).await[0].is_err());
        assert!(drain(&bench).await.is_empty());
    }
}
