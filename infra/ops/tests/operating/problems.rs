//! The troubles that operators meet, each staged, found by `doctor` and fixed as it says.

use anyhow::ensure;
use sandbox::africastalking::AfricasTalkingFault;
use sandbox::faults::Scope;
use sandbox::medic::{MedicFault, MessageState};

use crate::deployed::{API_KEY, MARK, PASSWORD, on_the_system};

#[test]
fn a_wrong_key_of_africas_talking_is_found_and_replaced() -> anyhow::Result<()> {
    on_the_system(async |system| {
        system
            .stack
            .set_credentials("wrong", "gateway", PASSWORD)
            .await?;
        let (verdict, what) = system.doctor("Africa's Talking").await?;
        ensure!(
            verdict == "wrong" && what.contains("refuses the API key"),
            "{what}"
        );
        ensure!(what.contains("set-credentials"), "{what}");
        // The key that was right is believed for five minutes, unless it is refused.
        let refusal = AfricasTalkingFault::Http401;
        system.phones.fault(refusal, Scope::Next(1)).await;
        let id = system.send(&system.number(), "waits").await?;
        system
            .found("sending held", async || {
                let (verdict, what) = system.doctor("sending").await?;
                Ok(
                    (verdict == "wrong" && what.contains("the circuit breaker is open since"))
                        .then_some(()),
                )
            })
            .await?;

        // Not met, where the wrong key was read at once.
        system.phones.clear_faults().await;
        let right = format!(r#"{{"africastalking_api_key":"{API_KEY}"}}"#);
        let output = system.ops_reading(&["set-credentials"], &right).await?;
        ensure!(
            output.status == 0 && !output.out.contains(API_KEY),
            "{output:?}"
        );
        system.ops(&["resume"]).await?.well()?;
        // The next message tries at once; the one that was held has a wait of its own.
        let next = system.send(&system.number(), "next").await?;
        system
            .until_medic_shows(&next, MessageState::Delivered)
            .await?;
        system
            .until_medic_shows(&id, MessageState::Delivered)
            .await?;
        system.until_well().await?;
        let reported = system.ops(&["trace", &id]).await?.well()?;
        ensure!(
            reported.contains("circuit breaker open: Africa's Talking refuses the API key"),
            "{reported}"
        );
        Ok(())
    })
}

#[test]
fn a_user_of_medic_without_permission_is_distinguished_from_one_with_a_wrong_password()
-> anyhow::Result<()> {
    on_the_system(async |system| {
        system.medic.set_permitted(false);
        let (verdict, what) = system.doctor("Medic").await?;
        ensure!(
            verdict == "wrong" && what.contains("can_access_gateway_api"),
            "{what}"
        );
        system.medic.set_permitted(true);

        system
            .stack
            .set_credentials(API_KEY, "gateway", "wrong")
            .await?;
        let (verdict, what) = system.doctor("Medic").await?;
        ensure!(
            verdict == "wrong" && what.contains("refuses our user or password"),
            "{what}"
        );
        let right = format!(r#"{{"medic_password":"{PASSWORD}"}}"#);
        system
            .ops_reading(&["set-credentials"], &right)
            .await?
            .well()?;
        let (verdict, what) = system.doctor("Medic").await?;
        ensure!(verdict == "fine", "{what}");
        system.until_well().await
    })
}

#[test]
fn a_medic_that_gives_its_sms_to_somebody_else_is_found() -> anyhow::Result<()> {
    on_the_system(async |system| {
        system.medic.set_outgoing_service("africas-talking");
        let id = system.send(&system.number(), "to nobody").await?;
        let (verdict, what) = system.doctor("outgoing SMS").await?;
        ensure!(
            verdict == "wrong" && what.contains("`africas-talking`"),
            "{what}"
        );
        ensure!(
            what.contains("due in Medic") && what.contains("medic-gateway"),
            "{what}"
        );
        // No `sms` in Medic's settings at all, as in a new CHT: it offers messages.
        system
            .medic
            .with_model(|medic| medic.outgoing_service = None);
        let (verdict, what) = system.doctor("outgoing SMS").await?;
        ensure!(
            verdict == "fine" && what.contains("its settings have no `sms`"),
            "{what}"
        );
        system
            .until_medic_shows(&id, MessageState::Delivered)
            .await?;
        system.until_well().await
    })
}

#[test]
fn no_credit_is_found_and_what_waited_is_sent_when_there_is_some() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let none = AfricasTalkingFault::OutOfCredit;
        system.phones.fault(none, Scope::UntilCleared).await;
        let (verdict, what) = system.doctor("Africa's Talking").await?;
        ensure!(verdict == "wrong" && what.contains("no credit"), "{what}");
        let id = system
            .send(&system.number(), "when there is credit")
            .await?;
        system
            .found("sending held", async || {
                let (verdict, what) = system.doctor("sending").await?;
                Ok((verdict == "wrong" && what.contains("no credit")).then_some(()))
            })
            .await?;

        system.phones.clear_faults().await;
        let output = system.ops(&["resume"]).await?.well()?;
        ensure!(output.contains("was open"), "{output}");
        system
            .until_medic_shows(&id, MessageState::Delivered)
            .await?;
        system.until_well().await?;
        let reported = system.ops(&["trace", &id]).await?.well()?;
        ensure!(
            reported.contains("circuit breaker open: no credit"),
            "{reported}"
        );
        Ok(())
    })
}

#[test]
fn a_poison_message_is_found_in_quarantine_then_dead_lettered_shown_and_put_back()
-> anyhow::Result<()> {
    on_the_system(async |system| {
        let good = async || {
            let phone = system.number();
            let sent = system.phones.sms_from_phone(&phone, "good").await?;
            system.until_stored(&sent.id).await
        };
        // Medic stores: a message may be suspected, whatever happened here before.
        good().await?;
        let poison = format!("{MARK} sumu");
        let only_it = Scope::Matching(poison.clone());
        system.medic.fault(MedicFault::PoisonMessage, only_it).await;
        let phone = system.number();
        let poisoned = system.phones.sms_from_phone(&phone, &poison).await?.id;
        system
            .found("the SMS in quarantine", async || {
                system.stack.quarantined(&poisoned).await
            })
            .await?;
        let (verdict, what) = system.doctor("quarantine").await?;
        ensure!(
            verdict == "note" && what.contains("1 SMS on which Medic fails"),
            "{verdict}: {what}"
        );
        let reported = system.ops(&["trace", &poisoned]).await?.well()?;
        ensure!(reported.contains("waits in quarantine"), "{reported}");

        // It fails an hour later, and the hours after that; others are stored meanwhile.
        good().await?;
        system.stack.end_quarantine(&poisoned, 4).await?;
        system
            .found("what is in the dead-letter queues", async || {
                let (verdict, _) = system.doctor("dead-lettered for Medic").await?;
                Ok((verdict == "wrong").then_some(()))
            })
            .await?;
        let (verdict, what) = system.doctor("quarantine").await?;
        ensure!(verdict == "fine", "{what}");

        let list = system
            .ops(&["dead-letters", "list", "--json"])
            .await?
            .json()?;
        let item = &list["dead_letters"][0];
        let dead_letter_id = item["id"].as_str().unwrap();
        ensure!(
            item["reason"].as_str().unwrap().contains("Server error"),
            "{list}"
        );
        ensure!(
            !list.to_string().contains(MARK) && !list.to_string().contains(&phone),
            "{list}"
        );
        let reported = system.ops(&["trace", &poisoned]).await?.well()?;
        ensure!(
            reported.contains("dead-lettered") && reported.contains("Server error"),
            "{reported}"
        );
        let shown = system
            .ops(&["dead-letters", "show", dead_letter_id, "--reveal"])
            .await?
            .well()?;
        ensure!(shown.contains(&poison) && shown.contains(&phone), "{shown}");

        system.medic.clear_faults().await;
        let output = system
            .ops(&["dead-letters", "redrive", dead_letter_id])
            .await?
            .well()?;
        ensure!(output.contains("Put back: 1"), "{output}");
        ensure!(system.until_stored(&poisoned).await? == 1);
        system.until_well().await
    })
}
