//! Who may do what, and nothing more.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{CONSUMERS, function, of_type, permissions, properties, resources, short};

fn assert_may_exactly(stem: &str, expected: &[&str]) {
    let mut expected: BTreeSet<String> = expected.iter().map(|one| (*one).to_owned()).collect();
    expected.insert(format!("logs:CreateLogStream {stem}LogGroup.Arn"));
    expected.insert(format!("logs:PutLogEvents {stem}LogGroup.Arn"));
    assert_eq!(permissions(&format!("{stem}Role")), expected);
    assert_eq!(short(&function(stem)["Role"]), format!("{stem}Role.Arn"));
}

#[test]
fn incoming_messages_may_put_into_its_queues_and_read_the_key_and_nothing_else() {
    assert_may_exactly(
        "IncomingMessages",
        &[
            "sqs:SendMessage ExchangeQueue.Arn",
            "sqs:SendMessage ExchangeDeadLetterQueue.Arn",
            "secretsmanager:GetSecretValue IncomingKeySecret.Id",
        ],
    );
}

#[test]
fn delivery_reports_may_put_into_its_queues_and_read_the_key_and_nothing_else() {
    assert_may_exactly(
        "DeliveryReports",
        &[
            "sqs:SendMessage ReportsQueue.Arn",
            "sqs:SendMessage ReportsDeadLetterQueue.Arn",
            "secretsmanager:GetSecretValue IncomingKeySecret.Id",
        ],
    );
}

#[test]
fn report_recorder_may_do_what_its_arrows_show_and_nothing_else() {
    assert_may_exactly(
        "ReportRecorder",
        &[
            "sqs:ReceiveMessage ReportsQueue.Arn",
            "sqs:DeleteMessage ReportsQueue.Arn",
            "sqs:GetQueueAttributes ReportsQueue.Arn",
            "sqs:ChangeMessageVisibility ReportsQueue.Arn",
            "sqs:SendMessage ReportsDeadLetterQueue.Arn",
            "dynamodb:BatchGetItem Ledger.Arn",
            "dynamodb:PutItem Ledger.Arn",
        ],
    );
}

#[test]
fn outbound_sender_may_do_what_its_arrows_show_and_nothing_else() {
    assert_may_exactly(
        "OutboundSender",
        &[
            "sqs:ReceiveMessage OutboxQueue.Arn",
            "sqs:DeleteMessage OutboxQueue.Arn",
            "sqs:GetQueueAttributes OutboxQueue.Arn",
            "sqs:ChangeMessageVisibility OutboxQueue.Arn",
            "sqs:SendMessage OutboxQueue.Arn",
            "sqs:SendMessage OutboxDeadLetterQueue.Arn",
            "dynamodb:BatchGetItem Ledger.Arn",
            "dynamodb:PutItem Ledger.Arn",
            "secretsmanager:GetSecretValue CredentialsSecret.Id",
            "secretsmanager:GetSecretValue IncomingKeySecret.Id",
        ],
    );
}

#[test]
fn medic_exchange_may_do_what_its_arrows_show_and_nothing_else() {
    assert_may_exactly(
        "MedicExchange",
        &[
            "sqs:ReceiveMessage ExchangeQueue.Arn",
            "sqs:DeleteMessage ExchangeQueue.Arn",
            "sqs:GetQueueAttributes ExchangeQueue.Arn",
            "sqs:ChangeMessageVisibility ExchangeQueue.Arn",
            "sqs:SendMessage ExchangeQueue.Arn",
            "sqs:SendMessage ExchangeDeadLetterQueue.Arn",
            "sqs:SendMessage OutboxQueue.Arn",
            "sqs:GetQueueAttributes OutboxQueue.Arn",
            "sqs:GetQueueAttributes ReportsQueue.Arn",
            "dynamodb:BatchGetItem Ledger.Arn",
            "dynamodb:PutItem Ledger.Arn",
            "dynamodb:Query ${Ledger.Arn}/index/unreported",
            "secretsmanager:GetSecretValue CredentialsSecret.Id",
        ],
    );
}

#[test]
fn nothing_else_has_permissions() {
    let roles = [
        "DeliveryReportsRole",
        "IncomingMessagesRole",
        "MedicExchangeRole",
        "OutboundSenderRole",
        "PollScheduleRole",
        "ReportRecorderRole",
    ];
    assert!(of_type("AWS::IAM::Role").into_keys().eq(roles));
    for kind in [
        "AWS::IAM::Policy",
        "AWS::IAM::RolePolicy",
        "AWS::IAM::ManagedPolicy",
        "AWS::IAM::User",
        "AWS::SQS::QueuePolicy",
        "AWS::SecretsManager::ResourcePolicy",
        "AWS::Lambda::Url",
    ] {
        let found = resources().values().any(|one| one["Type"] == kind);
        assert!(!found, "an {kind} is not in the list of what may be done");
    }
}

#[test]
fn only_lambda_may_take_the_functions_roles() {
    for role in of_type("AWS::IAM::Role").into_keys() {
        let statements = &properties(role)["AssumeRolePolicyDocument"]["Statement"];
        let statements = statements.as_array().unwrap();
        assert_eq!(statements.len(), 1, "{role}");
        let service = match role {
            "PollScheduleRole" => "scheduler.amazonaws.com",
            _ => "lambda.amazonaws.com",
        };
        assert_eq!(
            statements[0]["Principal"],
            json!({ "Service": service }),
            "{role}"
        );
    }
}

#[test]
fn every_function_that_waits_may_change_the_visibility_of_its_messages() {
    for (queue, stem, _) in CONSUMERS {
        let needed = format!("sqs:ChangeMessageVisibility {queue}.Arn");
        assert!(
            permissions(&format!("{stem}Role")).contains(&needed),
            "{stem}"
        );
    }
}

#[test]
fn every_function_that_dead_letters_may_send_to_its_dead_letter_queue() {
    let webhooks = [
        ("IncomingMessages", "ExchangeDeadLetterQueue"),
        ("DeliveryReports", "ReportsDeadLetterQueue"),
    ];
    let workers = CONSUMERS.map(|(_, stem, dead_letter)| (stem, dead_letter));
    for (stem, dead_letter) in workers.into_iter().chain(webhooks) {
        let needed = format!("sqs:SendMessage {dead_letter}.Arn");
        assert!(
            permissions(&format!("{stem}Role")).contains(&needed),
            "{stem}"
        );
    }
}
