//! The plan of a run, made from its seed: the senders and their messages, and the faults, how often and when.

use std::rc::Rc;
use std::time::Duration;

use bridge::domain::message::UnknownOutcomePolicy;
use bridge::domain::sender_ids::SenderIds;
use bridge::domain::status::Status;
use bridge::wire::queue_messages::{DeadLetter, decode};

use crate::africas_talking::{self, Account, SendDecision};
use crate::broken::Variant;
use crate::faults::{Death, Killer, PortCall, Rates};
use crate::lambda::{self, Function};
use crate::medic::{self, CRASHER, FILTERED, Mode, POISON, REPLY, THROWER};
use crate::random::Random;
use crate::world::{BEGIN_MS, MINUTE_MS, QueueName, Settings, World};

/// In every text. Nobody may ever see it outside of a body.
pub const SECRET_TEXT: &str = "pReGnAnT";
/// In every phone number, in its two forms.
pub const SECRET_NUMBERS: [&str; 2] = ["25470000", "0700009901"];
/// In every incoming key.
pub const SECRET_KEY: &str = "kEy-of-AT";

/// The id of the SMS that ends `medic-exchange` each time.
pub const KILLER_ID: &str = "in-killer";

/// The settings of a seed.
pub fn settings(seed: u64, variant: Option<Variant>, traced: bool) -> Settings {
    let random = Random::new(seed ^ 0xC0FF_EE00);
    let mut settings = Settings {
        variant,
        traced,
        ..Settings::default()
    };
    if random.chance(150_000) {
        settings.rules.unknown_outcome = UnknownOutcomePolicy::Hold;
        settings.rules.max_age = Duration::from_hours(1) * random.between(1, 4) as u32;
    } else if random.chance(150_000) {
        settings.rules.max_age = Duration::from_hours(1) * random.between(1, 3) as u32;
    }
    if random.chance(200_000) {
        // Low enough that a robot meets it soon.
        settings.recipient_limit.messages_per_hour =
            u32::try_from(random.between(3, 20)).unwrap_or(3);
    }
    if random.chance(300_000) {
        let list = "MYORG,+254=20880";
        settings.sender_ids = Rc::new(SenderIds::parse(list).expect("a list"));
    }
    if random.chance(20_000) {
        let death = *random.pick(&[Death::Crash, Death::TimeOut]);
        settings.killer = Some((random.between(0, 5 * MINUTE_MS), death));
    }
    settings
}

/// Lets everything of this seed happen. When faults stop, in milliseconds since 1970.
pub fn schedule(world: &Rc<World>) -> i64 {
    let minutes = if world.random.chance(50_000) {
        world.random.between(60, 600)
    } else {
        world.random.between(5, 40)
    };
    let end_ms = BEGIN_MS + minutes * MINUTE_MS;
    *world.faults.rates.borrow_mut() = rates(&world.random);
    phones(world, end_ms);
    wishes(world, end_ms);
    windows(world, end_ms);
    robot(world, end_ms);
    killer(world);
    world.at_time(end_ms, end_of_faults);
    if world.random.chance(800_000) {
        life_goes_on(world, end_ms);
    }
    end_ms
}

/// Each seed has some kinds of faults and not others: what one kind hides, another run shows.
fn rates(random: &Random) -> Rates {
    let rate = |most: i64| {
        if random.chance(500_000) {
            u32::try_from(random.between(0, most)).unwrap_or(0)
        } else {
            0
        }
    };
    if random.chance(30_000) {
        return Rates::default();
    }
    Rates {
        fails_before: rate(60_000),
        fails_after: rate(60_000),
        dies_before: rate(15_000),
        dies_after: rate(15_000),
        slow: rate(20_000),
        conflict: rate(50_000),
        entry_fails: rate(50_000),
        delete_lost: rate(100_000),
        delivered_twice: rate(200_000),
        index_lags: rate(500_000),
        clock_wrong: rate(300_000),
        no_credentials: rate(30_000),
        medic_slow: rate(150_000),
        medic_answer_lost: rate(150_000),
        medic_gateway_error: rate(100_000),
        medic_unreachable: rate(150_000),
        at_unknown: rate(300_000),
        at_not_sent: rate(300_000),
        at_refuses: rate(200_000),
        callback_repeated: rate(300_000),
    }
}

/// Phones send SMS, some senders several, some texts what Medic cannot take.
fn phones(world: &Rc<World>, end_ms: i64) {
    let random = &world.random;
    let senders = random.between(1, 5);
    let count = if random.chance(50_000) {
        random.between(20, 60)
    } else {
        random.between(0, 14)
    };
    let burst = random.chance(400_000);
    let poison = if random.chance(200_000) { 150_000 } else { 0 };
    let crasher = if random.chance(10_000) { 100_000 } else { 0 };
    for number in 0..count {
        let at_ms = if burst {
            BEGIN_MS + random.between(0, 20_000)
        } else {
            random.between(BEGIN_MS, end_ms - 1)
        };
        let from = match random.between(0, senders) {
            0 => "MTN Info".to_owned(),
            n => format!("+{}{n:04}", SECRET_NUMBERS[0]),
        };
        let id = format!("in-{number}-{:08x}", random.next() as u32);
        let special = if random.chance(poison) {
            *random.pick(&[POISON, POISON, THROWER, FILTERED])
        } else if random.chance(crasher) {
            CRASHER
        } else if random.chance(250_000) {
            REPLY
        } else {
            "é"
        };
        let text = if random.chance(20_000) {
            String::new()
        } else {
            format!("{SECRET_TEXT} {special} {number}")
        };
        world.at_time(at_ms, move |world| {
            africas_talking::phone_sends(world, &id, &from, &text);
        });
    }
}

/// After the faults more SMS come: good ones that show that Medic stores. Two, or so many that poison
/// comes to its end.
fn life_goes_on(world: &Rc<World>, end_ms: i64) {
    let count = if world.random.chance(200_000) { 16 } else { 2 };
    if count > 2 {
        put_back_what_came_to_its_end(world, end_ms);
    }
    for number in 1..=count {
        let at_ms = end_ms + number * 30 * MINUTE_MS;
        let id = format!("in-later-{number}");
        let from = format!("+{}999{number}", SECRET_NUMBERS[0]);
        world.africas_talking.borrow_mut().pending += 1;
        world.at_time(at_ms, move |world| {
            world.africas_talking.borrow_mut().pending -= 1;
            africas_talking::phone_sends(world, &id, &from, &format!("{SECRET_TEXT} later"));
        });
    }
}

/// Poison comes to its end hours after the faults; an operator puts it back again and again, fixed or
/// not.
fn put_back_what_came_to_its_end(world: &Rc<World>, end_ms: i64) {
    for minute in (3 * 60..7 * 60).step_by(3) {
        world.at_time(end_ms + minute * MINUTE_MS, put_back);
    }
}

/// A robot without a recipient limit would never let a run come to its end.
const ROBOTS_PATIENCE: u32 = 200;

/// Somewhere a robot answers every SMS, and Medic every answer: the recipient limit ends that.
fn robot(world: &Rc<World>, end_ms: i64) {
    let random = &world.random;
    if !random.chance(30_000) {
        return;
    }
    let number = format!("+{}8888", SECRET_NUMBERS[0]);
    world
        .africas_talking
        .borrow_mut()
        .robots
        .insert(number.clone(), ROBOTS_PATIENCE);
    world.at_time(random.between(BEGIN_MS, end_ms - 1), move |world| {
        let text = format!("{SECRET_TEXT} {REPLY}");
        africas_talking::phone_sends(world, "robot-begins", &number, &text);
    });
}

/// An SMS ends `medic-exchange` each time that it is brought to Medic.
fn killer(world: &Rc<World>) {
    let Some((after_ms, death)) = world.settings.killer else {
        return;
    };
    world.faults.killers.borrow_mut().push(Killer {
        function: Function::MedicExchange,
        call: PortCall::Post,
        marker: format!("\"{KILLER_ID}\""),
        death,
    });
    world.at_time(BEGIN_MS + after_ms, |world| {
        let from = format!("+{}7777", SECRET_NUMBERS[0]);
        africas_talking::phone_sends(world, KILLER_ID, &from, SECRET_TEXT);
    });
}

/// Medic wants messages sent: single ones, or a campaign.
fn wishes(world: &Rc<World>, end_ms: i64) {
    let random = &world.random;
    let campaign = random.chance(40_000);
    let count = if campaign {
        random.between(100, 260)
    } else {
        random.between(0, 12)
    };
    let campaign_ms = random.between(BEGIN_MS, end_ms - 1);
    let refusing = random.chance(30_000);
    for number in 0..count {
        let at_ms = if campaign {
            campaign_ms
        } else {
            random.between(BEGIN_MS, end_ms - 1)
        };
        let to = match random.between(0, 40) {
            0 => "Safaricom".to_owned(),
            1 => SECRET_NUMBERS[1].to_owned(),
            n => format!("+{}{n:04}", SECRET_NUMBERS[0]),
        };
        let refuses = (refusing && random.chance(200_000))
            .then(|| *random.pick(&[Status::Unsent, Status::Sent, Status::Failed]));
        let (refuses, crashes) = match random.chance(50_000) {
            true => (None, refuses),
            false => (refuses, None),
        };
        world.at_time(at_ms, move |world| {
            let id = format!("out-{number}");
            let mut medic = world.medic.borrow_mut();
            medic.wants(&id, &to, &africas_talking::text_for(&id));
            if let Some(message) = medic.outgoing.last_mut() {
                message.refuses = refuses.map(Status::medic_name);
                message.crashes = crashes.map(Status::medic_name);
            }
        });
    }
}

/// Times of trouble.
fn windows(world: &Rc<World>, end_ms: i64) {
    let random = &world.random;
    for _ in 0..random.between(0, 4) {
        let from_ms = random.between(BEGIN_MS, end_ms - 1);
        let length_ms = match random.between(0, 9) {
            0..=3 => random.between(1_000, 60_000),
            4..=8 => random.between(30_000, 10 * MINUTE_MS),
            _ => random.between(10 * MINUTE_MS, 60 * MINUTE_MS),
        };
        let to_ms = (from_ms + length_ms).min(end_ms);
        let kind = random.between(0, 13);
        world.at_time(from_ms, move |world| begin_failure(world, kind, to_ms));
        if (1..=10).contains(&kind) {
            world.at_time(to_ms, move |world| end_failure(world, kind));
        }
    }
    if random.chance(300_000) {
        world.at_time(random.between(BEGIN_MS, end_ms - 1), rotate_key);
    }
    if random.chance(300_000) {
        world.at_time(random.between(BEGIN_MS, end_ms - 1), put_back_often);
    }
}

fn begin_failure(world: &Rc<World>, kind: i64, to_ms: i64) {
    let name = match kind {
        0 | 11 | 12 => {
            let mut medic = world.medic.borrow_mut();
            medic.hangs_until_ms = medic.hangs_until_ms.max(to_ms);
            "Medic hangs"
        }
        1 => {
            medic::restart(world);
            world.medic.borrow_mut().mode = Mode::Down;
            "Medic is down"
        }
        2 => {
            world.medic.borrow_mut().mode = Mode::Answers(503);
            "Medic answers 503"
        }
        3 => {
            world.medic.borrow_mut().mode = Mode::Html;
            "Medic answers HTML"
        }
        4 => {
            world.medic.borrow_mut().mode = Mode::Answers(401);
            "Medic answers 401"
        }
        5 => {
            world.medic.borrow_mut().disk_full = true;
            "Medic's disk is full"
        }
        6 => {
            world.faults.ledger_out.set(true);
            "the ledger is out"
        }
        7 => {
            world.faults.queues_out.set(true);
            "SQS is out"
        }
        8 => {
            world.faults.secrets_out.set(true);
            "the secret store is out"
        }
        9 => {
            let cause = *world.random.pick(&[
                SendDecision::Rejected(402),
                SendDecision::Rejected(405),
                SendDecision::NoRecipient("InvalidSenderId"),
                SendDecision::Http(401, false),
            ]);
            let mut at = world.africas_talking.borrow_mut();
            at.user_is_well = world.random.chance(200_000);
            if cause != SendDecision::Rejected(405) && world.random.chance(400_000) {
                // Of the sender IDs that are configured, this one.
                let unknown = Some("20880".to_owned());
                at.unknown_sender_ids.insert(unknown, cause);
                at.user_is_well = true;
            } else {
                at.account = Account::Failing(cause);
            }
            "the account is in trouble"
        }
        10 => {
            let taken = world.random.chance(500_000);
            let sick = *world.random.pick(&[
                SendDecision::Http(503, taken),
                SendDecision::NoAnswer(taken),
                SendDecision::Code500(taken),
                SendDecision::NotConnected,
            ]);
            let mut at = world.africas_talking.borrow_mut();
            at.account = Account::Failing(sick);
            at.user_is_well = world.random.chance(300_000);
            "Africa's Talking does not answer"
        }
        _ => {
            medic::restart(world);
            "Medic restarts"
        }
    };
    world.count(|| format!("window: {name}"));
    world.note(|| format!("=== {name}, until {}", (to_ms - BEGIN_MS) / 1000));
}

fn end_failure(world: &Rc<World>, kind: i64) {
    match kind {
        1..=4 => world.medic.borrow_mut().mode = Mode::Up,
        5 => world.medic.borrow_mut().disk_full = false,
        6 => world.faults.ledger_out.set(false),
        7 => world.faults.queues_out.set(false),
        8 => world.faults.secrets_out.set(false),
        9 | 10 => {
            let mut at = world.africas_talking.borrow_mut();
            at.account = Account::Good;
            at.unknown_sender_ids.clear();
        }
        _ => {}
    }
    world.note(|| "=== over".to_owned());
}

/// A key is added, then used, then the old one is taken away.
fn rotate_key(world: &Rc<World>) {
    let (old, new) = (format!("{SECRET_KEY}-1"), format!("{SECRET_KEY}-2"));
    world.count(|| "window: the key is changed".to_owned());
    *world.secret.borrow_mut() =
        format!("{{\"key\":\"{new}\",\"second_key\":\"{old}\",\"number_hash_key\":\"{old}\"}}");
    let dashboard = new.clone();
    world.after(world.random.between(1_000, 60_000), move |world| {
        world.africas_talking.borrow_mut().key = dashboard;
    });
    world.after(10 * MINUTE_MS, move |world| {
        *world.secret.borrow_mut() = format!("{{\"key\":\"{new}\",\"number_hash_key\":\"{old}\"}}");
    });
}

/// An operator puts back what was dead-lettered, a few times, whether or not it was fixed.
fn put_back_often(world: &Rc<World>) {
    for _ in 0..world.random.between(1, 4) {
        let after_ms = world.random.between(0, 8 * MINUTE_MS);
        world.after(after_ms, put_back);
    }
}

/// The operator's command: what was dead-lettered goes back, under a deduplication id of its own life.
pub fn put_back(world: &Rc<World>) {
    let dead_letter = world
        .queue(QueueName::ExchangeDeadLetter)
        .borrow_mut()
        .take_all();
    for message in dead_letter {
        let dead_letter: DeadLetter = decode(&message.body).expect("dead-lettered by us");
        if dead_letter.retryable {
            world.count(|| "the operator: put back".to_owned());
            let id = format!("put-back-{}", message.id);
            world.put_into_exchange(dead_letter.body, id);
        }
    }
}

fn end_of_faults(world: &Rc<World>) {
    *world.faults.rates.borrow_mut() = Rates::default();
    for kind in 1..=10 {
        // Some may never have begun.
        end_failure(world, kind);
    }
    world.note(|| "=== faults stop".to_owned());
    for function in [
        Function::MedicExchange,
        Function::OutboundSender,
        Function::ReportRecorder,
    ] {
        lambda::check(world, function.queue());
    }
}
