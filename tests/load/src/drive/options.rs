//! What the command line says.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use sandbox::tools::repository;

/// How to call it.
pub const USAGE: &str = "\
cargo load [where] [options]

where
  --local               the programs on this machine, with a Lambda and an AWS in memory (the default)
  --sandbox             the template, deployed on the emulator of AWS
  --url URL             a deployed stack: the callback URL for incoming messages, key included
    --stack NAME          its name; what became of each SMS is read from its log with the AWS CLI

options
  --count N             SMS to send (300)
  --rate N              SMS a second (10)
  --repeats N           of a hundred callbacks, as many come twice (5)
  --replies N           of a hundred SMS, Medic replies to as many (100)
  --wait SECONDS        how long to wait for what has not arrived (180)
  --profile NAME        with --local: the cargo profile of the programs (release)
  --report FILE         where the pictures go (target/load/report.html)";

/// Each of a hundred numbers may get sixty messages an hour before the fuse blows.
const MOST_REPLIES: u64 = 5_000;

/// Where to drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Where {
    /// On this machine, with the programs of this profile.
    Local(String),
    /// On the emulator.
    Sandbox,
    /// A stack on AWS.
    Deployed {
        /// The callback URL, key included.
        url: String,
        /// The stack's name.
        stack: String,
    },
}

/// How to drive.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Where.
    pub target: Where,
    /// How many SMS.
    pub count: u64,
    /// How many a second.
    pub rate: f64,
    /// How many of a hundred callbacks come twice.
    pub repeats_percent: u8,
    /// How many of a hundred SMS get a reply.
    pub replies_percent: u8,
    /// How long to wait for what has not arrived.
    pub wait: Duration,
    /// Where the pictures go.
    pub report: PathBuf,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// When it cannot be understood.
    pub fn read(arguments: &[String]) -> anyhow::Result<Self> {
        let mut options = Self {
            target: Where::Local("release".to_owned()),
            count: 300,
            rate: 10.0,
            repeats_percent: 5,
            replies_percent: 100,
            wait: Duration::from_secs(180),
            report: repository().join("target/load/report.html"),
        };
        let (mut deployed_url, mut stack) = (None, None);
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            let mut value = || {
                words
                    .next()
                    .with_context(|| format!("{word} needs a value\n{USAGE}"))
            };
            match word.as_str() {
                "--local" => {}
                "--sandbox" => options.target = Where::Sandbox,
                "--url" => deployed_url = Some(value()?.clone()),
                "--stack" => stack = Some(value()?.clone()),
                "--count" => options.count = parsed(word, value()?)?,
                "--rate" => options.rate = parsed(word, value()?)?,
                "--repeats" => options.repeats_percent = parsed(word, value()?)?,
                "--replies" => options.replies_percent = parsed(word, value()?)?,
                "--wait" => options.wait = Duration::from_secs(parsed(word, value()?)?),
                "--profile" => options.target = Where::Local(value()?.clone()),
                "--report" => options.report = PathBuf::from(value()?),
                _ => bail!("{word} is not understood\n{USAGE}"),
            }
        }
        if let Some(url) = deployed_url {
            let stack = stack.with_context(|| format!("--url needs --stack\n{USAGE}"))?;
            ensure!(url.contains("key="), "the URL has no key at its end");
            options.target = Where::Deployed { url, stack };
        }
        ensure!(
            options.rate > 0.0 && options.rate.is_finite(),
            "a rate is more than nothing"
        );
        ensure!(
            options.count <= MOST_REPLIES,
            "{} SMS from a hundred numbers and as many replies would blow the fuse; {MOST_REPLIES} do not",
            options.count
        );
        Ok(options)
    }
}

fn parsed<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    name: &str,
    value: &str,
) -> anyhow::Result<T> {
    value
        .parse()
        .with_context(|| format!("{name} {value} is not understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> anyhow::Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::read(&words)
    }

    #[test]
    fn a_deployed_stack_needs_its_url_and_its_name() {
        assert!(read("--url https://x.example/?key=k").is_err());
        assert!(read("--url https://x.example/ --stack s").is_err());
        let options = read("--url https://x.example/?key=k --stack s --rate 2.5").unwrap();
        assert_eq!(options.rate, 2.5);
        assert!(matches!(options.target, Where::Deployed { .. }));
        assert_eq!(read("--replies 40").unwrap().replies_percent, 40);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for line in [
            "--rate 0",
            "--rate nan",
            "--count",
            "--count -1",
            "--count 6000",
            "--fast",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
