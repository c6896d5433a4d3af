//! Trouble that is not a message's own: the circuit breaker is open, a pilot tries, and everything goes
//! on by itself.
#![allow(clippy::unwrap_used, reason = "all of this is tests")]

mod account;
mod no_answer;
mod sender_id;

use simulation::africas_talking::{Account, SendDecision};
use simulation::scenario::Scenario;

fn fails(scenario: &Scenario, verdict: SendDecision) {
    scenario.africas_talking.borrow_mut().account = Account::Failing(verdict);
}

fn works_again(scenario: &Scenario) {
    scenario.africas_talking.borrow_mut().account = Account::Good;
}

/// When an SMS was accepted first after this instant, in milliseconds since 1970.
fn first_acceptance_ms(scenario: &Scenario, after_ms: i64) -> Option<i64> {
    let at = scenario.africas_talking.borrow();
    let mut calls = at.calls.iter().filter(|call| call.at_ms >= after_ms);
    let accepted = calls.find(|call| call.verdict.is_taken() && call.verdict.is_clear());
    accepted.map(|call| call.at_ms)
}

/// So many messages of a campaign, each to a phone of its own.
fn campaign(scenario: &Scenario, messages: usize) {
    for n in 0..messages {
        scenario.wants_to(&format!("out-{n}"), &format!("+2547000{n:05}"));
    }
}
