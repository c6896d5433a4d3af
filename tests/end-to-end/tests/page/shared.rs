//! One sandbox for all tests of the page, one test at a time.

use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use sandbox::browser::{Browser, View};
use sandbox::medic::MedicConfig;
use sandbox::stack::eventually;
use sandbox::whole::{Quietly, Sandbox};
use serde::Deserialize;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, OnceCell};

/// How long anything may take that takes seconds on an idle machine, or waits for the minute's poll.
pub const SOON: Duration = Duration::from_secs(120);

/// So often the tabulator reaches everything that it can reach.
const TABS_AT_MOST: u32 = 200;

/// Functions for the scripts of the tests.
const HELPERS: &str = "
    window.find = (selector, ...texts) => [...document.querySelectorAll(selector)]
        .some((element) => texts.every((text) => element.textContent.includes(text)));
    window.account = (name) =>
        Number(document.querySelector(`[data-account=${name}] dd`).textContent);
    window.isDrawn = () => new Promise((done) =>
        requestAnimationFrame(() => requestAnimationFrame(() => done(true))));
";

/// The page's sentences about SMS from phones.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FromPhonesCounts {
    pub sent: u64,
    pub stored_once: u64,
    pub stored_twice: u64,
    pub on_their_way: u64,
    pub dead_lettered: u64,
    pub lost: u64,
}

/// The page's sentences about SMS to phones.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ToPhonesCounts {
    pub wanted: u64,
    pub on_phone: u64,
}

/// A person at the page.
pub struct OpenPage<'a> {
    pub sandbox: &'a Sandbox,
    pub browser: &'a Browser,
}

/// The sandbox outlives the test that has started it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Runs a test on the page, freshly opened. Everything is in order when it begins, but not empty:
/// what is counted must be one's own.
pub fn on_the_page(
    view: View,
    test: impl AsyncFnOnce(&OpenPage<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    static SANDBOX: OnceCell<Sandbox> = OnceCell::const_new();
    static ALONE: Mutex<()> = Mutex::const_new(());
    RUNTIME.block_on(async {
        let _alone = ALONE.lock().await;
        let sandbox = SANDBOX
            .get_or_try_init(|| Sandbox::start(&Quietly, 0))
            .await?;
        sandbox.settle().await?;
        let browser = Browser::start(view).await?;
        browser.open(&sandbox.page.url()).await?;
        browser.run(HELPERS).await?;
        let page = OpenPage {
            sandbox,
            browser: &browser,
        };
        page.is_up_to_date().await?;
        let result = test(&page).await;
        browser.close().await;
        result
    })
}

/// Puts things in order.
trait Settle {
    async fn settle(&self) -> anyhow::Result<()>;
}

impl Settle for Sandbox {
    async fn settle(&self) -> anyhow::Result<()> {
        self.system.medic.clear_faults().await;
        self.system.africastalking.clear_faults().await;
        self.system.queue_clock.pass(Duration::from_secs(20 * 60))?;
        let outputs = self.system.stack.outputs();
        eventually("empty queues", SOON, async || {
            for queue in [
                &outputs.exchange_queue_url,
                &outputs.reports_queue_url,
                &outputs.outbox_queue_url,
            ] {
                if self.system.stack.aws().depth(queue).await?.total() > 0 {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await
    }
}

impl OpenPage<'_> {
    /// Waits until the page shows what is so: at first it shows what the last page saw.
    async fn is_up_to_date(&self) -> anyhow::Result<()> {
        let sent = self.sandbox.system.africastalking.from_phones();
        let sent = sent.iter().filter(|sms| sms.is_accepted()).count();
        let wanted = self.sandbox.system.medic.all_outgoing().len();
        let now = format!(
            "find('[data-box=ledger]') && find('[data-account=lost] dd') \
             && account('sent') === {sent} && account('wanted') === {wanted} \
             && account('on_their_way') === 0 && account('to_on_their_way') === 0"
        );
        self.browser.until(&now).await
    }

    pub async fn account(&self) -> anyhow::Result<FromPhonesCounts> {
        let names = [
            "sent",
            "stored_once",
            "stored_twice",
            "on_their_way",
            "dead_lettered",
            "lost",
        ];
        self.figures(&names).await
    }

    pub async fn to_phones(&self) -> anyhow::Result<ToPhonesCounts> {
        self.figures(&["wanted", "on_phone"]).await
    }

    async fn figures<T: for<'de> Deserialize<'de>>(&self, names: &[&str]) -> anyhow::Result<T> {
        let names = serde_json::to_string(names)?;
        let script =
            format!("return Object.fromEntries({names}.map((name) => [name, account(name)]))");
        Ok(serde_json::from_value(self.browser.run(&script).await?)?)
    }

    pub async fn account_becomes(&self, expected: &FromPhonesCounts) -> anyhow::Result<()> {
        let what = format!("the account {expected:?}");
        eventually(&what, SOON, async || {
            let now = self.account().await?;
            ensure!(now == *expected, "it is {now:?}");
            Ok(Some(()))
        })
        .await
    }

    pub async fn add_phone(&self, number: &str) -> anyhow::Result<()> {
        self.browser.write("#new-phone", number).await?;
        self.browser.click(".add button").await?;
        let chosen = format!("find('.device h3', '{number}')");
        self.browser.until(&chosen).await
    }

    pub async fn send(&self, text: &str) -> anyhow::Result<()> {
        self.browser.write("#sms-text", text).await?;
        self.browser.click(".compose button").await
    }

    /// Presses the tabulator until the focus is there.
    pub async fn tab_to(&self, selector: &str) -> anyhow::Result<()> {
        let selector = Value::from(selector);
        let script = format!("return document.activeElement.matches({selector})");
        for _ in 0..TABS_AT_MOST {
            self.browser.press("\u{e004}").await?;
            if self.browser.run(&script).await? == Value::Bool(true) {
                return Ok(());
            }
        }
        anyhow::bail!("the tabulator does not reach {selector}")
    }

    /// Posts to Medic as a gateway would.
    pub async fn post_to_medic(&self, body: &Value) -> anyhow::Result<()> {
        let login = MedicConfig::default();
        let answer = sandbox::http::client(SOON)?
            .post(format!("{}/api/sms", self.sandbox.system.medic.url()))
            .basic_auth(login.user, Some(login.password))
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .context("Medic does not answer")?;
        ensure!(answer.status().is_success(), "Medic: {}", answer.status());
        Ok(())
    }
}
