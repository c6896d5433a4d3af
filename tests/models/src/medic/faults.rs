//! What can go wrong at Medic, and between it and its callers.

use serde_json::json;

use super::responses;
use crate::faults::named_faults;
use crate::http::{ServerOutcome, ServerResponse};

named_faults! {
    /// A fault of Medic, or of what is between it and its callers.
    pub enum MedicFault {
        Down, "down",
            "The port refuses connections until this is cleared (use the control port for that).";
        Starting, "starting",
            "Medic starts or upgrades: 503, or an HTML page with 200 for callers without Accept: application/json.";
        Hang, "hang",
            "No work is done, and no answer ever comes.";
        Close, "close",
            "No work is done, and the connection is closed without an answer.";
        CommittedHang, "committed-hang",
            "The work is done, and no answer ever comes.";
        CommittedClose, "committed-close",
            "The work is done, and the connection is closed without an answer.";
        CommittedTruncated, "committed-truncated",
            "The work is done, and the JSON of the answer ends in the middle.";
        Slow, "slow",
            "Medic works two seconds on each new message.";
        PauseBeforeWriting, "pause-before-writing",
            "A POST waits between its check for duplicates and its first write until it is released.";
        PauseBeforeMarking, "pause-before-marking",
            "A POST waits between reading what it offers and marking it until it is released.";
        PoisonMessage, "poison-message",
            "A message whose content has the given text fails: the others are stored, nothing else is done, 500.";
        PoisonUpdate, "poison-update",
            "An update for the given id fails: messages and other updates are stored, nothing is offered, 500.";
        ThrowingMessage, "throwing-message",
            "A message whose content has the given text fails the POST with 500 before anything of it is stored.";
        CrashingMessage, "crashing-message",
            "A message whose content has the given text ends Medic's process: no answer, and nothing after it is done.";
        FilteredMessage, "filtered-message",
            "A filter before Medic refuses a POST with the given text with a 403 of its own; no work is done.";
        FullDisk, "full-disk",
            "Nothing can be written: a new message or status fails with 500; what Medic knows already and an empty POST pass.";
        Http401, "http-401",
            "401 in Medic's JSON; no work is done.";
        Http403, "http-403",
            "403 in Medic's JSON; no work is done.";
        Http404, "http-404",
            "404 in Medic's JSON; no work is done.";
        Http408, "http-408",
            "408; no work is done.";
        Http413, "http-413",
            "413 in Medic's JSON; no work is done.";
        Http425, "http-425",
            "425; no work is done.";
        Http429, "http-429",
            "429 in Medic's JSON; no work is done.";
        Http500, "http-500",
            "500 in Medic's JSON; no work is done.";
        Http503, "http-503",
            "503 in plain text; no work is done.";
        Redirect, "redirect",
            "302 to the login page; no work is done.";
        Html200, "html-200",
            "200 with an HTML page, whatever the caller accepts; no work is done.";
        NoMessages, "no-messages",
            "200 with JSON that has no messages; no work is done.";
        Proxy502, "proxy-502",
            "502 in the proxy's JSON; no work is done.";
        Proxy502Html, "proxy-502-html",
            "502 with the proxy's HTML; no work is done.";
        Proxy504, "proxy-504",
            "504 in the proxy's JSON; no work is done.";
        Proxy504Html, "proxy-504-html",
            "504 with the proxy's HTML; no work is done.";
        CommittedProxy502, "committed-proxy-502",
            "The work is done, and the answer is a 502 in the proxy's JSON.";
        CommittedProxy502Html, "committed-proxy-502-html",
            "The work is done, and the answer is a 502 with the proxy's HTML.";
        CommittedProxy504, "committed-proxy-504",
            "The work is done, and the answer is a 504 in the proxy's JSON.";
        CommittedProxy504Html, "committed-proxy-504-html",
            "The work is done, and the answer is a 504 with the proxy's HTML.";
    }
}

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MedicFaultPlace {
    /// The port itself.
    Port,
    /// Instead of any work.
    BeforeWork,
    /// Instead of the answer, when the work is done.
    AfterWork,
    /// In the work.
    Work,
}

impl MedicFaultPlace {
    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Port => "It cannot be reached",
            Self::BeforeWork => "It does no work",
            Self::AfterWork => "It does its work, and its answer goes wrong",
            Self::Work => "Its work goes wrong",
        }
    }
}

impl MedicFault {
    pub(super) fn place(self) -> MedicFaultPlace {
        match self {
            Self::Down => MedicFaultPlace::Port,
            Self::Slow
            | Self::PauseBeforeWriting
            | Self::PauseBeforeMarking
            | Self::PoisonMessage
            | Self::PoisonUpdate
            | Self::ThrowingMessage
            | Self::CrashingMessage
            | Self::FullDisk => MedicFaultPlace::Work,
            Self::CommittedHang
            | Self::CommittedClose
            | Self::CommittedTruncated
            | Self::CommittedProxy502
            | Self::CommittedProxy502Html
            | Self::CommittedProxy504
            | Self::CommittedProxy504Html => MedicFaultPlace::AfterWork,
            _ => MedicFaultPlace::BeforeWork,
        }
    }

    /// What the caller gets instead of `usual`, which is what the work came to. Nothing, if the
    /// fault strikes elsewhere.
    pub(super) fn instead(
        self,
        accepts_json: bool,
        usual: Option<&ServerResponse>,
    ) -> Option<ServerOutcome> {
        let medic = |status, text| responses::error(accepts_json, status, text);
        let text = |status, text: &str| ServerResponse::new(status, "text/plain", text);
        let proxy = |status: u16, text: &str| {
            ServerResponse::json(
                status,
                &json!({"type": "ERROR", "code": status, "message": text}),
            )
        };
        let response = match self {
            Self::Hang | Self::CommittedHang => return Some(ServerOutcome::Silence),
            Self::Close | Self::CommittedClose => return Some(ServerOutcome::Closed),
            Self::CommittedTruncated => usual.cloned().map_or_else(
                || responses::server_error(accepts_json),
                ServerResponse::truncated,
            ),
            Self::Starting if accepts_json => medic(503, "Service Unavailable"),
            Self::Starting => responses::html(200, "Medic is starting"),
            Self::FilteredMessage => responses::html(403, "Forbidden"),
            Self::Http401 => medic(401, "unauthorized"),
            Self::Http403 => medic(403, "Insufficient privileges"),
            Self::Http404 => medic(404, "not_found"),
            Self::Http408 => text(408, "Request Timeout"),
            Self::Http413 => medic(413, "Payload Too Large"),
            Self::Http425 => text(425, "Too Early"),
            Self::Http429 => medic(429, "Too Many Requests"),
            Self::Http500 => medic(500, "Server error"),
            Self::Http503 => text(503, "Service Unavailable"),
            Self::Redirect => responses::login_page(),
            Self::Html200 => responses::html(200, "Medic"),
            Self::NoMessages => ServerResponse::json(200, &json!({"ok": true})),
            Self::Proxy502 | Self::CommittedProxy502 => proxy(502, "Bad Gateway"),
            Self::Proxy504 | Self::CommittedProxy504 => proxy(504, "Gateway Time-out"),
            Self::Proxy502Html | Self::CommittedProxy502Html => responses::html(502, "Bad Gateway"),
            Self::Proxy504Html | Self::CommittedProxy504Html => {
                responses::html(504, "Gateway Time-out")
            }
            Self::Down
            | Self::Slow
            | Self::PauseBeforeWriting
            | Self::PauseBeforeMarking
            | Self::PoisonMessage
            | Self::PoisonUpdate
            | Self::ThrowingMessage
            | Self::CrashingMessage
            | Self::FullDisk => return None,
        };
        Some(ServerOutcome::Response(response))
    }
}
