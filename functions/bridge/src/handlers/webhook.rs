//! `incoming-messages` and `delivery-reports`: the two callbacks of Africa's Talking.
//!
//! Both check the key, read the fields, put a message into a queue, and answer 200 only when the
//! queue has stored it. Africa's Talking reads the status of the response and ignores its body.

use lambda_http::http::header::CONTENT_TYPE;
use lambda_http::http::{HeaderValue, Method, StatusCode};
use lambda_http::{RequestExt as _, Response};

use crate::digest::sha256_hex;
use crate::log::{Callback, LogEvent, Redacted};
use crate::ports::{Fifo, NewMessage, Queue, Runtime, SecretStore};
use crate::queue::dead_letter::DeadLetterQueue;
use crate::secrets::{IncomingKeys, KeyCheck};
use crate::wire::africastalking::form::{BadField, Fields};
use crate::wire::africastalking::{delivery_report, incoming_message};
use crate::wire::api_gateway::{UnreadableBody, response};
use crate::wire::queue_messages::{
    DeliveryReport, ExchangeMessage, IncomingSms, MEDIC_GROUP, encode,
};

pub use lambda_http::Request;

/// The largest body that is read, in bytes. The longest SMS is far below.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// The handler of one of the two callbacks.
#[derive(Debug)]
pub struct CallbackHandler<Q, K, S> {
    /// Which callback it serves.
    pub callback: Callback,
    /// The queue for accepted callbacks.
    pub queue: Q,
    /// The dead-letter queue for callbacks without an id.
    pub dead_letters: DeadLetterQueue<Q>,
    /// The keys that a caller may use.
    pub keys: IncomingKeys<K>,
    /// The clock, the random numbers and the log.
    pub runtime: S,
}

/// An accepted callback: its queue message and its log event.
struct Accepted {
    message: NewMessage,
    event: LogEvent,
}

impl Accepted {
    fn incoming(sms: IncomingSms) -> Self {
        Self {
            event: LogEvent::IncomingQueued {
                id: Redacted::new(&sms.id),
            },
            message: NewMessage {
                // The same for each repeat of a callback: the queue drops a repeat within five minutes,
                // and Medic recognises a later one by its id.
                fifo: Some(Fifo {
                    group: MEDIC_GROUP.to_owned(),
                    deduplication_id: sha256_hex(sms.id.as_str().as_bytes()),
                }),
                body: encode(&ExchangeMessage::Incoming(sms)),
            },
        }
    }

    fn report(report: &DeliveryReport) -> Self {
        Self {
            event: LogEvent::ReportQueued {
                at_id: Redacted::new(&report.id),
            },
            message: NewMessage {
                body: encode(report),
                fifo: None,
            },
        }
    }
}

impl<Q: Queue, K: SecretStore, S: Runtime> CallbackHandler<Q, K, S> {
    /// Serves one request. The status is 200 only when the callback is in a queue.
    pub async fn handle(&self, request: &Request) -> Response<String> {
        let path = request.raw_http_path().trim_end_matches('/');
        if !path.ends_with(self.path()) {
            return self.refuse(StatusCode::NOT_FOUND, "there is nothing at this path");
        }
        if request.method() != Method::POST {
            return self.refuse(StatusCode::METHOD_NOT_ALLOWED, "only POST is served here");
        }
        let number_hash_key = match self.check_key(request).await {
            Ok(number_hash_key) => number_hash_key,
            Err(refusal) => return refusal,
        };
        if let Some(unreadable) = request.extensions().get::<UnreadableBody>() {
            return self.refuse(StatusCode::BAD_REQUEST, unreadable.sentence());
        }
        let body: &[u8] = request.body();
        if body.len() > MAX_BODY_BYTES {
            return self.refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than 64 KiB",
            );
        }
        let content_type = request.headers().get(CONTENT_TYPE);
        let content_type = content_type.map(HeaderValue::as_bytes);
        let accepted = Fields::read(content_type, body).and_then(|fields| {
            let now = self.runtime.now();
            match self.callback {
                Callback::IncomingMessage => {
                    incoming_message::read(&fields, now).map(Accepted::incoming)
                }
                Callback::DeliveryReport => delivery_report::read(&fields, &number_hash_key, now)
                    .map(|report| Accepted::report(&report)),
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
    async fn check_key(&self, request: &Request) -> Result<String, Response<String>> {
        let callback = self.callback;
        let presented = request
            .query_string_parameters_ref()
            .and_then(|parameters| parameters.first("key"));
        let now = self.runtime.now();
        match self.keys.check(presented, now).await {
            KeyCheck::Right { number_hash_key } => Ok(number_hash_key),
            KeyCheck::Wrong => {
                self.runtime.record(LogEvent::KeyRefused { callback });
                Err(response(
                    StatusCode::FORBIDDEN,
                    "the key is missing or wrong",
                ))
            }
            KeyCheck::NotConfigured => {
                self.runtime.record(LogEvent::KeyNotConfigured {
                    callback,
                    advice: "no incoming key is configured: put {\"key\": \"…\"} into the secret that the stack's output IncomingKeySecretArn names",
                });
                Err(response(
                    StatusCode::FORBIDDEN,
                    "the key is missing or wrong",
                ))
            }
            KeyCheck::OutOfReach(error) => {
                self.runtime.record(LogEvent::KeyUnavailable {
                    callback,
                    error: Redacted::new(&error),
                });
                Err(response(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the key cannot be checked now",
                ))
            }
        }
    }

    async fn accept(&self, accepted: Accepted) -> Response<String> {
        let sent: Result<(), _> = self
            .queue
            .send(vec![accepted.message])
            .await
            .into_iter()
            .collect();
        match sent {
            Ok(()) => {
                self.runtime.record(accepted.event);
                response(StatusCode::OK, "")
            }
            Err(error) => self.not_queued(&Redacted::new(&error)),
        }
    }

    /// Dead-letters a callback without an id. It cannot be processed, but a person can read it.
    async fn keep_bad_callback(&self, body: &[u8], bad: &BadField) -> Response<String> {
        let reason = format!("{} {}", bad.field, bad.problem);
        let text = String::from_utf8_lossy(body);
        let dead_letters = self
            .dead_letters
            .dead_letter_callback(&text, reason.clone(), &self.runtime)
            .await;
        match dead_letters {
            Ok(()) => {
                self.note_refusal(StatusCode::BAD_REQUEST, bad.problem);
                response(StatusCode::BAD_REQUEST, &reason)
            }
            Err(error) => self.not_queued(&Redacted::new(&error)),
        }
    }

    fn not_queued(&self, error: &Redacted) -> Response<String> {
        self.runtime.record(LogEvent::CallbackNotQueued {
            callback: self.callback,
            error: error.clone(),
        });
        response(
            StatusCode::SERVICE_UNAVAILABLE,
            "the queue did not take it: try again",
        )
    }

    fn refuse(&self, status: StatusCode, reason: &'static str) -> Response<String> {
        self.note_refusal(status, reason);
        response(status, reason)
    }

    fn note_refusal(&self, status: StatusCode, reason: &'static str) {
        self.runtime.record(LogEvent::CallbackRefused {
            callback: self.callback,
            status: status.as_u16(),
            reason,
        });
    }
}
