//! What can be written after `cargo ops`.

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Operates a deployed stack. Which account and region is decided as the AWS CLI decides it:
/// --profile, AWS_PROFILE, AWS_REGION, ~/.aws, single sign-on, roles, credential processes
#[derive(Debug, Parser)]
#[command(
    name = "cargo ops",
    bin_name = "cargo ops",
    after_help = "\
Exit status: 0 done, and nothing is wrong; 1 something is wrong, was not found or could not be done for all;
2 wrong usage; 3 AWS could not be asked (no credentials, no such stack, not allowed, throttled).
Proxies are those of HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY; SSL_CERT_FILE names other authorities to trust.

Example:
  cargo ops --stack clinic-sms doctor"
)]
pub struct Arguments {
    /// The stack's name; else the one in samconfig.toml, else `bridge`
    #[arg(long, global = true, env = "OPS_STACK")]
    pub stack: Option<String>,
    /// The profile of the AWS CLI
    #[arg(long, global = true)]
    pub profile: Option<String>,
    /// The region of AWS
    #[arg(long, global = true)]
    pub region: Option<String>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Says what is wrong with the system, and what to do about it
    #[command(after_help = "\
Sends no SMS and changes nothing. Exit status 0 if all is well, 1 if something is wrong or could not be looked at.
When AWS refuses because this machine's clock is wrong, it says by how much (exit status 3).

Example:
  cargo ops doctor
  cargo ops doctor --json | jq '.findings[] | select(.verdict == \"wrong\")'")]
    Doctor {
        /// For a program
        #[arg(long)]
        json: bool,
    },
    /// Tells the life of an SMS as a time line
    #[command(after_help = "\
The ledger knows what Medic sends. Of an SMS that comes in it knows nothing: it waits in the queue to Medic, is
dead-lettered, or is in Medic.

Example:
  cargo ops trace 9b2b3f6e-5f0a-4a51-9d0c-2f6d6f3c8f11
  cargo ops trace ATXid_00000000000000000000000000000001
  cargo ops trace +254700000001")]
    Trace {
        /// Medic's uuid, Africa's Talking's id, or a phone number in international form
        what: String,
        /// Of a phone number, so many messages at most, the newest ones
        #[arg(long, default_value_t = 10)]
        limit: usize,
        /// Shows phone numbers and texts of what is in the dead-letter queues, and its reason as it is
        #[arg(long)]
        reveal: bool,
        /// For a program
        #[arg(long)]
        json: bool,
    },
    /// Lists, shows, puts back or throws away what could not be processed
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Writes the credentials of Africa's Talking and Medic
    #[command(after_help = "\
At a terminal it asks, shows no key and no password, and keeps what is left empty as it is. Otherwise it reads JSON
from the standard input; what is not in it stays as it is. Nothing secret is ever an argument: those can be seen by
others and stay in the shell's history.

Example:
  cargo ops set-credentials
  cargo ops set-credentials < credentials.json
where credentials.json holds
  { \"africastalking_api_key\": \"…\", \"medic_username\": \"gateway\", \"medic_password\": \"…\" }")]
    SetCredentials,
    /// Makes a new incoming key, and keeps the old one valid until it is told to end it
    #[command(after_help = "\
Numbers go on being hashed under the key that they were hashed under, so that what is in the ledger stays comparable.

Example:
  cargo ops rotate-key                 makes a new key, and prints the new URLs: paste them
  cargo ops rotate-key --end-old-key   when they are pasted")]
    RotateKey {
        /// Ends the old key: it works for five more minutes at the most
        #[arg(long)]
        end_old_key: bool,
        /// Does not ask
        #[arg(long)]
        yes: bool,
        /// For a program
        #[arg(long)]
        json: bool,
    },
    /// Prints the two URLs for Africa's Talking's dashboard. They hold the incoming key
    #[command(after_help = "Example:\n  cargo ops callbacks")]
    Callbacks {
        /// For a program
        #[arg(long)]
        json: bool,
    },
    /// Stops sending, until `resume`
    #[command(after_help = "\
What Medic wants sent is taken and waits, what comes in goes on to Medic, and calls that are under way end. What waits
longer than the parameter MessageMaxAgeHours (3 days, if it was not changed) expires as ever.

Example:
  cargo ops pause")]
    Pause,
    /// Lets sending go on: ends a pause, and has the next message try whether Africa's Talking's trouble is over
    #[command(after_help = "\
Each message that waits looks again by itself, at the latest 18 minutes after a pause and an hour and a quarter after
a hold.

Example:
  cargo ops resume")]
    Resume,
    /// Has Medic be told the current status of messages again
    #[command(after_help = "\
For when Medic has lost statuses, after a restore for example. They are told at the next polls, up to a hundred at a
time. A status that Medic refused is reported again, too.

Example:
  cargo ops replay-reports 9b2b3f6e-5f0a-4a51-9d0c-2f6d6f3c8f11
  cargo ops replay-reports --days 2")]
    ReplayReports {
        /// Medic's uuids
        #[arg(required_unless_present = "days", conflicts_with = "days")]
        ids: Vec<String>,
        /// All messages that Medic first offered in the last so many days
        #[arg(long)]
        days: Option<u32>,
    },
    /// Adds up what Africa's Talking charged
    #[command(after_help = "\
By the prices that Africa's Talking named when it accepted each message. Where it named none, messages are counted and
nothing is added. The ledger forgets messages after the parameter LedgerRetentionDays.

Example:
  cargo ops cost
  cargo ops cost --days 7 --by day,network,sender")]
    Cost {
        /// Of the last so many days
        #[arg(long, default_value_t = 30)]
        days: u32,
        /// What to tell apart
        #[arg(long, value_delimiter = ',', default_value = "day")]
        by: Vec<CostBy>,
        /// For a program
        #[arg(long)]
        json: bool,
    },
}

/// What to do with what is in the dead-letter queues.
#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// Lists what is in the dead-letter queues, and why
    #[command(
        after_help = "Example:\n  cargo ops dead-letters list\n  cargo ops dead-letters list --of statuses"
    )]
    List {
        /// Only of this
        #[arg(long)]
        of: Option<DeadLetterKind>,
        /// For a program
        #[arg(long)]
        json: bool,
    },
    /// Shows one of it
    #[command(
        after_help = "Example:\n  cargo ops dead-letters show 5fea7756-0ea4-451a-a703-a558b933e274 --reveal"
    )]
    Show {
        /// Its id
        id: String,
        /// Shows phone numbers and texts, and the reason as it is
        #[arg(long)]
        reveal: bool,
        /// For a program
        #[arg(long)]
        json: bool,
    },
    /// Puts it back to be processed again
    #[command(after_help = "\
One sender's messages are put back in the order in which they came. Nothing is lost when the command dies: give it again.

Example:
  cargo ops dead-letters redrive 5fea7756-0ea4-451a-a703-a558b933e274
  cargo ops dead-letters redrive --all --of exchange")]
    Redrive {
        /// Which
        #[command(flatten)]
        what: Selection,
    },
    /// Throws it away for good, after asking
    #[command(after_help = "\
A refused status cannot be thrown away: Medic goes on asking for it.

Example:
  cargo ops dead-letters discard 5fea7756-0ea4-451a-a703-a558b933e274")]
    Discard {
        /// Which
        #[command(flatten)]
        what: Selection,
        /// Does not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Which of what is in the dead-letter queues.
#[derive(Debug, Args)]
pub struct Selection {
    /// Their ids
    #[arg(conflicts_with = "all")]
    pub ids: Vec<String>,
    /// All of them
    #[arg(long)]
    pub all: bool,
    /// Only of this
    #[arg(long)]
    pub of: Option<DeadLetterKind>,
}

/// Where something is dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeadLetterKind {
    /// What was for Medic
    Exchange,
    /// Delivery reports
    Reports,
    /// What was for phones
    Outbox,
    /// Statuses that Medic refused
    Statuses,
}

/// What the cost is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CostBy {
    /// The day on which Africa's Talking was called, in UTC
    Day,
    /// The operator's code, from the delivery reports
    Network,
    /// As whom it was sent
    Sender,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_well_formed_and_every_command_has_an_example() {
        fn check(command: &clap::Command) {
            let name = command.get_name().to_owned();
            if command.has_subcommands() {
                command.get_subcommands().for_each(check);
            } else {
                let help = command.get_after_help().map(ToString::to_string);
                assert!(help.unwrap_or_default().contains("Example:"), "{name}");
            }
        }
        let command = Arguments::command();
        command.clone().debug_assert();
        check(&command);
    }
}
