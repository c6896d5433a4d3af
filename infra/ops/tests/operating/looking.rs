//! Commands that only look: `doctor`, `trace`, `callbacks`, `cost`, `report`, and having Medic reported again.

use anyhow::ensure;
use sandbox::africastalking::AfricasTalkingFault;
use sandbox::faults::Scope;
use sandbox::medic::MessageState;

use crate::deployed::{API_KEY, MARK, PASSWORD, on_the_system};

#[test]
fn a_sound_system_is_found_sound_and_nothing_secret_is_shown() -> anyhow::Result<()> {
    on_the_system(async |system| {
        system.until_well().await?;
        let (posts, sends) = (system.medic.posts().len(), system.phones.requests().len());
        let output = system.ops(&["doctor"]).await?;
        ensure!(output.err.contains("All is well"), "{output:?}");
        for secret in [API_KEY, PASSWORD] {
            ensure!(!output.out.contains(secret), "{output:?}");
        }
        for check in [
            "stack",
            "concurrency quota",
            "event sources",
            "processor",
            "callback URLs",
            "Medic",
            "outgoing SMS",
            "incoming callback",
            "report callback",
            "opt-out callback",
            "clock",
        ] {
            let (verdict, what) = system.doctor(check).await?;
            ensure!(verdict == "fine", "{check}: {what}");
        }
        // It sends nothing, and leaves nothing behind.
        ensure!(system.phones.requests().len() == sends);
        let minutes_poll = 2;
        ensure!(system.medic.posts().len() <= posts + minutes_poll);
        let dead_letters = system
            .ops(&["dead-letters", "list", "--json"])
            .await?
            .json()?;
        ensure!(
            dead_letters["dead_letters"].as_array().unwrap().is_empty(),
            "{dead_letters}"
        );
        Ok(())
    })
}

#[test]
fn the_life_of_an_sms_is_shown_by_each_of_its_names_and_without_its_number() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let (number, text) = (system.number(), format!("{MARK} come on Monday"));
        let id = system.send(&number, &text).await?;
        system
            .until_medic_shows(&id, MessageState::Delivered)
            .await?;
        let row = system.row(&format!("message#{id}")).await?;
        let at_id = row["at_ids"][0].as_str().unwrap().to_owned();
        for name in [id.as_str(), &at_id, &number] {
            let reported = system.ops(&["trace", name]).await?.well()?;
            let steps = [
                "Medic offered the message.",
                "A send request goes to Africa's Talking (attempt 1).",
                "Africa's Talking accepted the message (ATXid_",
                "KES 0.8",
                "Delivery report from network",
                "The status rose (DELIVERED).",
                "Medic took the status (DELIVERED).",
                "Medic has that status",
            ];
            let mut rest = reported.as_str();
            for step in steps {
                let (_, after) = rest
                    .split_once(step)
                    .unwrap_or_else(|| panic!("{step}: {reported}"));
                rest = after;
            }
            for hidden in [&number[4..], &text] {
                ensure!(!reported.contains(hidden), "{reported}");
            }
        }
        let reported = system.ops(&["trace", &id, "--json"]).await?.json()?;
        ensure!(
            reported["messages"][0]["status"] == "DELIVERED",
            "{reported}"
        );
        ensure!(
            reported["messages"][0]["time_line"]
                .as_array()
                .unwrap()
                .len()
                > 6,
            "{reported}"
        );
        Ok(())
    })
}

#[test]
fn what_nobody_knows_is_said_to_be_unknown() -> anyhow::Result<()> {
    on_the_system(async |system| {
        for (name, advice) in [
            ("9b2b3f6e-5f0a-4a51-9d0c-2f6d6f3c8f11", "queue to Medic"),
            ("254700000099", "begins with +"),
            ("+254700000099", "no SMS to this number"),
        ] {
            let output = system.ops(&["trace", name]).await?;
            ensure!(
                output.status == 1 && output.err.contains(advice),
                "{output:?}"
            );
        }
        let output = system.ops(&["replay-reports", "no-such-message"]).await?;
        ensure!(
            output.status == 1 && output.err.contains("no-such-message"),
            "{output:?}"
        );
        Ok(())
    })
}

#[test]
fn medic_is_reported_again_what_it_has_lost() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let id = system.send(&system.number(), "please come").await?;
        system
            .until_medic_shows(&id, MessageState::Delivered)
            .await?;
        let tellings = || {
            let posts = system.medic.posts();
            let updates = posts.iter().flat_map(|post| &post.updates);
            updates
                .filter(|update| update.id == id && update.status == "DELIVERED")
                .count()
        };
        for arguments in [
            vec!["replay-reports", &id],
            vec!["replay-reports", "--days", "1"],
        ] {
            let before = tellings();
            let output = system.ops(&arguments).await?.well()?;
            ensure!(output.contains("To be reported again"), "{output}");
            system
                .found("the status told once more", async || {
                    Ok((tellings() > before).then_some(()))
                })
                .await?;
        }
        let reported = system.ops(&["trace", &id]).await?.well()?;
        ensure!(
            reported.contains("The status will be reported to Medic again"),
            "{reported}"
        );
        Ok(())
    })
}

#[test]
fn the_cost_is_what_africas_talking_named() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let cost = async || {
            let sums = system
                .ops(&["cost", "--by", "sender,network", "--json"])
                .await?
                .json()?;
            let rows = sums["rows"].as_array().unwrap().clone();
            let sum = |name: &str| {
                rows.iter()
                    .filter_map(|row| row[name].as_i64())
                    .sum::<i64>()
            };
            anyhow::Ok((sum("sms"), sum("cost_micros"), rows))
        };
        let (sms, micros, _) = cost().await?;
        let long = "a text of two segments ".repeat(10);
        let id = system.send(&system.number(), &long).await?;
        system
            .until_medic_shows(&id, MessageState::Delivered)
            .await?;
        let (sms_after, micros_after, rows) = cost().await?;
        ensure!(sms_after == sms + 1, "{rows:?}");
        let accepted = system.phones.accepted();
        let charged = accepted.iter().find(|sms| sms.text == long).unwrap();
        let charged = charged.cost_ten_thousandths * 100;
        ensure!(micros_after == micros + charged, "{rows:?}");
        ensure!(rows.iter().any(|row| row["sender"] == "20880"), "{rows:?}");
        let month = system.ops(&["report", "--json"]).await?.json()?;
        ensure!(month["delivered"].as_u64() >= Some(1), "{month}");
        ensure!(month["cost"][0]["currency"] == "KES", "{month}");
        let csv = system.ops(&["report", "--csv"]).await?.well()?;
        ensure!(csv.contains(",charged,,,KES,"), "{csv}");
        let output = system.ops(&["report", "--month", "2999-01"]).await?;
        ensure!(
            output.status == 2 && output.err.contains("not begun"),
            "{output:?}"
        );
        let table = system.ops(&["cost"]).await?.well()?;
        ensure!(table.contains("in all") && table.contains("KES"), "{table}");
        Ok(())
    })
}

#[test]
fn messages_to_a_number_that_opted_out_are_listed_and_no_other_failure() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let number = system.number();
        let opted_out = AfricasTalkingFault::UserInBlacklist;
        let of_number = Scope::Matching(number.clone());
        system.phones.fault(opted_out, of_number).await;
        let id = system.send(&number, "to nobody who wants it").await?;
        system.until_medic_shows(&id, MessageState::Failed).await?;
        let month = system.ops(&["report", "--json"]).await?.json()?;
        let listed = month["not_sent_to_opted_out"].as_array().unwrap();
        ensure!(listed.iter().any(|one| one["medic_id"] == id), "{month}");
        let failed = month["failed"].as_array().unwrap();
        ensure!(failed.iter().all(|one| one["reason"] != "UserInBlacklist"));
        let table = system.ops(&["report"]).await?.well()?;
        ensure!(
            table.contains(&id) && !table.contains(&number[4..]),
            "{table}"
        );
        system.phones.clear_faults().await;
        system.until_well().await
    })
}
