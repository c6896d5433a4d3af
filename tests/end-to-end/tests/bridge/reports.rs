//! Delivery reports, from Africa's Talking to the status that Medic shows.

use std::fs;

use anyhow::ensure;
use futures_util::future::try_join_all;
use sandbox::africastalking::AfricasTalkingFault;
use sandbox::faults::Scope;
use sandbox::medic::{MessageState, OutgoingMessage};
use sandbox::tools::repository;

use crate::deployed::{Bridge, MARK, id, on_the_shared_stack};
use crate::driving::{CallbackRoute, FORM, answer, found};

use MessageState::{Delivered, Failed, ReceivedByGateway, Sent};

/// Sends a message whose reports come like this. Gives its id.
async fn send(bridge: &Bridge, faults: &[AfricasTalkingFault]) -> anyhow::Result<String> {
    let phone = bridge.number();
    for fault in faults {
        let his = Scope::Matching(phone.clone());
        bridge.africastalking.fault(*fault, his).await;
    }
    bridge.send(&phone, &format!("{MARK} reported")).await
}

/// The id that Africa's Talking has for a message of Medic.
pub async fn at_id(bridge: &Bridge, id: &str) -> anyhow::Result<String> {
    let row = bridge.until_sending_is(id, "accepted").await?;
    let ids = row["at_ids"].as_array().unwrap();
    ensure!(ids.len() == 1, "{row}");
    Ok(ids[0].as_str().unwrap().to_owned())
}

/// Waits until a report of this SMS is in the ledger.
pub async fn until_recorded(bridge: &Bridge, at_id: &str, status: &str) -> anyhow::Result<()> {
    let pointer = format!("sms#{at_id}");
    found("the report in the ledger", async || {
        // In the row of the message, or beside the id while no message is known.
        let mut row = bridge.row(&pointer).await?;
        let message = row.as_ref().and_then(|row| row["message"].as_str());
        if let Some(message) = message.map(|message| format!("message#{message}")) {
            row = bridge.row(&message).await?;
        }
        let reports = row.map(|row| row["reports"].to_string());
        Ok(reports.filter(|reports| reports.contains(status)).map(drop))
    })
    .await
}

fn reason(shown: &OutgoingMessage) -> Option<&str> {
    let last = shown.history.iter().rfind(|change| change.state == Failed);
    last.and_then(|change| change.details.as_deref())
}

/// A message that is delivered in Medic was nothing else afterwards.
fn stayed_delivered(shown: &OutgoingMessage) -> anyhow::Result<()> {
    let mut states = shown.history.iter().map(|change| change.state);
    states.find(|state| *state == Delivered);
    ensure!(states.next().is_none(), "{shown:?}");
    Ok(())
}

#[test]
fn a_report_that_beats_the_answer_to_the_send_is_not_lost() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let id = send(bridge, &[AfricasTalkingFault::ReportsEarly]).await?;
        bridge.until_medic_shows(&id, Delivered).await?;
        Ok(())
    })
}

#[test]
fn reports_may_come_repeated_and_in_any_order() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let cases: [&[AfricasTalkingFault]; 4] = [
            &[AfricasTalkingFault::ReportsReordered],
            &[AfricasTalkingFault::ReportsRepeated],
            &[
                AfricasTalkingFault::ReportsReordered,
                AfricasTalkingFault::ReportsRepeated,
            ],
            &[
                AfricasTalkingFault::ReportsBufferedFirst,
                AfricasTalkingFault::ReportsEarly,
                AfricasTalkingFault::ReportsRepeated,
            ],
        ];
        let deliveries = cases.map(|faults| async move {
            let id = send(bridge, faults).await?;
            bridge.until_medic_shows(&id, Delivered).await?;
            let at_id = at_id(bridge, &id).await?;
            for late in ["Sent", "Submitted", "Failed", "Success"] {
                bridge.africastalking.report(&at_id, late, None).await;
            }
            until_recorded(bridge, &at_id, "Failed").await?;
            // Whatever else there is to be told is told with the next message.
            let next = send(bridge, &[]).await?;
            bridge.until_medic_shows(&next, Delivered).await?;
            stayed_delivered(&bridge.medic.outgoing(&id).unwrap())
        });
        try_join_all(deliveries).await?;
        Ok(())
    })
}

#[test]
fn a_failure_is_reported_with_its_reason_and_a_later_success_overrides_it() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let cases = [
            (AfricasTalkingFault::ReportsFailed, "DeliveryFailure"),
            (AfricasTalkingFault::ReportsRejected, "UserInBlackList"),
            (AfricasTalkingFault::ReportsExpired, "Expired"),
            (
                AfricasTalkingFault::ReportsAbsentSubscriber,
                "AbsentSubscriber",
            ),
        ];
        let failures = cases.map(|(fault, expected)| async move {
            let id = send(bridge, &[fault]).await?;
            let shown = bridge.until_medic_shows(&id, Failed).await?;
            ensure!(reason(&shown) == Some(expected), "{shown:?}");
            let at_id = at_id(bridge, &id).await?;
            bridge.africastalking.report(&at_id, "Success", None).await;
            let shown = bridge.until_medic_shows(&id, Delivered).await?;
            stayed_delivered(&shown)
        });
        try_join_all(failures).await?;
        Ok(())
    })
}

#[test]
fn expired_and_then_success_is_delivered() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let id = send(bridge, &[AfricasTalkingFault::ReportsExpiredThenSuccess]).await?;
        let shown = bridge.until_medic_shows(&id, Delivered).await?;
        stayed_delivered(&shown)
    })
}

#[test]
fn a_status_that_nobody_knows_is_kept_and_changes_nothing_in_medic() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let id = send(bridge, &[AfricasTalkingFault::ReportsUnknownStatus]).await?;
        bridge.until_medic_shows(&id, Sent).await?;
        let at_id = at_id(bridge, &id).await?;
        until_recorded(bridge, &at_id, "Teleported").await?;
        let callbacks = bridge.africastalking.callbacks();
        let mut ours = callbacks.iter().filter(|callback| callback.id == at_id);
        ensure!(ours.all(|callback| callback.status == Some(200)));
        bridge
            .until_logged("report-recorder", "unknown_report_status", 1)
            .await?;
        let log = bridge.log("report-recorder").await?;
        ensure!(
            log.iter().any(|entry| entry["UnknownReportStatuses"] == 1),
            "it is counted"
        );
        // Whatever there is to be told is told with the next message.
        let next = send(bridge, &[]).await?;
        bridge.until_medic_shows(&next, Delivered).await?;
        ensure!(bridge.medic.state_of(&id) == Some(Sent));
        let history = bridge.medic.outgoing(&id).unwrap().history;
        ensure!(
            history
                .iter()
                .all(|change| change.state != MessageState::Unrecognised)
        );
        Ok(())
    })
}

#[test]
fn a_message_without_reports_stays_as_it_was_accepted() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let cases = [
            (
                AfricasTalkingFault::Processed,
                MessageState::ForwardedByGateway,
            ),
            (AfricasTalkingFault::Sent, Sent),
            (AfricasTalkingFault::Queued, ReceivedByGateway),
            (AfricasTalkingFault::AcceptedNoStatusCode, Sent),
        ];
        let sends = cases.map(|(fault, state)| async move {
            let id = send(bridge, &[fault, AfricasTalkingFault::ReportsNone]).await?;
            bridge.until_sending_is(&id, "accepted").await?;
            bridge.until_medic_shows(&id, state).await?;
            Ok::<_, anyhow::Error>(())
        });
        try_join_all(sends).await?;
        Ok(())
    })
}

#[test]
fn real_reports_and_those_of_somebody_elses_sms_are_kept() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let mut posted = 0;
        for file in fs::read_dir(repository().join("functions/bridge/tests/payloads"))? {
            let path = file?.path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if !(name.starts_with("delivery-report-") && name.ends_with(".form")) {
                continue;
            }
            // The file's last line has an end, what was posted had none.
            let body = fs::read(&path)?.trim_ascii_end().to_vec();
            let request = bridge.request(CallbackRoute::DeliveryReports);
            let answer = answer(request.header("content-type", FORM).body(body.clone())).await?;
            ensure!(answer.status == 200, "{name}: {answer:?}");
            let field = |name: &str| {
                let mut fields = form_urlencoded::parse(&body);
                let (_, value) = fields.find(|(key, _)| key == name).unwrap();
                value.into_owned()
            };
            until_recorded(bridge, &field("id"), &field("status")).await?;
            let row = bridge.row(&format!("sms#{}", field("id"))).await?.unwrap();
            // The number is not kept, only a hash of it.
            ensure!(
                !row.to_string().contains(&field("phoneNumber")[1..]),
                "{row}"
            );
            ensure!(row["number_hash"].as_str().is_some(), "{row}");
            posted += 1;
        }
        ensure!(posted >= 2, "{posted} payloads");
        Ok(())
    })
}

#[test]
fn a_report_in_json_or_with_a_strange_id_is_taken() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        for at_id in [format!("ATPid_{}", id()), format!("{MARK} / {} é#", id())] {
            let body = serde_json::json!({
                "retryCount": 0, "status": "Success", "id": at_id, "failureReason": null,
            });
            let request = bridge.request(CallbackRoute::DeliveryReports);
            let request = request.header("content-type", "application/json");
            let answer = answer(request.body(body.to_string())).await?;
            ensure!(answer.status == 200, "{answer:?}");
            until_recorded(bridge, &at_id, "Success").await?;
        }
        Ok(())
    })
}
