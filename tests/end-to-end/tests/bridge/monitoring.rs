//! What can be seen of the system while it runs: log lines that follow an SMS by its ids, and what is
//! counted in them.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use sandbox::africastalking::AfricasTalkingFault;
use sandbox::faults::Scope;
use sandbox::medic::MessageState;
use sandbox::stack::{FUNCTIONS, template};
use serde_json::Value;

use crate::deployed::{Bridge, MARK, on_a_stack_of_its_own, on_the_shared_stack};
use crate::driving::found;

/// The lines of all functions that have this id in them, as `function event`.
async fn lines_of(bridge: &Bridge, id: &str) -> anyhow::Result<Vec<Value>> {
    let mut lines = Vec::new();
    for function in FUNCTIONS {
        let log = bridge.log(function).await?;
        let has_id = |line: &Value| {
            let named = |name: &str| line[name].as_str().unwrap_or_default();
            ["id", "medic_id", "at_id"]
                .into_iter()
                .any(|name| named(name) == id)
                || ["medic_ids", "reported"]
                    .into_iter()
                    .any(|name| named(name).contains(id))
        };
        lines.extend(log.into_iter().filter(has_id));
    }
    Ok(lines)
}

fn story(lines: &[Value]) -> BTreeSet<String> {
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    lines
        .iter()
        .map(|line| format!("{} {}", text(line, "function"), text(line, "event")))
        .collect()
}

/// Waits until the logs tell all of this of an id. Gives the lines.
async fn reported(bridge: &Bridge, id: &str, expected: &[&str]) -> anyhow::Result<Vec<Value>> {
    found(&format!("{expected:?} of {id} in the logs"), async || {
        let lines = lines_of(bridge, id).await?;
        let story = story(&lines);
        let is_reported = expected.iter().all(|one| story.contains(*one));
        ensure!(is_reported, "there is {story:?}");
        Ok(Some(lines))
    })
    .await
}

fn the<'a>(lines: &'a [Value], event: &str) -> anyhow::Result<&'a Value> {
    let line = lines.iter().find(|line| line["event"] == event);
    line.with_context(|| format!("no {event}"))
}

/// Sends a message from Medic to a phone, to its end.
async fn deliver(bridge: &Bridge) -> anyhow::Result<String> {
    let text = format!("{MARK} to be followed");
    let id = bridge.send(&bridge.number(), &text).await?;
    bridge
        .until_medic_shows(&id, MessageState::Delivered)
        .await?;
    Ok(id)
}

#[test]
fn an_sms_that_comes_in_can_be_followed_by_its_id_and_its_latency_is_measured() -> anyhow::Result<()>
{
    on_the_shared_stack(async |bridge| {
        let phone = bridge.number();
        let id = bridge.sms(&phone, &format!("{MARK} follow me")).await?;
        let expected = [
            "incoming-messages incoming_queued",
            "medic-exchange message_stored",
        ];
        let lines = reported(bridge, &id, &expected).await?;
        let stored = the(&lines, "message_stored")?;
        ensure!(stored["stack"] == "bridge", "{stored}");
        ensure!(
            stored["message"] == "Medic stored the incoming SMS.",
            "{stored}"
        );
        ensure!(
            stored["request_id"]
                .as_str()
                .is_some_and(|id| !id.is_empty()),
            "{stored}"
        );
        let latency_ms = stored["CallbackToMedic"].as_i64().context("no latency")?;
        ensure!(latency_ms >= 0, "{stored}");
        let directive = &stored["_aws"]["CloudWatchMetrics"][0];
        ensure!(directive["Dimensions"][0][0] == "stack", "{directive}");
        Ok(())
    })
}

#[test]
fn an_sms_that_goes_out_can_be_followed_by_its_two_ids_through_four_functions() -> anyhow::Result<()>
{
    on_the_shared_stack(async |bridge| {
        let id = deliver(bridge).await?;
        let expected = [
            "medic-exchange messages_offered",
            "outbound-sender send_accepted",
            "report-recorder report_recorded",
            "report-recorder final_status_recorded",
            "medic-exchange posted",
        ];
        let lines = reported(bridge, &id, &expected).await?;
        let accepted = the(&lines, "send_accepted")?;
        ensure!(accepted["Segments"] == 1, "{accepted}");
        ensure!(
            accepted["Cost"].as_f64().is_some_and(|cost| cost > 0.0),
            "{accepted}"
        );
        ensure!(accepted["currency"] == "KES", "{accepted}");
        let waited_ms = accepted["OfferToAfricasTalking"].as_i64();
        ensure!(waited_ms.is_some_and(|ms| ms >= 0), "{accepted}");
        let ended = the(&lines, "final_status_recorded")?;
        ensure!(ended["FailureRate"] == 0, "{ended}");

        // Africa's Talking's id leads on to the reports.
        let at_id = accepted["at_id"].as_str().context("no id")?;
        reported(bridge, at_id, &["delivery-reports report_queued"]).await?;
        Ok(())
    })
}

#[test]
fn the_balance_is_asked_for_when_something_is_sent() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        deliver(bridge).await?;
        bridge
            .until_logged("outbound-sender", "balance_read", 1)
            .await?;
        let log = bridge.log("outbound-sender").await?;
        let read = the(&log, "balance_read")?;
        ensure!(read["Balance"].as_f64().is_some(), "{read}");
        // The row says when, so that nobody asks again within the hour.
        let account = bridge.row("account").await?.context("no row")?;
        ensure!(account["balance_asked_ms"].as_i64().is_some(), "{account}");
        Ok(())
    })
}

#[test]
fn the_saved_queries_ask_for_fields_and_events_that_there_are() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        bridge.sms(&bridge.number(), &format!("{MARK} in")).await?;
        ensure!(bridge.africastalking.opt_out(&bridge.number()).await? == 200);
        bridge
            .until_logged("incoming-messages", "opt_out_received", 1)
            .await?;
        let refused = bridge
            .send("Safaricom", &format!("{MARK} to no number"))
            .await?;
        let phone = bridge.number();
        let his = Scope::Matching(phone.clone());
        let blacklisted = AfricasTalkingFault::UserInBlacklist;
        bridge.africastalking.fault(blacklisted, his).await;
        bridge
            .send(&phone, &format!("{MARK} to a number that is blacklisted"))
            .await?;
        bridge
            .until_logged("outbound-sender", "send_answered", 1)
            .await?;
        deliver(bridge).await?;
        bridge
            .until_medic_shows(&refused, MessageState::Failed)
            .await?;
        reported(bridge, &refused, &["outbound-sender send_failed"]).await?;
        bridge
            .until_logged("medic-exchange", "message_stored", 1)
            .await?;

        let mut words = BTreeSet::new();
        for function in FUNCTIONS {
            for line in bridge.log(function).await? {
                let fields = line.as_object().context("a line is an object")?;
                words.extend(fields.keys().cloned());
                words.extend(fields["event"].as_str().map(str::to_owned));
            }
        }
        let queries = queries_of_the_functions()?;
        ensure!(queries.len() > 5);
        for (name, query) in queries {
            for word in asked_for(&query) {
                ensure!(
                    words.contains(&word),
                    "{name} asks for {word}, which no line has"
                );
            }
        }
        Ok(())
    })
}

/// The saved queries into the functions' logs, by name.
fn queries_of_the_functions() -> anyhow::Result<Vec<(String, String)>> {
    let template = template::transformed(&template::file())?;
    let resources = template["Resources"].as_object().context("no resources")?;
    let queries = resources.iter().filter(|(name, resource)| {
        resource["Type"] == "AWS::Logs::QueryDefinition" && name.as_str() != "WebhooksQuery"
    });
    let text = |query: &Value| {
        query["Properties"]["QueryString"]
            .as_str()
            .map(str::to_owned)
    };
    Ok(queries
        .filter_map(|(name, query)| Some((name.clone(), text(query)?)))
        .collect())
}

/// The fields and events in a query: each word that is none of the query language's, no name that the
/// query gives itself, and no comment.
fn asked_for(query: &str) -> BTreeSet<String> {
    const LANGUAGE: &str = "fields filter sort limit stats and or in as by asc desc bin count sum max \
                            pct coalesce like";
    // Fields of troubles that a healthy run does not have, and values that are no events.
    const ELSEWHERE: &str = "cause error place advice level warn failed ID";
    let text: String = query
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| [line, "\n"])
        .collect();
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '@'))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()))
        .collect();
    let given: BTreeSet<&str> = words
        .windows(2)
        .filter(|two| two[0] == "as")
        .map(|two| two[1])
        .collect();
    words
        .into_iter()
        .filter(|word| !given.contains(word))
        .filter(|word| {
            !LANGUAGE
                .split_whitespace()
                .chain(ELSEWHERE.split(' '))
                .any(|known| known == *word)
        })
        .map(str::to_owned)
        .collect()
}
