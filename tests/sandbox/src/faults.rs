//! Faults that a stand-in can be told to have, by name, while it runs.

use std::sync::Arc;

use anyhow::bail;
use axum::Router;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::answer;
use crate::ids::typed_number;
use crate::observed::{Changes, Observed};
use crate::server::{Door, Line};

/// A list of faults, each with a name and a sentence.
pub trait Named: Copy + Eq + Serialize + Send + Sync + 'static {
    /// All of them, in the order in which a page should show them.
    const ALL: &'static [Self];

    /// The fault that is not a matter of answers: the port refuses connections.
    const DOWN: Self;

    /// The name to switch it on by.
    fn name(self) -> &'static str;

    /// What it does, in a sentence.
    fn description(self) -> &'static str;

    /// What it and its like have in common, as a heading over them.
    fn heading(self) -> &'static str;

    /// The fault with this name.
    ///
    /// # Errors
    /// When there is none.
    fn named(name: &str) -> anyhow::Result<Self> {
        let Some(fault) = Self::ALL.iter().find(|fault| fault.name() == name) else {
            bail!("there is no fault '{name}'");
        };
        Ok(*fault)
    }
}

/// Defines an enum of faults: variant, name, sentence.
macro_rules! named_faults {
    ($(#[$meta:meta])* pub enum $Fault:ident { $($Variant:ident, $name:literal, $description:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $Fault {
            $(#[doc = $description] #[serde(rename = $name)] $Variant,)+
        }

        impl $crate::faults::Named for $Fault {
            const ALL: &'static [Self] = &[$(Self::$Variant,)+];
            const DOWN: Self = Self::Down;

            fn name(self) -> &'static str {
                match self { $(Self::$Variant => $name,)+ }
            }

            fn description(self) -> &'static str {
                match self { $(Self::$Variant => $description,)+ }
            }

            fn heading(self) -> &'static str {
                self.place().heading()
            }
        }
    };
}
pub(crate) use named_faults;

/// How long, or for what, a fault lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Until somebody clears it.
    UntilCleared,
    /// For so many, then it clears itself.
    Next(u32),
    /// Until somebody clears it, but only for what this text names.
    Matching(String),
}

/// A fault that is switched on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Active<F> {
    /// Which.
    pub fault: F,
    /// How long, or for what.
    pub scope: Scope,
}

impl<F> Active<F> {
    /// Whether it concerns something in which `names` recognises the scope's text.
    pub fn concerns(&self, names: impl FnOnce(&str) -> bool) -> bool {
        match &self.scope {
            Scope::Matching(text) => names(text),
            Scope::UntilCleared | Scope::Next(_) => true,
        }
    }
}

/// The faults of one stand-in that are switched on.
#[derive(Debug)]
pub struct Faults<F> {
    active: Observed<Vec<Active<F>>>,
    door: Door,
}

impl<F: Named> Faults<F> {
    /// None so far. `door` is the one that [`Named::DOWN`] shuts.
    #[must_use]
    pub fn new(door: Door) -> Self {
        Self {
            active: Observed::new(Vec::new()),
            door,
        }
    }

    /// Switches a fault on. Of several that concern the same thing, the one switched on first
    /// counts. [`Named::DOWN`] lasts until it is cleared, whatever the scope: a refused connection
    /// cannot be counted or looked into.
    pub async fn set(&self, fault: F, scope: Scope) {
        self.active
            .change(|active| active.push(Active { fault, scope }));
        if fault == F::DOWN {
            self.door.shut().await;
        }
    }

    /// Switches one fault off.
    pub async fn clear(&self, fault: F) {
        self.active
            .change(|active| active.retain(|other| other.fault != fault));
        if fault == F::DOWN {
            self.door.open().await;
        }
    }

    /// Switches all faults off.
    pub async fn clear_all(&self) {
        self.active.change(Vec::clear);
        self.door.open().await;
    }

    /// All that are switched on.
    #[must_use]
    pub fn active(&self) -> Vec<Active<F>> {
        self.active.read(Clone::clone)
    }

    /// What tells when a fault is switched on or off, or clears itself.
    pub fn changes(&self) -> Changes {
        self.active.changes()
    }

    /// The first fault that is wanted here and concerns what `names` recognises. It counts as met
    /// once.
    pub fn meet(
        &self,
        wanted: impl Fn(F) -> bool,
        names: impl Fn(&str) -> bool,
    ) -> Option<Active<F>> {
        self.active.change(|active| {
            let place = active
                .iter()
                .position(|one| wanted(one.fault) && one.concerns(&names))?;
            let met = active.get(place)?.clone();
            if let Some(Active {
                scope: Scope::Next(left),
                ..
            }) = active.get_mut(place)
            {
                *left -= 1;
                if *left == 0 {
                    active.remove(place);
                }
            }
            Some(met)
        })
    }

    /// The first fault that is wanted here and lasts for everything until it is cleared.
    pub fn standing(&self, wanted: impl Fn(F) -> bool) -> Option<F> {
        self.active.read(|active| {
            let standing = |one: &&Active<F>| wanted(one.fault) && one.scope == Scope::UntilCleared;
            active.iter().find(standing).map(|one| one.fault)
        })
    }
}

#[derive(Deserialize)]
struct ScopeQuery {
    next: Option<u32>,
    matching: Option<String>,
}

/// `GET /_sandbox/faults`, `POST` and `DELETE /_sandbox/faults/{name}`, `DELETE /_sandbox/faults`.
pub fn control<F: Named>(faults: Arc<Faults<F>>) -> Router {
    Router::new()
        .route("/_sandbox/faults", get(list::<F>).delete(clear_all::<F>))
        .route("/_sandbox/faults/{name}", post(set::<F>).delete(clear::<F>))
        .with_state(faults)
}

fn listing<F: Named>(faults: &Faults<F>) -> Response {
    let all: Vec<_> = F::ALL
        .iter()
        .map(|fault| json!({"name": fault.name(), "description": fault.description()}))
        .collect();
    answer::pretty(&json!({"active": faults.active(), "available": all}))
}

async fn list<F: Named>(State(faults): State<Arc<Faults<F>>>) -> Response {
    listing(&faults)
}

async fn set<F: Named>(
    State(faults): State<Arc<Faults<F>>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path(name): Path<String>,
    Query(query): Query<ScopeQuery>,
) -> Response {
    let fault = match F::named(&name) {
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
    faults.set(fault, scope).await;
    answer::pretty(&json!({"active": faults.active()}))
}

async fn clear<F: Named>(
    State(faults): State<Arc<Faults<F>>>,
    Path(name): Path<String>,
) -> Response {
    match F::named(&name) {
        Ok(fault) => faults.clear(fault).await,
        Err(error) => return answer::not_found(&error),
    }
    answer::pretty(&json!({"active": faults.active()}))
}

async fn clear_all<F: Named>(State(faults): State<Arc<Faults<F>>>) -> Response {
    faults.clear_all().await;
    answer::pretty(&json!({"active": faults.active()}))
}
