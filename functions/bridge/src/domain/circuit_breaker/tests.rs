use super::*;

const LONGEST_TURN: Duration = Duration::from_secs(35);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(0) + Duration::from_secs(seconds)
}

fn id(message: &str) -> MedicMessageId {
    MedicMessageId::new(message).unwrap()
}

/// A call that began now, by a message with the sender ID `MYORG`.
fn call(row: &AccountRow, message: &str) -> Call {
    Call {
        message: id(message),
        sender_id: Some("MYORG".to_owned()),
        changes: row.changes,
        half_open: None,
    }
}

fn failed(cause: Cause) -> Signal {
    let in_doubt = false;
    Signal::Failed { cause, in_doubt }
}

const IN_DOUBT: Signal = Signal::Unanswered { in_doubt: true };

/// The row after a refusal of `first` at the instant 0.
fn refused(cause: Cause) -> AccountRow {
    let row = AccountRow::default();
    row.after_call(&call(&row, "first"), failed(cause), at(0))
}

/// The row after five calls without an answer at the instant 0.
fn silent() -> AccountRow {
    let row = AccountRow::default();
    (0..5).fold(row, |row, _| {
        row.after_call(&call(&row, "first"), IN_DOUBT, at(0))
    })
}

fn candidate(message: &str, in_doubt: bool) -> PilotCandidate {
    let message = id(message);
    PilotCandidate { message, in_doubt }
}

fn turn(row: &AccountRow, of: &Circuit, message: &str, in_doubt: bool, seconds: u64) -> Turn {
    row.turn(of, &candidate(message, in_doubt), LONGEST_TURN, at(seconds))
}

/// The pilot's turn begins, and these are the row and the circuit then.
fn begins(row: &AccountRow, message: &str, seconds: u64) -> (AccountRow, OpenCircuit) {
    let of = row.open_circuits[0].of.clone();
    match turn(row, &of, message, false, seconds) {
        Turn::Begins(row, open) => (row, open),
        turn => panic!("{message} at {seconds} s: {turn:?}"),
    }
}

fn half_open(open: &OpenCircuit, balance_micros: Option<i64>) -> HalfOpen {
    HalfOpen {
        of: open.of.clone(),
        since: open.since,
        answer: answer(200, balance_micros),
    }
}

/// A call as a pilot that begins now.
fn pilot_call(row: &AccountRow, message: &str) -> Call {
    Call {
        half_open: Some(half_open(&row.open_circuits[0], None)),
        ..call(row, message)
    }
}

fn answer(status: u16, balance_micros: Option<i64>) -> UserAnswer {
    UserAnswer {
        status: Some(status),
        balance_micros,
    }
}

#[test]
fn what_opens_which_circuit() {
    for (cause, of) in [
        (Cause::InsufficientBalance, Circuit::Account),
        (Cause::CredentialsRefused, Circuit::Account),
        (Cause::WrongAddress, Circuit::Account),
        (
            Cause::InvalidSenderId,
            Circuit::SenderId(Some("MYORG".to_owned())),
        ),
    ] {
        let row = refused(cause);
        let open = &row.open_circuits[0];
        assert_eq!(
            (&open.of, open.cause, open.since),
            (&of, cause, at(0)),
            "{cause:?}"
        );
        assert_eq!(open.next_try, at(45));
        assert_eq!(open.pilot.as_ref().unwrap().message, id("first"));
        assert_eq!(row.changes, 1);
        assert!(row.stops(Some("MYORG")));
        let stops_others = of == Circuit::Account;
        assert_eq!(row.stops(Some("OTHER")), stops_others, "{cause:?}");
        assert_eq!(row.stops(None), stops_others, "{cause:?}");
    }
}

#[test]
fn the_default_sender_id_has_a_circuit_of_its_own() {
    let row = AccountRow::default();
    let call = Call {
        sender_id: None,
        ..call(&row, "first")
    };
    let row = row.after_call(&call, failed(Cause::InvalidSenderId), at(0));
    assert!(row.stops(None) && !row.stops(Some("MYORG")));
    assert_eq!(row.open_circuits[0].of.sender_id(), Some("(default)"));
}

#[test]
fn refusals_of_calls_that_began_together_open_the_circuit_once() {
    let before = AccountRow::default();
    let once = refused(Cause::CredentialsRefused);
    for cause in [Cause::CredentialsRefused, Cause::InvalidSenderId] {
        let late = call(&before, "second");
        assert_eq!(once.after_call(&late, failed(cause), at(9)), once);
    }
}

#[test]
fn results_of_calls_that_began_before_the_last_change_count_for_nothing() {
    let before = AccountRow::default();
    let open = refused(Cause::InsufficientBalance);
    let (open, _) = begins(&open, "first", 45);
    let closed = open.after_call(&pilot_call(&open, "first"), Signal::Accepted, at(46));
    assert!(closed.open_circuits.is_empty());
    for signal in [failed(Cause::InsufficientBalance), IN_DOUBT] {
        for late in [call(&before, "late"), pilot_call(&open, "late")] {
            assert_eq!(
                closed.after_call(&late, signal, at(47)),
                closed,
                "{signal:?}"
            );
        }
    }
    // An acceptance from before it was open closes nothing, nor does one of an earlier opening.
    let again = closed.after_call(
        &call(&closed, "new"),
        failed(Cause::InsufficientBalance),
        at(60),
    );
    for late in [call(&before, "late"), pilot_call(&open, "late")] {
        assert_eq!(again.after_call(&late, Signal::Accepted, at(61)), again);
    }
}

#[test]
fn only_the_acceptance_of_the_pilot_closes() {
    let open = refused(Cause::InsufficientBalance);
    let (open, _) = begins(&open, "first", 45);
    let now_open = call(&open, "other");
    assert_eq!(open.after_call(&now_open, Signal::Accepted, at(46)), open);
    for signal in [
        Signal::Answered,
        failed(Cause::InsufficientBalance),
        IN_DOUBT,
    ] {
        let after = open.after_call(&pilot_call(&open, "first"), signal, at(46));
        assert_eq!(after.open_circuits.len(), 1, "{signal:?}");
        assert_eq!(after.open_circuits[0].next_try, at(46 + 45), "{signal:?}");
    }
    let after = open.after_call(&pilot_call(&open, "first"), Signal::Accepted, at(46));
    assert_eq!((after.open_circuits.len(), after.changes), (0, 2));
}

#[test]
fn a_pilot_of_the_account_also_closes_the_circuit_of_its_sender_id() {
    let row = refused(Cause::InvalidSenderId);
    let row = row.after_call(&call(&row, "b"), failed(Cause::InsufficientBalance), at(1));
    let account = row.open_circuit(&Circuit::Account).unwrap();
    let call = Call {
        half_open: Some(half_open(account, None)),
        ..call(&row, "b")
    };
    let row = row.after_call(&call, Signal::Accepted, at(50));
    assert_eq!(row.open_circuits, []);
}

#[test]
fn the_fifth_call_in_a_row_without_an_answer_opens_the_circuit() {
    let unanswered = |row: AccountRow, calls: u64, in_doubt| {
        (0..calls).fold(row, |row, n| {
            let signal = Signal::Unanswered { in_doubt };
            row.after_call(&call(&row, "m"), signal, at(n))
        })
    };
    for in_doubt in [true, false] {
        let four = unanswered(AccountRow::default(), 4, in_doubt);
        assert!(!four.stops(None));
        // Any answer ends the count.
        for answered in [Signal::Answered, Signal::Accepted] {
            let again = four.after_call(&call(&four, "m"), answered, at(4));
            assert_eq!(unanswered(again, 4, in_doubt).open_circuits, []);
        }
        let opened = unanswered(four, 1, in_doubt);
        let open = opened.open_circuit(&Circuit::Account).unwrap();
        assert_eq!(open.cause, Cause::NoAnswer);
        assert_eq!(open.pilot.as_ref().unwrap().in_doubt, in_doubt);
        // Those that were under way then change nothing.
        assert_eq!(unanswered(opened.clone(), 9, in_doubt), opened);
    }
}

#[test]
fn a_pilot_has_a_turn_every_45_seconds_and_its_copies_have_none() {
    let mut row = refused(Cause::CredentialsRefused);
    let mut now = 0;
    for _ in 0..20 {
        let early = turn(&row, &Circuit::Account, "first", false, now + 44);
        assert_eq!(early, Turn::At(row.clone(), at(now + 45)));
        now += 45;
        let (begun, open) = begins(&row, "first", now);
        assert!(matches!(
            turn(&begun, &Circuit::Account, "first", false, now + 1),
            Turn::At(..)
        ));
        assert!(!open.lets_pilot_send(&answer(401, None), at(now)));
        assert!(open.lets_pilot_send(&answer(200, None), at(now)));
        row = begun.after_question(&half_open(&open, None), at(now));
    }
}

#[test]
fn who_takes_over_from_whom() {
    let of = &Circuit::Account;
    let takes_over =
        |row: &AccountRow, in_doubt, seconds| match turn(row, of, "other", in_doubt, seconds) {
            Turn::Waits => None,
            Turn::At(row, _) | Turn::Begins(row, _) => {
                Some(row.open_circuits[0].pilot.clone().unwrap().message == id("other"))
            }
        };
    // From a live one, nobody. One that is overdue by a minute is lost.
    let row = refused(Cause::InsufficientBalance);
    for in_doubt in [true, false] {
        assert_eq!(takes_over(&row, in_doubt, 105), None);
        assert_eq!(takes_over(&row, in_doubt, 106), Some(true));
    }
    assert!(!row.open_circuits[0].wants_pilot(at(105)));
    // From one in doubt, one that is not. It does not come earlier.
    let row = silent();
    assert!(row.open_circuits[0].wants_pilot(at(1)));
    assert_eq!(takes_over(&row, true, 1), None);
    assert!(matches!(turn(&row, of, "other", false, 1), Turn::At(_, then) if then == at(45)));
    // Without a pilot, anybody, and at once.
    let (row, open) = begins(&row, "other", 45);
    let row = row.without_pilot(&half_open(&open, None), at(46));
    assert!(matches!(
        turn(&row, of, "third", true, 46),
        Turn::Begins(..)
    ));
    // Of another circuit, or of one that is closed, nobody.
    assert_eq!(
        turn(&row, &Circuit::SenderId(None), "third", false, 46),
        Turn::Waits
    );
}

#[test]
fn a_pilot_that_is_refused_for_its_own_reason_makes_room_for_another() {
    let (row, _) = begins(&refused(Cause::CredentialsRefused), "first", 45);
    let row = row.after_call(&pilot_call(&row, "first"), Signal::Answered, at(46));
    assert!(row.open_circuits[0].wants_pilot(at(46)));
    assert!(matches!(
        turn(&row, &Circuit::Account, "other", false, 91),
        Turn::Begins(..)
    ));
}

#[test]
fn without_credit_a_send_waits_for_a_better_balance_and_is_tried_every_five_minutes_anyway() {
    let (row, open) = begins(&refused(Cause::InsufficientBalance), "first", 45);
    // Somebody may have topped up before the first question: the refusal of the send tells.
    assert!(open.lets_pilot_send(&answer(200, Some(7)), at(45)));
    let sent = Call {
        half_open: Some(half_open(&open, Some(7))),
        ..call(&row, "first")
    };
    let row = row.after_call(&sent, failed(Cause::InsufficientBalance), at(45));
    let (row, open) = begins(&row, "first", 90);
    assert!(!open.lets_pilot_send(&answer(200, Some(7)), at(90)));
    assert!(open.lets_pilot_send(&answer(200, Some(8)), at(90)));
    // It can fall, too, and rise again from there.
    let row = row.after_question(&half_open(&open, Some(-3)), at(90));
    let (row, open) = begins(&row, "first", 135);
    assert!(open.lets_pilot_send(&answer(200, Some(-2)), at(135)));
    assert!(!open.lets_pilot_send(&answer(200, None), at(344)));
    assert!(open.lets_pilot_send(&answer(200, None), at(345)));
    // Not while Africa's Talking does not answer at all.
    assert!(!open.lets_pilot_send(&answer(503, None), at(345)));
    assert!(!open.lets_pilot_send(&UserAnswer::default(), at(345)));
    let row = row.after_question(&half_open(&open, None), at(345));
    assert_eq!(row.open_circuits[0].balance_micros, Some(-3));
}

#[test]
fn a_top_up_that_a_pilot_in_doubt_must_not_try_yet_is_tried_by_the_next_one() {
    let row = refused(Cause::InsufficientBalance);
    let (row, open) = begins(&row, "first", 45);
    let sent = Call {
        half_open: Some(half_open(&open, Some(7))),
        ..call(&row, "first")
    };
    let row = row.after_call(&sent, failed(Cause::InsufficientBalance), at(45));
    // A pilot in doubt sees the top-up, and waits.
    let row = row.after_question(&half_open(&open, Some(8)), at(90));
    let (_, open) = begins(&row, "first", 135);
    assert!(open.lets_pilot_send(&answer(200, Some(8)), at(135)));
}

#[test]
fn what_the_user_call_has_to_answer() {
    for (cause, status, is_good) in [
        (Cause::CredentialsRefused, 200, true),
        (Cause::CredentialsRefused, 401, false),
        (Cause::CredentialsRefused, 500, false),
        (Cause::WrongAddress, 201, true),
        (Cause::WrongAddress, 404, false),
        (Cause::NoAnswer, 200, true),
        (Cause::NoAnswer, 401, true),
        (Cause::NoAnswer, 500, false),
        (Cause::Other, 200, true),
    ] {
        let mut open = refused(Cause::CredentialsRefused).open_circuits[0].clone();
        open.cause = cause;
        let lets = open.lets_pilot_send(&answer(status, None), at(45));
        assert_eq!(lets, is_good, "{cause:?} {status}");
        // The user call may be what is broken.
        let hours = if cause == Cause::NoAnswer { 6 } else { 1 };
        let silent = UserAnswer::default();
        assert!(!open.lets_pilot_send(&silent, at(hours * 3_600 - 1)));
        assert!(open.lets_pilot_send(&silent, at(hours * 3_600)));
    }
}

#[test]
fn a_message_in_doubt_is_sent_after_five_minutes_as_the_pilot_and_not_before() {
    let open = silent().open_circuits[0].clone();
    let good = answer(200, None);
    assert!(!open.lets_pilot_send(&good, at(299)));
    assert!(open.lets_pilot_send(&good, at(300)));
    // Never into silence: it would fail, and nothing fails for that.
    assert!(!open.lets_pilot_send(&answer(503, None), at(1_000_000)));
    let (_, open) = begins(&silent(), "other", 45);
    assert!(open.lets_pilot_send(&good, at(45)));
}

#[test]
fn sends_without_an_answer_come_at_growing_intervals_however_good_the_user_call_is() {
    let mut row = silent();
    let (mut now, mut sends) = (0, Vec::new());
    while now < 3_600 {
        now += 45;
        let message = format!("m{now}");
        let (begun, open) = begins(&row, &message, now);
        row = if open.lets_pilot_send(&answer(200, None), at(now)) {
            sends.push(now);
            begun.after_call(&pilot_call(&begun, &message), IN_DOUBT, at(now))
        } else {
            begun.without_pilot(&half_open(&open, None), at(now + 45))
        };
    }
    let gaps: Vec<u64> = sends.windows(2).map(|two| two[1] - two[0]).collect();
    assert_eq!(gaps, [45, 90, 180, 360, 630, 630, 630, 630]);
    // One that is in doubt itself is sent once an hour.
    row.open_circuits[0].pilot = Some(Pilot {
        message: id("first"),
        in_doubt: true,
        since: at(0),
    });
    let open = &row.open_circuits[0];
    let last = *sends.last().unwrap();
    assert!(!open.lets_pilot_send(&answer(200, None), at(last + 3_599)));
    assert!(open.lets_pilot_send(&answer(200, None), at(last + 3_600)));
}

#[test]
fn sends_that_are_tried_anyway_do_not_delay_the_first_one_after_the_outage() {
    let mut row = silent();
    for hour in [6, 12, 18, 24] {
        let message = format!("m{hour}");
        let (begun, open) = begins(&row, &message, hour * 3_600);
        assert!(open.lets_pilot_send(&answer(503, None), at(hour * 3_600)));
        let mut call = pilot_call(&begun, &message);
        call.half_open = Some(HalfOpen {
            answer: answer(503, None),
            ..half_open(&open, None)
        });
        row = begun.after_call(&call, IN_DOUBT, at(hour * 3_600));
    }
    let (_, open) = begins(&row, "fresh", 24 * 3_600 + 45);
    assert!(open.lets_pilot_send(&answer(200, None), at(24 * 3_600 + 45)));
}

#[test]
fn an_unknown_sender_id_is_tried_at_intervals_up_to_ten_minutes() {
    let mut row = refused(Cause::InvalidSenderId);
    let (mut now, mut tries) = (0, Vec::new());
    while now < 3_600 {
        let next = row.open_circuits[0].next_try.since(at(0)).as_secs();
        tries.push(next - now);
        now = next;
        let (begun, _) = begins(&row, "first", now);
        row = begun.after_call(
            &pilot_call(&begun, "first"),
            failed(Cause::InvalidSenderId),
            at(now),
        );
    }
    assert_eq!(tries, [45, 45, 90, 180, 360, 600, 600, 600, 600, 600]);
    assert_eq!((row.open_circuits.len(), row.changes), (1, 1));
}

#[test]
fn a_pilot_that_meets_another_trouble_keeps_its_circuit_open_or_opens_the_other_one() {
    let (row, _) = begins(&silent(), "other", 45);
    let pilot = pilot_call(&row, "other");
    let after = row.after_call(&pilot, failed(Cause::InsufficientBalance), at(46));
    assert_eq!(after.open_circuits.len(), 1);
    assert_eq!(after.open_circuits[0].cause, Cause::InsufficientBalance);
    assert_eq!((after.open_circuits[0].since, after.changes), (at(0), 1));

    let after = row.after_call(&pilot, failed(Cause::InvalidSenderId), at(46));
    assert_eq!(after.open_circuits.len(), 2);
    // Another sender ID's messages can show whether the account works.
    assert_eq!(after.open_circuits[0].pilot, None);
    assert_eq!(after.open_circuits[1].cause, Cause::InvalidSenderId);
}

#[test]
fn the_balance_is_asked_for_once_an_hour_whatever_else_happens_to_the_account() {
    let asked = AccountRow::default().asking_for_the_balance(at(5)).unwrap();
    let open = asked.after_call(
        &call(&asked, "first"),
        failed(Cause::InsufficientBalance),
        at(6),
    );
    let (open, _) = begins(&open, "first", 60);
    let closed = open.after_call(&pilot_call(&open, "first"), Signal::Accepted, at(61));
    assert_eq!(closed.clone().asking_for_the_balance(at(3_604)), None);
    assert!(closed.asking_for_the_balance(at(3_605)).is_some());
}

#[test]
fn a_pause_stops_everything_and_ends_only_when_somebody_says_so() {
    let paused = AccountRow::default().paused(at(5));
    let refused = paused.after_call(
        &call(&paused, "first"),
        failed(Cause::InsufficientBalance),
        at(6),
    );
    for row in [&paused, &refused, &paused.paused(at(7))] {
        assert!(row.stops(Some("MYORG")) && row.stops(None));
        assert_eq!(row.pause, Some(Pause { since: at(5) }));
    }
    assert!(!paused.resumed(at(8)).stops(None));
    // What Africa's Talking refused is tried by the next message.
    let resumed = refused.resumed(at(8));
    assert!(matches!(
        turn(&resumed, &Circuit::Account, "next", false, 8),
        Turn::Begins(..)
    ));
}

#[test]
fn rows_of_earlier_and_later_versions_are_read() {
    let earlier = r#"{"open_circuit":{"cause":"insufficient_balance","since_ms":5,"probes":0,"next_probe_ms":60005},"unanswered_calls":3}"#;
    let row: AccountRow = serde_json::from_str(earlier).unwrap();
    assert_eq!((row.unanswered_calls, row.stops(None)), (3, false));
    let later = r#"{"open_circuits":[{"of":"account","cause":"a_new_one","since_ms":5,"next_try_ms":50005,"something_new":7}]}"#;
    let row: AccountRow = serde_json::from_str(later).unwrap();
    assert_eq!(row.blocking(None).unwrap().cause, Cause::Other);
}
