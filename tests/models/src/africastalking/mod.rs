//! Africa's Talking, and the phones behind it.
//!
//! The model does what was seen of the real one. Where nothing was seen, it does what the documentation
//! says. It is not kinder: without `Accept: application/json` it answers XML, and it says 201 where
//! nothing was sent.
//!
//! Four things nobody outside Africa's Talking knows: when it retries a callback, in which order reports
//! come, which HTTP status it uses for another content type or for missing credit, and in which order it
//! checks a request. The first is left to the program that drives the model. For the others the model
//! guesses: Submitted, then Success; 415 and 402; fields, then key. The texts of its 429, 500 and 502
//! are invented.

mod application;
mod callbacks;
mod faults;
mod messaging;
mod parts;
mod responses;

use std::collections::BTreeSet;
use std::fmt;

pub use self::application::Application;
pub use self::callbacks::{ReportToPost, SmsFromPhone, encode};
pub use self::faults::{AfricasTalkingFault, Instead, Ruling};
use self::faults::{AfricasTalkingFaultPlace, INVALID_AUTHENTICATION, INVALID_PHONE_NUMBER};
pub use self::messaging::{
    Conduct, Consequences, ProcessedRequest, SendRequest, Sent, SmsToPhone, Submission,
};
use self::responses::{MessageData, Recipient, money, no_recipients, plain};
use crate::faults::{Active, Faults};
use crate::http::{ServerOutcome, ServerRequest, ServerResponse};

/// The sender that a phone shows when the send named none.
const DEFAULT_SENDER: &str = "AFRICASTKNG";

/// The text with which a robot answers every SMS.
pub const ROBOT_TEXT: &str = "This number does not take messages.";

/// A form longer than this is refused.
pub const LONGEST_FORM: usize = 8 * 1024 * 1024;

const FORM: &str = "application/x-www-form-urlencoded";

type NewId = dyn FnMut() -> String + Send + Sync;

/// Africa's Talking, as one customer sees it.
pub struct AfricasTalkingModel {
    /// The customer's application.
    pub application: Application,
    /// The faults that are switched on.
    pub faults: Faults<AfricasTalkingFault>,
    /// Every SMS that was accepted, in order, also those that no phone received.
    pub accepted: Vec<SmsToPhone>,
    /// Every request to send, in the order of arrival.
    pub requests: Vec<SendRequest>,
    /// The reports that [`AfricasTalkingFault::ReportsLate`] holds.
    pub paused_reports: Vec<ReportToPost>,
    /// The phones that have opted out: each SMS to them is refused with 406.
    pub opted_out: BTreeSet<String>,
    new_id: Box<NewId>,
}

impl fmt::Debug for AfricasTalkingModel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AfricasTalking")
            .field("accepted", &self.accepted.len())
            .finish_non_exhaustive()
    }
}

impl AfricasTalkingModel {
    /// An application that nobody has used; `new_id` gives each accepted SMS its id.
    pub fn new(
        application: Application,
        new_id: impl FnMut() -> String + Send + Sync + 'static,
    ) -> Self {
        Self {
            application,
            faults: Faults::default(),
            accepted: Vec::new(),
            requests: Vec::new(),
            paused_reports: Vec::new(),
            opted_out: BTreeSet::new(),
            new_id: Box::new(new_id),
        }
    }

    /// A request arrives.
    pub fn receive(&mut self, request: &ServerRequest, now_ms: i64) -> ProcessedRequest {
        let done = |outcome| ProcessedRequest {
            request: None,
            outcome,
            consequences: Consequences::default(),
        };
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/version1/messaging") => self.messaging(request, now_ms),
            ("GET", "/version1/user") => done(self.user(request)),
            _ => done(ServerOutcome::Response(plain(404, "Not found"))),
        }
    }

    /// A request was answered with this status.
    pub fn answered(&mut self, request: usize, status: u16) {
        if let Some(request) = self.requests.get_mut(request) {
            request.status = Some(status);
        }
    }

    /// The SMS that a phone received, in order.
    #[must_use]
    pub fn phone(&self, number: &str) -> Vec<SmsToPhone> {
        let received = |sms: &&SmsToPhone| sms.on_phone && sms.to == number;
        self.accepted.iter().filter(received).cloned().collect()
    }

    /// The number that an accepted SMS went to.
    #[must_use]
    pub fn number_of(&self, id: &str) -> Option<&str> {
        let sms = self.accepted.iter().find(|sms| sms.id == id);
        sms.map(|sms| sms.to.as_str())
    }

    /// Whether `username` and the header `apiKey` are right.
    fn admit(&self, request: &ServerRequest, username: &str) -> Result<(), ServerResponse> {
        let application = &self.application;
        let key = request.header("apikey");
        if key == Some(application.api_key.as_str()) && username == application.username {
            Ok(())
        } else {
            Err(plain(401, INVALID_AUTHENTICATION))
        }
    }

    fn check(
        &self,
        request: &ServerRequest,
        form: &[(String, String)],
    ) -> Result<Submission, ServerResponse> {
        if request.body.len() > LONGEST_FORM {
            return Err(plain(413, "Too large"));
        }
        if !is_form(request) {
            let text = format!("The request's Content-Type is not supported. Expected:\n{FORM}");
            return Err(plain(415, &text));
        }
        let required = |name: &str| {
            let missing = || format!("Request is missing required form field '{name}'");
            field(form, name).ok_or_else(|| plain(400, &missing()))
        };
        let username = required("username")?;
        let to = required("to")?;
        let message = required("message")?;
        self.admit(request, username)?;
        Ok(Submission {
            to: to.split(',').map(str::to_owned).collect(),
            from: field(form, "from").map(str::to_owned),
            message: message.to_owned(),
            enqueue: field(form, "enqueue") == Some("1"),
            accepts_json: request.accepts_json(),
        })
    }

    fn messaging(&mut self, request: &ServerRequest, now_ms: i64) -> ProcessedRequest {
        let form: Vec<(String, String)> = match request.body.len() > LONGEST_FORM {
            true => Vec::new(),
            false => form_urlencoded::parse(&request.body).into_owned().collect(),
        };
        let number = self.requests.len();
        let checked = self.check(request, &form);
        self.requests.push(SendRequest {
            at_ms: now_ms,
            form,
            ..SendRequest::default()
        });
        let (outcome, consequences) = match checked {
            Err(refusal) => (ServerOutcome::Response(refusal), Consequences::default()),
            Ok(submission) => {
                let (conduct, fault) = self.conduct(&submission);
                let sent = self.send(&submission, &conduct, now_ms);
                if let Some(request) = self.requests.get_mut(number) {
                    request.accepted_ids = sent.accepted.iter().map(|sms| sms.id.clone()).collect();
                    request.fault = fault;
                }
                (sent.outcome, self.land(sent.accepted))
            }
        };
        ProcessedRequest {
            request: Some(number),
            outcome,
            consequences,
        }
    }

    /// How the faults change a submission, and the fault of its response.
    fn conduct(&mut self, submission: &Submission) -> (Conduct, Option<AfricasTalkingFault>) {
        let to = |number: &str| submission.to.iter().any(|other| other == number);
        let mut meet =
            |place: AfricasTalkingFaultPlace| self.faults.meet(|fault| fault.place() == place, to);
        let odd_response = meet(AfricasTalkingFaultPlace::Answer).map(|met| met.fault);
        let mut conduct = odd_response
            .map(AfricasTalkingFault::conduct)
            .unwrap_or_default();
        let odd_recipient = if conduct.accepts {
            meet(AfricasTalkingFaultPlace::Recipient)
        } else {
            None
        };
        let ruling = |odd: &Active<AfricasTalkingFault>| {
            let number = submission
                .to
                .iter()
                .find(|number| odd.scope == crate::faults::Scope::Matching((*number).clone()));
            Some((odd.fault.ruling()?, number.cloned()))
        };
        conduct.ruling = odd_recipient.as_ref().and_then(ruling);
        let fault = odd_response.or(odd_recipient.map(|met| met.fault));
        (conduct, fault)
    }

    /// Does what a submission asks for.
    pub fn send(&mut self, submission: &Submission, conduct: &Conduct, now_ms: i64) -> Sent {
        let is_registered = |sender: &str| {
            let application = &self.application;
            sender == application.short_code || application.sender_ids.iter().any(|id| id == sender)
        };
        let (data, accepted) = if !conduct.accepts {
            (no_recipients(""), Vec::new())
        } else if submission.from.as_deref().is_none_or(is_registered) {
            self.take_in(submission, conduct.ruling.as_ref(), now_ms)
        } else {
            (no_recipients("InvalidSenderId"), Vec::new())
        };
        Sent {
            outcome: responses::outcome(&data, conduct.instead.as_ref(), submission.accepts_json),
            accepted,
        }
    }

    /// The response, and what was accepted.
    fn take_in(
        &mut self,
        submission: &Submission,
        odd: Option<&(Ruling, Option<String>)>,
        now_ms: i64,
    ) -> (MessageData, Vec<SmsToPhone>) {
        let parts = parts::count(&submission.message);
        let cost = self
            .application
            .price_ten_thousandths
            .saturating_mul(parts.into());
        let currency = self.application.currency.clone();
        let mut recipients = Vec::new();
        let mut accepted = Vec::new();
        for number in &submission.to {
            let ruling = match odd {
                _ if !is_international(number) => INVALID_PHONE_NUMBER,
                _ if self.opted_out.contains(number) => Ruling::refused(406),
                Some((ruling, to)) if to.as_ref().is_none_or(|to| to == number) => *ruling,
                _ => Ruling::usual(submission.enqueue),
            };
            let id = ruling.accepted.then(|| (self.new_id)());
            recipients.push(Recipient {
                cost: match ruling.accepted {
                    true => money(&currency, cost),
                    false => "0".to_owned(),
                },
                message_id: match &id {
                    Some(id) if ruling.names_id => id.clone(),
                    _ => "None".to_owned(),
                },
                // A response with 102 has been seen without it.
                message_parts: (ruling.accepted && ruling.code != Some(102)).then_some(parts),
                number: number.clone(),
                status: ruling.status,
                status_code: ruling.code,
            });
            if let Some(id) = id {
                let from = submission.from.as_deref().unwrap_or(DEFAULT_SENDER);
                accepted.push(SmsToPhone {
                    id,
                    to: number.clone(),
                    from: from.to_owned(),
                    text: submission.message.clone(),
                    at_ms: now_ms,
                    cost_ten_thousandths: cost,
                    on_phone: true,
                });
            }
        }
        let total = match i64::try_from(accepted.len()) {
            Ok(count) if count > 0 => money(&currency, cost.saturating_mul(count)),
            _ => "0".to_owned(),
        };
        let (count, of) = (accepted.len(), submission.to.len());
        let data = MessageData {
            message: format!("Sent to {count}/{of} Total Cost: {total}"),
            recipients,
        };
        (data, accepted)
    }

    /// Puts accepted SMS on their phones, and has them paid.
    pub fn land(&mut self, mut accepted: Vec<SmsToPhone>) -> Consequences {
        let mut consequences = Consequences::default();
        for sms in &mut accepted {
            let mut meet = |place: AfricasTalkingFaultPlace| {
                let met = self
                    .faults
                    .meet(|fault| fault.place() == place, |other| other == sms.to);
                met.map(|met| met.fault)
            };
            let (statuses, on_phone) =
                AfricasTalkingFault::reports(meet(AfricasTalkingFaultPlace::Reports));
            let times = match meet(AfricasTalkingFaultPlace::ReportCount) {
                Some(_) => self.application.report_repeats,
                None => 1,
            };
            let due = match meet(AfricasTalkingFaultPlace::ReportTime) {
                Some(AfricasTalkingFault::ReportsEarly) => &mut consequences.early,
                Some(_) => &mut self.paused_reports,
                None => &mut consequences.after,
            };
            sms.on_phone = on_phone;
            for (status, failure_reason) in statuses {
                for _ in 0..times {
                    due.push(ReportToPost {
                        id: sms.id.clone(),
                        number: sms.to.clone(),
                        status: (*status).to_owned(),
                        failure_reason: failure_reason.map(str::to_owned),
                    });
                }
            }
            if on_phone {
                consequences.phones.push(sms.to.clone());
            }
        }
        for sms in accepted {
            self.application.balance_ten_thousandths -= sms.cost_ten_thousandths;
            self.accepted.push(sms);
        }
        consequences
    }

    /// The text with which the phone with this number answers an SMS, if it is a robot.
    pub fn robot_answers(&mut self, number: &str) -> Option<&'static str> {
        let robot = |fault: AfricasTalkingFault| fault.place() == AfricasTalkingFaultPlace::Phone;
        self.faults.meet(robot, |other| other == number)?;
        Some(ROBOT_TEXT)
    }

    fn user(&self, request: &ServerRequest) -> ServerOutcome {
        let query: Vec<(String, String)> = form_urlencoded::parse(request.query.as_bytes())
            .into_owned()
            .collect();
        let Some(username) = field(&query, "username") else {
            let text = "Request is missing required query parameter 'username'";
            return ServerOutcome::Response(plain(400, text));
        };
        if let Err(refusal) = self.admit(request, username) {
            return ServerOutcome::Response(refusal);
        }
        let standing = self
            .faults
            .standing(|fault| fault.place() == AfricasTalkingFaultPlace::Answer);
        match standing.and_then(|fault| fault.conduct().instead) {
            Some(Instead::Silence) => return ServerOutcome::Silence,
            Some(Instead::Closed) => return ServerOutcome::Closed,
            Some(Instead::Text(status, text)) if status != 402 => {
                return ServerOutcome::Response(plain(status, &text));
            }
            _ => {}
        }
        let out_of_credit = |fault| {
            matches!(
                fault,
                AfricasTalkingFault::OutOfCredit
                    | AfricasTalkingFault::OutOfCreditEmpty
                    | AfricasTalkingFault::OutOfCreditHttp
            )
        };
        let application = &self.application;
        let balance = match self.faults.standing(out_of_credit) {
            Some(_) => -application.price_ten_thousandths,
            None => application.balance_ten_thousandths,
        };
        let small = |fault| fault == AfricasTalkingFault::SmallUserData;
        let field = match self.faults.standing(small) {
            Some(_) => "userData",
            None => "UserData",
        };
        let balance = money(&application.currency, balance);
        ServerOutcome::Response(responses::balance(field, &balance, request.accepts_json()))
    }
}

fn field<'a>(form: &'a [(String, String)], name: &str) -> Option<&'a str> {
    form.iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

fn is_form(request: &ServerRequest) -> bool {
    let content_type = request.header("content-type").unwrap_or_default();
    content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case(FORM)
}

/// Whether this is an international number with its `+`.
fn is_international(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or_default();
    (8..=15).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0')
}
