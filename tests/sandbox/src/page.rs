//! The sandbox as a page: phones, the pipeline and Medic, alive.
//!
//! All that it shows is read from where it happens: the two stand-ins, the emulator's queues, the
//! ledger's table and the functions' logs. Of a real end it shows what these have seen of it. The stand-ins tell when something changes; the emulator
//! has to be asked, which is done at a modest pace and only while a page is open.

mod account;
mod assets;
mod controls;
mod event_log;
mod facts;
mod feed;
mod inside;
mod real;
#[cfg(test)]
mod testing;
mod world;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::sse::{KeepAlive, Sse};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use self::event_log::LogReader;
use self::facts::{Ends, Facts, Inside, Phones};
use self::feed::Feed;
use self::real::RealView;
use self::world::Trails;
use crate::africastalking::AfricasTalkingStandIn;
use crate::ends::RealEnds;
use crate::ids;
use crate::medic::MedicStandIn;
use crate::observed::Changes;
use crate::server::{Door, Gate};
use crate::stack::{EmulatedStack, QueueClock};

/// Between two looks at the emulator, at least: it has other things to do.
const PAUSE: Duration = Duration::from_millis(300);
/// Between two looks, at most: the emulator does not tell when something changes in it.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The system that is shown: a deployed stack and its two ends.
#[derive(Clone, Debug)]
pub struct SandboxSystem {
    /// The stack.
    pub stack: EmulatedStack,
    /// The time of its queues.
    pub queue_clock: Arc<QueueClock>,
    /// One end.
    pub africastalking: Arc<AfricasTalkingStandIn>,
    /// The other one.
    pub medic: Arc<MedicStandIn>,
    /// The real ends that replace the models, which then have nothing to do.
    pub real: RealEnds,
}

/// The state that the handlers share.
#[derive(Clone, Debug)]
struct PageState {
    system: SandboxSystem,
    feed: Arc<Feed>,
}

/// A server of the page. Dropping it ends it, and the connections of pages that are open.
#[derive(Debug)]
pub struct Page {
    address: SocketAddr,
    door: Door,
    tasks: [JoinHandle<()>; 2],
}

impl Page {
    /// Serves on this port of 127.0.0.1, or on any free one if somebody has it.
    ///
    /// # Errors
    /// When there is no port.
    pub fn serve(system: SandboxSystem, port: u16) -> anyhow::Result<Self> {
        // A gate would share a port with another gate.
        let is_free = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let (gate, door) = Gate::bind(if is_free { port } else { 0 })?;
        let address = gate.address();
        let shared = PageState {
            system,
            feed: Arc::new(Feed::new()),
        };
        let routes = Router::new()
            .route("/events", get(events))
            .merge(assets::routes())
            .merge(controls::routes())
            .merge(inside::routes())
            .with_state(shared.clone());
        let tasks = [
            tokio::spawn(async {
                // It never ends by itself; when it fails, the next look tells.
                let _ = axum::serve(gate, routes).await;
            }),
            tokio::spawn(follow(shared)),
        ];
        Ok(Self {
            address,
            door,
            tasks,
        })
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.door.cut_all();
    }
}

async fn events(State(shared): State<PageState>) -> impl IntoResponse {
    Sse::new(shared.feed.events()).keep_alive(KeepAlive::default())
}

/// Looks for as long as somebody wants to see.
async fn follow(shared: PageState) {
    let PageState { system, feed } = shared;
    let mut phones = system.africastalking.changes();
    let mut medic = system.medic.changes();
    let mut real_phones = system
        .real
        .africastalking
        .as_ref()
        .map(|account| account.gate.changes());
    let mut real = RealView::default();
    let mut world = Trails::default();
    let mut log = LogReader::default();
    loop {
        feed.is_wanted().await;
        let (mut things, observe) = match observe(&system, &mut real).await {
            Ok(facts) => (world.see(&facts, ids::now_ms()), Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        let entries = log.read(&system.stack).await;
        let observe = observe.and(
            entries
                .as_ref()
                .map(drop)
                .map_err(|error| anyhow::anyhow!("{error:#}")),
        );
        things.push(("emulator".to_owned(), as_json(&observe)));
        feed.show(things, entries.unwrap_or_default());
        tokio::time::sleep(PAUSE).await;
        tokio::select! {
            () = phones.next() => {}
            () = medic.next() => {}
            () = next_of(&mut real_phones) => {}
            () = tokio::time::sleep(CHECK_INTERVAL) => {}
        }
    }
}

/// Waits for a change of what may not be there.
async fn next_of(changes: &mut Option<Changes>) {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// Reads everything, in the order that the account relies upon.
async fn observe(system: &SandboxSystem, real: &mut RealView) -> anyhow::Result<Facts> {
    let phones = Phones::observe(system);
    let inside = Inside::observe(system).await?;
    let ends = Ends::observe(system);
    let mut facts = Facts {
        phones,
        inside,
        ends,
    };
    real.complete(system, &mut facts).await;
    Ok(facts)
}

fn as_json(observe: &anyhow::Result<()>) -> Value {
    match observe {
        Ok(()) => json!({ "error": null }),
        Err(error) => json!({ "error": format!("{error:#}") }),
    }
}
