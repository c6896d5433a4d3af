//! `incoming-messages` and `delivery-reports`: the callbacks of Africa's Talking. Opt-outs come to the first.
//!
//! Each checks the key, reads the fields, puts a message into a queue, and answers 200 only when the
//! queue has stored it. What carried the right key and cannot be taken is kept in the dead-letter queue.
//! Africa's Talking reads the status of the response and ignores its body.

use lambda_http::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use lambda_http::http::{HeaderName, Method, StatusCode};
use lambda_http::{RequestExt as _, Response};

use crate::digest::sha256_hex;
use crate::log::{Callback, LogEvent, Redacted};
use crate::ports::{Fifo, NewMessage, Queue, Runtime, SecretStore};
use crate::queue::dead_letter::DeadLetterQueue;
use crate::secrets::{IncomingKeys, KeyCheck};
use crate::wire::africastalking::callback::{CallbackContent, CallbackReading, ReceivedCallback};
use crate::wire::africastalking::opt_out::OptOut;
use crate::wire::api_gateway::{NotBase64, response};
use crate::wire::queue_messages::{
    DeadCallback, DeliveryReport, ExchangeMessage, IncomingSms, MEDIC_GROUP, encode,
};

pub use crate::wire::africastalking::callback::MAX_BODY_BYTES;
pub use lambda_http::Request;

/// The handler of one function's callbacks.
#[derive(Debug)]
pub struct CallbackHandler<Q, K, S> {
    /// Which callback it serves; that of incoming messages serves opt-outs, too.
    pub callback: Callback,
    /// The text of the SMS that tells Medic of an opt-out. `None`: Medic is not told.
    pub opt_out_text: Option<String>,
    /// The queue for accepted callbacks.
    pub queue: Q,
    /// The dead-letter queue for callbacks that cannot be taken.
    pub dead_letters: DeadLetterQueue<Q>,
    /// The keys that a caller may use.
    pub keys: IncomingKeys<K>,
    /// The clock, the random numbers and the log.
    pub runtime: S,
}

/// An accepted callback: its queue message, if there is one, and its log event.
struct Accepted {
    message: Option<NewMessage>,
    event: LogEvent,
}

impl Accepted {
    fn new(content: CallbackContent, opt_out_text: Option<&str>) -> Self {
        match content {
            CallbackContent::Incoming(sms) => Self::incoming(sms),
            CallbackContent::Report(report) => Self::report(&report),
            CallbackContent::OptOut(opt_out) => Self::opt_out(opt_out, opt_out_text),
        }
    }

    fn opt_out(opt_out: OptOut, text: Option<&str>) -> Self {
        Self {
            event: LogEvent::OptOutReceived {
                id: Redacted::new(&opt_out.id),
                for_medic: text.is_some(),
            },
            message: text.and_then(|text| Self::incoming(opt_out.into_sms(text)).message),
        }
    }

    fn incoming(sms: IncomingSms) -> Self {
        Self {
            event: LogEvent::IncomingQueued {
                id: Redacted::new(&sms.id),
            },
            message: Some(NewMessage {
                // The same for each repeat of a callback: the queue drops a repeat within five minutes,
                // and Medic recognises a later one by its id.
                fifo: Some(Fifo {
                    group: MEDIC_GROUP.to_owned(),
                    deduplication_id: sha256_hex(sms.id.as_str().as_bytes()),
                }),
                body: encode(&ExchangeMessage::Incoming(sms)),
            }),
        }
    }

    fn report(report: &DeliveryReport) -> Self {
        Self {
            event: LogEvent::ReportQueued {
                at_id: Redacted::new(&report.id),
            },
            message: Some(NewMessage {
                body: encode(report),
                fifo: None,
            }),
        }
    }
}

/// The reason for a callback over the limit.
const TOO_LARGE: &str = "the body is larger than 64 KiB";

/// Why a callback is kept instead of taken.
struct Refused {
    status: StatusCode,
    /// For the response and for the operator.
    reason: String,
    /// For the log; none if it came to the wrong URL.
    problem: Option<&'static str>,
}

impl Refused {
    fn bad(field: &str, problem: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            reason: format!("{field} {problem}"),
            problem: Some(problem),
        }
    }

    fn too_large() -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            reason: TOO_LARGE.to_owned(),
            problem: Some(TOO_LARGE),
        }
    }

    fn at_wrong_url(url: Option<Callback>) -> Self {
        let reason = match url {
            Some(Callback::IncomingMessage) => {
                "another callback came to the URL of incoming messages"
            }
            Some(Callback::DeliveryReport) => {
                "another callback came to the URL of delivery reports"
            }
            Some(Callback::OptOut) => "another callback came to the URL of opt-outs",
            None => "it came to a path that is no callback's",
        };
        Self {
            status: StatusCode::BAD_REQUEST,
            reason: reason.to_owned(),
            problem: None,
        }
    }
}

fn path_of(callback: Callback) -> &'static str {
    match callback {
        Callback::IncomingMessage => "/api/v1/sms/africastalking/incoming-messages",
        Callback::DeliveryReport => "/api/v1/sms/africastalking/delivery-reports",
        Callback::OptOut => "/api/v1/sms/africastalking/opt-outs",
    }
}

impl<Q: Queue, K: SecretStore, S: Runtime> CallbackHandler<Q, K, S> {
    /// Serves one request. The status is 200 only when the callback is in a queue.
    pub async fn handle(&self, request: &Request) -> Response<String> {
        let path = request.raw_http_path().trim_end_matches('/');
        let url = self.served_at(path);
        let callback = url.unwrap_or(self.callback);
        if request.method() != Method::POST {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return self.refuse(callback, status, "only POST is served here");
        }
        let number_hash_key = match self.check_key(callback, request).await {
            Ok(number_hash_key) => number_hash_key,
            Err(refusal) => return refusal,
        };
        let header = |name: HeaderName| request.headers().get(name)?.to_str().ok();
        let received = ReceivedCallback {
            url,
            content_type: header(CONTENT_TYPE),
            content_encoding: header(CONTENT_ENCODING),
            body: request.body(),
        };
        if request.extensions().get::<NotBase64>().is_some() {
            return self
                .keep(&received, &Refused::bad("the body", "is no base64"))
                .await;
        }
        match received.read(&number_hash_key, self.runtime.now()) {
            CallbackReading::Good(content) => {
                let accepted = Accepted::new(content, self.opt_out_text.as_deref());
                self.accept(callback, accepted).await
            }
            CallbackReading::AtWrongUrl(_) => {
                self.keep(&received, &Refused::at_wrong_url(url)).await
            }
            CallbackReading::Bad(bad) => {
                self.keep(&received, &Refused::bad(bad.field, bad.problem))
                    .await
            }
            CallbackReading::TooLarge if received.names_nothing() => {
                self.refuse(callback, StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)
            }
            CallbackReading::TooLarge => self.keep(&received, &Refused::too_large()).await,
        }
    }

    /// Which of the function's callbacks has this path.
    fn served_at(&self, path: &str) -> Option<Callback> {
        let served: &[Callback] = match self.callback {
            Callback::IncomingMessage => &[Callback::IncomingMessage, Callback::OptOut],
            Callback::DeliveryReport => &[Callback::DeliveryReport],
            Callback::OptOut => &[Callback::OptOut],
        };
        let mut served = served.iter().copied();
        served.find(|callback| path.ends_with(path_of(*callback)))
    }

    /// The key for hashing numbers, if the request's key is right.
    async fn check_key(
        &self,
        callback: Callback,
        request: &Request,
    ) -> Result<String, Response<String>> {
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

    async fn accept(&self, callback: Callback, accepted: Accepted) -> Response<String> {
        let sent: Result<(), _> = match accepted.message {
            Some(message) => self.queue.send(vec![message]).await.into_iter().collect(),
            None => Ok(()),
        };
        match sent {
            Ok(()) => {
                self.runtime.record(accepted.event);
                response(StatusCode::OK, "")
            }
            Err(error) => self.not_queued(callback, &Redacted::new(&error)),
        }
    }

    /// Dead-letters a callback that cannot be taken. A person can read it, and a redrive tries it again.
    async fn keep(&self, received: &ReceivedCallback<'_>, refused: &Refused) -> Response<String> {
        let callback = received.url.unwrap_or(self.callback);
        let now = self.runtime.now();
        let dead_letter = DeadCallback::new(received, refused.reason.clone(), now);
        let dead_letters = self
            .dead_letters
            .dead_letter_callback(&dead_letter, &self.runtime)
            .await;
        if let Err(error) = dead_letters {
            return self.not_queued(callback, &Redacted::new(&error));
        }
        match refused.problem {
            Some(problem) => self.note_refusal(callback, refused.status, problem),
            None => self.runtime.record(LogEvent::CallbackAtWrongUrl {
                callback: received.url,
                advice: "paste each callback URL into its own place in Africa's Talking's dashboard, then run `cargo ops dead-letters redrive --all`",
            }),
        }
        response(refused.status, &refused.reason)
    }

    fn not_queued(&self, callback: Callback, error: &Redacted) -> Response<String> {
        self.runtime.record(LogEvent::CallbackNotQueued {
            callback,
            error: error.clone(),
        });
        response(
            StatusCode::SERVICE_UNAVAILABLE,
            "the queue did not take it: try again",
        )
    }

    fn refuse(
        &self,
        callback: Callback,
        status: StatusCode,
        reason: &'static str,
    ) -> Response<String> {
        self.note_refusal(callback, status, reason);
        response(status, reason)
    }

    fn note_refusal(&self, callback: Callback, status: StatusCode, reason: &'static str) {
        self.runtime.record(LogEvent::CallbackRefused {
            callback,
            status: status.as_u16(),
            reason,
        });
    }
}
