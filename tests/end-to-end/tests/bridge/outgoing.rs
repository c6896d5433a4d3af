//! What Medic wants sent, to phones and back as a status.

use anyhow::ensure;
use futures_util::future::try_join_all;
use sandbox::africastalking::AfricasTalkingFault;
use sandbox::faults::Scope;
use sandbox::medic::{MessageState, OFFERED_AT_MOST};

use crate::deployed::{
    CLINIC, CLINIC_PREFIX, MARK, SHORT_CODE, on_a_stack_of_its_own, on_the_shared_stack,
};
use crate::driving::until;

#[test]
fn an_automatic_reply_reaches_the_phone_and_ends_as_delivered_in_medic() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let reply = format!("{MARK}: asante, tumepokea 🤰🏾");
        bridge.medic.set_auto_reply(Some(&reply));
        let phone = bridge.number();
        let id = bridge
            .sms(&phone, &format!("{MARK} J'ai de la fièvre"))
            .await?;
        let stored = bridge.stored(&id).await?;

        // It is in the answer to the very POST that brought the message: nobody has to poll for it.
        until("the reply on the phone", || {
            !bridge.on_phone(&phone).is_empty()
        })
        .await?;
        let mut outgoing = bridge.medic.all_outgoing();
        outgoing.retain(|message| message.to == phone);
        ensure!(outgoing.len() == 1, "{outgoing:?}");
        let posts = bridge.medic.posts();
        ensure!(posts[stored.post].offered.contains(&outgoing[0].id));

        let shown = bridge
            .until_medic_shows(&outgoing[0].id, MessageState::Delivered)
            .await?;
        let states: Vec<MessageState> = shown.history.iter().map(|change| change.state).collect();
        ensure!(states.is_sorted_by_key(|state| rank(*state)), "{states:?}");
        ensure!(bridge.on_phone(&phone) == [reply]);
        ensure!(bridge.sends_to(&phone).len() == 1);
        Ok(())
    })
}

/// The order in which a message comes to its states.
fn rank(state: MessageState) -> u8 {
    match state {
        MessageState::Pending => 0,
        MessageState::ForwardedToGateway => 1,
        MessageState::ReceivedByGateway => 2,
        MessageState::ForwardedByGateway => 3,
        MessageState::Sent => 4,
        MessageState::Failed => 5,
        MessageState::Delivered => 6,
        MessageState::Unrecognised
        | MessageState::Duplicate
        | MessageState::Scheduled
        | MessageState::Muted
        | MessageState::Cleared
        | MessageState::Denied => u8::MAX,
    }
}

#[test]
fn a_message_of_medic_goes_through_its_states() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let phone = bridge.number();
        let paused = Scope::Matching(phone.clone());
        bridge
            .africastalking
            .fault(AfricasTalkingFault::ReportsNone, paused)
            .await;
        let text = format!("{MARK} njoo kliniki Jumatatu");
        let id = bridge.send(&phone, &text).await?;
        bridge
            .until_medic_shows(&id, MessageState::ReceivedByGateway)
            .await?;
        until("the SMS on the phone", || {
            bridge.on_phone(&phone) == [text.clone()]
        })
        .await?;
        let accepted = bridge.africastalking.accepted();
        let sms = accepted.iter().find(|sms| sms.to == phone).unwrap();
        for (report, state) in [
            ("Sent", MessageState::ForwardedByGateway),
            ("Buffered", MessageState::Sent),
            ("Success", MessageState::Delivered),
        ] {
            bridge.africastalking.report(&sms.id, report, None).await;
            bridge.until_medic_shows(&id, state).await?;
        }
        let history = bridge.medic.outgoing(&id).unwrap().history;
        let states: Vec<MessageState> = history.iter().map(|change| change.state).collect();
        let expected = [
            MessageState::Pending,
            MessageState::ForwardedToGateway,
            MessageState::ReceivedByGateway,
            MessageState::ForwardedByGateway,
            MessageState::Sent,
            MessageState::Delivered,
        ];
        ensure!(states == expected, "{states:?}");
        Ok(())
    })
}

#[test]
fn medic_is_asked_every_minute_what_it_wants_sent() -> anyhow::Result<()> {
    on_a_stack_of_its_own(async |bridge| {
        let phone = bridge.number();
        let text = format!("{MARK} by the schedule alone");
        let id = bridge.medic.queue(&phone, &text)?;
        until("the SMS on the phone", || {
            bridge.on_phone(&phone) == [text.clone()]
        })
        .await?;
        let state = bridge.medic.state_of(&id);
        ensure!(state != Some(MessageState::Pending), "{state:?}");
        Ok(())
    })
}

#[test]
fn thirty_messages_at_once_are_each_sent_once_and_acknowledged_in_three_posts() -> anyhow::Result<()>
{
    on_a_stack_of_its_own(async |bridge| {
        let all = Scope::UntilCleared;
        bridge
            .africastalking
            .fault(AfricasTalkingFault::ReportsLate, all)
            .await;
        let phone = bridge.number();
        let texts: Vec<String> = (0..30).map(|n| format!("{MARK} campaign {n}")).collect();
        let mut ids = Vec::new();
        for text in &texts {
            ids.push(bridge.medic.queue(&phone, text)?);
        }
        let posts_before = bridge.medic.posts().len();
        bridge.stack.poll().await?;
        until("all of them acknowledged", || {
            let is_ours =
                |id: &String| bridge.medic.state_of(id) == Some(MessageState::ReceivedByGateway);
            ids.iter().all(is_ours)
        })
        .await?;
        let posts = bridge.posts_since(posts_before);
        // A test before may have left a status on this stack.
        let updates: Vec<usize> = posts
            .iter()
            .map(|post| {
                let ours = post
                    .updates
                    .iter()
                    .filter(|update| ids.contains(&update.id));
                ours.count()
            })
            .collect();
        // What is offered; 25 acknowledged and the other five offered; those acknowledged. The
        // minute's poll may have come in between.
        let acknowledged: Vec<usize> = updates.into_iter().filter(|count| *count > 0).collect();
        ensure!(acknowledged == [OFFERED_AT_MOST, 5], "{acknowledged:?}");
        ensure!((3..=4).contains(&posts.len()), "{} POSTs", posts.len());

        until("all of them sent", || bridge.sends_to(&phone).len() >= 30).await?;
        bridge.africastalking.release_reports().await;
        bridge
            .africastalking
            .clear_fault(AfricasTalkingFault::ReportsLate)
            .await;
        bridge
            .polling("all of them delivered", || {
                let is_there =
                    |id: &String| bridge.medic.state_of(id) == Some(MessageState::Delivered);
                ids.iter().all(is_there).then_some(())
            })
            .await?;
        let mut received = bridge.on_phone(&phone);
        received.sort();
        let mut expected = texts;
        expected.sort();
        ensure!(received == expected, "{received:?}");
        ensure!(bridge.sends_to(&phone).len() == 30);
        ensure!(bridge.medic.max_in_flight() == 1);
        Ok(())
    })
}

#[test]
fn the_sender_id_is_that_of_the_numbers_prefix_and_enqueue_is_asked_for() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let (usual, clinics) = (bridge.number(), format!("{CLINIC_PREFIX}1"));
        for (phone, sender) in [(usual.as_str(), SHORT_CODE), (&clinics, CLINIC)] {
            bridge.send(phone, &format!("{MARK} from whom")).await?;
            let sent = || !bridge.africastalking.phone(phone).is_empty();
            until("the SMS on the phone", sent).await?;
            ensure!(bridge.africastalking.phone(phone)[0].from == sender);
            let request = &bridge.sends_to(phone)[0];
            ensure!(request.field("enqueue") == Some("1"), "{request:?}");
            ensure!(request.field("username") == Some("sandbox"), "{request:?}");
        }
        Ok(())
    })
}

#[test]
fn every_character_of_a_text_reaches_the_phone_and_its_parts_and_cost_the_ledger()
-> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        // A text, and its parts: of 160 or 153 places, of 70 or 67 where a letter needs it.
        let texts = [
            (
                format!("{MARK} a&b=c+d%20 \"e\" \\ {{f}} [g] ~^|€\n\r\n\té ñ Ω"),
                1,
            ),
            (format!("{MARK} {}", "a".repeat(300)), 3),
            (format!("{MARK} አዲስ {}", "አ".repeat(70)), 2),
            (format!("{MARK} 🤰🏾{}", "😀".repeat(40)), 2),
        ];
        let sends = texts.map(|(text, parts)| async move {
            let phone = bridge.number();
            let id = bridge.send(&phone, &text).await?;
            until("the SMS on the phone", || {
                !bridge.on_phone(&phone).is_empty()
            })
            .await?;
            ensure!(bridge.on_phone(&phone) == [text.clone()], "{text:?}");
            let row = bridge.until_sending_is(&id, "accepted").await?;
            ensure!(row["segments"] == parts, "{parts} parts: {row}");
            ensure!(row["cost"]["currency"] == "KES", "{row}");
            ensure!(
                row["cost"]["micros"] == 800_000 * parts,
                "{parts} parts: {row}"
            );
            Ok(())
        });
        try_join_all(sends).await?;
        Ok(())
    })
}

#[test]
fn a_recipient_that_is_no_number_fails_with_a_reason_and_africas_talking_is_not_asked()
-> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let two_numbers = format!("{},{}", bridge.number(), bridge.number());
        let recipients = ["Safaricom", "20880", "0700000000", two_numbers.as_str()];
        let failures = recipients.map(|to| async move {
            let id = bridge.send(to, &format!("{MARK} to nobody")).await?;
            let shown = bridge.until_medic_shows(&id, MessageState::Failed).await?;
            let details = shown
                .history
                .last()
                .and_then(|change| change.details.clone());
            let reason = details.unwrap_or_default();
            ensure!(reason.contains("is not a phone number"), "{to}: {reason:?}");
            ensure!(bridge.sends_to(to).is_empty());
            Ok(())
        });
        try_join_all(failures).await?;
        Ok(())
    })
}
