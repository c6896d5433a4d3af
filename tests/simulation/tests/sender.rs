//! `outbound-sender`, row by row of its table.

use std::rc::Rc;

use bridge::domain::message::{Sending, UnknownOutcomePolicy};
use bridge::domain::sender_ids::SenderIds;
use bridge::domain::status::Status;
use simulation::africas_talking::{Account, Verdict};
use simulation::faults::{Call, Fate};
use simulation::lambda::Function;
use simulation::scene::{OTHER_PHONE, PHONE, Scene};
use simulation::world::{MINUTE_MS, QueueName, Settings};

fn hold(max_age_minutes: i64) -> Settings {
    let mut settings = Settings::default();
    settings.rules.unknown_outcome = UnknownOutcomePolicy::Hold;
    settings.rules.max_age_ms = max_age_minutes * MINUTE_MS;
    settings
}

#[test]
fn each_acceptance_raises_the_status_as_far_as_it_says() {
    for (code, status) in [
        (100, Status::Pending),
        (101, Status::Sent),
        (102, Status::Unsent),
    ] {
        let scene = Scene::default();
        scene.verdicts(&[Verdict::Accepted(code)]);
        scene.wants("out-1");
        scene.rest(1);
        assert_eq!(scene.told("out-1"), Some(status), "{code}");
        let row = scene.row("out-1").unwrap();
        assert_eq!(row.sending, Sending::Accepted);
        assert_eq!(row.at_ids.len(), 1);
        assert_eq!(row.cost.unwrap().micros, 800_000);
        assert_eq!(row.segments, 1);
        scene.keeps_its_promises();
    }
}

#[test]
fn a_final_refusal_fails_with_africas_talkings_reason_and_is_not_tried_again() {
    for (code, reason) in [
        (401, "RiskHold"),
        (403, "InvalidPhoneNumber"),
        (404, "UnsupportedNumberType"),
        (406, "UserInBlacklist"),
        (407, "CouldNotRoute"),
    ] {
        let scene = Scene::default();
        scene.verdicts(&[Verdict::Rejected(code)]);
        scene.wants("out-1");
        scene.rest(1);
        scene.minutes(120);
        assert_eq!(scene.told("out-1"), Some(Status::Failed));
        assert_eq!(scene.reason("out-1").as_deref(), Some(reason));
        assert_eq!(scene.calls("out-1"), 1);
        scene.keeps_its_promises();
    }
}

#[test]
fn what_goes_to_no_number_fails_without_a_call() {
    for to in ["Safaricom", "20880", "0700000001", ""] {
        let scene = Scene::default();
        scene.wants_to("out-1", to);
        scene.rest(1);
        assert_eq!(scene.told("out-1"), Some(Status::Failed), "{to}");
        assert!(scene.reason("out-1").is_some());
        assert_eq!(scene.calls("out-1"), 0);
    }
}

const ACCOUNT_WIDE: [Verdict; 5] = [
    Verdict::Rejected(402),
    Verdict::Rejected(405),
    Verdict::NoRecipient("InvalidSenderId"),
    Verdict::Http(401, false),
    Verdict::Http(403, false),
];

#[test]
fn trouble_of_the_account_holds_all_fails_none_and_alarms_once() {
    for trouble in ACCOUNT_WIDE {
        let scene = Scene::default();
        scene.africas_talking.borrow_mut().account = Account::Trouble(trouble);
        for n in 0..8 {
            scene.wants_to(&format!("out-{n}"), OTHER_PHONE);
        }
        scene.minutes(6 * 60);
        for n in 0..8 {
            assert_eq!(
                scene.told(&format!("out-{n}")),
                Some(Status::Unsent),
                "{trouble:?}"
            );
        }
        assert_eq!(scene.events("sending_held"), 1);
        // The first ones all at once; then 1, 2, 4 … 60 minutes apart.
        let calls = scene.africas_talking.borrow().calls.len();
        assert!(calls <= 8 + 12, "{trouble:?}: {calls} calls");
        scene.africas_talking.borrow_mut().account = Account::Good;
        scene.rest(3);
        assert_eq!(scene.events("sending_resumed"), 1);
        scene.keeps_its_promises();
    }
}

#[test]
fn a_held_account_is_probed_by_one_message_at_a_time() {
    let scene = Scene::default();
    scene.africas_talking.borrow_mut().account = Account::Trouble(Verdict::Rejected(405));
    scene.wants("out-0");
    scene.minutes(1);
    for n in 1..30 {
        scene.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scene.minutes(12 * 60);
    let at = scene.africas_talking.borrow();
    let gaps = at.calls.windows(2).map(|two| two[1].at_ms - two[0].at_ms);
    let shortest = gaps.min().unwrap();
    assert!(shortest >= 55_000, "two probes within {shortest} ms");
    assert!(at.calls.len() < 22, "{}", at.calls.len());
}

/// No answer, or one that says nothing, whether or not the SMS goes out.
const SICK: [Verdict; 6] = [
    Verdict::Http(503, false),
    Verdict::Http(503, true),
    Verdict::NoAnswer(false),
    Verdict::NoAnswer(true),
    Verdict::Code500(false),
    Verdict::Unreadable(false),
];

#[test]
fn an_hour_without_an_answer_holds_all_after_five_fails_none_and_alarms_once() {
    for sick in SICK {
        let scene = Scene::default();
        let messages = 40;
        scene.africas_talking.borrow_mut().account = Account::Trouble(sick);
        for n in 0..messages {
            if n % 4 == 0 {
                scene.seconds(40);
            }
            scene.wants_to(&format!("out-{n}"), &format!("+2547000000{n:02}"));
        }
        // What is left of the hour.
        scene.minutes(53);
        let at = scene.africas_talking.borrow();
        let in_vain = at.calls.clone();
        drop(at);
        // Five in a row, with those that were under way when the fifth had no answer.
        let held_ms = in_vain[4].at_ms + scene.settings.call_timeout_ms + 5_000;
        let (first, probes): (Vec<_>, Vec<_>) =
            in_vain.iter().partition(|call| call.at_ms < held_ms);
        assert!((5..=12).contains(&first.len()), "{sick:?}: {first:?}");
        // A minute later, then 2, 4, 8, 16 and 32: never two at once.
        assert!((4..=6).contains(&probes.len()), "{sick:?}: {probes:?}");
        let gaps = probes.windows(2).map(|two| two[1].at_ms - two[0].at_ms);
        assert!(gaps.min().unwrap() >= 2 * MINUTE_MS, "{probes:?}");
        for n in 0..messages {
            let id = format!("out-{n}");
            assert_eq!(scene.told(&id), Some(Status::Unsent), "{sick:?}: {id}");
            // Those that were called in vain were not called again while others could be.
            assert!(scene.calls(&id) <= 1, "{sick:?}: {id}");
        }
        assert_eq!(scene.events("sending_held"), 1, "{sick:?}");
        assert_eq!(scene.events("sending_resumed"), 0, "{sick:?}");

        scene.africas_talking.borrow_mut().account = Account::Good;
        scene.rest(3);
        let at = scene.africas_talking.borrow();
        for n in 0..messages {
            let id = format!("out-{n}");
            let row = scene.row(&id).unwrap();
            assert_eq!(row.sending, Sending::Accepted, "{sick:?}: {id}");
            assert_ne!(row.status, Status::Failed, "{sick:?}: {id}");
            let was_in_vain = in_vain.iter().any(|call| call.message == id);
            let expected = 1 + usize::from(was_in_vain && sick.is_taken());
            assert_eq!(at.taken(&id), expected, "{sick:?}: {id}");
        }
        drop(at);
        assert_eq!(scene.events("sending_held"), 1, "{sick:?}");
        assert_eq!(scene.events("sending_resumed"), 1, "{sick:?}");
        scene.keeps_its_promises();
    }
}

#[test]
fn without_an_answer_and_with_nothing_new_what_is_in_doubt_probes_once_an_hour() {
    let scene = Scene::default();
    scene.africas_talking.borrow_mut().account = Account::Trouble(Verdict::NoAnswer(false));
    for n in 0..6 {
        scene.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scene.minutes(4 * 60);
    let at = scene.africas_talking.borrow();
    let times: Vec<i64> = at.calls.iter().map(|call| call.at_ms).collect();
    drop(at);
    let probes = &times[6..];
    assert!((2..=4).contains(&probes.len()), "{times:?}");
    let ages = probes.iter().map(|at_ms| at_ms - times[5]);
    assert!(ages.min().unwrap() >= 60 * MINUTE_MS, "{times:?}");
    // The last of them still waits for a report.
    let failed = (0..6).filter(|n| scene.told(&format!("out-{n}")) == Some(Status::Failed));
    assert!((1..=probes.len()).contains(&failed.count()));
    scene.africas_talking.borrow_mut().account = Account::Good;
    // The next message is the next probe.
    scene.wants("out-6");
    scene.rest(2);
    assert_eq!(scene.calls("out-6"), 1);
    scene.keeps_its_promises();
}

#[test]
fn a_report_settles_what_is_in_doubt_also_while_sending_is_held() {
    let scene = Scene::default();
    scene.africas_talking.borrow_mut().account = Account::Trouble(Verdict::NoAnswer(true));
    for n in 0..6 {
        scene.wants_to(&format!("out-{n}"), &format!("+25470000000{n}"));
    }
    scene.minutes(3);
    assert_eq!(scene.events("sending_held"), 1);
    for n in 0..6 {
        scene.report(&format!("out-{n}"), "Success");
    }
    scene.minutes(40);
    for n in 0..6 {
        let id = format!("out-{n}");
        assert_eq!(scene.told(&id), Some(Status::Delivered));
        assert_eq!(scene.calls(&id), 1);
    }
    assert_eq!(scene.events("sending_resumed"), 0);
    scene.keeps_its_promises();
}

#[test]
fn what_waits_for_an_answer_of_africas_talking_expires_by_its_age() {
    let mut settings = Settings::default();
    settings.rules.max_age_ms = 2 * 60 * MINUTE_MS;
    let scene = Scene::new(settings);
    scene.africas_talking.borrow_mut().account = Account::Trouble(Verdict::Http(503, false));
    for n in 0..30 {
        scene.wants_to(&format!("out-{n}"), OTHER_PHONE);
    }
    scene.minutes(4 * 60);
    for n in 0..30 {
        let id = format!("out-{n}");
        let was_called = scene.calls(&id) > 0;
        let reason = if was_called {
            "outcome unknown"
        } else {
            "expired"
        };
        assert_eq!(scene.reason(&id).as_deref(), Some(reason));
        assert!(scene.calls(&id) <= 2);
    }
}

#[test]
fn errors_for_one_recipient_and_errors_between_answers_hold_nothing() {
    let scene = Scene::default();
    scene.verdicts(&[Verdict::Code500(false); 2]);
    scene.wants("out-1");
    scene.rest(1);
    assert_eq!(scene.reason("out-1").as_deref(), Some("outcome unknown"));
    // Of a campaign, every third call: five come together often, and never without an answer between.
    let campaign = (0..100).map(|n| match n % 3 {
        0 => Verdict::Http(503, false),
        _ => Verdict::Accepted(101),
    });
    scene.africas_talking.borrow_mut().script.extend(campaign);
    for n in 0..60 {
        scene.wants_to(&format!("more-{n}"), &format!("+2547000000{n:02}"));
    }
    scene.rest(1);
    assert!(scene.africas_talking.borrow().calls.len() > 80);
    assert_eq!(scene.events("sending_held"), 0);
    scene.keeps_its_promises();
}

#[test]
fn another_trouble_that_africas_talking_comes_back_with_is_the_same_hold() {
    let scene = Scene::default();
    scene.africas_talking.borrow_mut().account = Account::Trouble(Verdict::Http(503, false));
    for n in 0..20 {
        scene.wants_to(&format!("out-{n}"), OTHER_PHONE);
        scene.seconds(30);
    }
    scene.africas_talking.borrow_mut().account = Account::Trouble(Verdict::Rejected(405));
    scene.minutes(30);
    assert_eq!(scene.events("sending_held"), 1);
    assert!(scene.was_written("insufficient_balance"));
    // A readable answer that is none of the account's does not end that one.
    scene.africas_talking.borrow_mut().account = Account::Trouble(Verdict::Http(429, false));
    scene.minutes(60);
    assert_eq!(scene.events("sending_resumed"), 0);
    scene.africas_talking.borrow_mut().account = Account::Good;
    scene.rest(3);
    assert_eq!(scene.events("sending_resumed"), 1);
    scene.keeps_its_promises();
}

#[test]
fn what_surely_was_not_sent_is_sent_later_and_once() {
    for verdict in [
        Verdict::NotConnected,
        Verdict::Http(400, false),
        Verdict::Http(429, false),
        Verdict::Rejected(501),
        Verdict::Rejected(502),
    ] {
        let scene = Scene::default();
        scene.verdicts(&[verdict; 3]);
        scene.wants("out-1");
        scene.rest(1);
        assert_eq!(scene.calls("out-1"), 4, "{verdict:?}");
        assert_eq!(scene.africas_talking.borrow().taken("out-1"), 1);
        scene.keeps_its_promises();
    }
}

#[test]
fn a_promotional_message_is_tried_until_a_nigerian_night_is_over() {
    let scene = Scene::default();
    scene.verdicts(&[Verdict::Rejected(409); 18]);
    scene.wants("out-1");
    let minutes = scene.rest(16);
    assert!(minutes > 9 * 60, "{minutes}");
    assert_eq!(scene.africas_talking.borrow().taken("out-1"), 1);
}

const UNKNOWN: [Verdict; 6] = [
    Verdict::NoAnswer(false),
    Verdict::Http(500, false),
    Verdict::Http(503, false),
    Verdict::Code500(false),
    Verdict::Unreadable(false),
    Verdict::NoRecipient("Sent to 0/1"),
];

#[test]
fn an_unknown_outcome_is_sent_once_more_and_not_before_two_minutes() {
    for verdict in UNKNOWN {
        let scene = Scene::default();
        scene.verdicts(&[verdict]);
        scene.wants("out-1");
        scene.rest(1);
        let at = scene.africas_talking.borrow();
        let calls = at.calls_for("out-1");
        assert_eq!(calls.len(), 2, "{verdict:?}");
        assert!(calls[1].at_ms - calls[0].at_ms >= 120_000);
        assert_eq!(scene.row("out-1").unwrap().sending, Sending::Accepted);
    }
}

#[test]
fn a_second_unknown_outcome_is_a_failure_that_a_late_success_overrides() {
    let scene = Scene::default();
    scene.verdicts(&[Verdict::Http(503, false), Verdict::NoAnswer(true)]);
    scene.wants("out-1");
    scene.rest(1);
    assert_eq!(scene.reason("out-1").as_deref(), Some("outcome unknown"));
    assert_eq!(scene.calls("out-1"), 2);
    scene.report("out-1", "Success");
    scene.rest(1);
    assert_eq!(scene.told("out-1"), Some(Status::Delivered));
    assert_eq!(scene.calls("out-1"), 2);
}

#[test]
fn a_report_to_that_number_settles_an_unknown_outcome_and_nothing_is_resent() {
    let scene = Scene::default();
    scene.verdicts(&[Verdict::NoAnswer(true)]);
    scene.wants("out-1");
    scene.seconds(60);
    scene.report("out-1", "Success");
    scene.rest(1);
    assert_eq!(scene.calls("out-1"), 1);
    assert_eq!(scene.told("out-1"), Some(Status::Delivered));
    scene.keeps_its_promises();
}

#[test]
fn held_by_policy_an_unknown_outcome_is_never_resent_and_fails_when_it_is_too_old() {
    let scene = Scene::new(hold(90));
    scene.verdicts(&[Verdict::NoAnswer(false)]);
    scene.wants("out-1");
    scene.minutes(85);
    assert_eq!(scene.told("out-1"), Some(Status::Unsent));
    scene.rest(2);
    assert_eq!(scene.calls("out-1"), 1);
    assert_eq!(scene.reason("out-1").as_deref(), Some("outcome unknown"));
}

#[test]
fn what_is_held_expires_by_its_age_and_is_not_sent_afterwards() {
    let mut settings = Settings::default();
    settings.rules.max_age_ms = 2 * 60 * MINUTE_MS;
    let scene = Scene::new(settings);
    scene.africas_talking.borrow_mut().account = Account::Trouble(Verdict::Rejected(405));
    scene.wants("out-1");
    scene.minutes(110);
    scene.wants_to("out-2", OTHER_PHONE);
    // At two hours, and then up to a probe's interval later.
    scene.minutes(85);
    assert_eq!(scene.reason("out-1").as_deref(), Some("expired"));
    assert_eq!(scene.told("out-2"), Some(Status::Unsent));
    scene.africas_talking.borrow_mut().account = Account::Good;
    scene.rest(3);
    assert_eq!(scene.africas_talking.borrow().taken("out-1"), 0);
    scene.keeps_its_promises();
}

#[test]
fn copies_in_two_senders_at_once_are_one_sms() {
    for _ in 0..20 {
        let scene = Scene::default();
        for _ in 0..6 {
            scene.copy_into_outbox("out-1");
        }
        scene.minutes(30);
        assert_eq!(scene.calls("out-1"), 1);
        assert_eq!(scene.length(QueueName::Outbox), 0);
    }
}

#[test]
fn a_copy_that_meets_a_call_waits_and_does_not_vanish() {
    let scene = Scene::default();
    scene.copy_into_outbox("out-1");
    scene
        .faults
        .script(Function::OutboundSender, Call::Sms, 0, Fate::DiesBefore, 1);
    scene.seconds(5);
    scene.copy_into_outbox("out-1");
    scene.seconds(70);
    assert_eq!(scene.length(QueueName::Outbox), 2);
    scene.minutes(30);
    assert_eq!(scene.calls("out-1"), 1);
    assert_eq!(scene.length(QueueName::Outbox), 0);
}

#[test]
fn a_claim_of_which_the_answer_was_lost_is_recognised_as_ones_own() {
    let scene = Scene::default();
    scene.faults.script(
        Function::OutboundSender,
        Call::Write,
        0,
        Fate::FailsAfter,
        1,
    );
    scene.wants("out-1");
    scene.seconds(20);
    assert_eq!(scene.calls("out-1"), 1);
    assert_eq!(scene.row("out-1").unwrap().attempts, 1);
    scene.rest(1);
    scene.keeps_its_promises();
}

#[test]
fn a_sender_that_dies_after_its_call_leaves_an_unknown_outcome_and_at_most_a_second_sms() {
    let scene = Scene::default();
    scene
        .faults
        .script(Function::OutboundSender, Call::Sms, 0, Fate::DiesAfter, 1);
    scene.wants("out-1");
    scene.rest(1);
    assert_eq!(scene.calls("out-1"), 2);
    let row = scene.row("out-1").unwrap();
    assert_eq!((row.unknown_outcomes, row.attempts), (1, 2));
    scene.keeps_its_promises();
}

#[test]
fn an_id_in_hand_is_kept_through_an_outage_of_the_ledger() {
    let scene = Scene::default();
    scene.verdicts(&[Verdict::AcceptedSlowly(10_000)]);
    scene.wants("out-1");
    scene.seconds(5);
    assert_eq!(scene.calls("out-1"), 1);
    scene.faults.ledger_out.set(true);
    scene.minutes(30);
    assert_eq!(scene.events("acceptance_queued"), 1);
    scene.faults.ledger_out.set(false);
    scene.rest(1);
    assert_eq!(scene.calls("out-1"), 1);
    assert_eq!(scene.told("out-1"), Some(Status::Sent));
    scene.keeps_its_promises();
}

#[test]
fn an_id_in_hand_is_kept_also_before_another_copy_of_its_message() {
    for minutes in [5, 30, 120] {
        let scene = Scene::default();
        scene.verdicts(&[Verdict::AcceptedSlowly(10_000)]);
        scene.wants("out-1");
        scene.seconds(5);
        scene.faults.ledger_out.set(true);
        scene.copy_into_outbox("out-1");
        scene.minutes(minutes);
        assert_eq!(scene.events("acceptance_queued"), 1);
        scene.faults.ledger_out.set(false);
        scene.rest(2);
        assert_eq!(scene.calls("out-1"), 1, "after {minutes} minutes");
        assert_eq!(scene.told("out-1"), Some(Status::Sent));
    }
}

#[test]
fn a_text_that_no_sms_can_hold_fails_with_a_reason_and_stands_before_nobody() {
    let scene = Scene::default();
    let long = "é".repeat(60_000);
    scene.medic.borrow_mut().wants("out-1", PHONE, &long);
    scene.wants("out-2");
    scene.rest(1);
    assert_eq!(scene.calls("out-1"), 0);
    assert_eq!(scene.told("out-1"), Some(Status::Failed));
    assert!(
        scene
            .reason("out-1")
            .unwrap()
            .contains("longer than an SMS")
    );
    assert_eq!(scene.calls("out-2"), 1);
}

#[test]
fn a_message_goes_out_unchanged_under_the_sender_id_of_its_prefix() {
    let settings = Settings {
        sender_ids: Rc::new(SenderIds::parse("MYORG,+256=20880").unwrap()),
        ..Settings::default()
    };
    let scene = Scene::new(settings);
    scene.wants("out-1");
    scene.wants_to("out-2", "+256700000001");
    scene.rest(1);
    let at = scene.africas_talking.borrow();
    assert_eq!(at.calls_for("out-1")[0].sms.1.as_deref(), Some("MYORG"));
    assert_eq!(at.calls_for("out-2")[0].sms.1.as_deref(), Some("20880"));
    assert_eq!(at.calls_for("out-1")[0].sms.0, PHONE);
    drop(at);
    scene.keeps_its_promises();
}
