//! Medic away for ten days, and Africa's Talking without credit for hours.

use simulation::meter::prices;
use simulation::outage::{NoCredit, Outage, run, run_no_credit};

const MINUTE_MS: i64 = 60_000;

/// Two SMS a minute; `cargo simulate --outage-days 10` has one a second.
#[test]
fn ten_days_without_medic_lose_nothing_and_what_comes_afterwards_waits_for_the_backlog_only() {
    let report = run(Outage {
        days: 10,
        sms_per_second: 1.0 / 30.0,
        senders: 500,
        hangs: false,
    });
    assert!(report.keeps_the_promises(), "{report}");
    let ends = &report.ends;
    assert_eq!((ends.stored_twice, ends.lost, ends.dead_letter), (0, 0, 0));
    assert_eq!((ends.out_of_order, ends.left), (0, 0));

    // One poll a minute waits behind what came before it, none causes a POST, none is left.
    let waiting = &report.waiting;
    assert_eq!(waiting.sms, 28_800);
    assert!((14_000..=14_400).contains(&waiting.polls), "{waiting:?}");
    // Far beyond the thousand receives that a redrive policy would allow.
    assert!(
        (18_000..21_000).contains(&waiting.most_receives),
        "{waiting:?}"
    );
    let drain = &report.drain;
    assert!(drain.empty_posts <= 2, "{drain:?}");

    // It goes on within a minute, at about Medic's own pace.
    assert!(drain.first_post_ms.unwrap() <= MINUTE_MS);
    let at_medics_pace_ms = 100 * i64::try_from(waiting.sms).unwrap();
    let draining_ms = drain.took_ms - drain.first_post_ms.unwrap();
    assert!(draining_ms < 2 * at_medics_pace_ms, "{drain:?}");

    // Who comes later waits for a shorter backlog.
    let (first, later) = (drain.wait_at_return_ms, drain.wait_in_the_middle_ms);
    assert!(first.unwrap() <= drain.took_ms + MINUTE_MS, "{drain:?}");
    assert!(later.unwrap() < first.unwrap(), "{drain:?}");

    // One try in less than a minute, whatever waits: three requests, no write.
    let trying = &report.costs.trying;
    assert!((18_000..21_000).contains(&trying.invocations), "{trying:?}");
    assert!(trying.sqs_fifo <= 3 * trying.invocations + 10, "{trying:?}");
    assert_eq!((trying.write_units, trying.sqs_standard), (0, 0));
    assert!(trying.usd_x86() < 0.2, "{trying:?}");
    assert!(trying.usd_arm() < trying.usd_x86());
    let taking_in = &report.costs.taking_in;
    // The last of them comes in the moment in which Medic is back.
    assert_eq!(taking_in.http_requests, 28_801);
    let requests_usd = 28_800.0 / 1e6 * (prices::HTTP_API_REQUESTS + prices::SQS_FIFO_REQUESTS);
    assert!(taking_in.usd_x86() > requests_usd);
}

#[test]
fn three_days_of_a_medic_that_hangs_lose_nothing_and_cost_a_minute_a_try() {
    let report = run(Outage {
        days: 3,
        sms_per_second: 1.0 / 30.0,
        senders: 500,
        hangs: true,
    });
    assert!(report.keeps_the_promises(), "{report}");
    assert!(
        (1_800..2_100).contains(&report.waiting.most_receives),
        "{report}"
    );
    assert!(report.drain.empty_posts <= 2, "{report}");
    let trying = &report.costs.trying;
    let a_try_ms = trying.milliseconds / trying.invocations;
    assert!((60_000..62_000).contains(&a_try_ms), "{trying:?}");
}

/// `cargo simulate no-credit` has 10,000 messages.
#[test]
fn eight_hours_without_credit_fail_no_message_send_none_twice_and_cost_cents() {
    let report = run_no_credit(NoCredit {
        messages: 500,
        hours: 8,
    });
    assert!(report.keeps_the_promises(), "{report}");
    assert_eq!(report.failed, 0, "{report}");
    assert!(report.waiting >= 500, "{report}");
    // A few find out, all the others wait.
    assert!(report.requests < 130, "{report}");
    // Seven cents for these; half a dollar for ten thousand, whose batches are fuller.
    assert!(report.waiting_cost.usd_x86() < 0.08, "{report}");
}
