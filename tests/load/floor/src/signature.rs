//! AWS's Signature Version 4, for a POST of JSON to `/`.

use std::fmt::Write as _;

use ring::{digest, hmac};
use time::OffsetDateTime;

use crate::http::Request;

/// Who signs.
pub struct Signer {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_key: String,
    /// `AWS_SESSION_TOKEN`.
    pub token: String,
    /// `AWS_REGION`.
    pub region: String,
}

impl Signer {
    /// A signed request.
    pub fn sign(
        &self,
        service: &str,
        host: &str,
        target: &str,
        content_type: &str,
        body: &[u8],
    ) -> Request {
        let now = OffsetDateTime::now_utc();
        let (hour, minute, second) = now.to_hms();
        let day = format!(
            "{:04}{:02}{:02}",
            now.year(),
            u8::from(now.month()),
            now.day()
        );
        let date = format!("{day}T{hour:02}{minute:02}{second:02}Z");
        let token = &self.token;
        let names = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
        let canonical = format!(
            "POST\n/\n\ncontent-type:{content_type}\nhost:{host}\nx-amz-date:{date}\n\
             x-amz-security-token:{token}\nx-amz-target:{target}\n\n{names}\n{}",
            sha256_hex(body)
        );
        let scope = format!("{day}/{}/{service}/aws4_request", self.region);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
            sha256_hex(canonical.as_bytes())
        );
        let mut key = hmac_sha256(
            format!("AWS4{}", self.secret_key).as_bytes(),
            day.as_bytes(),
        );
        for part in [self.region.as_str(), service, "aws4_request"] {
            key = hmac_sha256(key.as_ref(), part.as_bytes());
        }
        let signature = hex(hmac_sha256(key.as_ref(), to_sign.as_bytes()).as_ref());
        let mut request = Request::post("/".to_owned(), body.to_vec());
        request.header("x-amz-date", &date);
        request.header("x-amz-security-token", token);
        request.header("x-amz-target", target);
        let credential = format!("{}/{scope}", self.access_key);
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
        );
        request.header("authorization", &authorization);
        request
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
