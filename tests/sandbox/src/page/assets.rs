//! The files of the page. They are compiled in, so the page needs no network and no build step.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! files {
    ($($path:literal, $content_type:expr, $file:literal;)+) => {
        &[$(($path, $content_type, include_str!(concat!("../../page/", $file)))),+]
    };
}

const FILES: &[(&str, &str, &str)] = files! {
    "/", HTML, "index.html";
    "/page.css", CSS, "page.css";
    "/icon.svg", SVG, "icon.svg";
    "/main.js", SCRIPT, "main.js";
    "/store.js", SCRIPT, "store.js";
    "/words.js", SCRIPT, "words.js";
    "/account.js", SCRIPT, "account.js";
    "/phones.js", SCRIPT, "phones.js";
    "/pipeline.js", SCRIPT, "pipeline.js";
    "/dots.js", SCRIPT, "dots.js";
    "/medic.js", SCRIPT, "medic.js";
    "/real.js", SCRIPT, "real.js";
    "/faults.js", SCRIPT, "faults.js";
    "/dialogs.js", SCRIPT, "dialogs.js";
    "/vendor/preact.mjs", SCRIPT, "vendor/preact.mjs";
    "/vendor/htm.mjs", SCRIPT, "vendor/htm.mjs";
};

/// Lets the page load from and send to its own server only.
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'";

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut routes = Router::new();
    for (path, content_type, content) in FILES {
        routes = routes.route(path, get(async || file(content_type, content)));
    }
    routes
}

fn file(content_type: &'static str, content: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(POLICY),
        ),
        // The next `cargo sandbox` may have a newer page.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, content)
}
