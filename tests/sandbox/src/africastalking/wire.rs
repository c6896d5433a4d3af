//! `POST /version1/messaging` and `GET /version1/user`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, RawQuery, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};

use super::answers::{
    self, MessageData, Recipient, Refusal, money, no_recipients, plain, wants_json, written,
};
use super::callbacks::{Report, answer_as_robot, post_reports};
use super::faults::{Fault, INVALID_AUTHENTICATION, INVALID_PHONE_NUMBER, Instead, Place, Verdict};
use super::{Request, Sms, State, parts};
use crate::answer::{self, ReadBody, read_body};
use crate::faults::Active;
use crate::ids;
use crate::server::Line;

/// A form longer than this is refused.
const LONGEST_FORM: usize = 8 * 1024 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";

pub(super) fn routes(state: Arc<State>) -> Router {
    Router::new()
        .route("/version1/messaging", post(messaging))
        .route("/version1/user", get(user))
        .with_state(state)
}

/// What somebody wants sent.
struct Submission {
    to: Vec<String>,
    from: Option<String>,
    message: String,
    enqueue: bool,
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

fn decoded(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().collect()
}

/// Whether `username` and the header `apiKey` are right.
fn admitted(state: &State, headers: &HeaderMap, username: &str) -> Result<(), Refusal> {
    let key = headers.get("apikey").map(HeaderValue::as_bytes);
    if key == Some(state.config.api_key.as_bytes()) && username == state.config.username {
        Ok(())
    } else {
        Err((StatusCode::UNAUTHORIZED, INVALID_AUTHENTICATION.to_owned()))
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = answer::header(headers, header::CONTENT_TYPE).unwrap_or_default();
    content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case(FORM)
}

fn checked(
    state: &State,
    headers: &HeaderMap,
    form: &[(String, String)],
) -> Result<Submission, Refusal> {
    if !is_form(headers) {
        let text = format!("The request's Content-Type is not supported. Expected:\n{FORM}");
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let required = |name: &str| {
        let missing = || format!("Request is missing required form field '{name}'");
        field(form, name).ok_or_else(|| (StatusCode::BAD_REQUEST, missing()))
    };
    let username = required("username")?;
    let to = required("to")?;
    let message = required("message")?;
    admitted(state, headers, username)?;
    Ok(Submission {
        to: to.split(',').map(str::to_owned).collect(),
        from: field(form, "from").map(str::to_owned),
        message: message.to_owned(),
        enqueue: field(form, "enqueue") == Some("1"),
    })
}

/// Whether this is an international number with its `+`.
fn is_international(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or_default();
    (8..=15).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0')
}

/// The answer, and what was accepted.
fn taken_in(
    state: &State,
    submission: &Submission,
    odd: Option<&Active<Fault>>,
) -> anyhow::Result<(MessageData, Vec<Sms>)> {
    let parts = parts::count(&submission.message);
    let cost = state
        .config
        .price_ten_thousandths
        .saturating_mul(parts.into());
    let at_ms = ids::now_ms();
    let mut recipients = Vec::new();
    let mut accepted = Vec::new();
    for number in &submission.to {
        let verdict = if is_international(number) {
            odd.filter(|odd| odd.concerns(|other| other == number))
                .and_then(|odd| odd.fault.verdict())
                .unwrap_or(Verdict::usual(submission.enqueue))
        } else {
            INVALID_PHONE_NUMBER
        };
        let id = format!("ATXid_{}", ids::thirty_two_hex_digits()?);
        recipients.push(Recipient {
            cost: if verdict.accepted {
                money(&state.config.currency, cost)
            } else {
                "0".to_owned()
            },
            message_id: if verdict.names_id {
                id.clone()
            } else {
                "None".to_owned()
            },
            // An answer with 102 has been seen without it.
            message_parts: (verdict.accepted && verdict.code != Some(102)).then_some(parts),
            number: number.clone(),
            status: verdict.status,
            status_code: verdict.code,
        });
        if verdict.accepted {
            accepted.push(Sms {
                id,
                to: number.clone(),
                from: submission
                    .from
                    .clone()
                    .unwrap_or_else(|| super::DEFAULT_SENDER.to_owned()),
                text: submission.message.clone(),
                at_ms,
                cost_ten_thousandths: cost,
                on_phone: true,
            });
        }
    }
    let total = cost.saturating_mul(i64::try_from(accepted.len())?);
    let total = if accepted.is_empty() {
        "0".to_owned()
    } else {
        money(&state.config.currency, total)
    };
    let message = format!(
        "Sent to {}/{} Total Cost: {total}",
        accepted.len(),
        submission.to.len()
    );
    Ok((
        MessageData {
            message,
            recipients,
        },
        accepted,
    ))
}

fn is_registered(state: &State, sender: &str) -> bool {
    sender == state.config.short_code || state.config.sender_ids.iter().any(|id| id == sender)
}

/// What follows from what was accepted.
#[derive(Default)]
struct Consequences {
    /// The reports that are due before the answer.
    early: Vec<Report>,
    /// The reports that are due after it.
    after: Vec<Report>,
    /// The phones that received an SMS.
    phones: Vec<String>,
}

/// Puts accepted SMS on their phones.
fn landed(state: &State, mut accepted: Vec<Sms>) -> Consequences {
    let meet = |place: Place, number: &str| {
        let met = state
            .faults
            .meet(|fault| fault.place() == place, |other| other == number);
        met.map(|met| met.fault)
    };
    let mut consequences = Consequences::default();
    let mut paused = Vec::new();
    for sms in &mut accepted {
        let (statuses, on_phone) = Fault::reports(meet(Place::Reports, &sms.to));
        sms.on_phone = on_phone;
        if on_phone {
            consequences.phones.push(sms.to.clone());
        }
        let times = match meet(Place::ReportCount, &sms.to) {
            Some(_) => state.config.report_repeats,
            None => 1,
        };
        let due = match meet(Place::ReportTime, &sms.to) {
            Some(Fault::ReportsEarly) => &mut consequences.early,
            Some(_) => &mut paused,
            None => &mut consequences.after,
        };
        for (status, failure_reason) in statuses {
            for _ in 0..times {
                due.push(Report {
                    id: sms.id.clone(),
                    number: sms.to.clone(),
                    status: (*status).to_owned(),
                    failure_reason: failure_reason.map(str::to_owned),
                });
            }
        }
    }
    state.book.change(|book| {
        for sms in accepted {
            book.balance_ten_thousandths -= sms.cost_ten_thousandths;
            book.accepted.push(sms);
        }
        book.paused_reports.extend(paused);
    });
    consequences
}

/// A request's place in the book.
struct RequestNote<'a> {
    state: &'a State,
    place: usize,
}

impl<'a> RequestNote<'a> {
    fn new(state: &'a State, form: &[(String, String)]) -> Self {
        let request = Request {
            at_ms: ids::now_ms(),
            form: form.to_vec(),
            ..Request::default()
        };
        let place = state.book.change(|book| {
            book.requests.push(request);
            book.requests.len() - 1
        });
        Self { state, place }
    }

    fn note(&self, note: impl FnOnce(&mut Request)) {
        self.state
            .book
            .change(|book| book.requests.get_mut(self.place).map(note));
    }
}

async fn messaging(
    Shared(state): Shared<Arc<State>>,
    ConnectInfo(line): ConnectInfo<Line>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let body = match read_body(body, LONGEST_FORM).await {
        ReadBody::Whole(body) => body,
        ReadBody::TooLong => return plain((StatusCode::PAYLOAD_TOO_LARGE, "Too large".to_owned())),
        ReadBody::Broken => return plain((StatusCode::BAD_REQUEST, "Incomplete".to_owned())),
    };
    let form = decoded(&body);
    let entry = RequestNote::new(&state, &form);
    let response = match checked(&state, &headers, &form) {
        Err(refusal) => Some(plain(refusal)),
        Ok(submission) => {
            let wants_json = wants_json(&headers);
            answered(&state, &line, &submission, wants_json, &entry)
                .await
                .unwrap_or_else(|error| {
                    Some(plain((
                        StatusCode::INTERNAL_SERVER_ERROR,
                        error.to_string(),
                    )))
                })
        }
    };
    let Some(response) = response else {
        return std::future::pending().await;
    };
    if !state.config.answer_delay.is_zero() {
        tokio::time::sleep(state.config.answer_delay).await;
    }
    entry.note(|request| request.status = Some(response.status().as_u16()));
    response
}

/// Does what a submission asks for. No answer means that none is to be given.
async fn answered(
    state: &Arc<State>,
    line: &Line,
    submission: &Submission,
    wants_json: bool,
    entry: &RequestNote<'_>,
) -> anyhow::Result<Option<Response>> {
    let meet = |place: Place| {
        let to = |number: &str| submission.to.iter().any(|other| other == number);
        state.faults.meet(|fault| fault.place() == place, to)
    };
    let odd_answer = meet(Place::Answer).map(|met| met.fault);
    let takes_in = odd_answer.is_none_or(Fault::accepts);
    let odd_recipient = if takes_in {
        meet(Place::Recipient)
    } else {
        None
    };
    let registered = submission
        .from
        .as_deref()
        .is_none_or(|sender| is_registered(state, sender));
    let (data, accepted) = if !takes_in {
        (no_recipients(""), Vec::new())
    } else if registered {
        taken_in(state, submission, odd_recipient.as_ref())?
    } else {
        (no_recipients("InvalidSenderId"), Vec::new())
    };
    entry.note(|request| {
        request.accepted_ids = accepted.iter().map(|sms| sms.id.clone()).collect();
        request.fault = odd_answer.or(odd_recipient.map(|met| met.fault));
    });
    let Consequences {
        early,
        after,
        phones,
    } = landed(state, accepted);
    post_reports(state, early).await;

    let instead = odd_answer.and_then(Fault::instead);
    let is_answered = !matches!(instead, Some(Instead::Nothing | Instead::HangUp));
    let answer_written = line.next_write();
    let reporter = state.clone();
    state.tasks.spawn(async move {
        if is_answered {
            answer_written.await;
        }
        post_reports(&reporter, after).await;
        for number in phones {
            answer_as_robot(&reporter, &number).await;
        }
    });
    if instead == Some(Instead::HangUp) {
        line.cut();
    }
    Ok(written(&data, instead, wants_json))
}

async fn user(
    Shared(state): Shared<Arc<State>>,
    ConnectInfo(line): ConnectInfo<Line>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query = decoded(query.unwrap_or_default().as_bytes());
    let Some(username) = field(&query, "username") else {
        let text = "Request is missing required query parameter 'username'".to_owned();
        return plain((StatusCode::BAD_REQUEST, text));
    };
    if let Err(refusal) = admitted(&state, &headers, username) {
        return plain(refusal);
    }
    let standing = state
        .faults
        .standing(|fault| fault.place() == Place::Answer);
    match standing.and_then(Fault::instead) {
        Some(Instead::Nothing) => return std::future::pending().await,
        Some(Instead::HangUp) => {
            line.cut();
            return std::future::pending().await;
        }
        Some(Instead::Text(status, text)) if status != StatusCode::PAYMENT_REQUIRED => {
            return plain((status, text.to_owned()));
        }
        _ => {}
    }
    let out_of_credit = |fault| {
        matches!(
            fault,
            Fault::OutOfCredit | Fault::OutOfCreditEmpty | Fault::OutOfCreditHttp
        )
    };
    let balance = match state.faults.standing(out_of_credit) {
        Some(_) => -state.config.price_ten_thousandths,
        None => state.book.read(|book| book.balance_ten_thousandths),
    };
    answers::balance(
        &money(&state.config.currency, balance),
        wants_json(&headers),
    )
}
