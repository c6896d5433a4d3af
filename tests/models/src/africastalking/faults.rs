//! What can go wrong at Africa's Talking.

use super::Conduct;
use crate::faults::named_faults;

named_faults! {
    /// A fault of Africa's Talking, or of what is between it and its customer.
    pub enum AfricasTalkingFault {
        Down, "down",
            "The port refuses connections until this is cleared (use the control port for that).";
        Hang, "hang",
            "The request is read, nothing is accepted, and no answer ever comes.";
        Close, "close",
            "Nothing is accepted, and the connection is closed without an answer.";
        AcceptedHang, "accepted-hang",
            "The SMS is accepted and goes its way, and no answer ever comes (seen).";
        AcceptedClose, "accepted-close",
            "The SMS is accepted and goes its way, and the connection is closed without an answer.";
        Http400, "http-400",
            "400 in plain text; nothing is accepted.";
        Http401, "http-401",
            "401 in plain text although the key is right (seen); nothing is accepted.";
        Http429, "http-429",
            "429 in plain text; nothing is accepted.";
        Http500, "http-500",
            "500 in plain text; nothing is accepted.";
        Http502, "http-502",
            "502 in plain text; nothing is accepted.";
        Http503, "http-503",
            "503 in plain text; nothing is accepted.";
        AcceptedHttp500, "accepted-http-500",
            "500 in plain text, and the SMS is accepted all the same.";
        AcceptedHttp502, "accepted-http-502",
            "502 in plain text, and the SMS is accepted all the same.";
        AcceptedHttp503, "accepted-http-503",
            "503 in plain text (Africa's Talking's own time-out), and the SMS is accepted all the same.";
        AcceptedHtml, "accepted-html",
            "The SMS is accepted, and the 201 holds an HTML page.";
        AcceptedTruncated, "accepted-truncated",
            "The SMS is accepted, and the JSON of the 201 ends in the middle.";
        AcceptedEmpty, "accepted-empty",
            "The SMS is accepted, and the 201 has no body.";
        NoRecipients, "no-recipients",
            "201 with no recipients and the message InvalidSenderId (seen); nothing is accepted.";
        UnknownId, "unknown-id",
            "201 with no recipients and the message Sent to 0/1; nothing is accepted.";
        Html, "html",
            "The 201 holds an HTML page; nothing is accepted.";
        OutOfCredit, "out-of-credit",
            "201, and every recipient is refused with 405 InsufficientBalance (seen).";
        OutOfCreditEmpty, "out-of-credit-empty",
            "201 with no recipients and the message InsufficientBalance; nothing is accepted.";
        OutOfCreditHttp, "out-of-credit-http",
            "402 in plain text, InsufficientBalance; nothing is accepted.";
        Processed, "processed",
            "Accepted with status code 100 (seen).";
        Sent, "sent",
            "Accepted with status code 101, also with enqueue=1.";
        Queued, "queued",
            "Accepted with status code 102, also without enqueue=1.";
        RiskHold, "risk-hold",
            "Every recipient is refused with 401 RiskHold in a 201.";
        InvalidSenderId, "invalid-sender-id",
            "Every recipient is refused with 402 InvalidSenderId in a 201.";
        InvalidPhoneNumber, "invalid-phone-number",
            "Every recipient is refused with 403 InvalidPhoneNumber in a 201 (seen).";
        UnsupportedNumberType, "unsupported-number-type",
            "Every recipient is refused with 404 UnsupportedNumberType in a 201.";
        UserInBlacklist, "user-in-blacklist",
            "Every recipient is refused with 406 UserInBlacklist in a 201 (seen).";
        CouldNotRoute, "could-not-route",
            "Every recipient is refused with 407 CouldNotRoute in a 201.";
        DoNotDisturb, "do-not-disturb",
            "Every recipient is refused with 409 DoNotDisturbRejection in a 201.";
        InternalServerError, "internal-server-error",
            "Every recipient gets 500 InternalServerError in a 201; nothing is accepted.";
        AcceptedInternalServerError, "accepted-internal-server-error",
            "Every recipient gets 500 InternalServerError in a 201, and the SMS is accepted all the same.";
        GatewayError, "gateway-error",
            "Every recipient is refused with 501 GatewayError in a 201.";
        RejectedByGateway, "rejected-by-gateway",
            "Every recipient is refused with 502 RejectedByGateway in a 201.";
        UnlistedCode, "unlisted-code",
            "Every recipient is refused with 499, a code that is in no list, in a 201.";
        AcceptedNoStatusCode, "accepted-no-status-code",
            "Accepted, and the answer has no statusCode, as old ones had not.";
        AcceptedIdNone, "accepted-id-none",
            "Accepted with 101, but the messageId of the answer is None; reports have the real one.";
        ReportsNone, "reports-none",
            "No delivery report comes.";
        ReportsEarly, "reports-early",
            "All delivery reports come before the answer to the send.";
        ReportsLate, "reports-late",
            "Delivery reports are held until they are released.";
        ReportsRepeated, "reports-repeated",
            "Every delivery report comes several times.";
        ReportsReordered, "reports-reordered",
            "Success comes first, then Submitted, then Sent.";
        ReportsBufferedFirst, "reports-buffered-first",
            "Buffered comes first, then Submitted and Success.";
        ReportsFailed, "reports-failed",
            "Submitted, then Failed with DeliveryFailure; the phone gets nothing.";
        ReportsRejected, "reports-rejected",
            "Rejected with UserInBlackList; the phone gets nothing.";
        ReportsExpired, "reports-expired",
            "Submitted, then Expired; the phone gets nothing.";
        ReportsAbsentSubscriber, "reports-absent-subscriber",
            "Submitted, then AbsentSubscriber; the phone gets nothing.";
        ReportsExpiredThenSuccess, "reports-expired-then-success",
            "Submitted, then Expired, then Success after all.";
        ReportsUnknownStatus, "reports-unknown-status",
            "Submitted, then Teleported, a status that is in no list.";
        SmallUserData, "small-user-data",
            "The user call spells its field userData (seen).";
        Robot, "robot",
            "Every phone answers every SMS that it gets with an SMS.";
    }
}

/// Where a fault strikes. Of each place, one fault at a time counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfricasTalkingFaultPlace {
    /// The port itself.
    Port,
    /// The answer as a whole.
    Answer,
    /// A recipient's line in the answer.
    Recipient,
    /// Which delivery reports come.
    Reports,
    /// When they come.
    ReportTime,
    /// How often they come.
    ReportCount,
    /// The phone that gets the SMS.
    Phone,
    /// The user call alone.
    User,
}

impl AfricasTalkingFaultPlace {
    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Port => "It cannot be reached",
            Self::Answer => "Its answer to a send as a whole",
            Self::Recipient => "What its answer says of a recipient",
            Self::Reports => "Which delivery reports come",
            Self::ReportTime => "When delivery reports come",
            Self::ReportCount => "How often delivery reports come",
            Self::Phone => "What the phones do",
            Self::User => "Its answer to the user call",
        }
    }
}

/// The result that a caller gets instead of the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// Nothing, for ever.
    Silence,
    /// The connection is closed.
    Closed,
    /// An HTTP status and plain text.
    Text(u16, String),
    /// A 201 with this page.
    Page(String),
    /// A 201 whose JSON ends in the middle.
    Truncated,
    /// A 201 without a body.
    Empty,
    /// A 201 without recipients, and this message.
    NoRecipients(String),
}

/// The fate of an SMS to one recipient, and what the response says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// The `statusCode`, if there is one.
    pub code: Option<u16>,
    /// The `status`.
    pub status: &'static str,
    /// Whether the SMS is accepted.
    pub accepted: bool,
    /// Whether the response has its id.
    pub names_id: bool,
}

/// `InvalidPhoneNumber`, which a number can earn without any fault.
pub(super) const INVALID_PHONE_NUMBER: Ruling = refused(403, "InvalidPhoneNumber");

const fn accepted(code: u16) -> Ruling {
    Ruling::accepted(code)
}

const fn refused(code: u16, status: &'static str) -> Ruling {
    Ruling {
        code: Some(code),
        status,
        accepted: false,
        names_id: false,
    }
}

/// The names of the codes that refuse a recipient.
const REFUSALS: [(u16, &str); 11] = [
    (401, "RiskHold"),
    (402, "InvalidSenderId"),
    (403, "InvalidPhoneNumber"),
    (404, "UnsupportedNumberType"),
    (405, "InsufficientBalance"),
    (406, "UserInBlacklist"),
    (407, "CouldNotRoute"),
    (409, "DoNotDisturbRejection"),
    (500, "InternalServerError"),
    (501, "GatewayError"),
    (502, "RejectedByGateway"),
];

impl Ruling {
    /// Accepted with this code.
    #[must_use]
    pub const fn accepted(code: u16) -> Self {
        Self {
            code: Some(code),
            status: "Success",
            accepted: true,
            names_id: true,
        }
    }

    /// Refused with this code, under its name; one that is in no list is `SomethingNew`.
    #[must_use]
    pub fn refused(code: u16) -> Self {
        let known = REFUSALS.iter().find(|(known, _)| *known == code);
        refused(code, known.map_or("SomethingNew", |(_, name)| name))
    }

    /// The usual one: queued when the caller asked for it, else sent (seen).
    pub(super) const fn usual(enqueue: bool) -> Self {
        accepted(if enqueue { 102 } else { 101 })
    }
}

/// The text of a 503 says that no timely answer could be produced.
pub(super) const TIMELY: &str = "The server was not able to produce a timely response to your request.\r\n\
     Please try again in a short while!";
/// The text of a 401 (seen).
pub(super) const INVALID_AUTHENTICATION: &str = "The supplied authentication is invalid";
const PAGE: &str = "<html><body>Africa's Talking</body></html>";
const INTERNAL: &str = "There was an internal server error.";

impl AfricasTalkingFault {
    pub(super) fn place(self) -> AfricasTalkingFaultPlace {
        match self {
            Self::Down => AfricasTalkingFaultPlace::Port,
            Self::ReportsEarly | Self::ReportsLate => AfricasTalkingFaultPlace::ReportTime,
            Self::ReportsRepeated => AfricasTalkingFaultPlace::ReportCount,
            Self::ReportsNone
            | Self::ReportsReordered
            | Self::ReportsBufferedFirst
            | Self::ReportsFailed
            | Self::ReportsRejected
            | Self::ReportsExpired
            | Self::ReportsAbsentSubscriber
            | Self::ReportsExpiredThenSuccess
            | Self::ReportsUnknownStatus => AfricasTalkingFaultPlace::Reports,
            Self::Robot => AfricasTalkingFaultPlace::Phone,
            Self::SmallUserData => AfricasTalkingFaultPlace::User,
            _ if self.ruling().is_some() => AfricasTalkingFaultPlace::Recipient,
            _ => AfricasTalkingFaultPlace::Answer,
        }
    }

    /// Whether the SMS is accepted although the answer does not say so.
    fn accepts(self) -> bool {
        matches!(
            self,
            Self::AcceptedHang
                | Self::AcceptedClose
                | Self::AcceptedHttp500
                | Self::AcceptedHttp502
                | Self::AcceptedHttp503
                | Self::AcceptedHtml
                | Self::AcceptedTruncated
                | Self::AcceptedEmpty
        )
    }

    fn instead(self) -> Option<Instead> {
        let text = |status, text: &str| Some(Instead::Text(status, text.to_owned()));
        let no_recipients = |message: &str| Some(Instead::NoRecipients(message.to_owned()));
        match self {
            Self::Hang | Self::AcceptedHang => Some(Instead::Silence),
            Self::Close | Self::AcceptedClose => Some(Instead::Closed),
            Self::Http400 => text(400, "Request is missing required form field 'to'"),
            Self::Http401 => text(401, INVALID_AUTHENTICATION),
            Self::Http429 => text(429, "Too Many Requests"),
            Self::Http500 | Self::AcceptedHttp500 => text(500, INTERNAL),
            Self::Http502 | Self::AcceptedHttp502 => text(502, "Bad Gateway"),
            Self::Http503 | Self::AcceptedHttp503 => text(503, TIMELY),
            Self::Html | Self::AcceptedHtml => Some(Instead::Page(PAGE.to_owned())),
            Self::AcceptedTruncated => Some(Instead::Truncated),
            Self::AcceptedEmpty => Some(Instead::Empty),
            Self::NoRecipients => no_recipients("InvalidSenderId"),
            Self::UnknownId => no_recipients("Sent to 0/1"),
            Self::OutOfCreditEmpty => no_recipients("InsufficientBalance"),
            Self::OutOfCreditHttp => text(402, "InsufficientBalance"),
            _ => None,
        }
    }

    /// What Africa's Talking does with a request that this fault strikes as a whole.
    pub(super) fn conduct(self) -> Conduct {
        Conduct {
            accepts: self.accepts(),
            instead: self.instead(),
            ..Conduct::default()
        }
    }

    pub(super) fn ruling(self) -> Option<Ruling> {
        let ruling = match self {
            Self::Processed => accepted(100),
            Self::Sent => accepted(101),
            Self::Queued => accepted(102),
            Self::RiskHold => refused(401, "RiskHold"),
            Self::InvalidSenderId => refused(402, "InvalidSenderId"),
            Self::InvalidPhoneNumber => INVALID_PHONE_NUMBER,
            Self::UnsupportedNumberType => refused(404, "UnsupportedNumberType"),
            Self::OutOfCredit => refused(405, "InsufficientBalance"),
            Self::UserInBlacklist => refused(406, "UserInBlacklist"),
            Self::CouldNotRoute => refused(407, "CouldNotRoute"),
            Self::DoNotDisturb => refused(409, "DoNotDisturbRejection"),
            Self::InternalServerError => refused(500, "InternalServerError"),
            Self::AcceptedInternalServerError => Ruling {
                accepted: true,
                ..refused(500, "InternalServerError")
            },
            Self::GatewayError => refused(501, "GatewayError"),
            Self::RejectedByGateway => refused(502, "RejectedByGateway"),
            Self::UnlistedCode => refused(499, "SomethingNew"),
            Self::AcceptedNoStatusCode => Ruling {
                code: None,
                ..accepted(101)
            },
            Self::AcceptedIdNone => Ruling {
                names_id: false,
                ..accepted(101)
            },
            _ => return None,
        };
        Some(ruling)
    }

    /// The statuses that are reported, each with its reason, and whether the phone gets the SMS.
    pub(super) fn reports(
        fault: Option<Self>,
    ) -> (&'static [(&'static str, Option<&'static str>)], bool) {
        match fault {
            Some(Self::ReportsNone) => (&[], true),
            Some(Self::ReportsReordered) => (
                &[("Success", None), ("Submitted", None), ("Sent", None)],
                true,
            ),
            Some(Self::ReportsBufferedFirst) => (
                &[("Buffered", None), ("Submitted", None), ("Success", None)],
                true,
            ),
            Some(Self::ReportsFailed) => (
                &[("Submitted", None), ("Failed", Some("DeliveryFailure"))],
                false,
            ),
            Some(Self::ReportsRejected) => (&[("Rejected", Some("UserInBlackList"))], false),
            Some(Self::ReportsExpired) => (&[("Submitted", None), ("Expired", None)], false),
            Some(Self::ReportsAbsentSubscriber) => {
                (&[("Submitted", None), ("AbsentSubscriber", None)], false)
            }
            Some(Self::ReportsExpiredThenSuccess) => (
                &[("Submitted", None), ("Expired", None), ("Success", None)],
                true,
            ),
            Some(Self::ReportsUnknownStatus) => {
                (&[("Submitted", None), ("Teleported", None)], true)
            }
            _ => (&[("Submitted", None), ("Success", None)], true),
        }
    }
}
