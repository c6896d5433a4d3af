//! The deployed stack: where everything is, by CloudFormation's word.

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

/// The stack's name when nothing else says one; the sandbox's stack has it.
const USUAL_NAME: &str = "bridge";

/// Deploys again, from the project's folder: SAM finds neither the template nor its answers by itself.
pub const DEPLOY: &str = "`sam deploy --template-file infra/template.yaml`";

/// The same, asking for each parameter.
pub const DEPLOY_GUIDED: &str = "`sam deploy --guided --template-file infra/template.yaml`";

/// Where `sam deploy --guided` keeps its answers, among them the stack's name: beside the template.
const SAM_CONFIGURATIONS: [&str; 2] = ["infra/samconfig.toml", "samconfig.toml"];

const DAY: Duration = Duration::from_hours(24);

/// A resource of the stack.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name in the template.
    pub logical_id: String,
    /// What it is called outside of it.
    pub physical_id: String,
    /// For example `AWS::SQS::Queue`.
    pub kind: String,
    /// For example `CREATE_COMPLETE`.
    pub status: String,
}

/// A deployed stack.
#[derive(Debug)]
pub struct Stack {
    /// Its name.
    pub name: String,
    /// CloudFormation's word for its state.
    pub status: String,
    /// Where and as whom it is looked at.
    pub access: Access,
    /// CloudWatch.
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// DynamoDB.
    pub dynamodb: aws_sdk_dynamodb::Client,
    cloudformation: aws_sdk_cloudformation::Client,
    secrets_manager: aws_sdk_secretsmanager::Client,
    outputs: BTreeMap<String, String>,
    parameters: BTreeMap<String, String>,
}

impl Stack {
    /// Asks CloudFormation for the stack.
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
            secrets_manager: aws_sdk_secretsmanager::Client::new(&access.config),
            access: access.clone(),
            cloudformation,
            name,
        })
    }

    /// How many messages a queue holds, those that are being worked on too.
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
    /// When it has none of this name: it is not deployed to its end, or another template.
    pub fn output(&self, name: &str) -> Result<&str, Failure> {
        self.outputs.get(name).map(String::as_str).ok_or_else(|| {
            Failure::OutOfReach(format!(
                "the stack `{}` has no output {name} (it is {}): it is not this system, not of this version, \
                 or not deployed to its end; --stack names another one, {DEPLOY} finishes it",
                self.name, self.status
            ))
        })
    }

    /// A parameter of the stack, unless it is empty or there is none.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let value = self.parameters.get(name).map(|value| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// All resources of the stack.
    ///
    /// # Errors
    /// When CloudFormation does not tell.
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
    /// When the stack does not say where it is.
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

    /// A secret, by the output that names it.
    ///
    /// # Errors
    /// When the stack does not say where it is.
    pub fn secret(&self, output: &str) -> Result<ManagedSecret, Failure> {
        let arn = self.output(output)?.to_owned();
        Ok(ManagedSecret::new(self.secrets_manager.clone(), arn))
    }

    /// What is in a secret.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read_secret(&self, output: &str) -> Result<Result<String, SecretError>, Failure> {
        Ok(self.secret(output)?.fetch().await)
    }

    /// Writes a new version of a secret.
    ///
    /// # Errors
    /// When AWS does not take it.
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

    /// A callback's address, still without its key, as this machine reaches it. An emulator's API
    /// has a host name that nobody can resolve; emulators serve it under their own address, too.
    ///
    /// # Errors
    /// When the stack does not say where it is.
    pub fn callback_url(&self, output: &str) -> Result<String, Failure> {
        let url = self.output(output)?;
        let endpoint = self.access.config.endpoint_url();
        let (Some(endpoint), Some((_, rest))) = (endpoint, url.split_once("://")) else {
            return Ok(url.to_owned());
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let api = host.split('.').next().unwrap_or_default();
        let endpoint = endpoint.trim_end_matches('/');
        Ok(format!("{endpoint}/_aws/execute-api/{api}/{path}"))
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

/// The name that `sam deploy` was given here, or else the usual one.
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
    fn the_name_that_sam_was_given_is_the_name() {
        let text = "version = 0.1\n[default.deploy.parameters]\nstack_name = \"clinic-sms\"\n";
        assert_eq!(stack_name_in(text).unwrap(), "clinic-sms");
        assert_eq!(stack_name_in("version = 0.1"), None);
    }
}
