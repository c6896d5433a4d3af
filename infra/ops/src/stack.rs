//! The deployed stack: CloudFormation says where each of its resources is.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use aws_sdk_cloudformation::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksError;
use aws_sdk_cloudformation::types::Stack as Described;
use aws_sdk_sqs::types::QueueAttributeName;
use bridge::adapters::dynamodb_ledger::LedgerTable;
use bridge::adapters::secrets_manager::ManagedSecret;
use bridge::ports::{SecretError, SecretStore as _};

use crate::access::Access;
use crate::failure::Failure;
use crate::terminal::Terminal;

/// The stack's name by default, which is also that of the sandbox's stack.
const USUAL_NAME: &str = "bridge";

/// The command that deploys again: from the bundle's folder, or after `sam build` from the project's.
pub const DEPLOY: &str = "`sam deploy`";

/// The same command, which asks for each parameter.
pub const DEPLOY_GUIDED: &str = "`sam deploy --guided`";

/// Where `sam deploy --guided` keeps its answers, among them the stack's name.
const SAM_CONFIGURATIONS: [&str; 2] = ["samconfig.toml", "infra/samconfig.toml"];

const DAY: Duration = Duration::from_hours(24);

/// A resource of the stack.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name outside of the template.
    pub physical_id: String,
    /// For example `AWS::SQS::Queue`.
    pub kind: String,
    /// For example `CREATE_COMPLETE`.
    pub status: String,
}

/// A deployed stack.
#[derive(Debug)]
pub struct Stack {
    /// The name that it was deployed with.
    pub name: String,
    /// As CloudFormation names it, for example `UPDATE_COMPLETE`.
    pub status: String,
    /// The account, region and credentials.
    pub access: Access,
    /// CloudWatch: metrics and alarms.
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Lambda.
    pub lambda: aws_sdk_lambda::Client,
    /// CloudWatch Logs.
    pub logs: aws_sdk_cloudwatchlogs::Client,
    cloudformation: aws_sdk_cloudformation::Client,
    secrets_manager: aws_sdk_secretsmanager::Client,
    outputs: BTreeMap<String, String>,
    parameters: BTreeMap<String, String>,
}

impl Stack {
    /// Asks CloudFormation for the stack with this name, or with the name that `sam deploy` was given.
    ///
    /// # Errors
    /// When AWS cannot be asked or has no such stack.
    pub async fn find(access: &Access, name: Option<&str>) -> Result<Self, Failure> {
        let name = name.map_or_else(name_of_deployment, str::to_owned);
        let config = aws_sdk_cloudformation::config::Builder::from(&access.config)
            .interceptor(access.clock.clone());
        let cloudformation = aws_sdk_cloudformation::Client::from_conf(config.build());
        let question = cloudformation.describe_stacks().stack_name(&name);
        let answer = question.send().await;
        let answer = answer.map_err(|error| not_found(&name, access, &error))?;
        let stack = answer.stacks().first();
        let outputs = stack.map(Described::outputs).unwrap_or_default();
        let parameters = stack.map(Described::parameters).unwrap_or_default();
        let status = stack.and_then(Described::stack_status);
        Ok(Self {
            status: status.map(ToString::to_string).unwrap_or_default(),
            outputs: pairs(
                outputs
                    .iter()
                    .map(|it| (it.output_key(), it.output_value())),
            ),
            parameters: pairs(
                parameters
                    .iter()
                    .map(|it| (it.parameter_key(), it.parameter_value())),
            ),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&access.config),
            sqs: aws_sdk_sqs::Client::new(&access.config),
            dynamodb: aws_sdk_dynamodb::Client::new(&access.config),
            lambda: aws_sdk_lambda::Client::new(&access.config),
            logs: aws_sdk_cloudwatchlogs::Client::new(&access.config),
            secrets_manager: aws_sdk_secretsmanager::Client::new(&access.config),
            access: access.clone(),
            cloudformation,
            name,
        })
    }

    /// How many messages a queue holds, including those in flight.
    ///
    /// # Errors
    /// When AWS cannot be asked.
    pub async fn depth(&self, queue_url: &str) -> Result<usize, Failure> {
        const NUMBERS: [QueueAttributeName; 2] = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let question = self.sqs.get_queue_attributes().queue_url(queue_url);
        let question = question.set_attribute_names(Some(NUMBERS.into()));
        let answer = question.send().await;
        let answer = answer.map_err(|error| Failure::call("look at a queue", &error))?;
        let attributes = answer.attributes.unwrap_or_default();
        let numbers = NUMBERS
            .iter()
            .filter_map(|name| attributes.get(name)?.parse::<usize>().ok());
        Ok(numbers.sum())
    }

    /// An output of the stack.
    ///
    /// # Errors
    /// When there is no output of this name, because the deployment did not finish, or because the stack
    /// comes from another template.
    pub fn output(&self, name: &str) -> Result<&str, Failure> {
        self.outputs.get(name).map(String::as_str).ok_or_else(|| {
            Failure::OutOfReach(format!(
                "the stack `{}` has no output {name} (it is {}): it is not this system, not of this version, \
                 or not deployed to its end; --stack names another one, {DEPLOY} finishes it",
                self.name, self.status
            ))
        })
    }

    /// A parameter of the stack. None, if it is empty or there is no such parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let value = self.parameters.get(name).map(|value| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// All resources of the stack.
    ///
    /// # Errors
    /// When CloudFormation refuses.
    pub async fn resources(&self) -> Result<Vec<Resource>, Failure> {
        let question = self.cloudformation.list_stack_resources();
        let pages = question.stack_name(&self.name).into_paginator().items();
        let listed = pages.send().collect::<Result<Vec<_>, _>>().await;
        let listed = listed.map_err(|error| Failure::call("list the stack's resources", &error))?;
        let text = |text: Option<String>| text.unwrap_or_default();
        let resources = listed.into_iter().map(|resource| Resource {
            logical_id: text(resource.logical_resource_id),
            physical_id: text(resource.physical_resource_id),
            kind: text(resource.resource_type),
            status: text(resource.resource_status.map(|status| status.to_string())),
        });
        Ok(resources.collect())
    }

    /// The ledger.
    ///
    /// # Errors
    /// When the stack has no output with its table.
    pub fn ledger<'a>(&self, terminal: &'a Terminal) -> Result<LedgerTable<&'a Terminal>, Failure> {
        let days = self.parameter("LedgerRetentionDays");
        let days: u32 = days.and_then(|days| days.parse().ok()).unwrap_or(90);
        Ok(LedgerTable::new(
            self.dynamodb.clone(),
            self.output("LedgerTable")?.to_owned(),
            DAY.saturating_mul(days),
            terminal,
        ))
    }

    /// The secret that an output names.
    ///
    /// # Errors
    /// When the stack has no such output.
    pub fn secret(&self, output: &str) -> Result<ManagedSecret, Failure> {
        let arn = self.output(output)?.to_owned();
        Ok(ManagedSecret::new(self.secrets_manager.clone(), arn))
    }

    /// Reads the secret that an output names. The inner error is AWS's answer.
    ///
    /// # Errors
    /// When the stack has no such output.
    pub async fn read_secret(&self, output: &str) -> Result<Result<String, SecretError>, Failure> {
        Ok(self.secret(output)?.fetch().await)
    }

    /// Writes a new version of a secret.
    ///
    /// # Errors
    /// When the stack has no such output, or AWS refuses.
    pub async fn write_secret(&self, output: &str, text: &str) -> Result<(), Failure> {
        let secret = self.secrets_manager.put_secret_value();
        let written = secret
            .secret_id(self.output(output)?)
            .secret_string(text)
            .send()
            .await;
        written.map_err(|error| Failure::call("write the secret", &error))?;
        Ok(())
    }

    /// A callback's URL, without the key, as this machine can reach it. The host name of an emulator's API
    /// cannot be resolved, but the emulator serves the API under its own address, too.
    ///
    /// # Errors
    /// When the stack has no such output.
    pub fn callback_url(&self, output: &str) -> Result<String, Failure> {
        let url = self.output(output)?;
        Ok(reachable(url, self.access.config.endpoint_url()))
    }
}

/// An address of an HTTP API, as it is reached at this endpoint of an emulator. With AWS, and with a
/// host name of one's own, it is the address itself.
fn reachable(url: &str, endpoint: Option<&str>) -> String {
    let of_api = || {
        let (_, rest) = url.split_once("://")?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (api, rest) = host.split_once('.')?;
        rest.starts_with("execute-api.").then_some((api, path))
    };
    match (endpoint, of_api()) {
        (Some(endpoint), Some((api, path))) => {
            let endpoint = endpoint.trim_end_matches('/');
            format!("{endpoint}/_aws/execute-api/{api}/{path}")
        }
        _ => url.to_owned(),
    }
}

fn not_found(name: &str, access: &Access, error: &SdkError<DescribeStacksError>) -> Failure {
    let message = error.message().unwrap_or_default();
    if message.contains("does not exist") {
        return Failure::OutOfReach(format!(
            "there is no stack `{name}` in {}: --stack or OPS_STACK names it, --region and --profile say where it is; \
             if it was never deployed, the README's \"Deploy it\" says how",
            access.region
        ));
    }
    Failure::call_at(&format!("find the stack `{name}`"), error, &access.clock)
}

fn pairs<'a>(
    pairs: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>,
) -> BTreeMap<String, String> {
    let pairs = pairs.map(|(name, value)| {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        (text(name), text(value))
    });
    pairs.collect()
}

/// The name that `sam deploy --guided` has kept here, or else the default.
fn name_of_deployment() -> String {
    SAM_CONFIGURATIONS
        .iter()
        .filter_map(|file| std::fs::read_to_string(Path::new(file)).ok())
        .find_map(|text| stack_name_in(&text))
        .unwrap_or_else(|| USUAL_NAME.to_owned())
}

fn stack_name_in(samconfig: &str) -> Option<String> {
    samconfig.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        (name.trim() == "stack_name" && !value.is_empty()).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_address_of_an_emulators_api_is_reached_by_another_one() {
        let api = "https://a1b2.execute-api.us-east-1.amazonaws.com/api/v1/x?key=";
        let own = "https://sms.example.org/api/v1/x?key=";
        let emulator = Some("http://127.0.0.1:4566/");
        let by_path = "http://127.0.0.1:4566/_aws/execute-api/a1b2/api/v1/x?key=";
        assert_eq!(reachable(api, emulator), by_path);
        assert_eq!(reachable(own, emulator), own);
        assert_eq!(reachable(api, None), api);
        assert_eq!(reachable(own, None), own);
    }

    #[test]
    fn the_name_that_sam_was_given_is_the_name() {
        let text = "version = 0.1\n[default.deploy.parameters]\nstack_name = \"clinic-sms\"\n";
        assert_eq!(stack_name_in(text).unwrap(), "clinic-sms");
        assert_eq!(stack_name_in("version = 0.1"), None);
    }
}
