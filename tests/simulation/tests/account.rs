//! Trouble that is the whole account's: sending is held, probed, and goes on by itself.

use bridge::domain::message::Sending;
use bridge::domain::status::Status;
use simulation::africas_talking::{Account, Verdict};
use simulation::scene::{OTHER_PHONE, Scene};
use simulation::world::{MINUTE_MS, Settings};

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
