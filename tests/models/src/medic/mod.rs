//! Medic, the server of the Community Health Toolkit, as an SMS gateway sees it.
//!
//! The model does what was observed on CHT 5.2.0. It is not kinder: it checks for duplicates first and
//! writes later. It goes on working when the caller has hung up. It marks the messages that it offers, over
//! any status that was reported a moment before. It takes the last update for the truth.
//!
//! Where nothing was observed, the model guesses:
//!
//! - The login is checked before the body.
//! - A caller who does not accept JSON gets errors in plain text.
//! - Updates that are not a list fail when their turn comes, after the messages were stored.
//! - The updates of a POST are written together. One bad update does not keep the others from being
//!   written, as with messages.
//! - A full disk fails only what must be written. A message or a status that Medic has already passes, and
//!   messages are offered without a mark.
//! - The bodies of responses under a fault are invented, except Medic's own JSON and the proxy's
//!   `{"type":"ERROR"}`.

mod body;
mod faults;
mod login;
mod post;
mod responses;
mod store;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde_json::json;

pub use self::body::{PostedMessage, ReportedStatus};
pub use self::faults::MedicFault;
use self::faults::MedicFaultPlace;
use self::login::Denied;
pub use self::login::Logins;
use self::post::PostWork;
pub use self::post::{Over, Post, PostProgress, PostStep};
pub use self::store::{MessageState, OFFERED_AT_MOST, OutgoingMessage, StateChange, StoredMessage};
use crate::faults::Faults;
use crate::http::{ServerOutcome, ServerRequest, ServerResponse};

/// The only `sms.outgoing_service` with which anything is offered.
pub const GATEWAY: &str = "medic-gateway";

/// A body longer than this is refused (observed on CHT 5.2.0).
pub const LONGEST_BODY: usize = 32 * 1024 * 1024;

/// How many of the outgoing messages that changed last the monitoring looks at.
const LAST_HUNDRED: usize = 100;

/// The server, its database and the proxy in front of it.
#[derive(Debug)]
pub struct MedicModel {
    /// Who has access.
    pub logins: Logins,
    /// Medic's setting `sms.outgoing_service`; without any `sms` object in its settings Medic
    /// offers its messages as well (observed on CHT 5.2.0).
    pub outgoing_service: Option<String>,
    /// How many equal messages to one number Medic offers. One more is a duplicate.
    pub equal_messages_at_most: Option<usize>,
    /// The reply to a message that it stores.
    pub reply: AutoReply,
    /// The faults that are switched on.
    pub faults: Faults<MedicFault>,
    /// Nothing can be written.
    pub disk_full: bool,
    /// The database hangs until then.
    pub hangs_until_ms: i64,
    /// Every incoming message that was stored, in order.
    pub stored: Vec<StoredMessage>,
    /// The messages that it wants sent, in the order in which they are due.
    pub outgoing: Vec<OutgoingMessage>,
    /// Every POST, in the order of arrival.
    pub posts: Vec<Post>,
    /// How many POSTs are in flight now.
    pub in_flight: usize,
    /// How many were in flight at the same time at most.
    pub max_in_flight: usize,
    work: BTreeMap<usize, PostWork>,
    /// How often each incoming id is stored; never, for another gateway's id of an outgoing message.
    copies: BTreeMap<String, usize>,
    places: HashMap<String, usize>,
    /// The places of messages that share a task.
    tasks: Vec<Vec<usize>>,
    deleted: HashSet<String>,
}

/// What Medic replies to a message that it stores. The function gets the message, and how often its id was
/// stored before.
pub struct AutoReply(Option<Box<Replying>>);

type Replying = dyn Fn(&StoredMessage, usize) -> Option<NewReply> + Send + Sync;

/// A reply that Medic wants sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReply {
    /// Medic's id of it.
    pub id: String,
    /// The text.
    pub content: String,
}

impl AutoReply {
    /// Nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self(None)
    }

    /// What `reply` says.
    pub fn with(
        reply: impl Fn(&StoredMessage, usize) -> Option<NewReply> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Box::new(reply)))
    }

    /// Whether Medic replies to messages.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.is_some()
    }

    fn to(&self, stored: &StoredMessage, copies: usize) -> Option<NewReply> {
        self.0.as_ref()?(stored, copies)
    }
}

impl fmt::Debug for AutoReply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Reply")
    }
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It has come to its end.
    Done(ServerOutcome),
    /// Medic works on it, in steps: see [`MedicModel::step`].
    Works,
}

/// A request that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivedRequest {
    /// If it is a POST of a gateway, its number in [`MedicModel::posts`].
    pub post: Option<usize>,
    /// The outcome of the request.
    pub reaction: Reaction,
}

impl MedicModel {
    /// A server with nothing in it, on which this user may use the gateway's API.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        Self {
            logins: Logins::new(user.to_owned(), password.to_owned()),
            outgoing_service: Some(GATEWAY.to_owned()),
            equal_messages_at_most: None,
            reply: AutoReply::nothing(),
            faults: Faults::default(),
            disk_full: false,
            hangs_until_ms: 0,
            stored: Vec::new(),
            outgoing: Vec::new(),
            posts: Vec::new(),
            in_flight: 0,
            max_in_flight: 0,
            work: BTreeMap::new(),
            copies: BTreeMap::new(),
            places: HashMap::new(),
            tasks: Vec::new(),
            deleted: HashSet::new(),
        }
    }

    /// A request arrives.
    pub fn receive(&mut self, request: &ServerRequest, now_ms: i64) -> ArrivedRequest {
        let done = |outcome| ArrivedRequest {
            post: None,
            reaction: Reaction::Done(outcome),
        };
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/api/sms") => self.receive_post(request, true, now_ms),
            ("GET", "/api/sms") => done(self.check_login(request, now_ms)),
            ("GET", "/api/v1/settings") => {
                done(ServerOutcome::Response(self.settings(request, now_ms)))
            }
            ("GET", "/api/v2/monitoring") => done(ServerOutcome::Response(self.monitoring())),
            _ => done(ServerOutcome::Response(responses::error(
                request.accepts_json(),
                404,
                "not_found",
            ))),
        }
    }

    /// A POST arrives from a caller whose credentials were checked already.
    pub fn receive_admitted(&mut self, request: &ServerRequest, now_ms: i64) -> ArrivedRequest {
        self.receive_post(request, false, now_ms)
    }

    fn admit(&mut self, request: &ServerRequest, now_ms: i64) -> Result<(), ServerResponse> {
        let json = request.accepts_json();
        let denied = |denied| match denied {
            Denied::Locked => responses::error(json, 429, "Too Many Requests"),
            Denied::Unauthorized if json => responses::error(json, 401, "unauthorized"),
            Denied::Unauthorized => responses::login_page(),
            Denied::Forbidden => responses::error(json, 403, "Insufficient privileges"),
        };
        self.logins.admit(request, now_ms).map_err(denied)
    }

    /// `GET /api/sms`: checks address and credentials.
    fn check_login(&mut self, request: &ServerRequest, now_ms: i64) -> ServerOutcome {
        let standing = self
            .faults
            .standing(|fault| fault.place() == MedicFaultPlace::BeforeWork);
        let instead = standing.and_then(|fault| fault.instead(request.accepts_json(), None));
        instead.unwrap_or_else(|| {
            ServerOutcome::Response(match self.admit(request, now_ms) {
                Ok(()) => ServerResponse::json(200, &json!({"medic-gateway": true})),
                Err(denied) => denied,
            })
        })
    }

    /// Every user that is logged in may read the settings (read in cht-core's
    /// `controllers/settings.js`).
    fn settings(&mut self, request: &ServerRequest, now_ms: i64) -> ServerResponse {
        match self.logins.admit(request, now_ms) {
            Ok(()) | Err(Denied::Forbidden) => ServerResponse::json(
                200,
                &match &self.outgoing_service {
                    Some(service) => json!({"sms": {"outgoing_service": service}}),
                    None => json!({}),
                },
            ),
            Err(_) => responses::error(request.accepts_json(), 401, "unauthorized"),
        }
    }

    /// Everybody may read the monitoring. Its total counts every message that was ever due and never
    /// falls (observed on CHT 5.2.0); what waits is counted among the hundred that changed last
    /// (read in cht-core).
    fn monitoring(&self) -> ServerResponse {
        let changed_ms =
            |message: &&OutgoingMessage| message.history.last().map_or(0, |row| row.at_ms);
        let mut newest: Vec<&OutgoingMessage> = self.outgoing.iter().collect();
        newest.sort_by_key(|message| std::cmp::Reverse(changed_ms(message)));
        newest.truncate(LAST_HUNDRED);
        let count = |state| newest.iter().filter(|one| one.state == state).count();
        ServerResponse::json(
            200,
            &json!({"messaging": {"outgoing": {
                "total": {"due": self.outgoing.len()},
                "last_hundred": {"pending": {
                    "pending": count(MessageState::Pending),
                    "forwarded-to-gateway": count(MessageState::ForwardedToGateway),
                    "received-by-gateway": count(MessageState::ReceivedByGateway),
                    "forwarded-by-gateway": count(MessageState::ForwardedByGateway),
                }},
            }}}),
        )
    }

    /// Medic's process ends and starts again. Its work stays where it was, and no caller gets an answer.
    pub fn restart(&mut self) {
        self.work.clear();
        self.hangs_until_ms = 0;
    }

    /// Whether it works on anything.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.work.is_empty()
    }
}
