//! What Africa's Talking posts to its customer: delivery reports, incoming messages and opt-outs.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use models::africastalking::{ReportToPost, SmsFromPhone, encode};
use serde::Serialize;

use super::AfricasTalkingState;
use crate::ids;

/// Which of the two callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallbackKind {
    /// An SMS that came from a phone.
    Incoming,
    /// A delivery report.
    Report,
}

/// One attempt to post a callback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallbackAttempt {
    /// When it was posted, in milliseconds since 1970.
    pub at_ms: i64,
    /// Which callback.
    pub kind: CallbackKind,
    /// The SMS it is about: its UUID if it came from a phone, else the `messageId` of its send.
    pub id: String,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The fields, in the order in which they were posted.
    pub form: Vec<(String, String)>,
    /// The HTTP status that came back, if one did.
    pub status: Option<u16>,
    /// Why none came back.
    pub error: Option<String>,
}

impl CallbackAttempt {
    /// Whether it was answered with a 2xx.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.status.is_some_and(is_success)
    }

    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.form
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The outcome of an SMS that a phone sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SentSms {
    /// Its UUID.
    pub id: String,
    /// The HTTP status that the last attempt got, if one came.
    pub status: Option<u16>,
    /// How many attempts it took.
    pub attempts: u32,
}

/// An SMS that a phone sent, and how its callback fares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PhoneSms {
    /// Its UUID.
    pub id: String,
    /// The phone.
    pub from: String,
    /// The text.
    pub text: String,
    /// When it was sent, in milliseconds since 1970.
    pub at_ms: i64,
    /// How many attempts have ended.
    pub attempts: u32,
    /// The HTTP status that the last of them got, if one came.
    pub status: Option<u16>,
    /// Whether no further attempt will be made.
    pub is_over: bool,
}

impl PhoneSms {
    /// Whether somebody has answered for it.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.status.is_some_and(is_success)
    }
}

/// Posts reports one after another.
pub(super) async fn post_reports(state: &AfricasTalkingState, reports: Vec<ReportToPost>) {
    for report in reports {
        let form = state
            .book
            .read(|book| book.model.application.report_form(&report));
        post(state, CallbackKind::Report, &report.id, &form).await;
    }
}

/// Hands an SMS from a phone over.
pub(super) async fn post_incoming(
    state: &AfricasTalkingState,
    from: &str,
    text: &str,
) -> anyhow::Result<SentSms> {
    has_incoming_callback(state)?;
    let sms = SmsFromPhone {
        id: ids::uuid()?,
        from: from.to_owned(),
        text: text.to_owned(),
        link_id: ids::uuid()?,
        at_ms: ids::now_ms(),
    };
    let form = state.book.change(|book| {
        book.from_phones.push(PhoneSms {
            id: sms.id.clone(),
            from: sms.from.clone(),
            text: sms.text.clone(),
            at_ms: sms.at_ms,
            attempts: 0,
            status: None,
            is_over: false,
        });
        book.model.application.incoming_form(&sms)
    });
    post_incoming_form(state, &sms.id, &form).await
}

/// Opts a phone out: each SMS to it is refused from now on, and the callback for opt-outs says so, once.
/// Answers the status that the callback got.
pub(super) async fn post_opt_out(state: &AfricasTalkingState, number: &str) -> anyhow::Result<u16> {
    let (url, form) = state.book.change(|book| {
        book.model.opted_out.insert(number.to_owned());
        let form = book.model.application.opt_out_form(number);
        (book.opt_outs_callback.clone(), form)
    });
    let url = url.context("no callback for opt-outs is configured")?;
    let posted = state
        .client
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(encode(&form));
    // The address of a callback holds a key.
    let answer = posted.send().await.map_err(reqwest::Error::without_url)?;
    Ok(answer.status().as_u16())
}

fn has_incoming_callback(state: &AfricasTalkingState) -> anyhow::Result<()> {
    if state.book.read(|book| book.incoming_callback.is_none()) {
        bail!("no callback for incoming messages is configured");
    }
    Ok(())
}

/// Hands an incoming SMS over, with fields just as they are given.
pub(super) async fn post_incoming_form(
    state: &AfricasTalkingState,
    id: &str,
    form: &[(String, String)],
) -> anyhow::Result<SentSms> {
    has_incoming_callback(state)?;
    let (status, attempts) = post(state, CallbackKind::Incoming, id, form).await;
    Ok(SentSms {
        id: id.to_owned(),
        status,
        attempts,
    })
}

/// Posts a callback until it is answered with a 2xx, a few times at most. Answers the last status
/// and the number of attempts.
async fn post(
    state: &AfricasTalkingState,
    kind: CallbackKind,
    id: &str,
    form: &[(String, String)],
) -> (Option<u16>, u32) {
    let body = encode(form);
    let mut last = (None, 0);
    for attempt in 1..=state.config.callback_attempts {
        if attempt > 1 && !state.config.callback_pause.is_zero() {
            tokio::time::sleep(state.config.callback_pause).await;
        }
        let url = state.book.read(|book| match kind {
            CallbackKind::Incoming => book.incoming_callback.clone(),
            CallbackKind::Report => book.reports_callback.clone(),
        });
        let Some(url) = url else {
            return last;
        };
        let at_ms = ids::now_ms();
        let answered = state
            .client
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.clone())
            .send()
            .await;
        // The address of a callback holds a key, which a record must not.
        let (status, error) = match answered {
            Ok(answer) => (Some(answer.status().as_u16()), None),
            Err(error) => (
                None,
                Some(format!("{:#}", anyhow::Error::new(error.without_url()))),
            ),
        };
        last = (status, attempt);
        let record = CallbackAttempt {
            at_ms,
            kind,
            id: id.to_owned(),
            attempt,
            form: form.to_vec(),
            status,
            error,
        };
        let is_over = status.is_some_and(is_success) || attempt == state.config.callback_attempts;
        state.book.change(|book| {
            book.callbacks.push(record);
            if kind == CallbackKind::Incoming {
                let sent = book.from_phones.iter_mut().rfind(|sms| sms.id == id);
                if let Some(sms) = sent {
                    (sms.attempts, sms.status, sms.is_over) = (attempt, status, is_over);
                }
            }
        });
        if is_over {
            break;
        }
    }
    last
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Lets the phone with this number answer an SMS, if it is a robot.
pub(super) async fn answer_as_robot(state: &Arc<AfricasTalkingState>, number: &str) {
    let answer = state.book.change(|book| book.model.robot_answers(number));
    if let Some(text) = answer {
        // Without a callback nobody hears the robot, and that is all.
        let _ = post_incoming(state, number, text).await;
    }
}
