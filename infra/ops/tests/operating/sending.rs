//! `pause` and `resume`.

use anyhow::ensure;
use sandbox::medic::MessageState;

use crate::deployed::on_the_system;

#[test]
fn a_pause_stops_sending_until_somebody_resumes_it_and_nothing_else() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let output = system.ops(&["pause"]).await?.well()?;
        ensure!(output.contains("Sending is paused"), "{output}");
        let output = system.ops(&["pause"]).await?.well()?;
        ensure!(output.contains("paused already"), "{output}");
        let (verdict, what) = system.doctor("sending").await?;
        ensure!(
            verdict == "wrong" && what.contains("paused by somebody"),
            "{what}"
        );

        let number = system.number();
        let id = system.send(&number, "after the pause").await?;
        system
            .until_medic_shows(&id, MessageState::ReceivedByGateway)
            .await?;
        // However long it waits: what comes in and what is acknowledged goes on.
        for _ in 0..3 {
            let sms = system.phones.sms_from_phone(&number, "meanwhile").await?;
            system.until_stored(&sms.id).await?;
        }
        ensure!(system.phones.phone(&number).is_empty());
        let reported = system.ops(&["trace", &id]).await?.well()?;
        ensure!(
            reported.contains("it waits in the queue to be sent")
                && reported.contains(": sending is paused; its status"),
            "{reported}"
        );

        let output = system.ops(&["resume"]).await?.well()?;
        ensure!(output.contains("Sending goes on"), "{output}");
        system
            .until_medic_shows(&id, MessageState::Delivered)
            .await?;
        ensure!(system.phones.phone(&number).len() == 1);
        let output = system.ops(&["resume"]).await?.well()?;
        ensure!(
            output.contains("neither paused nor stopped by the circuit breaker"),
            "{output}"
        );
        system.until_well().await
    })
}
