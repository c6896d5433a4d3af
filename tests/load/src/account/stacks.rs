//! The two stacks of a load test: found, deployed and removed. What has not the tag is not touched.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use aws_sdk_cloudformation::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_cloudformation::types::{Stack, StackStatus};
use aws_sdk_dynamodb::types::TableStatus;
use bridge::adapters::system::random_up_to;
use ops::access::Access;
use ops::failure::Failure;
use sandbox::stack::SamDeployment;
use sandbox::tools::repository;
use tokio::process::Command;

/// What both stacks, and all that is in them, are tagged with. The value says which run made them.
pub const TAG: &str = "cht-africastalking-load-test";

/// How long a stack or a table may take to go.
const GONE_WITHIN: Duration = Duration::from_mins(20);

/// How often it is looked whether it has gone: on AWS, and on an emulator.
const CHECK_INTERVALS: [Duration; 2] = [Duration::from_secs(5), Duration::from_millis(500)];

/// The two stacks.
#[derive(Debug)]
pub struct TestStacks {
    access: Access,
    cloudformation: aws_sdk_cloudformation::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    /// The name of the bridge's stack.
    pub bridge: String,
    /// The name of the ends' stack.
    pub ends: String,
    /// The value of the tag.
    run: String,
}

impl TestStacks {
    /// The stacks whose names begin so.
    #[must_use]
    pub fn new(access: &Access, name: &str) -> Self {
        Self {
            cloudformation: aws_sdk_cloudformation::Client::new(&access.config),
            dynamodb: aws_sdk_dynamodb::Client::new(&access.config),
            access: access.clone(),
            bridge: format!("{name}-bridge"),
            ends: format!("{name}-ends"),
            run: format!("{:016x}", random_up_to(u64::MAX)),
        }
    }

    /// Whether everything is on an emulator.
    #[must_use]
    pub fn are_emulated(&self) -> bool {
        self.access.config.endpoint_url().is_some()
    }

    /// What is there of these stacks already, in words.
    ///
    /// # Errors
    /// When a stack with such a name was not made by a load test, or AWS cannot be asked.
    pub async fn standing(&self) -> anyhow::Result<Vec<String>> {
        let mut standing = Vec::new();
        for name in [&self.bridge, &self.ends] {
            if let Some(stack) = self.find(name).await? {
                ensure!(
                    tag_of(&stack).is_some(),
                    "there is a stack `{name}` that no load test made: it has no tag {TAG}. It is left as it is; \
                     --name takes other names"
                );
                standing.push(format!("the stack `{name}`"));
            }
        }
        for table in self.left_tables().await? {
            standing.push(format!("the table `{table}`"));
        }
        Ok(standing)
    }

    async fn find(&self, name: &str) -> anyhow::Result<Option<Stack>> {
        let answer = self.cloudformation.describe_stacks().stack_name(name);
        match answer.send().await {
            Ok(answer) => {
                let mut stacks = answer.stacks.unwrap_or_default().into_iter();
                let is_there = |stack: &Stack| {
                    stack.stack_status.as_ref() != Some(&StackStatus::DeleteComplete)
                };
                Ok(stacks.find(is_there))
            }
            Err(error) if is_unknown_stack(&error) => Ok(None),
            Err(error) => Err(Failure::call("look for a stack", &error).into()),
        }
    }

    /// Deploys one of the two.
    ///
    /// # Errors
    /// With what SAM said, when it fails.
    pub async fn deploy(
        &self,
        stack: &str,
        template: &Path,
        parameters: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let deployment = SamDeployment {
            template,
            stack,
            bucket: None,
            region: &self.access.region,
            parameters,
            tags: &[(TAG, &self.run)],
        };
        let mut command = self.for_account(deployment.command()).await?;
        let output = command.output().await.context("cannot run SAM")?;
        ensure!(
            output.status.success(),
            "the stack `{stack}` cannot be deployed:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// SAM, for this account and with nothing that somebody has configured for other stacks.
    async fn for_account(&self, command: std::process::Command) -> anyhow::Result<Command> {
        let folder = repository().join("target/load");
        std::fs::create_dir_all(&folder)?;
        let configuration = folder.join("samconfig.toml");
        std::fs::write(&configuration, "version = 0.1\n")?;
        let mut command = Command::from(command);
        command
            .arg("--config-file")
            .arg(&configuration)
            .env("SAM_CLI_TELEMETRY", "0")
            .env("NO_COLOR", "1")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_DEFAULT_PROFILE")
            .env_remove("AWS_SESSION_TOKEN")
            .envs(self.credentials().await?)
            .envs(self.are_emulated().then_some(("SAM_CLI_POLL_DELAY", "1")))
            .stdin(Stdio::null())
            // Ctrl-C ends the load test, which then ends SAM and removes what it has made.
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }

    /// The credentials that were found here, for SAM: it may know fewer ways to find some.
    async fn credentials(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        use aws_sdk_cloudformation::config::ProvideCredentials as _;
        let provider = self.access.config.credentials_provider();
        let provider = provider.context("there are no credentials for AWS")?;
        let credentials = provider.provide_credentials().await?;
        let mut variables = vec![
            ("AWS_ACCESS_KEY_ID", credentials.access_key_id().to_owned()),
            (
                "AWS_SECRET_ACCESS_KEY",
                credentials.secret_access_key().to_owned(),
            ),
        ];
        variables.extend(
            credentials
                .session_token()
                .map(|token| ("AWS_SESSION_TOKEN", token.to_owned())),
        );
        Ok(variables)
    }

    /// Removes both stacks, and the ledger that the bridge's retains and protects. What could not be removed
    /// is in the result, with what to do about it.
    pub async fn remove(&self) -> Vec<String> {
        let mut left = Vec::new();
        for name in [&self.bridge, &self.ends] {
            if let Err(error) = self.remove_stack(name).await {
                left.push(format!(
                    "the stack `{name}` ({error:#}): aws cloudformation delete-stack --region {} --stack-name {name}",
                    self.access.region
                ));
            }
        }
        match self.left_tables().await {
            Err(error) => left.push(format!(
                "perhaps a table `{}-Ledger-…` ({error:#}): cargo load account --remove",
                self.bridge
            )),
            Ok(tables) => {
                for table in tables {
                    if let Err(error) = self.remove_table(&table).await {
                        left.push(format!(
                            "the table `{table}` ({error:#}): aws dynamodb update-table --region {region} --table-name \
                             {table} --no-deletion-protection-enabled && aws dynamodb delete-table --region {region} \
                             --table-name {table}",
                            region = self.access.region
                        ));
                    }
                }
            }
        }
        left
    }

    async fn remove_stack(&self, name: &str) -> anyhow::Result<()> {
        let Some(stack) = self.find(name).await? else {
            return Ok(());
        };
        ensure!(tag_of(&stack).is_some(), "it was not made by a load test");
        let id = stack.stack_id.context("a stack has an id")?;
        self.remove_with_packages(name).await?;
        if self.find(&id).await?.is_none() {
            return Ok(());
        }
        // Not every stack has a template that SAM can read: one may be half deployed.
        let deletion = self.cloudformation.delete_stack().stack_name(&id).send();
        let deletion = deletion.await;
        deletion.map_err(|error| Failure::call("delete a stack", &error))?;
        let begin = Instant::now();
        loop {
            let Some(stack) = self.find(&id).await? else {
                return Ok(());
            };
            if stack.stack_status == Some(StackStatus::DeleteFailed) {
                let reason = stack.stack_status_reason.unwrap_or_default();
                bail!("CloudFormation cannot delete it: {reason}");
            }
            ensure!(begin.elapsed() < GONE_WITHIN, "it does not go");
            self.wait().await;
        }
    }

    /// Has SAM delete a stack, and the packages of its functions in SAM's bucket.
    async fn remove_with_packages(&self, name: &str) -> anyhow::Result<()> {
        let deletion = SamDeployment::deletion(name, &self.access.region);
        let mut command = self.for_account(deletion).await?;
        let output = command.output();
        // What SAM could not do is seen in what is left.
        let output = tokio::time::timeout(GONE_WITHIN, output).await;
        output
            .context("SAM does not come to an end")?
            .context("cannot run SAM")?;
        Ok(())
    }

    /// The ledgers of bridges that load tests with this name have made, and that have outlived their stack.
    async fn left_tables(&self) -> anyhow::Result<Vec<String>> {
        if self.find(&self.bridge).await?.is_some() {
            return Ok(Vec::new());
        }
        let beginning = format!("{}-Ledger-", self.bridge);
        let mut tables = self.dynamodb.list_tables().into_paginator().items().send();
        let mut left = Vec::new();
        while let Some(table) = tables.next().await {
            let table = table.map_err(|error| Failure::call("list tables", &error))?;
            if table.starts_with(&beginning) && self.is_ours(&table).await? {
                left.push(table);
            }
        }
        Ok(left)
    }

    async fn is_ours(&self, table: &str) -> anyhow::Result<bool> {
        let described = self.dynamodb.describe_table().table_name(table).send();
        let described = described.await;
        let described = described.map_err(|error| Failure::call("look at a table", &error))?;
        let arn = described.table.and_then(|table| table.table_arn);
        let tags = self.dynamodb.list_tags_of_resource();
        let tags = tags.resource_arn(arn.context("a table has an ARN")?).send();
        let tags = tags.await;
        let tags = tags.map_err(|error| Failure::call("read a table's tags", &error))?;
        Ok(tags.tags().iter().any(|tag| tag.key() == TAG))
    }

    async fn remove_table(&self, table: &str) -> anyhow::Result<()> {
        let update = self.dynamodb.update_table().table_name(table);
        let update = update.deletion_protection_enabled(false).send().await;
        update.map_err(|error| Failure::call("take off a table's deletion protection", &error))?;
        let begin = Instant::now();
        // A table that is being changed cannot be deleted.
        while self.status_of(table).await? == Some(TableStatus::Updating) {
            ensure!(begin.elapsed() < GONE_WITHIN, "its protection stays");
            self.wait().await;
        }
        let deletion = self.dynamodb.delete_table().table_name(table).send().await;
        deletion.map_err(|error| Failure::call("delete a table", &error))?;
        while self.status_of(table).await?.is_some() {
            ensure!(begin.elapsed() < GONE_WITHIN, "it does not go");
            self.wait().await;
        }
        Ok(())
    }

    /// None, if there is no such table.
    async fn status_of(&self, table: &str) -> anyhow::Result<Option<TableStatus>> {
        let described = self.dynamodb.describe_table().table_name(table).send();
        match described.await {
            Ok(described) => {
                let table = described
                    .table
                    .ok_or_else(|| anyhow!("no table is described"))?;
                Ok(table.table_status)
            }
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
            Err(error) => Err(Failure::call("look at a table", &error).into()),
        }
    }

    async fn wait(&self) {
        let [on_aws, on_emulator] = CHECK_INTERVALS;
        let interval = if self.are_emulated() {
            on_emulator
        } else {
            on_aws
        };
        tokio::time::sleep(interval).await;
    }
}

/// The run that made a stack. None, if no load test made it.
fn tag_of(stack: &Stack) -> Option<&str> {
    let tag = stack.tags().iter().find(|tag| tag.key() == Some(TAG));
    tag.and_then(|tag| tag.value())
}

fn is_unknown_stack<E>(error: &SdkError<E>) -> bool
where
    E: aws_sdk_cloudformation::error::ProvideErrorMetadata,
{
    let message = error.message().unwrap_or_default();
    message.contains("does not exist")
}
