//! One run of a seed, from the first fault to rest.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use bridge::domain::message::UnknownOutcomePolicy;
use bridge::domain::time::millis;

use crate::broken::Variant;
use crate::medic::{POISONS, status_of};
use crate::plan;
use crate::promises::{self, Breach};
use crate::world::{BEGIN_MS, MINUTE_MS, World};

/// So long after the last fault or callback everything must be at rest.
const REST_MS: i64 = 6 * 60 * MINUTE_MS;

/// A message that Medic cannot take is quarantined after an hour at the latest, and fails there once an
/// hour while others are stored, until it goes to the dead-letter queue.
const REST_AFTER_POISON_MS: i64 = 6 * 60 * MINUTE_MS;

/// A record that ends its function goes to the dead-letter queue after ten attempts, each of them a
/// visibility timeout long. An operator may put it back meanwhile.
const REST_AFTER_KILLER_MS: i64 = 12 * 60 * MINUTE_MS;

/// Seeds run side by side.
const THREADS: u64 = 2;

/// The result of a run.
#[derive(Debug)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// The promises that were broken.
    pub breaches: Vec<Breach>,
    /// How often what happened.
    pub counts: BTreeMap<String, u64>,
    /// Every step, if it was asked for.
    pub trace: Vec<String>,
    /// How long it took, in virtual milliseconds.
    pub virtual_ms: i64,
}

impl Run {
    /// The steps that concern an SMS: those that name it or an id that Africa's Talking gave it, and
    /// the times of trouble. All steps, if none is named.
    pub fn trace_about(&self, about: Option<&str>) -> Vec<&str> {
        let Some(about) = about else {
            return self.trace.iter().map(String::as_str).collect();
        };
        let mut names = vec![about.to_owned()];
        for line in self
            .trace
            .iter()
            .filter(|line| line.contains(&format!("gets {about}:")))
        {
            let at_id = line
                .split("Some(\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            names.extend(at_id.map(str::to_owned));
        }
        let concerns =
            |line: &&String| line.contains("===") || names.iter().any(|name| line.contains(name));
        self.trace
            .iter()
            .filter(concerns)
            .map(String::as_str)
            .collect()
    }
}

/// Runs many seeds on two threads, each seed on one, and hands each run over as it ends; until that
/// says that it is enough.
pub fn run_many(seeds: Range<u64>, variant: Option<Variant>, mut each: impl FnMut(Run) -> bool) {
    let (runs, ended) = mpsc::sync_channel(16);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (runs, seeds, stop) = (runs.clone(), seeds.clone(), &stop);
            scope.spawn(move || {
                for seed in seeds.filter(|seed| seed % THREADS == thread) {
                    if stop.load(Ordering::Relaxed) || runs.send(run(seed, variant, false)).is_err()
                    {
                        return;
                    }
                }
            });
        }
        drop(runs);
        for run in ended {
            if !stop.load(Ordering::Relaxed) && !each(run) {
                stop.store(true, Ordering::Relaxed);
            }
        }
    });
}

/// Runs a seed.
pub fn run(seed: u64, variant: Option<Variant>, traced: bool) -> Run {
    let world = World::new(seed, plan::settings(seed, variant, traced));
    let end_ms = plan::schedule(&world);
    world.run_until(end_ms);
    let bound_ms = bound_ms(&world);
    loop {
        let last_ms = world.africas_talking.borrow().last_callback_ms;
        let now_ms = world.now_ms();
        let given_up = now_ms > last_ms.max(end_ms) + bound_ms;
        if given_up || promises::at_rest(&world).is_ok() {
            break;
        }
        world.run_until(now_ms + MINUTE_MS / 2);
    }
    let breaches = promises::breaches(&world);
    outcome_counts(&world);
    let virtual_ms = world.now_ms() - BEGIN_MS;
    world.dissolve();
    Run {
        seed,
        breaches,
        counts: world.counts.take(),
        trace: world.trace.take(),
        virtual_ms,
    }
}

fn bound_ms(world: &Rc<World>) -> i64 {
    let at = world.africas_talking.borrow();
    let texts = at.incoming.values().map(|sms| &sms.text);
    let poison = texts.filter(|text| POISONS.iter().any(|poison| text.contains(poison)));
    let poison = i64::try_from(poison.count()).unwrap_or(0);
    let killers = i64::from(world.settings.killer.is_some());
    let rules = &world.settings.rules;
    let policy_wait_ms = match rules.unknown_outcome {
        UnknownOutcomePolicy::Hold => millis(rules.max_age),
        UnknownOutcomePolicy::ResendOnce => 0,
    };
    policy_wait_ms + REST_MS + poison * REST_AFTER_POISON_MS + killers * REST_AFTER_KILLER_MS
}

fn outcome_counts(world: &Rc<World>) {
    let at = world.africas_talking.borrow();
    let medic = world.medic.borrow();
    for sms in at.incoming.values() {
        let acknowledged = sms.answers.contains(&200);
        let stored = medic.copies(&sms.id) > 0;
        world.count(|| match (acknowledged, stored) {
            (true, true) => "outcome: SMS in, stored".to_owned(),
            (true, false) => "outcome: SMS in, dead-lettered".to_owned(),
            (false, true) => "outcome: SMS in, stored though never acknowledged".to_owned(),
            (false, false) => "outcome: SMS in, never acknowledged".to_owned(),
        });
    }
    for message in &medic.outgoing {
        let taken = at.taken(&message.id);
        world.count(|| format!("outcome: message out, sent {taken} times"));
        world.count(|| match status_of(message.state) {
            Some(status) => format!("outcome: message out, {status:?}"),
            None => format!("outcome: message out, {:?}", message.state),
        });
    }
}
