//! `cargo sandbox screenshots`: pictures of the page in its states, made by playing with it.

use std::path::PathBuf;

use sandbox::browser::{Browser, View};
use sandbox::tools::repository;
use sandbox::whole::{Sandbox, StartProgress};

/// What the conditions below use.
const HELPERS: &str =
    "window.find = (selector, ...texts) => [...document.querySelectorAll(selector)]
    .some((element) => texts.every((text) => element.textContent.includes(text)));";

/// Nothing is on its way any more.
const QUIET: &str = "document.querySelector('[data-account=on_their_way] dd').textContent === '0' \
    && document.querySelector('[data-account=to_on_their_way] dd').textContent === '0'";

/// Two frames on, everything is drawn.
const DRAWN: &str = "new Promise((done) => \
    requestAnimationFrame(() => requestAnimationFrame(() => done(true))))";

/// Each state is looked at so.
const VIEWS: [(&str, View); 5] = [
    ("laptop", View::LAPTOP),
    (
        "laptop-dark",
        View {
            dark: true,
            ..View::LAPTOP
        },
    ),
    (
        "laptop-whole",
        View {
            height: 1400,
            ..View::LAPTOP
        },
    ),
    ("phone", View::PHONE),
    (
        "phone-whole",
        View {
            height: 3300,
            ..View::PHONE
        },
    ),
];

/// Where the pictures go.
pub fn folder() -> PathBuf {
    repository().join("target/sandbox/screenshots")
}

/// Makes all of them.
///
/// # Errors
/// When the page does not come into one of the states.
pub async fn make(sandbox: &Sandbox, progress: &impl StartProgress) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder())?;
    let browser = Browser::start(View::LAPTOP).await?;
    browser.open(&sandbox.page.url()).await?;
    browser.run(HELPERS).await?;
    let player = Player { browser };
    player.browser.until("find('[data-box=ledger]')").await?;
    progress
        .step("Before anything", player.take("1-empty"))
        .await?;
    progress
        .step("An SMS and its reply", player.sms_and_reply())
        .await?;
    progress
        .step("Medic is away", player.medic_is_away())
        .await?;
    progress
        .step("Africa's Talking has no credit", player.no_credit())
        .await?;
    progress
        .step("A hundred SMS and a slow Medic", player.busy_morning())
        .await?;
    player.browser.close().await;
    Ok(())
}

/// Somebody who plays with the page.
struct Player {
    browser: Browser,
}

impl Player {
    async fn take(&self, name: &str) -> anyhow::Result<()> {
        for (view, observe) in VIEWS {
            self.browser.check_all(observe).await?;
            self.browser.run(&format!("return {DRAWN}")).await?;
            let file = folder().join(format!("{name}-{view}.png"));
            self.browser.screenshot(&file).await?;
        }
        self.browser.check_all(View::LAPTOP).await
    }

    async fn send(&self, text: &str) -> anyhow::Result<()> {
        self.browser.write("#sms-text", text).await?;
        self.browser.click(".compose button").await
    }

    async fn toggle(&self, fault: &str) -> anyhow::Result<()> {
        self.browser.click(&format!("[data-fault='{fault}']")).await
    }

    async fn sms_and_reply(&self) -> anyhow::Result<()> {
        self.send("My child has a fever").await?;
        let reply = "find('.bubble:not(.sent)', 'delivered')";
        self.browser.until(reply).await?;
        self.take("2-reply").await?;
        self.browser.click(".bubble:not(.sent) button").await?;
        self.browser
            .until("find('dialog[open]', 'Its row in the ledger')")
            .await?;
        self.take("3-story").await?;
        self.browser.click("dialog header button").await
    }

    async fn medic_is_away(&self) -> anyhow::Result<()> {
        self.toggle("medic/down").await?;
        for text in [
            "Danger signs: 3 in Kisumu",
            "PREGNANCY 12345 8",
            "Please send a nurse",
        ] {
            self.send(text).await?;
            let is_there = format!("find('.bubble.sent', '{text}')");
            self.browser.until(&is_there).await?;
        }
        self.browser
            .until("find('[data-now=exchange]', '3 SMS')")
            .await?;
        self.take("4-medic-away").await?;
        self.toggle("medic/down").await?;
        self.browser.click("[data-now=exchange] button").await?;
        self.browser.until(QUIET).await
    }

    async fn no_credit(&self) -> anyhow::Result<()> {
        self.toggle("africastalking/out-of-credit").await?;
        self.send("Is the clinic open?").await?;
        self.browser.until("find('[data-now=circuit]')").await?;
        self.take("5-no-credit").await?;
        self.toggle("africastalking/out-of-credit").await
    }

    async fn busy_morning(&self) -> anyhow::Result<()> {
        self.toggle("medic/slow").await?;
        let many = "document.querySelector('#sms-count').value = '100'";
        self.browser.run(many).await?;
        self.send("Weekly report").await?;
        self.browser
            .until("Number(document.querySelector('[data-account=sent] dd').textContent) > 80")
            .await?;
        self.take("6-busy").await?;
        self.browser.click("[data-box=exchange]").await?;
        self.browser.until("find('dialog[open] .contents')").await?;
        self.take("7-queue").await
    }
}
