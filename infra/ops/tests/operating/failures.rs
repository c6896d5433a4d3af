//! Commands that cannot do anything: no credentials, no stack, no rights, no answer, throttled.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;
use sandbox::stack::operator_environment;
use tokio::net::TcpListener;

use crate::deployed::{DeployedSystem, alone, on_the_system, ops_with};

/// Every command, with what it needs to get as far as AWS.
const COMMANDS: [&[&str]; 12] = [
    &["doctor"],
    &["trace", "an-id-of-medic"],
    &["dead-letters", "list"],
    &["dead-letters", "show", "an-id-of-sqs"],
    &["dead-letters", "redrive", "--all"],
    &["dead-letters", "discard", "--all", "--yes"],
    &["rotate-key"],
    &["callbacks"],
    &["pause"],
    &["resume"],
    &["replay-reports", "an-id-of-medic"],
    &["cost"],
];

const GIVEN: &str = r#"{"medic_username":"gateway"}"#;

#[test]
fn without_credentials_or_a_region_it_says_how_to_get_them() -> anyhow::Result<()> {
    alone(async {
        let output = ops_with(&[], &["doctor"], "").await?;
        ensure!(
            output.status == 3 && output.err.contains("--region"),
            "{output:?}"
        );
        let output = ops_with(&[("AWS_REGION", "us-east-1")], &["doctor"], "").await?;
        ensure!(
            output.status == 3 && output.err.contains("aws configure"),
            "{output:?}"
        );
        let output = ops_with(&[], &["doctor", "--no-such-option"], "").await?;
        ensure!(output.status == 2, "{output:?}");
        Ok(())
    })
}

#[test]
fn a_profile_of_the_aws_cli_is_used_as_it_is() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/profiles");
        std::fs::create_dir_all(folder)?;
        let (config, keys) = (format!("{folder}/config"), format!("{folder}/credentials"));
        let url = system.emulator.url();
        std::fs::write(
            &config,
            format!("[profile clinic]\nregion = us-east-1\nendpoint_url = {url}\n"),
        )?;
        std::fs::write(
            &keys,
            "[clinic]\naws_access_key_id = test\naws_secret_access_key = test\n",
        )?;
        let environment = [
            ("AWS_CONFIG_FILE", config.as_str()),
            ("AWS_SHARED_CREDENTIALS_FILE", &keys),
            // A profile that is named outweighs them.
            ("AWS_ACCESS_KEY_ID", "none"),
            ("AWS_SECRET_ACCESS_KEY", "none"),
        ];
        let output = ops_with(&environment, &["callbacks", "--profile", "clinic"], "").await?;
        ensure!(output.status == 0, "{output:?}");
        Ok(())
    })
}

#[test]
fn a_stack_that_is_not_there_is_said_not_to_be_there() -> anyhow::Result<()> {
    on_the_system(async |system| {
        for command in COMMANDS.iter().chain(&[["set-credentials"].as_slice()]) {
            let arguments = [&["--stack", "elsewhere"], *command].concat();
            let output = system.ops_reading(&arguments, GIVEN).await?;
            ensure!(output.status == 3, "{output:?}");
            ensure!(
                output.err.contains("no stack `elsewhere`") && output.out.is_empty(),
                "{output:?}"
            );
        }
        Ok(())
    })
}

/// A user of the account who may do these things and no others; the variables that make it known.
async fn user(
    system: &DeployedSystem,
    name: &str,
    actions: &str,
) -> anyhow::Result<[(String, String); 5]> {
    const VERSION: &str = "2010-05-08";
    let aws = system.stack.aws();
    let named = [("UserName", name)];
    aws.query("iam", VERSION, "CreateUser", &named).await?;
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":{actions},"Resource":"*"}}]}}"#
    );
    let allowed = [
        ("UserName", name),
        ("PolicyName", "may"),
        ("PolicyDocument", &policy),
    ];
    aws.query("iam", VERSION, "PutUserPolicy", &allowed).await?;
    let answer = aws.query("iam", VERSION, "CreateAccessKey", &named).await?;
    let text = |tag: &str| {
        let (_, rest) = answer.split_once(&format!("<{tag}>")).context("no key")?;
        let (text, _) = rest.split_once('<').context("no key")?;
        anyhow::Ok(text.to_owned())
    };
    Ok([
        (
            "AWS_ENDPOINT_URL".to_owned(),
            system.emulator.url().to_owned(),
        ),
        ("AWS_REGION".to_owned(), "us-east-1".to_owned()),
        ("OPS_STACK".to_owned(), "bridge".to_owned()),
        ("AWS_ACCESS_KEY_ID".to_owned(), text("AccessKeyId")?),
        ("AWS_SECRET_ACCESS_KEY".to_owned(), text("SecretAccessKey")?),
    ])
}

#[test]
fn who_is_not_allowed_hears_so_and_changes_nothing() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let nobody = user(system, "without-rights", r#""sts:GetCallerIdentity""#).await?;
        let nobody = nobody
            .each_ref()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let reader = user(system, "reader", r#""cloudformation:*""#).await?;
        let reader = reader
            .each_ref()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let secret = &system.stack.outputs().incoming_key_secret_arn;
        let before = system.stack.aws().secret(secret).await?;
        for command in COMMANDS.iter().chain(&[["set-credentials"].as_slice()]) {
            let output = ops_with(&nobody, command, GIVEN).await?;
            ensure!(
                output.status == 3 && output.err.contains("not allowed"),
                "{output:?}"
            );
            // The stack is found, and nothing in it may be looked at.
            let output = ops_with(&reader, command, GIVEN).await?;
            if *command == ["doctor"] {
                ensure!(
                    output.status == 1 && output.out.contains("not allowed"),
                    "{output:?}"
                );
                ensure!(output.out.contains("unknown credentials"), "{output:?}");
            } else {
                ensure!(output.status == 3, "{command:?} {output:?}");
                ensure!(output.err.contains("not allowed"), "{command:?} {output:?}");
            }
        }
        ensure!(system.stack.aws().secret(secret).await? == before);
        Ok(())
    })
}

/// Something in AWS's place that answers every call so. Gives its address and counts the calls.
async fn in_place_of_aws(
    status: u16,
    body: &'static str,
) -> anyhow::Result<(String, Arc<AtomicUsize>)> {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let answer = any(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async move { (StatusCode::from_u16(status).unwrap(), body) }
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        let _ = axum::serve(listener, Router::new().fallback(answer)).await;
    });
    Ok((url, calls))
}

#[test]
fn what_is_throttled_is_tried_again_and_then_said_to_be_throttled() -> anyhow::Result<()> {
    alone(async {
        let throttled = "<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>";
        let expired = "<ErrorResponse><Error><Code>ExpiredToken</Code><Message>no</Message></Error></ErrorResponse>";
        for (status, body, advice, tries) in [
            (400, throttled, "throttles", 3),
            (503, "busy", "HTTP 503", 3),
            (200, "<html>", "unreadable", 1),
            (403, expired, "aws sso login", 1),
        ] {
            let (url, calls) = in_place_of_aws(status, body).await?;
            let environment = [
                ("AWS_ENDPOINT_URL", url.as_str()),
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
            ];
            let output = ops_with(&environment, &["doctor"], "").await?;
            ensure!(
                output.status == 3 && output.err.contains(advice),
                "{output:?}"
            );
            ensure!(calls.load(Ordering::Relaxed) == tries, "{calls:?}");
        }
        Ok(())
    })
}

#[test]
fn every_service_that_throttles_is_tried_again_and_then_said_to_throttle() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let throttled = r#"{"__type":"com.amazonaws.any#ThrottlingException","message":"slower"}"#;
        for (variable, commands) in [
            (
                "AWS_ENDPOINT_URL_SQS",
                [
                    ["dead-letters", "list"].as_slice(),
                    &["dead-letters", "show", "an-id-of-sqs"],
                    &["dead-letters", "redrive", "--all"],
                    &["dead-letters", "discard", "--all", "--yes"],
                ]
                .as_slice(),
            ),
            (
                "AWS_ENDPOINT_URL_DYNAMODB",
                &[
                    &["trace", "an-id-of-medic"],
                    &["pause"],
                    &["resume"],
                    &["replay-reports", "an-id-of-medic"],
                    &["cost"],
                ],
            ),
            (
                "AWS_ENDPOINT_URL_SECRETS_MANAGER",
                &[&["callbacks"], &["rotate-key"], &["set-credentials"]],
            ),
        ] {
            for command in commands {
                let (url, calls) = in_place_of_aws(400, throttled).await?;
                let environment = operator_environment(&system.emulator);
                let mut environment: Vec<(&str, &str)> = environment
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                environment.push((variable, &url));
                let output = ops_with(&environment, command, GIVEN).await?;
                ensure!(
                    output.status == 3 && output.err.contains("throttles"),
                    "{command:?}: {output:?}"
                );
                ensure!(calls.load(Ordering::Relaxed) == 3, "{command:?}: {calls:?}");
            }
        }
        Ok(())
    })
}
