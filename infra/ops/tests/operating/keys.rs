//! The incoming key and the credentials.

use anyhow::ensure;
use serde_json::json;

use crate::deployed::{API_KEY, DeployedSystem, MARK, PASSWORD, on_the_system};

async fn keys(system: &DeployedSystem) -> anyhow::Result<serde_json::Value> {
    let secret = &system.stack.outputs().incoming_key_secret_arn;
    system.stack.aws().secret(secret).await
}

/// Whether the callback for SMS lets this URL in: it then refuses a body that is too long.
async fn is_let_in(url: &str) -> anyhow::Result<bool> {
    let http = sandbox::http::client(std::time::Duration::from_secs(30))?;
    let too_long = "x".repeat(64 * 1024 + 1);
    match http
        .post(url)
        .body(too_long)
        .send()
        .await?
        .status()
        .as_u16()
    {
        413 => Ok(true),
        403 => Ok(false),
        status => anyhow::bail!("HTTP {status}"),
    }
}

fn url_in(json: &serde_json::Value) -> String {
    json["incoming_messages"].as_str().unwrap().to_owned()
}

#[test]
fn a_key_is_rotated_while_both_work_and_numbers_go_on_being_hashed_the_same() -> anyhow::Result<()>
{
    on_the_system(async |system| {
        let first = keys(system).await?;
        let old_url = url_in(&system.ops(&["callbacks", "--json"]).await?.json()?);
        let output = system.ops(&["rotate-key", "--json"]).await?;
        ensure!(output.status == 0, "{output:?}");
        let new_url = url_in(&output.json()?);
        ensure!(new_url != old_url);
        let number_hash_key = first.get("number_hash_key").unwrap_or(&first["key"]);
        ensure!(keys(system).await?["number_hash_key"] == *number_hash_key);
        system
            .found("both let in", async || {
                Ok((is_let_in(&new_url).await? && is_let_in(&old_url).await?).then_some(()))
            })
            .await?;
        let (_, what) = system.doctor("incoming key").await?;
        ensure!(!what.contains("no key"), "{what}");
        let output = system.ops(&["rotate-key"]).await?;
        ensure!(
            output.status == 1 && output.err.contains("--end-old-key"),
            "{output:?}"
        );

        // Nobody is at the keyboard to say that the URLs are pasted.
        let output = system.ops(&["rotate-key", "--end-old-key"]).await?;
        ensure!(output.status == 2, "{output:?}");
        system
            .ops(&["rotate-key", "--end-old-key", "--yes"])
            .await?
            .well()?;
        let last = keys(system).await?;
        ensure!(last.get("second_key").is_none(), "an old key is left");
        ensure!(last["number_hash_key"] == *number_hash_key);
        let output = system
            .ops(&["rotate-key", "--end-old-key", "--yes"])
            .await?;
        ensure!(output.status == 1, "{output:?}");
        // A key that is not known has the functions read the secret again, as soon as they may.
        let wrong_url = format!("{old_url}x");
        system
            .found("the old key refused", async || {
                is_let_in(&wrong_url).await?;
                Ok((!is_let_in(&old_url).await? && is_let_in(&new_url).await?).then_some(()))
            })
            .await?;
        Ok(())
    })
}

#[test]
fn a_system_without_credentials_or_key_says_what_to_fill_in() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let before = keys(system).await?;
        let outputs = system.stack.outputs();
        let aws = system.stack.aws();
        aws.put_secret(&outputs.incoming_key_secret_arn, &json!({}))
            .await?;
        aws.put_secret(
            &outputs.credentials_secret_arn,
            &json!({ "medic_username": "gateway" }),
        )
        .await?;
        let output = system.ops(&["callbacks"]).await?;
        ensure!(
            output.status == 1 && output.err.contains("rotate-key"),
            "{output:?}"
        );
        let output = system.ops(&["doctor"]).await?;
        ensure!(output.status == 1, "{output:?}");
        for missing in [
            "africastalking_api_key, medic_password not filled in",
            "the secret has no key",
            "not asked: its user is not filled in",
            "not asked: its key is not filled in",
        ] {
            ensure!(output.out.contains(missing), "{missing}: {output:?}");
        }
        aws.put_secret(&outputs.incoming_key_secret_arn, &before)
            .await?;
        Ok(())
    })
}

#[test]
fn credentials_come_from_the_standard_input_and_what_is_not_given_stays() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let secret = &system.stack.outputs().credentials_secret_arn;
        let given = format!(r#"{{"medic_password":"{MARK}-new"}}"#);
        let output = system.ops_reading(&["set-credentials"], &given).await?;
        ensure!(output.status == 0, "{output:?}");
        let now = system.stack.aws().secret(secret).await?;
        ensure!(now["medic_password"] == format!("{MARK}-new"));
        ensure!(now["africastalking_api_key"] == API_KEY && now["medic_username"] == "gateway");
        for shown in [&output.out, &output.err] {
            ensure!(!shown.contains(MARK), "{shown}");
        }
        for wrong in ["", "hush", "{}", r#"{"medic_pasword":"hush"}"#] {
            let output = system.ops_reading(&["set-credentials"], wrong).await?;
            ensure!(
                output.status == 2 && !output.err.contains("hush"),
                "{output:?}"
            );
        }
        let unchanged = system.stack.aws().secret(secret).await?;
        ensure!(unchanged == now, "what cannot be used changes nothing");
        system
            .stack
            .set_credentials(API_KEY, "gateway", PASSWORD)
            .await
    })
}
