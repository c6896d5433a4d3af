//! The responses of Medic, as they go over the wire.

use serde_json::json;

use crate::http::Response;

const HTML: &str = "text/html; charset=utf-8";

/// An error, as Medic itself words it.
pub(super) fn error(accepts_json: bool, status: u16, text: &str) -> Response {
    if accepts_json {
        Response::json(status, &json!({"code": status, "error": text}))
    } else {
        Response::new(status, "text/plain", text)
    }
}

pub(super) fn server_error(accepts_json: bool) -> Response {
    error(accepts_json, 500, "Server error")
}

pub(super) fn login_page() -> Response {
    Response::redirect(302, "/medic/login?redirect=%2Fapi%2Fsms")
}

pub(super) fn html(status: u16, title: &str) -> Response {
    let page = format!("<html><head><title>{title}</title></head><body>{title}</body></html>");
    Response::new(status, HTML, page)
}
