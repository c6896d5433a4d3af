//! Ways to AWS: where credentials come from, proxies, and a clock that is wrong. Something on this
//! machine stands in AWS's place and keeps the calls.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::future::try_join_all;
use futures_util::try_join;
use serde_json::Value;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::deployed::{alone, ops_with};

/// What nobody shall see in what a command prints.
const HUSH: &str = "tumaini-secret-key";

/// The stack, as far as `callbacks` needs it.
const STACK: &str = "<DescribeStacksResponse><DescribeStacksResult><Stacks><member>\
    <StackName>bridge</StackName><CreationTime>2026-01-01T00:00:00Z</CreationTime>\
    <StackStatus>CREATE_COMPLETE</StackStatus><Outputs>\
    <member><OutputKey>IncomingKeySecretArn</OutputKey><OutputValue>arn:key</OutputValue></member>\
    <member><OutputKey>IncomingMessagesCallbackUrl</OutputKey><OutputValue>https://api.execute-api.af-south-1.amazonaws.com/incoming?key=</OutputValue></member>\
    <member><OutputKey>DeliveryReportsCallbackUrl</OutputKey><OutputValue>https://api.execute-api.af-south-1.amazonaws.com/reports?key=</OutputValue></member>\
    <member><OutputKey>OptOutsCallbackUrl</OutputKey><OutputValue>https://api.execute-api.af-south-1.amazonaws.com/opt-outs?key=</OutputValue></member>\
    </Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>";

/// The credentials of a role.
const ROLE: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials>\
    <AccessKeyId>AKIDOFTHEROLE</AccessKeyId><SecretAccessKey>tumaini-secret-key</SecretAccessKey>\
    <SessionToken>token-of-the-role</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
    </Credentials></AssumeRoleResult></AssumeRoleResponse>";

/// The credentials that single sign-on gives.
const SIGNED_ON: &str = r#"{"roleCredentials":{"accessKeyId":"AKIDSIGNEDON","secretAccessKey":"tumaini-secret-key",
    "sessionToken":"token-of-the-sign-on","expiration":4070908800000}}"#;

/// A call as it came.
#[derive(Clone, Debug)]
struct CapturedCall {
    uri: String,
    headers: HeaderMap,
    body: String,
}

impl CapturedCall {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    fn is(&self, action: &str) -> bool {
        self.body.starts_with(&format!("Action={action}&"))
            || self.header("x-amz-target").ends_with(action)
    }

    /// The id of the key that it is signed with.
    fn key_id(&self) -> &str {
        let (_, credential) = self
            .header("authorization")
            .split_once("Credential=")
            .unwrap();
        credential.split('/').next().unwrap()
    }
}

/// Something in AWS's place.
struct InPlaceOfAws {
    url: String,
    calls: Arc<Mutex<Vec<CapturedCall>>>,
}

impl InPlaceOfAws {
    async fn start<A: IntoResponse>(
        answer: impl Fn(&CapturedCall) -> A + Clone + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let calls = Arc::<Mutex<Vec<CapturedCall>>>::default();
        let kept = calls.clone();
        let handler = any(move |request: Request| async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let call = CapturedCall {
                uri: parts.uri.to_string(),
                headers: parts.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            };
            kept.lock().unwrap().push(call.clone());
            answer(&call).into_response()
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move {
            let _ = axum::serve(listener, Router::new().fallback(handler)).await;
        });
        Ok(Self { url, calls })
    }

    fn calls(&self, action: &str) -> Vec<CapturedCall> {
        let calls = self.calls.lock().unwrap();
        calls
            .iter()
            .filter(|call| call.is(action))
            .cloned()
            .collect()
    }
}

/// What AWS answers when all is well.
fn well(call: &CapturedCall) -> Response {
    let is_sign_on = call.uri.contains("/federation/credentials");
    if call.is("DescribeStacks") {
        STACK.into_response()
    } else if call.is("AssumeRole") {
        ROLE.into_response()
    } else if is_sign_on && call.header("x-amz-sso_bearer_token") == "token-of-the-login" {
        SIGNED_ON.into_response()
    } else if call.is("GetSecretValue") {
        r#"{"SecretString":"{\"key\":\"the-key\"}"}"#.into_response()
    } else {
        StatusCode::FORBIDDEN.into_response()
    }
}

/// A home with these files in `.aws`.
fn home(name: &str, files: &[(&str, &str)]) -> anyhow::Result<PathBuf> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    for (file, text) in files {
        let file = home.join(".aws").join(file);
        std::fs::create_dir_all(file.parent().context("no folder")?)?;
        std::fs::write(file, text)?;
    }
    Ok(home)
}

/// That `callbacks`, with this profile, calls AWS with a key of this id.
async fn calls_with(config: &str, credentials: &str, key_id: &str) -> anyhow::Result<InPlaceOfAws> {
    let aws = InPlaceOfAws::start(well).await?;
    // The name of the cache is the digest of the session's name, as the AWS CLI writes it.
    let cache = "sso/cache/cdaaa12922c06f8fc0b262e949468467d689e400.json";
    let login = r#"{"accessToken":"token-of-the-login","expiresAt":"2099-01-01T00:00:00Z"}"#;
    let files = [
        ("config", config),
        ("credentials", credentials),
        (cache, login),
    ];
    let home = home(key_id, &files)?;
    let environment = [
        ("HOME", home.to_str().context("no path")?),
        ("AWS_ENDPOINT_URL", aws.url.as_str()),
        // A profile that is named outweighs them.
        ("AWS_ACCESS_KEY_ID", "none"),
        ("AWS_SECRET_ACCESS_KEY", "none"),
    ];
    let output = ops_with(&environment, &["callbacks", "--profile", "clinic"], "").await?;
    ensure!(
        output.status == 0 && output.out.contains("key=the-key"),
        "{output:?}"
    );
    for action in ["DescribeStacks", "GetSecretValue"] {
        let calls = aws.calls(action);
        ensure!(calls.len() == 1, "{calls:?}");
        ensure!(calls[0].key_id() == key_id, "{calls:?}");
    }
    Ok(aws)
}

#[test]
fn a_credential_process_is_run_once_and_gives_the_credentials() -> anyhow::Result<()> {
    alone(async {
        let count = Path::new(env!("CARGO_TARGET_TMPDIR")).join("credential-process-runs");
        let _ = std::fs::remove_file(&count);
        let config = format!(
            "[profile clinic]\nregion = af-south-1\ncredential_process = echo ran >> {}; echo \
             '{{\"Version\":1,\"AccessKeyId\":\"AKIDPROCESS\",\"SecretAccessKey\":\"{HUSH}\"}}'\n",
            count.display()
        );
        calls_with(&config, "", "AKIDPROCESS").await?;
        ensure!(std::fs::read_to_string(count)? == "ran\n");
        Ok(())
    })
}

#[test]
fn a_role_is_assumed_with_the_keys_of_another_profile() -> anyhow::Result<()> {
    alone(async {
        let config = "[profile clinic]\nregion = af-south-1\nsource_profile = person\n\
                      role_arn = arn:aws:iam::111122223333:role/operator\n";
        let keys =
            format!("[person]\naws_access_key_id = AKIDPERSON\naws_secret_access_key = {HUSH}\n");
        let aws = calls_with(config, &keys, "AKIDOFTHEROLE").await?;
        let assumed = aws.calls("AssumeRole");
        ensure!(assumed.len() == 1, "{assumed:?}");
        ensure!(assumed[0].key_id() == "AKIDPERSON", "{assumed:?}");
        ensure!(assumed[0].body.contains("role%2Foperator"), "{assumed:?}");
        let calls = aws.calls("DescribeStacks");
        ensure!(calls[0].header("x-amz-security-token") == "token-of-the-role");
        Ok(())
    })
}

#[test]
fn single_sign_on_outweighs_keys_that_were_left_in_the_profile() -> anyhow::Result<()> {
    alone(async {
        let config = "[profile clinic]\nregion = af-south-1\nsso_session = clinic\n\
                      sso_account_id = 111122223333\nsso_role_name = operator\n\
                      aws_access_key_id = old\naws_secret_access_key = old\n\
                      [sso-session clinic]\nsso_region = eu-west-1\n\
                      sso_start_url = https://clinic.awsapps.com/start\n";
        let aws = calls_with(config, "", "AKIDSIGNEDON").await?;
        let calls = aws.calls("DescribeStacks");
        ensure!(calls[0].header("x-amz-security-token") == "token-of-the-sign-on");
        Ok(())
    })
}

#[test]
fn a_credential_process_that_fails_is_quoted_and_its_arguments_are_not() -> anyhow::Result<()> {
    alone(async {
        let config = format!(
            "[default]\nregion = af-south-1\ncredential_process = echo log in first >&2; false {HUSH}\n"
        );
        let home = home("failing-process", &[("config", &config)])?;
        let environment = [("HOME", home.to_str().context("no path")?)];
        let output = ops_with(&environment, &["callbacks"], "").await?;
        ensure!(
            output.status == 3 && output.err.contains("no AWS credentials"),
            "{output:?}"
        );
        ensure!(output.err.contains("log in first"), "{output:?}");
        ensure!(output.err.contains("aws sso login"), "{output:?}");
        ensure!(!output.err.contains(HUSH), "{output:?}");
        Ok(())
    })
}

#[test]
fn a_profile_that_is_not_there_is_named() -> anyhow::Result<()> {
    alone(async {
        let config = "[profile clinic]\nregion = af-south-1\n";
        let home = home("another-profile", &[("config", config)])?;
        let environment = [
            ("HOME", home.to_str().context("no path")?),
            ("AWS_REGION", "af-south-1"),
        ];
        let output = ops_with(&environment, &["callbacks", "--profile", "nowhere"], "").await?;
        ensure!(
            output.status == 3 && output.err.contains("nowhere"),
            "{output:?}"
        );
        Ok(())
    })
}

#[test]
fn calls_go_through_the_proxy_of_the_environment() -> anyhow::Result<()> {
    alone(async {
        let proxy = InPlaceOfAws::start(well).await?;
        let mut environment = vec![
            ("HTTP_PROXY", proxy.url.as_str()),
            ("AWS_ENDPOINT_URL", "http://aws.invalid"),
            ("AWS_REGION", "af-south-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", HUSH),
        ];
        let output = ops_with(&environment, &["callbacks"], "").await?;
        ensure!(output.status == 0, "{output:?}");
        for action in ["DescribeStacks", "GetSecretValue"] {
            let calls = proxy.calls(action);
            ensure!(calls.len() == 1, "{calls:?}");
            ensure!(calls[0].uri == "http://aws.invalid/", "{calls:?}");
        }
        // What `doctor` asks itself goes there, too.
        ops_with(&environment, &["doctor"], "").await?;
        let is_callback = |call: &CapturedCall| call.uri.starts_with("http://aws.invalid/_aws/");
        ensure!(proxy.calls.lock().unwrap().iter().any(is_callback));
        let calls = proxy.calls("DescribeStacks").len();

        environment.push(("NO_PROXY", "aws.invalid"));
        let output = ops_with(&environment, &["callbacks"], "").await?;
        ensure!(
            output.status == 3 && output.err.contains("no connection"),
            "{output:?}"
        );
        ensure!(proxy.calls("DescribeStacks").len() == calls);
        Ok(())
    })
}

#[test]
fn a_proxy_is_asked_for_a_tunnel_and_its_refusal_is_reported() -> anyhow::Result<()> {
    alone(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://user:{HUSH}@{}", listener.local_addr()?);
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let kept = asked.clone();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let length = connection.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                kept.lock().unwrap().push(request);
                let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
                let _ = connection.write_all(refusal).await;
            }
        });
        let environment = [
            ("HTTPS_PROXY", url.as_str()),
            ("AWS_REGION", "af-south-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", HUSH),
        ];
        let output = ops_with(&environment, &["callbacks"], "").await?;
        ensure!(
            output.status == 3 && output.err.contains("no connection"),
            "{output:?}"
        );
        ensure!(output.err.contains("HTTPS_PROXY"), "{output:?}");
        ensure!(!output.err.contains(HUSH), "{output:?}");
        let asked = asked.lock().unwrap().join("\n");
        let tunnel = "CONNECT cloudformation.af-south-1.amazonaws.com:443 HTTP/1.1";
        ensure!(asked.starts_with(tunnel), "{asked}");
        ensure!(
            asked.to_lowercase().contains("proxy-authorization: basic"),
            "{asked}"
        );
        Ok(())
    })
}

#[test]
fn authorities_that_cannot_be_read_are_said_to_be_wrong() -> anyhow::Result<()> {
    alone(async {
        let environment = [
            ("SSL_CERT_FILE", "/no/such/file"),
            ("AWS_REGION", "af-south-1"),
        ];
        let output = ops_with(&environment, &["callbacks"], "").await?;
        ensure!(
            output.status == 3 && output.err.contains("SSL_CERT_FILE is wrong"),
            "{output:?}"
        );
        Ok(())
    })
}

/// The time of a clock that is so many seconds ahead, as HTTP writes it.
fn date(ahead_s: i64) -> String {
    let time = OffsetDateTime::from(SystemTime::now()) + time::Duration::seconds(ahead_s);
    let format = format_description!(
        "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
    );
    time.format(&format).unwrap()
}

/// What a service answers to a call with this code and this time.
fn refusal(call: &CapturedCall, code: &str, ahead_s: i64) -> Response {
    let body = if call.header("x-amz-target").is_empty() {
        format!(
            "<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
        )
    } else {
        format!(r#"{{"__type":"{code}","message":"no"}}"#)
    };
    (StatusCode::FORBIDDEN, [("date", date(ahead_s))], body).into_response()
}

fn at(aws: &InPlaceOfAws) -> [(&str, &str); 4] {
    [
        ("AWS_ENDPOINT_URL", aws.url.as_str()),
        ("AWS_REGION", "af-south-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", HUSH),
    ]
}

/// What `doctor` finds out about the clock.
fn clock(doctor: &Value) -> anyhow::Result<&Value> {
    let findings = doctor["findings"].as_array().context("no findings")?;
    let clock = findings.iter().find(|finding| finding["check"] == "clock");
    clock.with_context(|| format!("no clock: {doctor}"))
}

/// That a refusal with this code, by a clock that is so many seconds ahead, is explained by the clock.
async fn is_explained_by_the_clock(code: &'static str, ahead_s: i64) -> anyhow::Result<()> {
    let (way, off) = match ahead_s {
        0.. => ("behind", "-362"),
        _ => ("ahead of", "362"),
    };
    let aws = InPlaceOfAws::start(move |call: &CapturedCall| refusal(call, code, ahead_s)).await?;
    let output = ops_with(&at(&aws), &["callbacks"], "").await?;
    ensure!(output.status == 3 && output.out.is_empty(), "{output:?}");
    ensure!(output.err.contains(code), "{output:?}");
    let reported = format!("this machine's clock is 60 min {way} that of AWS");
    ensure!(output.err.contains(&reported), "{output:?}");
    ensure!(!output.err.contains("log in again"), "{output:?}");

    let output = ops_with(&at(&aws), &["doctor", "--json"], "").await?;
    ensure!(output.status == 3, "{output:?}");
    let doctor = output.json()?;
    ensure!(doctor["healthy"] == false, "{doctor}");
    let clock = clock(&doctor)?;
    ensure!(clock["verdict"] == "wrong", "{doctor}");
    let what = clock["what"].as_str().context("no text")?;
    // As far as the time that the test takes lets it be told.
    let begin = format!("this machine's is {off}");
    ensure!(what.starts_with(&begin), "{doctor}");

    let output = ops_with(&at(&aws), &["doctor"], "").await?;
    ensure!(output.out.contains("wrong   clock"), "{output:?}");
    Ok(())
}

#[test]
fn a_clock_that_aws_does_not_put_up_with_is_reported_with_how_far_it_is_off() -> anyhow::Result<()>
{
    alone(async {
        let codes = [
            "RequestExpired",
            "RequestTimeTooSkewed",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
        ];
        let all = codes.map(|code| {
            let behind = is_explained_by_the_clock(code, 3625);
            let ahead = is_explained_by_the_clock(code, -3625);
            async { try_join!(behind, ahead) }
        });
        try_join_all(all).await?;
        Ok(())
    })
}

#[test]
fn a_clock_that_is_right_is_not_to_blame() -> anyhow::Result<()> {
    alone(async {
        for (code, advice) in [
            ("SignatureDoesNotMatch", "does not know these credentials"),
            ("ExpiredToken", "log in again"),
        ] {
            let aws =
                InPlaceOfAws::start(move |call: &CapturedCall| refusal(call, code, 0)).await?;
            let output = ops_with(&at(&aws), &["doctor"], "").await?;
            ensure!(output.status == 3 && output.out.is_empty(), "{output:?}");
            ensure!(output.err.contains(advice), "{output:?}");
            ensure!(!output.err.contains("that of AWS"), "{output:?}");
        }
        Ok(())
    })
}

#[test]
fn a_clock_that_is_off_is_made_up_for_and_reported() -> anyhow::Result<()> {
    const AHEAD_S: i64 = 3625;
    alone(async {
        let aws = InPlaceOfAws::start(|call: &CapturedCall| {
            // By its own clock, as AWS looks at it.
            let format = format_description!("[year][month][day]T[hour][minute][second]Z");
            let signed = PrimitiveDateTime::parse(call.header("x-amz-date"), &format);
            let off = signed.map(|signed| signed.assume_utc() - OffsetDateTime::now_utc());
            let tolerated = Duration::from_secs(300);
            match off {
                Ok(off) if (off - time::Duration::seconds(AHEAD_S)).abs() < tolerated => {
                    ([("date", date(AHEAD_S))], well(call)).into_response()
                }
                _ => refusal(call, "SignatureDoesNotMatch", AHEAD_S),
            }
        })
        .await?;
        let output = ops_with(&at(&aws), &["callbacks"], "").await?;
        ensure!(output.status == 0, "{output:?}");
        let doctor = ops_with(&at(&aws), &["doctor", "--json"], "")
            .await?
            .json()?;
        let clock = clock(&doctor)?;
        ensure!(clock["verdict"] == "wrong", "{doctor}");
        let what = clock["what"].as_str().context("no text")?;
        ensure!(what.starts_with("this machine's is -362"), "{doctor}");
        Ok(())
    })
}
