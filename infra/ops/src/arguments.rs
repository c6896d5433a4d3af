//! The arguments of `cargo ops`, and its help.

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::report::CalendarMonth;
use crate::terminal::{NAME_IN_THE_PROJECT, Terminal};

/// Operates a deployed stack. Finds the account and the region as the AWS CLI does: --profile,
/// AWS_PROFILE, AWS_REGION, ~/.aws, single sign-on, roles, credential processes
#[derive(Debug, Parser)]
#[command(
    version,
    name = "cargo ops",
    bin_name = "cargo ops",
    after_help = "\
Exit status: 0 all is done, and nothing is wrong; 1 something is wrong, was not found, or could not be done for each
item; 2 the command was used wrongly; 3 AWS could not be asked (no credentials, no such stack, no permission,
throttling).
HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY choose the proxy. SSL_CERT_FILE names other certificate authorities.

Example:
  cargo ops --stack clinic-sms doctor"
)]
pub struct Arguments {
    /// The stack's name. By default the one in samconfig.toml, or else `bridge`
    #[arg(long, global = true, env = "OPS_STACK")]
    pub stack: Option<String>,
    /// The profile of the AWS CLI
    #[arg(long, global = true)]
    pub profile: Option<String>,
    /// The region of AWS
    #[arg(long, global = true)]
    pub region: Option<String>,
    #[command(subcommand)]
    /// What to do.
    pub command: Command,
}

impl Arguments {
    /// Parses the arguments of this process. Help and errors call the program what the terminal calls it. They end the
    /// process.
    pub fn of_this_process(terminal: &Terminal) -> Self {
        let command = named(Self::command(), terminal);
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }
}

/// A command whose help calls the program what the terminal calls it.
fn named(command: clap::Command, terminal: &Terminal) -> clap::Command {
    let has_name = command.get_bin_name() == Some(NAME_IN_THE_PROJECT);
    let mut named = command;
    if has_name {
        let name = terminal.named(NAME_IN_THE_PROJECT);
        named = named.display_name(name.clone()).bin_name(name);
    }
    if let Some(help) = named.get_after_help() {
        let help = terminal.named(&help.to_string());
        named = named.after_help(help);
    }
    let named = named.mut_args(|argument| match argument.get_help() {
        Some(help) => {
            let help = terminal.named(&help.to_string());
            argument.help(help)
        }
        None => argument,
    });
    named.mut_subcommands(|command| self::named(command, terminal))
}

/// One command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Says what is wrong with the system, and what to do about it
    #[command(after_help = "\
It sends no SMS and changes nothing. The exit status is 0 if all is well, and 1 if something is wrong or could not be
checked. If AWS refuses the request because this machine's clock is wrong, the command says by how much (exit status 3).

Example:
  cargo ops doctor
  cargo ops doctor --json | jq '.findings[] | select(.verdict == \"wrong\")'")]
    Doctor {
        /// Prints JSON for a program
        #[arg(long)]
        json: bool,
    },
    /// Prints what happened to an SMS, as a time line
    #[command(after_help = "\
The ledger has each message that Medic sends. It has nothing about an SMS that comes in: that SMS waits in the queue to
Medic, is dead-lettered, or is in Medic.

Example:
  cargo ops trace 9b2b3f6e-5f0a-4a51-9d0c-2f6d6f3c8f11
  cargo ops trace ATXid_00000000000000000000000000000001
  cargo ops trace +254700000001")]
    Trace {
        /// Medic's uuid, Africa's Talking's id, or a phone number in international form
        what: String,
        /// How many messages to print for a phone number at most, the newest first
        #[arg(long, default_value_t = 10)]
        limit: usize,
        /// Shows the phone numbers, texts and unredacted reasons of dead-lettered messages
        #[arg(long)]
        reveal: bool,
        /// Prints JSON for a program
        #[arg(long)]
        json: bool,
    },
    /// Lists, shows, redrives or discards messages that could not be processed
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Writes the credentials of Africa's Talking and Medic
    #[command(after_help = "\
At a terminal it asks for each value, and does not show the key and the password. An empty answer keeps the present
value. Otherwise it reads JSON from the standard input, and keeps each value that is not in it. No secret is ever an
argument, because other users can see arguments and the shell's history keeps them.

Example:
  cargo ops set-credentials
  cargo ops set-credentials < credentials.json
where credentials.json holds
  { \"africastalking_api_key\": \"…\", \"medic_username\": \"gateway\", \"medic_password\": \"…\" }")]
    SetCredentials,
    /// Makes a new incoming key. The old key stays valid until --end-old-key
    #[command(after_help = "\
The key that phone numbers are hashed with stays the same, so that the hashes in the ledger stay comparable.

Example:
  cargo ops rotate-key                 makes a new key, and prints the new URLs for Africa's Talking's dashboard
  cargo ops rotate-key --end-old-key   when the new URLs are in the dashboard")]
    RotateKey {
        /// Ends the old key. It works for at most five more minutes
        #[arg(long)]
        end_old_key: bool,
        /// Does not ask for confirmation
        #[arg(long)]
        yes: bool,
        /// Prints JSON for a program
        #[arg(long)]
        json: bool,
    },
    /// Prints the URLs for Africa's Talking's dashboard. They contain the incoming key
    #[command(after_help = "Example:\n  cargo ops callbacks")]
    Callbacks {
        /// Prints JSON for a program
        #[arg(long)]
        json: bool,
    },
    /// Stops sending, until `resume`
    #[command(after_help = "\
The bridge still takes messages from Medic, and keeps them waiting. SMS that come in still go to Medic. Calls to
Africa's Talking that have begun are finished. A message that waits longer than the parameter MessageMaxAgeHours
(3 days by default) expires.

Example:
  cargo ops pause")]
    Pause,
    /// Ends a pause. If the circuit breaker is open, the next message tries whether Africa's Talking works again
    #[command(after_help = "\
Each message that waits is retried by itself, within four minutes. If the circuit breaker is open, one message tries
at once; the others follow when it is accepted.

Example:
  cargo ops resume")]
    Resume,
    /// Reports the current status of messages to Medic again
    #[command(after_help = "\
Use it when Medic has lost statuses, for example after a restore. The next polls report them, up to a hundred at a
time. A status that Medic has refused is reported again, too.

Example:
  cargo ops replay-reports 9b2b3f6e-5f0a-4a51-9d0c-2f6d6f3c8f11
  cargo ops replay-reports --days 2")]
    ReplayReports {
        /// Medic's uuids of the messages
        #[arg(required_unless_present = "days", conflicts_with = "days")]
        ids: Vec<String>,
        /// All messages that Medic first offered in this many days before now
        #[arg(long)]
        days: Option<u32>,
    },
    /// Adds up what Africa's Talking charged
    #[command(after_help = "\
It uses the price that Africa's Talking named when it accepted each message. A message without a price is counted,
and adds nothing. The ledger forgets messages after the parameter LedgerRetentionDays.

Example:
  cargo ops cost
  cargo ops cost --days 7 --by day,network,sender")]
    Cost {
        /// How many days before now to add up
        #[arg(long, default_value_t = 30)]
        days: u32,
        /// What to group the sums by
        #[arg(long, value_delimiter = ',', default_value = "day")]
        by: Vec<CostBy>,
        /// Prints JSON for a program
        #[arg(long)]
        json: bool,
    },
    /// Prints a month at a glance: SMS in and out, delivered, failed, opted out, cost, the slowest day
    #[command(after_help = "\
A message counts in the month in which Medic first offered it; an SMS and its price in the month in which Africa's
Talking was called. SMS that came in, and opt-outs, are counted by CloudWatch. It lists the messages that were not sent
because their recipient had opted out. The ledger forgets messages after the parameter LedgerRetentionDays.

Example:
  cargo ops report
  cargo ops report --month 2026-11 --csv > november.csv")]
    Report {
        /// The month in UTC, by default the present one
        #[arg(long, value_name = "YYYY-MM")]
        month: Option<CalendarMonth>,
        /// Prints CSV for a spreadsheet
        #[arg(long, conflicts_with = "json")]
        csv: bool,
        /// Prints JSON for a program
        #[arg(long)]
        json: bool,
    },
}

/// One command for the dead-letter queues.
#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// Lists the dead-lettered messages, with the reason of each
    #[command(
        after_help = "Example:\n  cargo ops dead-letters list\n  cargo ops dead-letters list --of statuses"
    )]
    List {
        /// Only messages of this kind
        #[arg(long)]
        of: Option<DeadLetterKind>,
        /// Prints JSON for a program
        #[arg(long)]
        json: bool,
    },
    /// Shows one dead-lettered message
    #[command(
        after_help = "Example:\n  cargo ops dead-letters show 5fea7756-0ea4-451a-a703-a558b933e274 --reveal"
    )]
    Show {
        /// Its id, from `cargo ops dead-letters list`
        id: String,
        /// Shows phone numbers and texts, and the unredacted reason
        #[arg(long)]
        reveal: bool,
        /// Prints JSON for a program
        #[arg(long)]
        json: bool,
    },
    /// Puts dead-lettered messages back into their queue, to be processed again
    #[command(after_help = "\
One sender's messages are put back in the order in which they came. If the command dies, nothing is lost: run it again.

Example:
  cargo ops dead-letters redrive 5fea7756-0ea4-451a-a703-a558b933e274
  cargo ops dead-letters redrive --all --of exchange")]
    Redrive {
        #[command(flatten)]
        what: Selection,
    },
    /// Deletes dead-lettered messages for good, after asking
    #[command(after_help = "\
A status that Medic has refused cannot be discarded, because Medic goes on asking for it.

Example:
  cargo ops dead-letters discard 5fea7756-0ea4-451a-a703-a558b933e274")]
    Discard {
        #[command(flatten)]
        what: Selection,
        /// Does not ask for confirmation
        #[arg(long)]
        yes: bool,
    },
}

/// Which dead-lettered messages a command is for.
#[derive(Debug, Args)]
pub struct Selection {
    /// Ids from `cargo ops dead-letters list`
    #[arg(conflicts_with = "all")]
    pub ids: Vec<String>,
    /// All dead-lettered messages
    #[arg(long)]
    pub all: bool,
    /// Only messages of this kind
    #[arg(long)]
    pub of: Option<DeadLetterKind>,
}

/// What was dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DeadLetterKind {
    /// SMS that were to go to Medic
    Exchange,
    /// Delivery reports
    Reports,
    /// Messages that were to go to phones
    Outbox,
    /// Statuses that Medic has refused
    Statuses,
}

/// The property that costs are summed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CostBy {
    /// The day on which Africa's Talking was called, in UTC
    Day,
    /// The operator's code, from the delivery reports
    Network,
    /// The sender ID or short code
    Sender,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_calls_the_program_as_it_was_called() {
        fn helps(command: &mut clap::Command) -> String {
            let mut all = command.render_long_help().to_string();
            for command in command.get_subcommands_mut() {
                all.push_str(&helps(command));
            }
            all
        }
        let help = |called| {
            let mut command = named(Arguments::command(), &Terminal::called(called));
            command.build();
            helps(&mut command)
        };
        let in_the_bundle = help("/opt/sms/cht-africastalking");
        assert!(!in_the_bundle.contains("cargo"), "{in_the_bundle}");
        assert!(in_the_bundle.contains("Usage: cht-africastalking doctor"));
        assert!(in_the_bundle.contains("\n  cht-africastalking doctor --json"));
        assert!(help("target/debug/ops").contains("\n  cargo ops doctor --json"));
    }

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
