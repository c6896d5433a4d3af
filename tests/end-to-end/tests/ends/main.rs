//! The sandbox with real ends. The models of Medic and of Africa's Talking are servers somewhere else:
//! the sandbox knows their addresses and credentials, and has no other way to them.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use sandbox::africastalking::{AfricasTalkingConfig, AfricasTalkingStandIn};
use sandbox::browser::{Browser, View};
use sandbox::ends::africastalking::RealAccount;
use sandbox::ends::callbacks::public_callback_url;
use sandbox::ends::kept::KeptFolder;
use sandbox::ends::medic::{PhonesBehind, RealMedic};
use sandbox::ends::{ChosenAfricasTalking, ChosenEnds, RedactedSecret};
use sandbox::faults::Scope;
use sandbox::medic::{MedicConfig, MedicFault, MedicStandIn, MessageState};
use sandbox::stack::eventually;
use sandbox::whole::{Quietly, Sandbox};

/// How long anything may take that takes seconds on an idle machine, or waits for the minute's poll.
const SOON: Duration = Duration::from_secs(120);
/// Longer than the longest wait of a message in a queue.
const LONGEST_WAIT: Duration = Duration::from_secs(20 * 60);

const FIND: &str = "window.find = (selector, ...texts) => [...document.querySelectorAll(selector)]
    .some((element) => texts.every((text) => element.textContent.includes(text)));";

const PHONE: &str = "+254700000001";

fn kept_folder() -> PathBuf {
    std::env::temp_dir().join(format!("real-ends-{}", std::process::id()))
}

async fn medic_somewhere() -> anyhow::Result<(MedicStandIn, MedicConfig)> {
    let config = MedicConfig {
        user: "clinic".to_owned(),
        password: "of-the-clinic".to_owned(),
        ..MedicConfig::default()
    };
    Ok((MedicStandIn::start(config.clone()).await?, config))
}

/// What `cargo sandbox --medic-url` makes of its arguments.
async fn chosen(url: &str, login: &MedicConfig) -> anyhow::Result<(RealMedic, Vec<String>)> {
    let medic = RealMedic::new(url, &login.user, RedactedSecret::new(&login.password))?;
    let standing = medic.check().await?;
    Ok((medic, standing.warnings(PhonesBehind::StandIn, 0)))
}

async fn page_of(sandbox: &Sandbox) -> anyhow::Result<Browser> {
    let browser = Browser::start(View::LAPTOP).await?;
    browser.open(&sandbox.page.url()).await?;
    browser.run(FIND).await?;
    Ok(browser)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_medic_and_an_account_of_ones_own_work_and_a_second_start_sends_nothing_again()
-> anyhow::Result<()> {
    let (medic, login) = medic_somewhere().await?;
    let reminder = medic.queue(PHONE, "Please come on Monday")?;
    let folder = kept_folder();
    let _ = fs::remove_dir_all(&folder);
    first_start(&medic, &login, &reminder, &folder).await?;
    // Medic has not heard what became of its message, and offers it again.
    medic.with_model(|medic| {
        for message in &mut medic.outgoing {
            message.state = MessageState::Pending;
        }
    });
    second_start(&medic, &login, &reminder, &folder).await?;
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// Its own Medic, with the phones of the stand-in.
async fn first_start(
    medic: &MedicStandIn,
    login: &MedicConfig,
    reminder: &str,
    folder: &std::path::Path,
) -> anyhow::Result<()> {
    let url = medic.url();
    let (real, warnings) = chosen(&url, login).await?;
    ensure!(
        warnings.concat().contains("would be sent now: 1."),
        "{warnings:?}"
    );
    ensure!(medic.posts().is_empty(), "the check has posted");
    let ends = ChosenEnds {
        medic: Some(real),
        kept: Some(KeptFolder::at(folder)?),
        ..ChosenEnds::default()
    };
    let sandbox = Sandbox::start_with(&Quietly, 0, ends).await?;
    let phones = &sandbox.system.africastalking;
    let sms = phones.sms_from_phone(PHONE, "My child has a fever").await?;
    ensure!(sms.status == Some(200), "{sms:?}");
    eventually("the SMS in the Medic somewhere else", SOON, async || {
        Ok((medic.stored_count() == 1).then_some(()))
    })
    .await?;
    eventually("its message on the phone", SOON, async || {
        Ok((medic.state_of(reminder) == Some(MessageState::Delivered)).then_some(()))
    })
    .await?;
    ensure!(phones.phone(PHONE).len() == 1, "{:?}", phones.phone(PHONE));
    let browser = page_of(&sandbox).await?;
    browser
        .until(&format!("find('.medic .real', '{url}', 'clinic')"))
        .await?;
    browser
        .until("find('.bubble.sent', 'My child has a fever', 'Medic has answered for it')")
        .await?;
    browser
        .until("find('[data-list=outgoing] li', 'Please come on Monday', 'delivered')")
        .await?;
    let controls = "find('.medic .faults') || find('.queue-form') || find('[data-account=lost]')";
    browser.until(&format!("!({controls})")).await?;
    // It fails as any Medic may, and nothing is lost.
    for fault in [MedicFault::Html200, MedicFault::Down] {
        let stored = medic.stored_count();
        medic.fault(fault, Scope::UntilCleared).await;
        phones.sms_from_phone(PHONE, fault_text(fault)).await?;
        browser.until("find('[data-now=exchange]')").await?;
        ensure!(medic.stored_count() == stored, "{fault:?} stores nothing");
        medic.clear_faults().await;
        eventually("the SMS when Medic is back", SOON, async || {
            sandbox.system.queue_clock.pass(LONGEST_WAIT)?;
            Ok((medic.stored_count() == stored + 1).then_some(()))
        })
        .await?;
    }
    ensure!(medic.duplicates().is_empty(), "{:?}", medic.duplicates());
    browser.close().await;
    Ok(())
}

fn fault_text(fault: MedicFault) -> &'static str {
    match fault {
        MedicFault::Down => "while it is away",
        _ => "while it starts",
    }
}

/// The same Medic, and now an account of Africa's Talking in the place of the stand-in.
async fn second_start(
    medic: &MedicStandIn,
    login: &MedicConfig,
    reminder: &str,
    folder: &std::path::Path,
) -> anyhow::Result<()> {
    let application = AfricasTalkingConfig::default();
    let phones = AfricasTalkingStandIn::start(application.clone()).await?;
    let account = RealAccount::new(
        &application.username,
        RedactedSecret::new(&application.api_key),
    )?;
    let account = account.at(phones.url());
    account.check().await?;
    let ends = ChosenEnds {
        medic: Some(chosen(&medic.url(), login).await?.0),
        africastalking: Some(ChosenAfricasTalking {
            account,
            sender_ids: application.short_code.clone(),
            public_url: None,
            callback_port: 0,
        }),
        kept: Some(KeptFolder::at(folder)?),
    };
    let sandbox = Sandbox::start_with(&Quietly, 0, ends).await?;
    // What a tunnel does.
    let gate = &sandbox.system.real.africastalking.as_ref().unwrap().gate;
    let own = sandbox.system.stack.callback_urls().await?;
    let at_gate = |own: &str| public_callback_url(&gate.url(), own);
    phones.set_callbacks(at_gate(&own.0), at_gate(&own.1));
    eventually("Medic's hearing again what it missed", SOON, async || {
        Ok((medic.state_of(reminder) == Some(MessageState::Delivered)).then_some(()))
    })
    .await?;
    ensure!(
        phones.requests().is_empty(),
        "it was sent again: {:?}",
        phones.requests()
    );
    // What is new is sent, and both callbacks come through the gate.
    let other = medic.queue(PHONE, "Please come on Tuesday")?;
    sandbox.system.stack.poll().await?;
    eventually("the new message on the phone", SOON, async || {
        Ok((medic.state_of(&other) == Some(MessageState::Delivered)).then_some(()))
    })
    .await?;
    ensure!(phones.phone(PHONE).len() == 1, "{:?}", phones.phone(PHONE));
    let stored = medic.stored_count();
    phones.sms_from_phone(PHONE, "I shall come").await?;
    eventually("the SMS in Medic", SOON, async || {
        Ok((medic.stored_count() == stored + 1).then_some(()))
    })
    .await?;
    let browser = page_of(&sandbox).await?;
    browser
        .until("find('.phones .real', 'Callbacks', 'Without a tunnel')")
        .await?;
    browser
        .until("find('.bubble.sent', 'I shall come', 'Medic has answered for it')")
        .await?;
    browser
        .until("find('[data-list=outgoing] li', 'text not seen', 'delivered')")
        .await?;
    browser
        .until("!find('.faults') && !find('.compose')")
        .await?;
    browser.close().await;
    // An opt-out comes through, too; with a key that is wrong, the bridge itself refuses it.
    let opt_out = at_gate(&sandbox.system.stack.opt_outs_url().await?);
    for (url, expected) in [(opt_out.clone(), 200), (format!("{opt_out}x"), 403)] {
        let request = sandbox::http::client(SOON)?.post(url);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = request.body(format!("senderId=20880&phoneNumber=%2B{}", &PHONE[1..]));
        let status = request.send().await?.status();
        ensure!(status == expected, "{expected}: {status}");
    }
    let door = reqwest_status(&format!("{}/_ministack/health", gate.url())).await?;
    ensure!(door == 404, "the gate lets others through: {door}");
    Ok(())
}

async fn reqwest_status(url: &str) -> anyhow::Result<u16> {
    let client = sandbox::http::client(SOON)?;
    Ok(client.get(url).send().await?.status().as_u16())
}
