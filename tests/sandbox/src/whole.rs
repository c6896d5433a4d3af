//! The whole system on this machine, as `cargo sandbox` starts it.

use std::future::Future;
use std::sync::Arc;

use crate::africastalking::{AfricasTalkingConfig, AfricasTalkingStandIn};
use crate::ends::callbacks::{CallbackGate, public_callback_url};
use crate::ends::kept::KeptFolder;
use crate::ends::medic::RealMedic;
use crate::ends::{ChosenAfricasTalking, ChosenEnds, PublicUrls, RealAfricasTalking, RealEnds};
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

/// A deployed stack with a stand-in or a real system at each end and a page to look at it. Dropping
/// it ends it.
#[derive(Debug)]
pub struct Sandbox {
    /// The page.
    pub page: Page,
    /// What it shows.
    pub system: SandboxSystem,
    /// What everything runs on.
    pub emulator: Emulator,
    /// Where ledger and queues are kept.
    _kept: Option<KeptFolder>,
}

impl Sandbox {
    /// Starts everything, with a stand-in at each end; the page on `page_port` of 127.0.0.1, 0 takes a
    /// free one. The tools are installed and the functions compiled, as far as that has not been done
    /// yet.
    ///
    /// # Errors
    /// With the step that failed.
    pub async fn start(progress: &impl StartProgress, page_port: u16) -> anyhow::Result<Self> {
        Self::start_with(progress, page_port, ChosenEnds::default()).await
    }

    /// Like [`Self::start`], with real systems in the place of the stand-ins. They are not checked
    /// here, and from the moment on when this comes back SMS flow.
    ///
    /// # Errors
    /// With the step that failed.
    pub async fn start_with(
        progress: &impl StartProgress,
        page_port: u16,
        ends: ChosenEnds,
    ) -> anyhow::Result<Self> {
        install_tools(progress).await?;
        let compiling = "Compiling the five functions (the first time it takes some minutes)";
        progress.step(compiling, stack::prepare()).await?;
        let state_file = ends.kept.as_ref().map(KeptFolder::state_file);
        let mut emulator = progress
            .step(
                "Starting the emulator of AWS",
                Emulator::start_with(state_file.as_deref()),
            )
            .await?;
        let phones = AfricasTalkingConfig::default();
        let server = MedicConfig::default();
        let africastalking = Arc::new(AfricasTalkingStandIn::start(phones.clone()).await?);
        let medic = Arc::new(MedicStandIn::start(server.clone()).await?);
        medic.set_auto_reply(Some(AUTO_REPLY));
        let stand_ins = StandInLogins {
            medic_url: medic.url(),
            server,
            africastalking_url: africastalking.url(),
            phones,
        };
        let parameters = parameters(&ends, &stand_ins);
        let deploying = "Deploying infra/template.yaml with SAM";
        let stack = progress
            .step(deploying, EmulatedStack::deploy(&emulator, &parameters))
            .await?;
        if let Some(kept) = &ends.kept {
            let putting = "Putting back what an earlier start has kept of ledger and queues";
            progress.step(putting, kept.restore(&stack)).await?;
            emulator.keep_from_now()?;
        }
        let callback_urls = stack.callback_urls().await?;
        let real_africastalking = match &ends.africastalking {
            Some(chosen) => Some(Arc::new(RealAfricasTalking {
                username: chosen.account.username().to_owned(),
                gate: CallbackGate::open(chosen.callback_port, stack.outputs())?,
                public_urls: match &chosen.public_url {
                    Some(url) => Some(PublicUrls {
                        incoming: public_callback_url(url, &callback_urls.0),
                        reports: public_callback_url(url, &callback_urls.1),
                        opt_outs: public_callback_url(url, &stack.opt_outs_url().await?),
                    }),
                    None => None,
                },
            })),
            None => {
                let (incoming, reports) = callback_urls;
                africastalking.set_callbacks(incoming, reports);
                africastalking.set_opt_outs_callback(stack.opt_outs_url().await?);
                None
            }
        };
        // Until now the functions had no credentials, and everything waited.
        let api_key = match &ends.africastalking {
            Some(chosen) => chosen.account.api_key().reveal(),
            None => &stand_ins.phones.api_key,
        };
        let (user, password) = match &ends.medic {
            Some(medic) => (medic.user(), medic.password().reveal()),
            None => (
                stand_ins.server.user.as_str(),
                stand_ins.server.password.as_str(),
            ),
        };
        progress
            .step(
                "Filling in the credentials",
                stack.set_credentials(api_key, user, password),
            )
            .await?;
        let system = SandboxSystem {
            stack,
            queue_clock: emulator.queue_clock().clone(),
            africastalking,
            medic,
            real: RealEnds {
                medic: ends.medic.map(Arc::new),
                africastalking: real_africastalking,
            },
        };
        Ok(Self {
            page: Page::serve(system.clone(), page_port)?,
            system,
            emulator,
            _kept: ends.kept,
        })
    }
}

/// How the stand-ins are reached.
struct StandInLogins {
    medic_url: String,
    server: MedicConfig,
    africastalking_url: String,
    phones: AfricasTalkingConfig,
}

/// The template's parameters for these ends.
fn parameters<'a>(
    ends: &'a ChosenEnds,
    stand_ins: &'a StandInLogins,
) -> Vec<(&'static str, &'a str)> {
    let medic_url = ends
        .medic
        .as_ref()
        .map_or(stand_ins.medic_url.as_str(), RealMedic::url);
    let (username, base_url, sender_ids) = match &ends.africastalking {
        Some(ChosenAfricasTalking {
            account,
            sender_ids,
            ..
        }) => (account.username(), account.base_url(), sender_ids.as_str()),
        None => (
            stand_ins.phones.username.as_str(),
            stand_ins.africastalking_url.as_str(),
            stand_ins.phones.short_code.as_str(),
        ),
    };
    let parameters = [
        ("MedicUrl", medic_url),
        ("AfricasTalkingUsername", username),
        ("AfricasTalkingBaseUrl", base_url),
        ("SenderIds", sender_ids),
    ];
    // Empty is the default where empty is allowed.
    let given = parameters
        .into_iter()
        .filter(|(_, value)| !value.is_empty());
    given.collect()
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
