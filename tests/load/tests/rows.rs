//! What a row costs to write goes by its size: a unit for each kilobyte that is begun. The row of a usual message is meant to cost one.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use load::lambda::programs;
use load::local::{Local, Manners};
use models::dynamodb::units::{size, write_units};
use sandbox::africastalking::AfricasTalkingFault;
use sandbox::faults::Scope;
use sandbox::medic::MessageState;
use serde_json::Value;

/// How long it may take until nothing is under way any more.
const TIME_LIMIT: Duration = Duration::from_secs(300);

fn text<'a>(row: &'a Value, pointer: &str) -> &'a str {
    let text = row.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or("nothing")
}

/// Each write of a message's row since calls are recorded: what the row says, and its size.
fn written(local: &Local) -> Vec<(String, usize)> {
    let mut rows = Vec::new();
    for call in local.aws.recorded() {
        let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
        rows.extend(body.get("Item").cloned());
    }
    rows.retain(|row| text(row, "/pk/S").starts_with("message#"));
    rows.iter()
        .filter_map(|row| {
            let (sending, status) = (text(row, "/sending/M/is/S"), text(row, "/status/S"));
            let stage = format!("{sending}, {status}, {} told", text(row, "/reported/S"));
            Some((stage, size(row.as_object()?)))
        })
        .collect()
}

/// Has a message sent and reported on, each status told before the next report comes.
async fn life(local: &mut Local) -> anyhow::Result<Vec<(String, usize)>> {
    let sent = local.africas_talking.accepted().len();
    local.aws.record();
    let id = local.medic.queue("+254700000001", "Please come")?;
    local.poll()?;
    local.rest(TIME_LIMIT).await?;
    let accepted = local.africas_talking.accepted();
    let at_id = &accepted.get(sent).context("it was not sent")?.id;
    for status in ["Sent", "Submitted", "Success"] {
        local.africas_talking.report(at_id, status, None).await;
        local.rest(TIME_LIMIT).await?;
        local.poll()?;
        local.rest(TIME_LIMIT).await?;
    }
    ensure!(local.medic.state_of(&id) == Some(MessageState::Delivered));
    Ok(written(local))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_write_of_a_usual_message_costs_one_unit() {
    let programs = tokio::task::block_in_place(|| programs::build("dev")).unwrap();
    let mut local = Local::start(&programs, Manners::default()).await.unwrap();
    local.pause();
    local
        .africas_talking
        .fault(AfricasTalkingFault::ReportsNone, Scope::UntilCleared)
        .await;
    // And one that is sent at the second try only: there is room for that.
    for tries in [1, 2] {
        if tries == 2 {
            let once = Scope::Next(1);
            local
                .africas_talking
                .fault(AfricasTalkingFault::GatewayError, once)
                .await;
        }
        let life = life(&mut local).await.unwrap();
        let stages: Vec<&str> = life.iter().map(|(stage, _)| stage.as_str()).collect();
        let ends = [stages.first(), stages.last()];
        assert_eq!(
            ends.map(Option::unwrap),
            [
                &"calling, unsent, unsent told",
                &"accepted, delivered, delivered told"
            ]
        );
        let calls = stages.iter().filter(|stage| stage.starts_with("calling"));
        assert_eq!(calls.count(), tries, "{life:#?}");
        let all_cost_one = life.iter().all(|(_, size)| write_units(*size) == 1);
        assert!(all_cost_one, "{life:#?}");
    }
}
