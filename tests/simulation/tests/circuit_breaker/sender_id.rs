//! One of two sender IDs is unknown to Africa's Talking: the circuit breaker opens for its messages alone.

use std::rc::Rc;

use bridge::domain::message::Sending;
use bridge::domain::sender_ids::SenderIds;
use bridge::domain::status::Status;
use simulation::africas_talking::SendDecision;
use simulation::scenario::Scenario;
use simulation::world::{MINUTE_MS, Settings};

use crate::{fails, first_acceptance_ms, works_again};

/// A world with two sender IDs, of which Africa's Talking does not know one.
fn with_an_unknown_sender_id(verdict: SendDecision) -> Scenario {
    let settings = Settings {
        sender_ids: Rc::new(SenderIds::parse("MYORG,+25670=20880").unwrap()),
        ..Settings::default()
    };
    let scenario = Scenario::new(settings);
    let unknown = Some("20880".to_owned());
    let mut at = scenario.africas_talking.borrow_mut();
    at.unknown_sender_ids.insert(unknown, verdict);
    drop(at);
    scenario
}

#[test]
fn an_unknown_sender_id_stops_its_own_messages_and_no_others() {
    for verdict in [
        SendDecision::Rejected(402),
        SendDecision::NoRecipient("InvalidSenderId"),
        SendDecision::Http(401, false),
    ] {
        let scenario = with_an_unknown_sender_id(verdict);
        for n in 0..20 {
            scenario.wants_to(&format!("known-{n}"), &format!("+2547000000{n:02}"));
            scenario.wants_to(&format!("unknown-{n}"), &format!("+2567000000{n:02}"));
        }
        scenario.minutes(4);
        for n in 0..20 {
            let row = scenario.row(&format!("known-{n}")).unwrap();
            assert_eq!(row.sending, Sending::Accepted, "{verdict:?}");
            let id = format!("unknown-{n}");
            assert_eq!(scenario.reported(&id), Some(Status::Unsent), "{verdict:?}");
        }
        assert_eq!(scenario.events("circuit_opened"), 1, "{verdict:?}");
        assert!(scenario.was_written(r#""sender_id":"20880""#));

        scenario.minutes(5 * 60);
        let tries = scenario.africas_talking.borrow().calls.len() - 20;
        assert!(tries <= 20 + 8 + 5 * 6, "{verdict:?}: {tries}");
        let before_ms = scenario.now_ms();
        let mut at = scenario.africas_talking.borrow_mut();
        at.unknown_sender_ids.clear();
        drop(at);
        scenario.minutes(15);
        let first_ms = first_acceptance_ms(&scenario, before_ms).unwrap();
        assert!(first_ms - before_ms <= 11 * MINUTE_MS, "{verdict:?}");
        for n in 0..20 {
            let row = scenario.row(&format!("unknown-{n}")).unwrap();
            assert_eq!(row.sending, Sending::Accepted, "{verdict:?}");
        }
        assert_eq!(scenario.events("circuit_closed"), 1, "{verdict:?}");
        scenario.keeps_its_promises();
    }
}

#[test]
fn an_unknown_sender_id_does_not_keep_the_account_stopped() {
    let scenario = with_an_unknown_sender_id(SendDecision::Rejected(402));
    scenario.wants_to("unknown", "+256700000001");
    scenario.minutes(1);
    fails(&scenario, SendDecision::Rejected(405));
    scenario.wants("known");
    scenario.minutes(10);
    assert_eq!(scenario.events("circuit_opened"), 2);
    works_again(&scenario);
    scenario.minutes(5);
    assert_eq!(scenario.row("known").unwrap().sending, Sending::Accepted);
    assert_eq!(scenario.events("circuit_closed"), 1);
}
