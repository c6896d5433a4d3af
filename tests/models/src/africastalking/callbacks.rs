//! What Africa's Talking posts to its customer: delivery reports, incoming messages and opt-outs.

use time::OffsetDateTime;
use time::macros::format_description;

use super::Application;

/// A delivery report that is to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportToPost {
    /// The `messageId` of the send.
    pub id: String,
    /// The phone.
    pub number: String,
    /// The status.
    pub status: String,
    /// Why, if it failed.
    pub failure_reason: Option<String>,
}

/// An SMS that a phone sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmsFromPhone {
    /// Its UUID.
    pub id: String,
    /// The phone, or an alphanumeric sender.
    pub from: String,
    /// The text.
    pub text: String,
    /// The `linkId`.
    pub link_id: String,
    /// When it was sent, in milliseconds since 1970.
    pub at_ms: i64,
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

impl Application {
    /// The fields of a delivery report, in order.
    #[must_use]
    pub fn report_form(&self, report: &ReportToPost) -> Vec<(String, String)> {
        let mut form = pairs([("phoneNumber", &report.number)]);
        if let Some(reason) = &report.failure_reason {
            form.extend(pairs([("failureReason", reason)]));
        }
        form.extend(pairs([
            ("retryCount", "0"),
            ("id", &report.id),
            ("status", &report.status),
            ("networkCode", &self.network_code),
        ]));
        form
    }

    /// The fields of an opt-out, as they are documented: it has no id.
    #[must_use]
    pub fn opt_out_form(&self, number: &str) -> Vec<(String, String)> {
        pairs([("senderId", &self.short_code), ("phoneNumber", number)])
    }

    /// The fields of an incoming message, in order.
    #[must_use]
    pub fn incoming_form(&self, sms: &SmsFromPhone) -> Vec<(String, String)> {
        pairs([
            ("from", &sms.from),
            ("linkId", &sms.link_id),
            ("text", &sms.text),
            ("id", &sms.id),
            ("date", &date(sms.at_ms)),
            ("to", &self.short_code),
            ("cost", "None"),
            ("networkCode", &self.network_code),
        ])
    }
}

/// A date as it has been seen in callbacks, without a zone.
fn date(at_ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(at_ms / 1000);
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
    at.ok()
        .and_then(|at| at.format(format).ok())
        .unwrap_or_default()
}

/// A form as a body.
#[must_use]
pub fn encode(form: &[(String, String)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish()
}
