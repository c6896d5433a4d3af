//! A call, as the table has it.

use std::time::{SystemTime, UNIX_EPOCH};

use models::http::ServerRequest;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

/// The headers that the models read.
const HEADERS: [&str; 4] = ["accept", "content-type", "authorization", "apikey"];

/// A request, as far as the models read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedRequest {
    /// The method, in capital letters.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query, without its question mark.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// Some headers, their names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl RecordedRequest {
    /// What a request came with.
    #[must_use]
    pub fn of(request: &ServerRequest) -> Self {
        let header = |name: &str| Some((name.to_owned(), request.header(name)?.to_owned()));
        Self {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: HEADERS.into_iter().filter_map(header).collect(),
            body: String::from_utf8_lossy(&request.body).into_owned(),
        }
    }

    /// The request for a model.
    #[must_use]
    pub fn to_model(&self) -> ServerRequest {
        ServerRequest {
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            body: self.body.clone().into_bytes(),
        }
    }
}

/// Random bits: no two calls are the same.
#[must_use]
pub fn random() -> u128 {
    let mut bytes = [0; 16];
    // Lambda's random numbers, and those of a user's machine, do not fail.
    let _ = SystemRandom::new().fill(&mut bytes);
    u128::from_be_bytes(bytes)
}

/// Milliseconds since 1970, UTC.
#[must_use]
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
