//! What can go wrong at Medic, and between it and its callers.

use axum::http::StatusCode;

use crate::faults::named_faults;

named_faults! {
    /// A fault of the stand-in for Medic.
    pub enum Fault {
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
        FullDisk, "full-disk",
            "Every POST with a message or an update fails with 500, and nothing is written; an empty one passes.";
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
pub(super) enum Place {
    /// The port itself.
    Port,
    /// Instead of any work.
    BeforeWork,
    /// Instead of the answer, when the work is done.
    AfterWork,
    /// In the work.
    Work,
}

impl Place {
    pub(super) fn heading(self) -> &'static str {
        match self {
            Self::Port => "It cannot be reached",
            Self::BeforeWork => "It does no work",
            Self::AfterWork => "It does its work, and its answer goes wrong",
            Self::Work => "Its work goes wrong",
        }
    }
}

/// What a caller gets instead of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Instead {
    Nothing,
    HangUp,
    Truncated,
    Starting,
    Medic(StatusCode, &'static str),
    Text(StatusCode, &'static str),
    Proxy(StatusCode, &'static str),
    ProxyHtml(StatusCode, &'static str),
    Login,
    Html,
    NoMessages,
}

impl Fault {
    pub(super) fn place(self) -> Place {
        match self {
            Self::Down => Place::Port,
            Self::Slow
            | Self::PauseBeforeWriting
            | Self::PauseBeforeMarking
            | Self::PoisonMessage
            | Self::PoisonUpdate
            | Self::FullDisk => Place::Work,
            Self::CommittedHang
            | Self::CommittedClose
            | Self::CommittedTruncated
            | Self::CommittedProxy502
            | Self::CommittedProxy502Html
            | Self::CommittedProxy504
            | Self::CommittedProxy504Html => Place::AfterWork,
            _ => Place::BeforeWork,
        }
    }

    pub(super) fn instead(self) -> Option<Instead> {
        let bad_gateway = (StatusCode::BAD_GATEWAY, "Bad Gateway");
        let gateway_timeout = (StatusCode::GATEWAY_TIMEOUT, "Gateway Time-out");
        let instead = match self {
            Self::Hang | Self::CommittedHang => Instead::Nothing,
            Self::Close | Self::CommittedClose => Instead::HangUp,
            Self::CommittedTruncated => Instead::Truncated,
            Self::Starting => Instead::Starting,
            Self::Http401 => Instead::Medic(StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Http403 => Instead::Medic(StatusCode::FORBIDDEN, "Insufficient privileges"),
            Self::Http404 => Instead::Medic(StatusCode::NOT_FOUND, "not_found"),
            Self::Http408 => Instead::Text(StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
            Self::Http413 => Instead::Medic(StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large"),
            Self::Http425 => Instead::Text(StatusCode::TOO_EARLY, "Too Early"),
            Self::Http429 => Instead::Medic(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests"),
            Self::Http500 => Instead::Medic(StatusCode::INTERNAL_SERVER_ERROR, "Server error"),
            Self::Http503 => Instead::Text(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
            Self::Redirect => Instead::Login,
            Self::Html200 => Instead::Html,
            Self::NoMessages => Instead::NoMessages,
            Self::Proxy502 | Self::CommittedProxy502 => {
                Instead::Proxy(bad_gateway.0, bad_gateway.1)
            }
            Self::Proxy504 | Self::CommittedProxy504 => {
                Instead::Proxy(gateway_timeout.0, gateway_timeout.1)
            }
            Self::Proxy502Html | Self::CommittedProxy502Html => {
                Instead::ProxyHtml(bad_gateway.0, bad_gateway.1)
            }
            Self::Proxy504Html | Self::CommittedProxy504Html => {
                Instead::ProxyHtml(gateway_timeout.0, gateway_timeout.1)
            }
            Self::Down
            | Self::Slow
            | Self::PauseBeforeWriting
            | Self::PauseBeforeMarking
            | Self::PoisonMessage
            | Self::PoisonUpdate
            | Self::FullDisk => return None,
        };
        Some(instead)
    }
}
