//! The whole system on this machine, as `cargo sandbox` starts it.

use std::future::Future;
use std::sync::Arc;

use crate::africastalking::{AfricasTalkingConfig, AfricasTalkingStandIn};
use crate::medic::{MedicConfig, MedicStandIn};
use crate::page::{Page, SandboxSystem};
use crate::stack::{self, EmulatedStack, Emulator};
use crate::tools;

/// What Medic replies to every SMS.
const AUTO_REPLY: &str = "Thank you, we have received your message.";

/// Hears of each step of the start.
pub trait StartProgress {
    /// Does one step of it.
    fn step<T>(
        &self,
        what: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> impl Future<Output = anyhow::Result<T>>;
}

/// A start that nobody watches.
#[derive(Debug)]
pub struct Quietly;

impl StartProgress for Quietly {
    async fn step<T>(
        &self,
        _what: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        work.await
    }
}

/// A deployed stack with a stand-in at each end and a page to look at it. Dropping it ends it.
#[derive(Debug)]
pub struct Sandbox {
    /// The page.
    pub page: Page,
    /// What it shows.
    pub system: SandboxSystem,
    /// What everything runs on.
    pub emulator: Emulator,
}

impl Sandbox {
    /// Starts everything; the page on `page_port` of 127.0.0.1, 0 takes a free one. The tools are
    /// installed and the functions compiled, as far as that has not been done yet.
    ///
    /// # Errors
    /// With the step that failed.
    pub async fn start(progress: &impl StartProgress, page_port: u16) -> anyhow::Result<Self> {
        install_tools(progress).await?;
        let compiling = "Compiling the five functions (the first time it takes some minutes)";
        progress.step(compiling, stack::prepare()).await?;
        let emulator = progress
            .step("Starting the emulator of AWS", Emulator::start())
            .await?;
        let phones = AfricasTalkingConfig::default();
        let server = MedicConfig::default();
        let africastalking = Arc::new(AfricasTalkingStandIn::start(phones.clone()).await?);
        let medic = Arc::new(MedicStandIn::start(server.clone()).await?);
        medic.set_auto_reply(Some(AUTO_REPLY));
        let (medic_url, africastalking_url) = (medic.url(), africastalking.url());
        let parameters = [
            ("MedicUrl", medic_url.as_str()),
            ("AfricasTalkingUsername", &phones.username),
            ("AfricasTalkingBaseUrl", &africastalking_url),
            ("SenderIds", &phones.short_code),
        ];
        let deploying = "Deploying infra/template.yaml with SAM";
        let stack = progress
            .step(deploying, EmulatedStack::deploy(&emulator, &parameters))
            .await?;
        progress
            .step("Filling in credentials and callback URLs", async {
                stack
                    .set_credentials(&phones.api_key, &server.user, &server.password)
                    .await?;
                let (incoming, reports) = stack.callback_urls().await?;
                africastalking.set_callbacks(incoming, reports);
                Ok(())
            })
            .await?;
        let system = SandboxSystem {
            stack,
            queue_clock: emulator.queue_clock().clone(),
            africastalking,
            medic,
        };
        Ok(Self {
            page: Page::serve(system.clone(), page_port)?,
            system,
            emulator,
        })
    }
}

/// Installs the emulator of AWS and SAM, as far as that has not been done yet.
///
/// # Errors
/// When a tool cannot be installed.
pub async fn install_tools(progress: &impl StartProgress) -> anyhow::Result<()> {
    let what = if tools::are_installed() {
        "The emulator of AWS and SAM are in .tools"
    } else {
        "Installing the emulator of AWS and SAM into .tools (this one time, about a minute)"
    };
    progress
        .step(what, async {
            tokio::task::spawn_blocking(tools::install).await??;
            Ok(())
        })
        .await
}
