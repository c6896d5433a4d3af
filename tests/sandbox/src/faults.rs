//! The faults of the models, switched on and off by name while the stand-ins run.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use models::faults::Faults;
pub use models::faults::{Active, Named, Scope};
use serde::Deserialize;
use serde_json::json;

use crate::answer;
use crate::ids::typed_number;
use crate::observed::Observed;
use crate::server::{Door, Line};

/// A model that can have faults.
pub trait Faulty: Send + 'static {
    /// Its faults.
    type Fault: Named;

    /// Those that are switched on.
    fn faults(&self) -> &Faults<Self::Fault>;

    /// The same, to switch them.
    fn faults_mut(&mut self) -> &mut Faults<Self::Fault>;
}

/// Switches the faults of a model on and off while others use it.
#[derive(Debug)]
pub struct Switches<M> {
    model: Arc<Observed<M>>,
    door: Door,
}

impl<M> Clone for Switches<M> {
    fn clone(&self) -> Self {
        Self {
            model: self.model.clone(),
            door: self.door.clone(),
        }
    }
}

impl<M: Faulty> Switches<M> {
    /// Those of this model. `door` is the one that [`Named::DOWN`] shuts.
    #[must_use]
    pub fn new(model: Arc<Observed<M>>, door: Door) -> Self {
        Self { model, door }
    }

    /// Switches a fault on. [`Named::DOWN`] lasts until it is cleared, whatever the scope: a refused
    /// connection cannot be counted or looked into.
    pub async fn set(&self, fault: M::Fault, scope: Scope) {
        self.model
            .change(|model| model.faults_mut().set(fault, scope));
        if fault == M::Fault::DOWN {
            self.door.shut().await;
        }
    }

    /// Switches one fault off.
    pub async fn clear(&self, fault: M::Fault) {
        self.model.change(|model| model.faults_mut().clear(fault));
        if fault == M::Fault::DOWN {
            self.door.open().await;
        }
    }

    /// Switches all faults off.
    pub async fn clear_all(&self) {
        self.model.change(|model| model.faults_mut().clear_all());
        self.door.open().await;
    }

    /// All that are switched on.
    #[must_use]
    pub fn active(&self) -> Vec<Active<M::Fault>> {
        self.model.read(|model| model.faults().active().to_vec())
    }
}

/// The fault with this name.
///
/// # Errors
/// When there is none.
pub fn named<F: Named>(name: &str) -> anyhow::Result<F> {
    F::named(name).with_context(|| format!("there is no fault '{name}'"))
}

/// How long a fault is wanted, as a request says it.
#[derive(Deserialize)]
pub(crate) struct ScopeQuery {
    pub(crate) next: Option<u32>,
    pub(crate) matching: Option<String>,
}

/// `GET /_sandbox/faults`, `POST` and `DELETE /_sandbox/faults/{name}`, `DELETE /_sandbox/faults`.
pub fn control<M: Faulty>(switches: Switches<M>) -> Router {
    Router::new()
        .route("/_sandbox/faults", get(list::<M>).delete(clear_all::<M>))
        .route("/_sandbox/faults/{name}", post(set::<M>).delete(clear::<M>))
        .with_state(switches)
}

async fn list<M: Faulty>(State(switches): State<Switches<M>>) -> Response {
    let all: Vec<_> = M::Fault::ALL
        .iter()
        .map(|fault| json!({"name": fault.name(), "description": fault.description()}))
        .collect();
    answer::pretty(&json!({"active": switches.active(), "available": all}))
}

async fn set<M: Faulty>(
    State(switches): State<Switches<M>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path(name): Path<String>,
    Query(query): Query<ScopeQuery>,
) -> Response {
    let fault = match named(&name) {
        Ok(fault) => fault,
        Err(error) => return answer::not_found(&error),
    };
    let scope = match (query.next, query.matching) {
        (Some(0), _) => return answer::refused("'next' counts from 1"),
        (Some(_), Some(_)) => return answer::refused("either 'next' or 'matching'"),
        (Some(next), None) => Scope::Next(next),
        (None, Some(text)) => Scope::Matching(typed_number(&text)),
        (None, None) => Scope::UntilCleared,
    };
    line.spare();
    switches.set(fault, scope).await;
    answer::pretty(&json!({"active": switches.active()}))
}

async fn clear<M: Faulty>(
    State(switches): State<Switches<M>>,
    Path(name): Path<String>,
) -> Response {
    match named(&name) {
        Ok(fault) => switches.clear(fault).await,
        Err(error) => return answer::not_found(&error),
    }
    answer::pretty(&json!({"active": switches.active()}))
}

async fn clear_all<M: Faulty>(State(switches): State<Switches<M>>) -> Response {
    switches.clear_all().await;
    answer::pretty(&json!({"active": switches.active()}))
}
