//! `cargo sandbox screenshots`: pictures of the page in its states, made by playing with it.

use std::path::{Path, PathBuf};

use sandbox::browser::{Browser, View};
use sandbox::tools::repository;
use sandbox::whole::{Progress, Sandbox};

/// Everything is told and nothing waits.
const QUIET: &str = "document.querySelector('[data-account=to_on_their_way] dd').textContent === '0' \
    && document.querySelector('[data-account=on_their_way] dd').textContent === '0'";

/// Where the pictures go.
pub fn folder() -> PathBuf {
    repository().join("target/sandbox/screenshots")
}

/// Makes all of them.
pub async fn make(sandbox: &Sandbox, progress: &impl Progress) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder())?;
    let browser = Browser::start(View::LAPTOP).await?;
    browser.open(&sandbox.page.url()).await?;
    browser.until("document.querySelector('.chip')").await?;
    let studio = Studio { browser: &browser };
    progress
        .step("At the start", studio.take("1-start"))
        .await?;
    progress
        .step("An SMS and its reply", studio.one_sms())
        .await?;
    progress.step("Medic is away", studio.medic_away()).await?;
    progress.step("No credit", studio.out_of_credit()).await?;
    progress.step("A busy morning", studio.busy()).await?;
    Ok(())
}

struct Studio<'a> {
    browser: &'a Browser,
}

impl Studio<'_> {
    /// What can be seen now: on a laptop and on a phone, light and dark.
    async fn take(&self, name: &str) -> anyhow::Result<()> {
        let views = [
            ("laptop", View::LAPTOP),
            (
                "laptop-dark",
                View {
                    dark: true,
                    ..View::LAPTOP
                },
            ),
            ("phone", View::PHONE),
            (
                "whole",
                View {
                    height: 1500,
                    ..View::LAPTOP
                },
            ),
            (
                "phone-whole",
                View {
                    height: 3300,
                    ..View::PHONE
                },
            ),
        ];
        for (view, look) in views {
            self.browser.look_through(look).await?;
            let settled = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))";
            self.browser.run(&format!("return {settled}")).await?;
            self.save(&folder().join(format!("{name}-{view}.png")))
                .await?;
        }
        self.browser.look_through(View::LAPTOP).await
    }

    async fn save(&self, file: &Path) -> anyhow::Result<()> {
        self.browser.screenshot(file).await
    }

    async fn send(&self, text: &str) -> anyhow::Result<()> {
        self.browser.write("#sms-text", text).await?;
        self.browser.click(".compose button").await
    }

    async fn one_sms(&self) -> anyhow::Result<()> {
        self.send("My child has a fever").await?;
        self.browser
            .until("document.querySelector('.bubble:not(.sent)')")
            .await?;
        self.browser
            .click("[data-fault='x'], .settings button")
            .await?;
        self.browser
            .until("document.querySelector('[data-list=outgoing] .tone.good')")
            .await?;
        self.take("2-reply").await?;
        self.browser.click(".bubble:not(.sent) button").await?;
        self.browser
            .until("document.querySelector('dialog[open]')")
            .await?;
        self.take("3-story").await?;
        self.browser.click("dialog header button").await
    }

    async fn medic_away(&self) -> anyhow::Result<()> {
        self.browser.click("[data-fault='medic/down']").await?;
        for text in [
            "Danger signs: 3 in Kisumu",
            "PREGNANCY 12345 8",
            "Please send a nurse",
        ] {
            self.send(text).await?;
            self.browser
                .until("[...document.querySelectorAll('.bubble.sent')].at(-1).textContent.includes('queue') || [...document.querySelectorAll('.bubble.sent')].at(-1).textContent.includes('waits')")
                .await?;
        }
        self.browser
            .until("document.querySelector('[data-now=exchange]')")
            .await?;
        self.take("4-medic-down").await?;
        self.browser.click("[data-fault='medic/down']").await?;
        self.browser.click("[data-now=exchange] button").await?;
        self.browser.until(QUIET).await
    }

    async fn out_of_credit(&self) -> anyhow::Result<()> {
        self.browser
            .click("[data-fault='africastalking/out-of-credit']")
            .await?;
        self.send("Is the clinic open?").await?;
        self.browser
            .until("document.querySelector('[data-now=hold]')")
            .await?;
        self.take("5-out-of-credit").await?;
        self.browser
            .click("[data-fault='africastalking/out-of-credit']")
            .await
    }

    async fn busy(&self) -> anyhow::Result<()> {
        self.browser.click("[data-fault='medic/slow']").await?;
        self.browser
            .run("document.querySelector('#sms-count').value = '100'")
            .await?;
        self.send("Weekly report").await?;
        self.browser
            .until("Number(document.querySelector('[data-account=sent] dd').textContent) > 90")
            .await?;
        self.take("6-busy").await?;
        self.browser.click("[data-box=exchange]").await?;
        self.browser
            .until("document.querySelector('dialog[open]')")
            .await?;
        self.take("7-queue").await
    }
}
