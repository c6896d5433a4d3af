//! `incoming-messages` and `delivery-reports`: the two callbacks of Africa's Talking.
//!
//! Both check the key, read the fields, put what they say into a queue, and answer 200 only when the
//! queue holds it. Africa's Talking reads the status of the answer and not its body.

mod date;
mod delivery_reports;
mod fields;
mod http;
mod incoming_key;
mod incoming_messages;

use crate::journal::{Callback, Entry, Shown};
use crate::parking::ParkingLot;
use crate::ports::{NewMessage, Queue, SecretStore, Surroundings};
use fields::Fields;

pub use http::{HttpRequest, HttpResponse};
pub use incoming_key::{IncomingKeys, KeySecret, Verdict};

/// The largest body that is read, in bytes. The longest SMS is far below.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// A callback, as one of the two functions serves it.
#[derive(Debug)]
pub struct CallbackHandler<Q, K, S> {
    /// Which of the two.
    pub callback: Callback,
    /// Where what comes goes.
    pub queue: Q,
    /// Where a callback is kept that names no message.
    pub parked: ParkingLot<Q>,
    /// Who may call.
    pub keys: IncomingKeys<K>,
    /// Time, chance and a log.
    pub surroundings: S,
}

/// What a good callback becomes.
struct Accepted {
    message: NewMessage,
    entry: Entry,
}

/// What is wrong with a callback, by the name of the field.
struct BadField {
    field: &'static str,
    problem: &'static str,
}

impl<Q: Queue, K: SecretStore, S: Surroundings> CallbackHandler<Q, K, S> {
    /// Serves one request.
    pub async fn handle(&self, request: &HttpRequest) -> HttpResponse {
        if !request.path.trim_end_matches('/').ends_with(self.path()) {
            return self.refuse(404, "there is nothing at this path");
        }
        if request.method != "POST" {
            return self.refuse(405, "only POST is served here");
        }
        let number_hash_key = match self.check_key(request).await {
            Ok(number_hash_key) => number_hash_key,
            Err(refusal) => return refusal,
        };
        let body = match &request.body {
            Ok(body) if body.len() > MAX_BODY_BYTES => {
                return self.refuse(413, "the body is larger than 64 KiB");
            }
            Ok(body) => body,
            Err(problem) => return self.refuse(400, problem.sentence()),
        };
        let accepted = Fields::read(request.content_type.as_deref(), body).and_then(|fields| {
            let now_ms = self.surroundings.now_ms();
            match self.callback {
                Callback::IncomingMessage => incoming_messages::read(&fields, now_ms),
                Callback::DeliveryReport => {
                    delivery_reports::read(&fields, &number_hash_key, now_ms)
                }
            }
        });
        match accepted {
            Ok(accepted) => self.accept(accepted).await,
            Err(bad) => self.keep_bad_callback(body, &bad).await,
        }
    }

    fn path(&self) -> &'static str {
        match self.callback {
            Callback::IncomingMessage => "/api/v1/sms/africastalking/incoming-messages",
            Callback::DeliveryReport => "/api/v1/sms/africastalking/delivery-reports",
        }
    }

    /// The key for hashing numbers, if the request's key is right.
    async fn check_key(&self, request: &HttpRequest) -> Result<String, HttpResponse> {
        let callback = self.callback;
        let presented = request.query_value("key");
        let now_ms = self.surroundings.now_ms();
        match self.keys.check(presented.as_deref(), now_ms).await {
            Verdict::Right { number_hash_key } => Ok(number_hash_key),
            Verdict::Wrong => {
                self.surroundings.record(Entry::KeyRefused { callback });
                Err(HttpResponse::new(403, "the key is missing or wrong"))
            }
            Verdict::NotConfigured => {
                self.surroundings.record(Entry::KeyNotConfigured {
                    callback,
                    advice: "no incoming key is configured: put {\"key\": \"…\"} into the secret that the stack's output IncomingKeySecretArn names",
                });
                Err(HttpResponse::new(403, "the key is missing or wrong"))
            }
            Verdict::OutOfReach(error) => {
                self.surroundings.record(Entry::KeyOutOfReach {
                    callback,
                    error: Shown::new(&error),
                });
                Err(HttpResponse::new(503, "the key cannot be checked now"))
            }
        }
    }

    async fn accept(&self, accepted: Accepted) -> HttpResponse {
        let sent: Result<(), _> = self
            .queue
            .send(vec![accepted.message])
            .await
            .into_iter()
            .collect();
        match sent {
            Ok(()) => {
                self.surroundings.record(accepted.entry);
                HttpResponse::new(200, "")
            }
            Err(error) => self.not_queued(&Shown::new(&error)),
        }
    }

    /// A callback that names no message cannot be processed, now or ever: it is kept to be looked at.
    async fn keep_bad_callback(&self, body: &[u8], bad: &BadField) -> HttpResponse {
        let reason = format!("{} {}", bad.field, bad.problem);
        let text = String::from_utf8_lossy(body);
        let parked = self
            .parked
            .park_callback(&text, reason.clone(), &self.surroundings)
            .await;
        match parked {
            Ok(()) => {
                self.note_refusal(400, bad.problem);
                HttpResponse::new(400, &reason)
            }
            Err(error) => self.not_queued(&Shown::new(&error)),
        }
    }

    fn not_queued(&self, error: &Shown) -> HttpResponse {
        self.surroundings.record(Entry::CallbackNotQueued {
            callback: self.callback,
            error: error.clone(),
        });
        HttpResponse::new(503, "the queue did not take it: try again")
    }

    fn refuse(&self, status: u16, reason: &'static str) -> HttpResponse {
        self.note_refusal(status, reason);
        HttpResponse::new(status, reason)
    }

    fn note_refusal(&self, status: u16, reason: &'static str) {
        self.surroundings.record(Entry::CallbackRefused {
            callback: self.callback,
            status,
            reason,
        });
    }
}
