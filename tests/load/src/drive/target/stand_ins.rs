//! Systems between the sandbox's stand-ins for Medic and Africa's Talking: the programs on this machine, and
//! the template on the emulator.

use ends::medic::{REPLY, WITH_REPLY};
use models::medic::OutgoingMessage;
use sandbox::africastalking::{AfricasTalkingConfig, AfricasTalkingFault, AfricasTalkingStandIn};
use sandbox::faults::Scope;
use sandbox::medic::{MedicConfig, MedicStandIn};
use sandbox::stack::{EmulatedStack, Emulator};

use super::{Planned, seen};
use crate::aws::now_ms;
use crate::drive::result::RunResult;
use crate::lambda::programs;
use crate::local::{Local, Manners};

/// The template, deployed on the emulator, between the stand-ins. It ends when it is dropped.
pub struct SandboxTarget {
    /// The bridge.
    pub stack: EmulatedStack,
    /// Where incoming messages are posted.
    pub url: String,
    /// Medic.
    pub medic: MedicStandIn,
    /// Africa's Talking.
    pub africas_talking: AfricasTalkingStandIn,
    _emulator: Emulator,
}

/// Starts the programs on this machine, compiled with a cargo profile.
///
/// # Errors
/// When they cannot be compiled or started.
pub async fn local(profile: &str) -> anyhow::Result<Local> {
    let programs = tokio::task::block_in_place(|| programs::build(profile))?;
    let local = Local::start(&programs, Manners::default()).await?;
    prepare(&local.medic, &local.africas_talking).await;
    Ok(local)
}

/// Deploys the template on an emulator.
///
/// # Errors
/// When it cannot be started or deployed.
pub async fn sandbox() -> anyhow::Result<SandboxTarget> {
    let emulator = Emulator::start().await?;
    let at = AfricasTalkingConfig::default();
    let server = MedicConfig::default();
    let (username, api_key) = (at.username.clone(), at.api_key.clone());
    let (user, password) = (server.user.clone(), server.password.clone());
    let africas_talking = AfricasTalkingStandIn::start(at).await?;
    let medic = MedicStandIn::start(server).await?;
    prepare(&medic, &africas_talking).await;
    let parameters = [
        ("MedicUrl", medic.url()),
        ("AfricasTalkingUsername", username),
        ("AfricasTalkingBaseUrl", africas_talking.url()),
    ];
    let parameters = parameters
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let stack = EmulatedStack::deploy(&emulator, &parameters).await?;
    stack.set_credentials(&api_key, &user, &password).await?;
    let (url, reports) = stack.callback_urls().await?;
    africas_talking.set_callbacks(url.clone(), reports);
    Ok(SandboxTarget {
        stack,
        url,
        medic,
        africas_talking,
        _emulator: emulator,
    })
}

/// Medic replies to what asks for it, and reports come in the wrong order.
async fn prepare(medic: &MedicStandIn, africas_talking: &AfricasTalkingStandIn) {
    medic.set_auto_reply_with(|stored| {
        let is_asked_for = stored.content.ends_with(WITH_REPLY);
        is_asked_for.then(|| format!("{REPLY}{}", stored.id))
    });
    africas_talking
        .fault(AfricasTalkingFault::ReportsReordered, Scope::UntilCleared)
        .await;
}

/// Has Medic send messages.
pub fn send(medic: &MedicStandIn, campaign: &[Planned]) {
    medic.with_model(|medic| {
        for sms in campaign {
            let at_ms = i64::try_from(now_ms()).unwrap_or(i64::MAX);
            medic.send(OutgoingMessage::new(&sms.id, &sms.to, &sms.text(), at_ms));
        }
    });
}

/// Looks where each SMS is.
pub fn check(
    medic: &MedicStandIn,
    africas_talking: &AfricasTalkingStandIn,
    result: &mut RunResult,
) {
    let (stored, accepted) = (medic.stored(), africas_talking.accepted());
    seen::fill(result, &stored, &accepted, &medic.all_outgoing());
    result.posts_at_once = Some(medic.max_in_flight());
}
