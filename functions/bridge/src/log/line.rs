//! A log event as one line of JSON.

use serde::Serialize;

use super::event::LogEvent;
use super::level::Level;
use super::metrics;
use crate::domain::time::Timestamp;

/// The version of the function, as the stack's output `Version` names it.
const VERSION: &str = env!("CARGO_PKG_VERSION");

impl LogEvent {
    /// The log event as one line of JSON, with its metrics in CloudWatch's embedded metric format. The
    /// line has a `level` only if that is not [`Level::Info`]. It has the function's `version` in the first
    /// invocation of a process and outside of invocations: every line costs by the byte.
    pub fn to_line(&self, origin: &Origin, now: Timestamp) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            #[serde(skip_serializing_if = "Level::is_usual")]
            level: Level,
            message: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            version: Option<&'static str>,
            #[serde(flatten)]
            origin: &'a Origin,
            #[serde(flatten)]
            event: &'a LogEvent,
        }
        let line = Line {
            level: self.level(),
            message: self.message(),
            version: origin.is_of_a_start().then_some(VERSION),
            origin,
            event: self,
        };
        let Ok(mut line) = serde_json::to_value(line) else {
            return String::new();
        };
        if let Some(fields) = line.as_object_mut() {
            metrics::embed(fields, self.measures(), now);
        }
        line.to_string()
    }
}

/// Which function writes a line, and for which invocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The name of the stack.
    pub stack: String,
    /// The name of the function, without that of the stack.
    pub function: &'static str,
    /// The invocation that runs now. Before the first one and between two there is none.
    #[serde(flatten)]
    pub invocation: Option<Invocation>,
}

impl Origin {
    fn is_of_a_start(&self) -> bool {
        self.invocation.as_ref().is_none_or(|now| now.cold_start)
    }
}

/// An invocation of a Lambda function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Invocation {
    /// Lambda's id of it, as in Lambda's own `START` and `REPORT` lines.
    pub request_id: String,
    /// Whether it is the first one of its process.
    #[serde(skip_serializing_if = "is_false")]
    pub cold_start: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::callback::Callback;
    use crate::domain::circuit_breaker::Cause;
    use serde_json::Value;

    /// A usual step.
    const CLOSED: LogEvent = LogEvent::CircuitClosed {
        cause: Cause::NoAnswer,
        sender_id: None,
    };

    /// The log event's line, read again.
    pub fn line(event: &LogEvent) -> Value {
        line_in(event, None)
    }

    fn line_in(event: &LogEvent, invocation: Option<Invocation>) -> Value {
        let origin = Origin {
            stack: "bridge".to_owned(),
            function: "outbound-sender",
            invocation,
        };
        serde_json::from_str(&event.to_line(&origin, Timestamp::from_millis(5))).unwrap()
    }

    #[test]
    fn a_log_event_is_one_line_of_json_with_its_level_and_its_origin() {
        let line = line(&LogEvent::KeyRefused {
            callback: Callback::DeliveryReport,
        });
        assert_eq!(line["event"], "key_refused");
        assert_eq!(line["message"], "A callback came without a valid key.");
        assert_eq!(line["level"], "warn");
        assert_eq!(line["stack"], "bridge");
        assert_eq!(line["function"], "outbound-sender");
        assert_eq!(line["callback"], "delivery_report");
        assert_eq!(line["KeyRefused"], 1);
        assert_eq!(line["_aws"]["Timestamp"], 5);
    }

    #[test]
    fn a_line_names_its_invocation_and_says_when_that_is_the_first_of_its_process_and_of_which_version()
     {
        let event = CLOSED;
        let invocation = |cold_start| Invocation {
            request_id: "8476a536".to_owned(),
            cold_start,
        };
        let first = line_in(&event, Some(invocation(true)));
        assert_eq!(first["request_id"], "8476a536");
        assert_eq!(first["cold_start"], true);
        assert_eq!(first["version"], VERSION);
        let later = line_in(&event, Some(invocation(false)));
        assert_eq!(later["request_id"], "8476a536");
        assert_eq!(later.get("cold_start"), None);
        assert_eq!(later.get("version"), None);
        let outside = line(&event);
        assert_eq!(outside.get("request_id"), None);
        assert_eq!(outside.get("cold_start"), None);
        assert_eq!(outside["version"], VERSION);
    }

    #[test]
    fn what_is_usual_says_no_level() {
        assert_eq!(line(&CLOSED).get("level"), None);
    }
}
