//! Which account and region: those that the AWS CLI would use on this machine.
//!
//! Keys of the environment and of the profile's files are read here. Every other way to credentials
//! (single sign-on, an assumed role, a credential process, an instance's role) is left to the AWS
//! CLI itself, `aws configure export-credentials`: it caches and refreshes what `aws sso login` has
//! brought, and there is no second implementation of it here that could differ.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use bridge::adapters::aws::Credentials;
use serde_json::Value;

use crate::failure::Failure;

/// A profile with one of these is for the AWS CLI to resolve.
const RESOLVED_BY_THE_CLI: [&str; 6] = [
    "role_arn",
    "sso_session",
    "sso_start_url",
    "credential_process",
    "web_identity_token_file",
    "login_session",
];

/// The access to an account.
#[derive(Clone, Debug)]
pub struct Access {
    /// The region.
    pub region: String,
    /// The credentials.
    pub credentials: Credentials,
    /// Where all services are, if that is not AWS: an emulator.
    pub endpoint_url: Option<String>,
}

/// The sections of a file like `~/.aws/config`.
type Sections = BTreeMap<String, BTreeMap<String, String>>;

impl Access {
    /// The access that the AWS CLI would use with the same `--profile` and `--region`.
    ///
    /// # Errors
    /// When there are no credentials or there is no region.
    pub fn of_the_cli(profile: Option<&str>, region: Option<&str>) -> Result<Self, Failure> {
        let settings = settings_of(profile);
        let region = region
            .map(str::to_owned)
            .or_else(|| variable("AWS_REGION"))
            .or_else(|| variable("AWS_DEFAULT_REGION"))
            .or_else(|| settings.get("region").cloned())
            .ok_or_else(|| {
                Failure::OutOfReach(
                    "no region is set: use --region, AWS_REGION or `aws configure`".to_owned(),
                )
            })?;
        // As in the AWS CLI: a profile that is named outweighs keys in the environment.
        let of_environment = || profile.is_none().then(credentials_of_environment).flatten();
        let credentials = of_environment()
            .or_else(|| credentials_in(&settings))
            .map_or_else(|| credentials_of_the_cli(profile), Ok)?;
        Ok(Self {
            region,
            credentials,
            endpoint_url: variable("AWS_ENDPOINT_URL")
                .or_else(|| settings.get("endpoint_url").cloned()),
        })
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name)
        .ok()
        .filter(|value| !value.trim().is_empty())
}

fn credentials_of_environment() -> Option<Credentials> {
    Some(Credentials {
        access_key_id: variable("AWS_ACCESS_KEY_ID")?,
        secret_access_key: variable("AWS_SECRET_ACCESS_KEY")?,
        session_token: variable("AWS_SESSION_TOKEN"),
    })
}

/// Keys that are in the profile itself, unless something stronger is there.
fn credentials_in(settings: &BTreeMap<String, String>) -> Option<Credentials> {
    if RESOLVED_BY_THE_CLI
        .iter()
        .any(|name| settings.contains_key(*name))
    {
        return None;
    }
    Some(Credentials {
        access_key_id: settings.get("aws_access_key_id")?.clone(),
        secret_access_key: settings.get("aws_secret_access_key")?.clone(),
        session_token: settings.get("aws_session_token").cloned(),
    })
}

fn credentials_of_the_cli(profile: Option<&str>) -> Result<Credentials, Failure> {
    let none = |why: &str| {
        Failure::OutOfReach(format!(
            "no AWS credentials are found ({why}); `aws configure`, `aws sso login` or AWS_PROFILE helps"
        ))
    };
    let mut command = Command::new("aws");
    command.args(["configure", "export-credentials", "--format", "process"]);
    if let Some(profile) = profile {
        command.args(["--profile", profile]);
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|_| none("nothing in the environment and the profile, and no AWS CLI to ask"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().find(|line| !line.trim().is_empty());
        return Err(none(said.unwrap_or("the AWS CLI has none")));
    }
    let answer: Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| none("the AWS CLI's answer cannot be read"))?;
    let field = |name: &str| {
        let value = answer.get(name).and_then(Value::as_str);
        value.map(str::to_owned)
    };
    match (field("AccessKeyId"), field("SecretAccessKey")) {
        (Some(access_key_id), Some(secret_access_key)) => Ok(Credentials {
            access_key_id,
            secret_access_key,
            session_token: field("SessionToken"),
        }),
        _ => Err(none("the AWS CLI's answer has none")),
    }
}

/// What both files say of the profile; the credentials file goes first.
fn settings_of(profile: Option<&str>) -> BTreeMap<String, String> {
    let name = profile
        .map(str::to_owned)
        .or_else(|| variable("AWS_PROFILE"))
        .or_else(|| variable("AWS_DEFAULT_PROFILE"))
        .unwrap_or_else(|| "default".to_owned());
    let file = |variable_name: &str, usual: &str| {
        let path = variable(variable_name).map_or_else(
            || PathBuf::from(variable("HOME").unwrap_or_default()).join(usual),
            PathBuf::from,
        );
        std::fs::read_to_string(path)
            .map(|text| sections(&text))
            .unwrap_or_default()
    };
    let mut settings = BTreeMap::new();
    let mut config = file("AWS_CONFIG_FILE", ".aws/config");
    let section = config.remove(&format!("profile {name}"));
    settings.extend(section.or_else(|| config.remove(&name)).unwrap_or_default());
    let mut credentials = file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
    settings.extend(credentials.remove(&name).unwrap_or_default());
    settings
}

fn sections(text: &str) -> Sections {
    let mut sections = Sections::new();
    let mut current = String::new();
    for line in text.lines() {
        // What is indented belongs to a setting with settings of its own: none that is read here.
        let nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || nested || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.split(']').next())
        {
            current = name.split_whitespace().collect::<Vec<_>>().join(" ");
        } else if let Some((name, value)) = line.split_once('=') {
            let section = sections.entry(current.clone()).or_default();
            section.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
# a comment
[default]
region = eu-west-1
s3 =
  region = nowhere
[profile  clinic]
region=af-south-1
sso_session = here
aws_access_key_id = old
aws_secret_access_key = old
";

    #[test]
    fn a_file_of_the_cli_is_read_by_its_sections() {
        let sections = sections(CONFIG);
        assert_eq!(sections["default"]["region"], "eu-west-1");
        assert_eq!(sections["profile clinic"]["region"], "af-south-1");
    }

    #[test]
    fn single_sign_on_outweighs_keys_that_were_left_in_the_profile() {
        let sections = sections(CONFIG);
        assert!(credentials_in(&sections["profile clinic"]).is_none());
    }

    #[test]
    fn keys_of_a_profile_are_taken_as_they_are() {
        let sections = sections("[a]\naws_access_key_id = id\naws_secret_access_key = k=/+\n");
        let credentials = credentials_in(&sections["a"]).unwrap();
        assert_eq!(credentials.secret_access_key, "k=/+");
    }
}
