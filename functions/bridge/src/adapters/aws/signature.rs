//! AWS's Signature Version 4 of a POST without a query.
//!
//! Source: AWS's documentation, "Create a signed AWS API request".

use std::fmt::Write as _;
use std::time::SystemTime;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use ring::hmac::{HMAC_SHA256, Key, sign};
use time::OffsetDateTime;

use super::{Credentials, Service};
use crate::digest::{hex, sha256_hex};

/// A request that is to be signed.
pub struct Request<'a> {
    /// To whom.
    pub service: &'a Service,
    /// Where the service is.
    pub region: &'a str,
    /// Its address.
    pub url: &'a Url,
    /// What it shall do.
    pub operation: &'a str,
    /// With what.
    pub body: &'a [u8],
}

impl Request<'_> {
    /// The headers that say who calls, when and what for: those that are signed, but for the content
    /// type and the host, and the signature. None, if there can be no such headers.
    pub fn headers(&self, credentials: &Credentials, now: SystemTime) -> Option<HeaderMap> {
        let (day, time) = timestamp(now);
        // In the order of their names.
        let mut signed = vec![
            ("content-type", self.service.content_type.to_owned()),
            ("host", host(self.url)),
            ("x-amz-date", time),
        ];
        if let Some(token) = &credentials.session_token {
            signed.push(("x-amz-security-token", token.clone()));
        }
        if let Some(prefix) = self.service.target {
            signed.push(("x-amz-target", format!("{prefix}.{}", self.operation)));
        }
        let authorization = self.authorization(&signed, &day, credentials);
        let mut headers = HeaderMap::with_capacity(8);
        for (name, value) in signed.iter().skip(2) {
            headers.insert(HeaderName::from_static(name), header(value)?);
        }
        headers.insert(AUTHORIZATION, header(&authorization)?);
        Some(headers)
    }

    /// The header `Authorization` for these headers, one of which is the time.
    fn authorization(
        &self,
        signed: &[(&str, String)],
        day: &str,
        credentials: &Credentials,
    ) -> String {
        let (region, service) = (self.region, self.service.name);
        let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut canonical = format!("POST\n{}\n\n", self.url.path());
        // Writing into a String cannot fail.
        for (name, value) in signed {
            let _ = writeln!(canonical, "{name}:{value}");
        }
        let _ = write!(canonical, "\n{names}\n{}", sha256_hex(self.body));

        let time = signed.iter().find(|(name, _)| *name == "x-amz-date");
        let time = time.map_or("", |(_, time)| time);
        let scope = format!("{day}/{region}/{service}/aws4_request");
        let canonical = sha256_hex(canonical.as_bytes());
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{canonical}");

        let secret = format!("AWS4{}", credentials.secret_access_key);
        let secret = Key::new(HMAC_SHA256, secret.as_bytes());
        let key = [day, region, service, "aws4_request"]
            .iter()
            .fold(secret, |key, part| {
                Key::new(HMAC_SHA256, sign(&key, part.as_bytes()).as_ref())
            });
        let signature = hex(sign(&key, to_sign.as_bytes()).as_ref());
        let id = &credentials.access_key_id;
        format!(
            "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
        )
    }
}

fn header(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The header `Host` as the HTTP client sends it.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The day, and the day with the time, as signatures have them.
fn timestamp(now: SystemTime) -> (String, String) {
    let now = OffsetDateTime::from(now);
    let (hour, minute, second) = now.to_hms();
    let (year, month, day) = now.to_calendar_date();
    let day = format!("{year:04}{:02}{day:02}", u8::from(month));
    let time = format!("{day}T{hour:02}{minute:02}{second:02}Z");
    (day, time)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// 2015-08-30T12:36:00Z, the time of AWS's signing test suite.
    const TIME_S: u64 = 1_440_938_160;

    /// The token of that suite.
    const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";

    const SERVICE: Service = Service {
        name: "service",
        endpoint_variable: "",
        content_type: "application/x-www-form-urlencoded",
        target: None,
    };

    /// The suite's own, which nobody can use.
    fn credentials(token: Option<&str>) -> Credentials {
        Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: token.map(str::to_owned),
        }
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(TIME_S)
    }

    fn signature_of(headers: &HeaderMap) -> &str {
        let value = headers[AUTHORIZATION].to_str().unwrap();
        value.rsplit("Signature=").next().unwrap()
    }

    #[test]
    fn a_signature_is_that_of_the_suite() {
        let url = Url::parse("https://example.amazonaws.com/").unwrap();
        let request = Request {
            service: &SERVICE,
            region: "us-east-1",
            url: &url,
            operation: "",
            body: b"Param1=value1",
        };
        // post-x-www-form-urlencoded
        let headers = request.headers(&credentials(None), now()).unwrap();
        assert_eq!(
            signature_of(&headers),
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        );
        // post-sts-header-before, which has no body and no content type
        let (day, time) = timestamp(now());
        let signed = [
            ("host", host(&url)),
            ("x-amz-date", time),
            ("x-amz-security-token", TOKEN.to_owned()),
        ];
        let request = Request {
            body: b"",
            ..request
        };
        assert!(
            request
                .authorization(&signed, &day, &credentials(Some(TOKEN)))
                .ends_with("85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead")
        );
    }

    #[test]
    fn what_names_the_caller_and_the_operation_is_signed_and_shown_to_nobody() {
        let url = Url::parse("http://127.0.0.1:4566").unwrap();
        let request = Request {
            service: &super::super::SQS,
            region: "eu-west-1",
            url: &url,
            operation: "SendMessage",
            body: b"{}",
        };
        let headers = request.headers(&credentials(Some("hush")), now()).unwrap();
        assert_eq!(headers["x-amz-target"], "AmazonSQS.SendMessage");
        assert_eq!(headers["x-amz-date"], "20150830T123600Z");
        assert_eq!(headers["x-amz-security-token"], "hush");
        let authorization = headers[AUTHORIZATION].to_str().unwrap();
        assert!(
            authorization.contains(
                "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target,"
            ),
            "{authorization}"
        );
        assert_eq!(host(&url), "127.0.0.1:4566");
        assert!(!format!("{headers:?}").contains("hush"));
    }

    #[test]
    fn what_cannot_be_a_header_is_not_sent() {
        let url = Url::parse("http://127.0.0.1:4566").unwrap();
        let request = Request {
            service: &SERVICE,
            region: "eu-west-1",
            url: &url,
            operation: "",
            body: b"",
        };
        assert!(request.headers(&credentials(Some("a\nb")), now()).is_none());
    }
}
