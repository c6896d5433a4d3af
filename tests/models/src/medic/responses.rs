//! The responses of Medic, as they go over the wire.

use serde_json::json;

use crate::http::ServerResponse;

const HTML: &str = "text/html; charset=utf-8";

/// An error, as Medic itself words it.
pub(super) fn error(accepts_json: bool, status: u16, text: &str) -> ServerResponse {
    if accepts_json {
        ServerResponse::json(status, &json!({"code": status, "error": text}))
    } else {
        ServerResponse::new(status, "text/plain", text)
    }
}

pub(super) fn server_error(accepts_json: bool) -> ServerResponse {
    error(accepts_json, 500, "Server error")
}

pub(super) fn login_page() -> ServerResponse {
    ServerResponse::redirect(302, "/medic/login?redirect=%2Fapi%2Fsms")
}

pub(super) fn html(status: u16, title: &str) -> ServerResponse {
    let page = format!("<html><head><title>{title}</title></head><body>{title}</body></html>");
    ServerResponse::new(status, HTML, page)
}
