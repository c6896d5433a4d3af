//! The deployed stack: where everything is, by CloudFormation's word.

use std::collections::BTreeMap;
use std::path::Path;

use bridge::adapters::aws::{Aws, CallError, Client, DYNAMODB, SECRETS_MANAGER, SQS};
use bridge::adapters::environment::ConfigError;
use bridge::adapters::ledger_table::LedgerTable;
use bridge::adapters::secret::ManagedSecret;
use bridge::digest::hex;
use bridge::ports::{SecretError, SecretStore as _};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::access::Access;
use crate::failure::Failure;
use crate::query::{Query, field, members, words};

use crate::terminal::{Terminal, random};

/// The stack's name when nothing else says one; the sandbox's stack has it.
const USUAL_NAME: &str = "bridge";

/// Deploys again, from the project's folder: SAM finds neither the template nor its answers by itself.
pub const DEPLOY: &str = "`sam deploy --template-file infra/template.yaml`";

/// The same, asking for each parameter.
pub const DEPLOY_GUIDED: &str = "`sam deploy --guided --template-file infra/template.yaml`";

/// Where `sam deploy --guided` keeps its answers, among them the stack's name: beside the template.
const SAM_CONFIGURATIONS: [&str; 2] = ["infra/samconfig.toml", "samconfig.toml"];

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

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
    /// When CloudFormation answered, by its own clock, as HTTP writes it.
    pub answered_at: Option<String>,
    /// CloudWatch.
    pub cloudwatch: Query,
    /// SQS.
    pub sqs: Client,
    /// DynamoDB.
    pub dynamodb: Client,
    cloudformation: Query,
    secrets_manager: Client,
    access: Access,
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
        let unusable = |error: ConfigError| Failure::OutOfReach(error.to_string());
        let aws = Aws::new(
            &access.region,
            access.credentials.clone(),
            access.endpoint_url.clone(),
        );
        let aws = aws.map_err(unusable)?.from_afar();
        let cloudformation = Query::cloudformation(&aws).map_err(unusable)?;
        let answer = cloudformation
            .call("DescribeStacks", &[("StackName", &name)])
            .await
            .map_err(|error| not_found(&name, access, &error))?;
        let read = |list: &str, key: &str, value: &str| {
            let members = members(&answer.xml, list)
                .map_err(|error| Failure::aws("read the stack", &error))?;
            let pairs = members.iter().map(|member| {
                (
                    field(member, key).to_owned(),
                    field(member, value).to_owned(),
                )
            });
            Ok::<BTreeMap<_, _>, Failure>(pairs.collect())
        };
        let stacks = members(&answer.xml, "Stacks")
            .map_err(|error| Failure::aws("read the stack", &error))?;
        let status = stacks.first().map(|stack| field(stack, "StackStatus"));
        Ok(Self {
            status: status.unwrap_or_default().to_owned(),
            outputs: read("Outputs", "OutputKey", "OutputValue")?,
            parameters: read("Parameters", "ParameterKey", "ParameterValue")?,
            answered_at: answer.date,
            access: access.clone(),
            name,
            cloudwatch: Query::cloudwatch(&aws).map_err(unusable)?,
            sqs: aws.client(&SQS).map_err(unusable)?,
            dynamodb: aws.client(&DYNAMODB).map_err(unusable)?,
            secrets_manager: aws.client(&SECRETS_MANAGER).map_err(unusable)?,
            cloudformation,
        })
    }

    /// How many messages a queue holds, those that are being worked on too.
    ///
    /// # Errors
    /// When AWS cannot be asked.
    pub async fn depth(&self, queue_url: &str) -> Result<usize, Failure> {
        const NAMES: [&str; 2] = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
        ];
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            attributes: BTreeMap<String, String>,
        }
        let input = json!({ "QueueUrl": queue_url, "AttributeNames": NAMES });
        let answer = self.sqs.call("GetQueueAttributes", &input).await;
        let answer: Answer = answer.map_err(|error| Failure::aws("look at a queue", &error))?;
        let numbers = NAMES
            .iter()
            .filter_map(|name| answer.attributes.get(*name)?.parse::<usize>().ok());
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
        let failed = |error: CallError| Failure::aws("list the stack's resources", &error);
        let mut resources = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut parameters = vec![("StackName", self.name.as_str())];
            parameters.extend(next.as_deref().map(|token| ("NextToken", token)));
            let answer = self
                .cloudformation
                .call("ListStackResources", &parameters)
                .await
                .map_err(failed)?;
            let listed = members(&answer.xml, "StackResourceSummaries").map_err(failed)?;
            resources.extend(listed.iter().map(|member| Resource {
                logical_id: field(member, "LogicalResourceId").to_owned(),
                physical_id: field(member, "PhysicalResourceId").to_owned(),
                kind: field(member, "ResourceType").to_owned(),
                status: field(member, "ResourceStatus").to_owned(),
            }));
            next = crate::query::text_of(&answer.xml, "NextToken");
            if next.is_none() {
                return Ok(resources);
            }
        }
    }

    /// The ledger.
    ///
    /// # Errors
    /// When the stack does not say where it is.
    pub fn ledger<'a>(&self, terminal: &'a Terminal) -> Result<LedgerTable<&'a Terminal>, Failure> {
        let days = self.parameter("LedgerRetentionDays");
        let days: i64 = days.and_then(|days| days.parse().ok()).unwrap_or(90);
        Ok(LedgerTable::new(
            self.dynamodb.clone(),
            self.output("LedgerTable")?.to_owned(),
            days.saturating_mul(DAY_MS),
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
        // By its token a repeat is known as one.
        let token: [u8; 16] = random()?;
        let input = json!({
            "SecretId": self.output(output)?,
            "SecretString": text,
            "ClientRequestToken": hex(&token),
        });
        let written = self.secrets_manager.call("PutSecretValue", &input).await;
        let _: IgnoredAny = written.map_err(|error| Failure::aws("write the secret", &error))?;
        Ok(())
    }

    /// A callback's address, still without its key, as this machine reaches it. An emulator's API
    /// has a host name that nobody can resolve; emulators serve it under their own address, too.
    ///
    /// # Errors
    /// When the stack does not say where it is.
    pub fn callback_url(&self, output: &str) -> Result<String, Failure> {
        let url = self.output(output)?;
        let (Some(endpoint), Some((_, rest))) = (&self.access.endpoint_url, url.split_once("://"))
        else {
            return Ok(url.to_owned());
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let api = host.split('.').next().unwrap_or_default();
        let endpoint = endpoint.trim_end_matches('/');
        Ok(format!("{endpoint}/_aws/execute-api/{api}/{path}"))
    }
}

fn not_found(name: &str, access: &Access, error: &CallError) -> Failure {
    if words(error).is_some_and(|words| words.contains("does not exist")) {
        return Failure::OutOfReach(format!(
            "there is no stack `{name}` in {}: --stack or OPS_STACK names it, --region and --profile say where it is; \
             if it was never deployed, the README's \"Deploy it\" says how",
            access.region
        ));
    }
    Failure::aws(&format!("find the stack `{name}`"), error)
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
