//! The sandbox as a page, in a real Chromium: what a person can do with it, and what it shows.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod shared;

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use sandbox::browser::View;
use sandbox::faults::Scope;
use sandbox::medic::{MedicFault, StoredMessage};
use sandbox::stack::eventually;
use serde_json::json;

use crate::shared::{FromPhonesCounts, OpenPage, SOON, on_the_page};

/// How far the page may grow, in elements, however many messages there are. It has some 600 with
/// none, and forty entries in each of its lists.
const ELEMENTS_AT_MOST: u64 = 2_500;

/// Every text whose contrast to what it stands on is below 4.5, as WCAG's AA asks; 3 for large text.
const LOW_CONTRASTS: &str = include_str!("contrast.js");

#[test]
fn an_sms_typed_in_a_phone_ends_as_a_report_in_medic_and_the_reply_in_the_phone()
-> anyhow::Result<()> {
    on_the_page(View::LAPTOP, async |page: &OpenPage<'_>| {
        let before = page.account().await?;
        page.add_phone("+254700000003").await?;
        page.send("My child has a fever").await?;
        page.browser
            .until("find('[data-list=reports] li', '+254700000003', 'My child has a fever')")
            .await?;
        page.browser
            .until("find('.bubble.sent', 'My child has a fever', 'Medic has it')")
            .await?;
        // Medic would be asked, and told, within a minute.
        let reply = "find('.bubble:not(.sent)', 'we have received your message', 'delivered')";
        let is_known = format!("find('[data-box=ledger]', 'to report to Medic') || {reply}");
        page.browser.until(&is_known).await?;
        page.browser.click(".settings button").await?;
        page.browser.until(reply).await?;
        page.browser
            .until("find('[data-list=outgoing] li', '+254700000003', 'delivered')")
            .await?;
        let stored = page.sandbox.system.medic.stored();
        let of_phone = |sms: &&StoredMessage| sms.from == "+254700000003";
        let texts: Vec<String> = stored
            .iter()
            .filter(of_phone)
            .map(|sms| sms.content.clone())
            .collect();
        ensure!(texts == ["My child has a fever"], "Medic has {texts:?}");
        let phone = page.sandbox.system.africastalking.phone("+254700000003");
        ensure!(phone.len() == 1, "the phone has {phone:?}");
        page.account_becomes(&FromPhonesCounts {
            sent: before.sent + 1,
            stored_once: before.stored_once + 1,
            ..before
        })
        .await
    })
}

#[test]
fn medic_switched_off_and_on_again_loses_nothing() -> anyhow::Result<()> {
    on_the_page(View::LAPTOP, async |page: &OpenPage<'_>| {
        let before = page.account().await?;
        page.add_phone("+254700000004").await?;
        page.browser.click("[data-fault='medic/down']").await?;
        page.browser
            .until("find('[data-box=medic]', 'failing')")
            .await?;
        let texts = ["one", "two", "three", "four", "five"];
        for text in texts {
            page.send(text).await?;
            let arrived = format!("find('.bubble.sent .text', '{text}')");
            page.browser.until(&arrived).await?;
        }
        page.account_becomes(&FromPhonesCounts {
            sent: before.sent + 5,
            on_their_way: 5,
            ..before
        })
        .await?;
        page.browser
            .until("find('[data-now=exchange]', 'Medic cannot be reached', 'retried')")
            .await?;
        page.browser
            .until("find('[data-box=exchange]', '5 wait')")
            .await?;
        page.browser.click("[data-fault='medic/down']").await?;
        page.browser.click("[data-now=exchange] button").await?;
        page.account_becomes(&FromPhonesCounts {
            sent: before.sent + 5,
            stored_once: before.stored_once + 5,
            ..before
        })
        .await?;
        let stored = page.sandbox.system.medic.stored();
        let of_phone = |sms: &&StoredMessage| sms.from == "+254700000004";
        let found: Vec<&str> = stored
            .iter()
            .filter(of_phone)
            .map(|sms| sms.content.as_str())
            .collect();
        ensure!(found == texts, "Medic has {found:?}");
        page.browser
            .until("!document.querySelector('[data-now=exchange]')")
            .await
    })
}

#[test]
fn three_hundred_messages_do_not_freeze_the_page() -> anyhow::Result<()> {
    on_the_page(View::LAPTOP, async |page: &OpenPage<'_>| {
        let before = page.to_phones().await?;
        let choose = "document.querySelector('.queue-form [name=to]').value = 'many'; \
                      document.querySelector('.queue-form [name=count]').value = '300';";
        page.browser.run(choose).await?;
        page.browser.click(".queue-form button").await?;
        // The page answers, and draws, for as long as the messages travel.
        let watch = "return new Promise((done) => requestAnimationFrame(() => done([ \
                     document.querySelectorAll('*').length, account('wanted'), \
                     account('on_phone'), account('to_on_their_way'), account('too_many')])))";
        let most = std::sync::atomic::AtomicU64::new(0);
        let seen = std::sync::Mutex::new(BTreeSet::new());
        eventually("300 SMS on their phones", 2 * SOON, async || {
            let now = page.browser.run(watch).await?;
            let elements = now[0].as_u64().context("no count of elements")?;
            most.fetch_max(elements, std::sync::atomic::Ordering::Relaxed);
            seen.lock().unwrap().insert(now[2].as_u64());
            let done = json!([before.wanted + 300, before.on_phone + 300, 0, 0]);
            Ok(
                (now.as_array().context("no list")?[1..] == *done.as_array().unwrap())
                    .then_some(()),
            )
        })
        .await?;
        let most = most.into_inner();
        ensure!(most <= ELEMENTS_AT_MOST, "the page grew to {most} elements");
        let seen = seen.into_inner().unwrap();
        ensure!(seen.len() > 5, "the page showed only {seen:?} of their way");
        let landed = page.sandbox.system.africastalking.accepted();
        let come = landed
            .iter()
            .filter(|sms| sms.text.starts_with("Please come"));
        let texts: BTreeSet<&str> = come.clone().map(|sms| sms.text.as_str()).collect();
        ensure!(
            come.count() == 300 && texts.len() == 300,
            "not each came once"
        );
        Ok(())
    })
}

#[test]
fn what_is_lost_or_stored_twice_is_shown_as_such() -> anyhow::Result<()> {
    on_the_page(View::LAPTOP, async |page: &OpenPage<'_>| {
        let before = page.account().await?;
        let medic = &page.sandbox.system.medic;
        // A bridge that does what ours never does is played by hand.
        let of_phone = || Scope::Matching("+254700000005".to_owned());
        medic.fault(MedicFault::Http503, of_phone()).await;
        page.add_phone("+254700000005").await?;
        for text in ["stored twice", "lost"] {
            page.send(text).await?;
        }
        page.account_becomes(&FromPhonesCounts {
            sent: before.sent + 2,
            on_their_way: 2,
            ..before
        })
        .await?;
        let sent = page.sandbox.system.africastalking.from_phones();
        let twice = sent.iter().rfind(|sms| sms.text == "stored twice").unwrap();
        let message = json!({ "id": twice.id, "from": "MTN", "content": "stored twice" });
        page.post_to_medic(&json!({ "messages": [message, message], "updates": [] }))
            .await?;
        let stack = &page.sandbox.system.stack;
        let purge = json!({ "QueueUrl": stack.outputs().exchange_queue_url });
        let action = "AmazonSQS.PurgeQueue";
        stack.aws().call("sqs", action, &purge).await?;
        page.account_becomes(&FromPhonesCounts {
            sent: before.sent + 2,
            stored_twice: before.stored_twice + 1,
            lost: before.lost + 1,
            ..before
        })
        .await?;
        page.browser
            .until("find('[data-account=lost].bad') && find('[data-account=stored_twice].bad')")
            .await
    })
}

#[test]
fn everything_can_be_done_with_the_keyboard() -> anyhow::Result<()> {
    on_the_page(View::LAPTOP, async |page: &OpenPage<'_>| {
        let browser = page.browser;
        page.tab_to("#sms-text").await?;
        browser.press("typed\u{e007}").await?;
        browser.until("find('.bubble.sent', 'typed')").await?;
        page.tab_to("[data-fault='africastalking/robot']").await?;
        browser.press(" ").await?;
        let is_on = "find(\"[data-fault='africastalking/robot'][aria-pressed=true]\")";
        browser.until(is_on).await?;
        browser.press(" ").await?;
        browser.until(&format!("!({is_on})")).await?;
        page.tab_to("[data-box=ledger]").await?;
        browser.press("\u{e007}").await?;
        browser.until("find('dialog[open]', 'The ledger')").await?;
        browser.press("\u{e00c}").await?;
        browser.until("!find('dialog[open]')").await?;
        let focus = browser
            .run("return document.activeElement.dataset.box")
            .await?;
        ensure!(focus == "ledger", "the focus went to {focus}");
        Ok(())
    })
}

#[test]
fn it_can_be_read_in_both_schemes_on_a_laptop_and_on_a_phone() -> anyhow::Result<()> {
    on_the_page(View::LAPTOP, async |page: &OpenPage<'_>| {
        page.browser.click("[data-fault='medic/down']").await?;
        page.send("Is this readable?").await?;
        page.browser
            .until("find('[data-now=exchange]') && find('.active li')")
            .await?;
        for view in [View::LAPTOP, View::PHONE] {
            for dark in [false, true] {
                page.browser.check_all(View { dark, ..view }).await?;
                page.browser.until("isDrawn()").await?;
                let low = page.browser.run(LOW_CONTRASTS).await?;
                ensure!(low == json!([]), "too little contrast: {low:#}");
                let script = "return document.documentElement.scrollWidth - innerWidth";
                let beyond = page.browser.run(script).await?;
                let is_inside = beyond.as_i64().is_some_and(|beyond| beyond <= 0);
                ensure!(is_inside, "the page is {beyond} pixels wider than {view:?}");
            }
        }
        let nameless = "return [...document.querySelectorAll('button, input, select')] \
                        .filter((one) => !(one.textContent.trim() || one.ariaLabel || one.labels?.length)) \
                        .map((one) => one.outerHTML)";
        let nameless = page.browser.run(nameless).await?;
        ensure!(nameless == json!([]), "without a name: {nameless:#}");
        Ok(())
    })
}

#[test]
fn nothing_moves_for_those_who_prefer_less_motion() -> anyhow::Result<()> {
    let still = View {
        still: true,
        ..View::LAPTOP
    };
    for (view, moves) in [(still, false), (View::LAPTOP, true)] {
        on_the_page(view, async |page: &OpenPage<'_>| {
            // Whatever is animated, however shortly, goes through here.
            let note = "window.animated = 0; const animate = Element.prototype.animate; \
                        Element.prototype.animate = function (...how) { \
                        window.animated += 1; return animate.apply(this, how); }";
            page.browser.run(note).await?;
            let text = format!("Moves: {moves}");
            page.send(&text).await?;
            let is_stored = format!("find('.bubble.sent', '{text}', 'Medic has it')");
            page.browser.until(&is_stored).await?;
            let animated = page.browser.run("return window.animated > 0").await?;
            ensure!(animated == json!(moves), "moves: {animated}, with {view:?}");
            Ok(())
        })?;
    }
    Ok(())
}
