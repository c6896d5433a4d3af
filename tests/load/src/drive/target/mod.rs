//! The systems under load, and where the other end of each SMS can be seen.

pub mod account;
pub mod deployed;
mod seen;
pub mod stand_ins;

use anyhow::bail;
use sandbox::medic::MessageState;

use self::account::AccountTarget;
use self::deployed::DeployedTarget;
use self::stand_ins::SandboxTarget;
use super::options::Options;
use super::result::RunResult;
use crate::local::Local;

/// The beginning of an SMS that Medic wants sent; its id follows.
const CAMPAIGN: &str = "Appointment ";

/// An SMS that Medic shall want sent.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Medic's id of it.
    pub id: String,
    /// The recipient.
    pub to: String,
    /// What Medic is to show in the end.
    pub expected: MessageState,
}

impl Planned {
    /// Its text, by which it is known again.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{CAMPAIGN}{}", self.id)
    }
}

/// A system under load.
pub enum Target {
    /// The programs, on this machine.
    Local(Box<Local>),
    /// The template, on the emulator.
    Sandbox(Box<SandboxTarget>),
    /// A stack of the test's own, between the two ends.
    Account(Box<AccountTarget>),
    /// A stack that is in use.
    Deployed(Box<DeployedTarget>),
}

impl Target {
    /// Starts what is to be driven, if it is not there already.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        if let Some(stack) = &options.stack {
            let target = DeployedTarget::find(stack, options.follow).await?;
            return Ok(Self::Deployed(Box::new(target)));
        }
        if options.sandbox {
            return Ok(Self::Sandbox(Box::new(stand_ins::sandbox().await?)));
        }
        let local = stand_ins::local(&options.profile).await?;
        Ok(Self::Local(Box::new(local)))
    }

    /// Its name in words.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Local(_) => "the programs on this machine".to_owned(),
            Self::Sandbox(_) => "the template on the emulator of AWS".to_owned(),
            Self::Account(account) => account.name(),
            Self::Deployed(deployed) => deployed.name(),
        }
    }

    /// Where incoming messages are posted, key included.
    #[must_use]
    pub fn incoming_url(&self) -> String {
        match self {
            Self::Local(local) => {
                let [incoming, _] = local.callback_urls();
                incoming
            }
            Self::Sandbox(sandbox) => sandbox.url.clone(),
            Self::Account(account) => account.incoming_url().to_owned(),
            Self::Deployed(deployed) => deployed.incoming_url().to_owned(),
        }
    }

    /// Whether the replies can be followed.
    #[must_use]
    pub fn has_replies(&self) -> bool {
        !matches!(self, Self::Deployed(_))
    }

    /// Whether the n-th SMS that Medic wants sent is to be reported as failed.
    #[must_use]
    pub fn is_to_fail(&self, n: u64) -> bool {
        match self {
            Self::Account(account) => account.is_to_fail(n),
            _ => false,
        }
    }

    /// Has Medic want messages sent.
    ///
    /// # Errors
    /// When Medic cannot be given any.
    pub async fn send(&mut self, campaign: Vec<Planned>) -> anyhow::Result<()> {
        match self {
            Self::Local(local) => stand_ins::send(&local.medic, &campaign),
            Self::Sandbox(sandbox) => stand_ins::send(&sandbox.medic, &campaign),
            Self::Account(account) => account.send(campaign).await?,
            Self::Deployed(_) => bail!("only Medic's users can have it send something"),
        }
        Ok(())
    }

    /// Does what the schedule does every minute, where the minute would be long.
    ///
    /// # Errors
    /// When the queue does not take it.
    pub async fn poll(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Local(local) => local.poll()?,
            Self::Sandbox(sandbox) => sandbox.stack.poll().await?,
            Self::Account(_) | Self::Deployed(_) => {}
        }
        Ok(())
    }

    /// Whether the run itself has nothing more to do for the SMS that it follows.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        match self {
            Self::Account(account) => account.is_at_rest(),
            Self::Deployed(deployed) => deployed.is_at_rest(),
            Self::Local(_) | Self::Sandbox(_) => true,
        }
    }

    /// Looks where each SMS is.
    ///
    /// # Errors
    /// When the other end cannot be seen.
    pub async fn check(&mut self, result: &mut RunResult) -> anyhow::Result<()> {
        match self {
            Self::Local(local) => stand_ins::check(&local.medic, &local.africas_talking, result),
            Self::Sandbox(sandbox) => {
                stand_ins::check(&sandbox.medic, &sandbox.africas_talking, result);
            }
            Self::Account(account) => account.check(result).await?,
            Self::Deployed(deployed) => deployed.check(result).await?,
        }
        Ok(())
    }
}
