//! What the same calls cost when they are made with as little as possible: hyper, one TLS
//! connection, signatures by hand, no SDK and no decisions. What a function takes more than this, it
//! takes for being a product.
//!
//! `FLOOR_PLAN` names a file with the calls that a function was seen to make, before its first event
//! and for each event: `{"init": […], "invoke": […]}`, each call with `service` (empty for a call
//! that is not to AWS), `target`, `body` and `content_type`.

mod http;
mod signature;

use std::collections::HashMap;

use anyhow::Context as _;
use serde_json::Value;

use crate::http::{Connection, HttpServer, Request};
use crate::signature::Signer;

/// Answers to this name are those that the function got.
const NAME: &str = "floor";

struct PlannedCall {
    service: String,
    target: String,
    body: String,
    content_type: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let plan = std::fs::read(variable("FLOOR_PLAN")?)?;
    let plan: Value = serde_json::from_slice(&plan)?;
    let before = calls(&plan, "init");
    let each = calls(&plan, "invoke");
    let aws = HttpServer::of(&variable("AWS_ENDPOINT_URL")?)?;
    let runtime = HttpServer::of(&format!("http://{}", variable("AWS_LAMBDA_RUNTIME_API")?))?;
    let signer = Signer {
        access_key: NAME.to_owned(),
        secret_key: variable("AWS_SECRET_ACCESS_KEY")?,
        token: variable("AWS_SESSION_TOKEN")?,
        region: variable("AWS_REGION")?,
    };
    // On AWS each service has a host, and thus a connection, of its own.
    let mut to_aws: HashMap<String, Option<Connection>> = HashMap::new();
    // What a function asks for without a service only opens a connection ahead of its use.
    for call in before.iter().filter(|call| !call.service.is_empty()) {
        let connection = to_aws.entry(call.service.clone()).or_default();
        make(call, &aws, &signer, connection).await?;
    }
    let mut to_runtime = runtime.connect().await?;
    loop {
        let next = Request::get("/2018-06-01/runtime/invocation/next");
        let (headers, event) = to_runtime.send(&runtime, next).await?;
        let _: Value = serde_json::from_slice(&event)?;
        let id = headers
            .get("lambda-runtime-aws-request-id")
            .context("no id")?
            .to_str()?
            .to_owned();
        // Nothing outside AWS is asked on a connection of an earlier invocation.
        let mut outside = None;
        for call in &each {
            let connection = match call.service.as_str() {
                "" => &mut outside,
                service => to_aws.entry(service.to_owned()).or_default(),
            };
            make(call, &aws, &signer, connection).await?;
        }
        let path = format!("/2018-06-01/runtime/invocation/{id}/response");
        let answer = br#"{"statusCode":200,"batchItemFailures":[]}"#.to_vec();
        to_runtime
            .send(&runtime, Request::post(path, answer))
            .await?;
    }
}

/// One call, on the connection that there is or on a new one.
async fn make(
    call: &PlannedCall,
    server: &HttpServer,
    signer: &Signer,
    connection: &mut Option<Connection>,
) -> anyhow::Result<()> {
    let mut request = if call.service.is_empty() {
        Request::post(call.target.clone(), call.body.clone().into_bytes())
    } else {
        signer.sign(
            &call.service,
            server.host(),
            &call.target,
            &call.content_type,
            call.body.as_bytes(),
        )
    };
    request.header("user-agent", NAME);
    request.header("content-type", &call.content_type);
    let open = match connection.take() {
        Some(open) => open,
        None => server.connect().await?,
    };
    connection.insert(open).send(server, request).await?;
    Ok(())
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

fn calls(plan: &Value, when: &str) -> Vec<PlannedCall> {
    let calls = plan.get(when).and_then(Value::as_array);
    let text = |call: &Value, name: &str| {
        call.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let call = |call: &Value| PlannedCall {
        service: text(call, "service"),
        target: text(call, "target"),
        body: text(call, "body"),
        content_type: text(call, "content_type"),
    };
    calls.into_iter().flatten().map(call).collect()
}
