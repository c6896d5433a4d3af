//! What AWS does that is easy to get wrong and that no emulator shows, held in the template as
//! CloudFormation gets to see it, after SAM's transform.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use sandbox::stack::template;
use sandbox::tools;
use serde_json::{Map, Value, json};

/// What an account that is new with AWS may run at a time, for all functions together.
const EXECUTIONS_OF_A_NEW_ACCOUNT: u64 = 10;
const FOURTEEN_DAYS_S: u64 = 14 * 24 * 60 * 60;

/// The function of each queue, and where it parks what cannot be processed.
const LANES: [(&str, &str, &str); 3] = [
    ("ExchangeQueue", "MedicExchange", "ExchangeParkedQueue"),
    ("ReportsQueue", "ReportRecorder", "ReportsParkedQueue"),
    ("OutboxQueue", "OutboundSender", "OutboxParkedQueue"),
];

static TEMPLATE: LazyLock<Value> = LazyLock::new(|| {
    tools::install().expect("the tools can be installed");
    template::transformed(&template::file()).expect("SAM accepts the template")
});

fn resources() -> &'static Map<String, Value> {
    TEMPLATE["Resources"].as_object().unwrap()
}

fn of_type(kind: &str) -> BTreeMap<&'static str, &'static Value> {
    let found: BTreeMap<_, _> = resources()
        .iter()
        .filter(|(_, resource)| resource["Type"] == kind)
        .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
        .collect();
    assert!(!found.is_empty(), "there is no {kind}");
    found
}

fn properties(name: &str) -> &'static Value {
    let resource = resources().get(name);
    &resource.unwrap_or_else(|| panic!("there is no {name}"))["Properties"]
}

fn function(stem: &str) -> &'static Value {
    properties(&format!("{stem}Function"))
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn is_fifo(queue: &str) -> bool {
    properties(queue)["FifoQueue"] == json!(true)
}

/// A reference in short: `Ledger.Arn` for GetAtt, `Ledger` for Ref, the text itself for all else.
fn short(value: &Value) -> String {
    if let Some(name) = value.get("Ref") {
        return name.as_str().unwrap().to_owned();
    }
    if let Some(path) = value.get("Fn::GetAtt") {
        let path: Vec<_> = path.as_array().unwrap().iter().map(short).collect();
        return path.join(".");
    }
    if let Some(text) = value.get("Fn::Sub") {
        return short(text);
    }
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(values) => values.iter().collect(),
        one => vec![one],
    }
}

/// Everything that a role may do, as `action resource`; anything but plain permissions fails.
fn permissions(role: &str) -> BTreeSet<String> {
    let role_properties = properties(role);
    assert!(
        role_properties.get("ManagedPolicyArns").is_none(),
        "{role} has a managed policy, whose permissions nobody sees here"
    );
    let mut allowed = BTreeSet::new();
    for policy in list(&role_properties["Policies"]) {
        for statement in list(&policy["PolicyDocument"]["Statement"]) {
            let keys: BTreeSet<_> = statement.as_object().unwrap().keys().collect();
            let plain = ["Action", "Effect", "Resource"].map(str::to_owned);
            assert_eq!(keys, plain.iter().collect(), "in {role}: {statement}");
            assert_eq!(statement["Effect"], "Allow");
            for action in list(&statement["Action"]) {
                for resource in list(&statement["Resource"]) {
                    allowed.insert(format!("{} {}", short(action), short(resource)));
                }
            }
        }
    }
    allowed
}

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
            "sqs:SendMessage ExchangeParkedQueue.Arn",
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
            "sqs:SendMessage ReportsParkedQueue.Arn",
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
            "sqs:SendMessage ReportsParkedQueue.Arn",
            "dynamodb:BatchGetItem Ledger.Arn",
            "dynamodb:PutItem Ledger.Arn",
            "dynamodb:Query ${Ledger.Arn}/index/unsettled",
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
            "sqs:SendMessage OutboxParkedQueue.Arn",
            "dynamodb:BatchGetItem Ledger.Arn",
            "dynamodb:PutItem Ledger.Arn",
            "dynamodb:Query ${Ledger.Arn}/index/unsettled",
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
            "sqs:SendMessage ExchangeParkedQueue.Arn",
            "sqs:SendMessage OutboxQueue.Arn",
            "dynamodb:BatchGetItem Ledger.Arn",
            "dynamodb:PutItem Ledger.Arn",
            "dynamodb:Query ${Ledger.Arn}/index/untold",
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
    for (queue, stem, _) in LANES {
        let needed = format!("sqs:ChangeMessageVisibility {queue}.Arn");
        assert!(
            permissions(&format!("{stem}Role")).contains(&needed),
            "{stem}"
        );
    }
}

#[test]
fn every_function_that_parks_may_put_into_its_parked_queue() {
    let webhooks = [
        ("IncomingMessages", "ExchangeParkedQueue"),
        ("DeliveryReports", "ReportsParkedQueue"),
    ];
    let workers = LANES.map(|(_, stem, parked)| (stem, parked));
    for (stem, parked) in workers.into_iter().chain(webhooks) {
        let needed = format!("sqs:SendMessage {parked}.Arn");
        assert!(
            permissions(&format!("{stem}Role")).contains(&needed),
            "{stem}"
        );
    }
}

#[test]
fn a_function_that_feeds_its_own_queue_is_not_stopped_as_a_loop_and_no_other_is_let_loop() {
    for (queue, stem, _) in LANES {
        let feeds_itself =
            permissions(&format!("{stem}Role")).contains(&format!("sqs:SendMessage {queue}.Arn"));
        let expected = if feeds_itself {
            json!("Allow")
        } else {
            Value::Null
        };
        assert_eq!(function(stem)["RecursiveLoop"], expected, "{stem}");
    }
    assert_eq!(function("MedicExchange")["RecursiveLoop"], "Allow");
    assert_eq!(function("OutboundSender")["RecursiveLoop"], "Allow");
}

#[test]
fn each_queue_wakes_its_function_which_can_fail_message_by_message() {
    let mappings = of_type("AWS::Lambda::EventSourceMapping");
    assert_eq!(mappings.len(), LANES.len());
    for (queue, stem, _) in LANES {
        let mapping = properties(&format!("{stem}Mapping"));
        assert_eq!(short(&mapping["EventSourceArn"]), format!("{queue}.Arn"));
        assert_eq!(short(&mapping["FunctionName"]), format!("{stem}Function"));
        let types = json!(["ReportBatchItemFailures"]);
        assert_eq!(mapping["FunctionResponseTypes"], types, "{stem}");
        assert_eq!(mapping["BatchSize"], 10, "{stem}");
        assert_ne!(mapping["Enabled"], json!(false), "{stem}");
    }
}

#[test]
fn the_pollers_leave_a_new_account_two_executions_for_the_webhooks() {
    let bounds = LANES.map(|(queue, stem, _)| {
        let mapping = properties(&format!("{stem}Mapping"));
        let bound = number(&mapping["ScalingConfig"]["MaximumConcurrency"]);
        assert!(bound >= 2, "AWS refuses a bound of less than two ({stem})");
        // One message group is one batch at a time.
        if is_fifo(queue) { 1 } else { bound }
    });
    assert!(bounds.iter().sum::<u64>() <= EXECUTIONS_OF_A_NEW_ACCOUNT - 2);
}

#[test]
fn no_function_reserves_executions_which_a_new_account_does_not_have() {
    for (name, function) in of_type("AWS::Lambda::Function") {
        let reserved = function.get("ReservedConcurrentExecutions");
        assert!(reserved.is_none(), "{name}");
    }
}

#[test]
fn a_message_stays_invisible_for_as_long_as_its_function_may_work_on_it() {
    for (queue, stem, _) in LANES {
        let visibility = number(&properties(queue)["VisibilityTimeout"]);
        let timeout = number(&function(stem)["Timeout"]);
        assert!(visibility >= timeout, "AWS refuses the mapping of {queue}");
    }
}

#[test]
fn a_crash_locks_the_lane_to_medic_for_hardly_longer_than_the_function_may_run() {
    let visibility = number(&properties("ExchangeQueue")["VisibilityTimeout"]);
    let timeout = number(&function("MedicExchange")["Timeout"]);
    assert!(visibility <= timeout + 60, "{visibility} s");
}

#[test]
fn messages_are_kept_for_fourteen_days_and_encrypted() {
    for (name, queue) in of_type("AWS::SQS::Queue") {
        assert_eq!(
            number(&queue["MessageRetentionPeriod"]),
            FOURTEEN_DAYS_S,
            "{name}"
        );
        assert_eq!(queue["SqsManagedSseEnabled"], json!(true), "{name}");
    }
}

#[test]
fn ten_days_of_patience_come_before_sqs_parks_by_itself() {
    for (queue, _, parked) in LANES {
        let redrive = &properties(queue)["RedrivePolicy"];
        assert_eq!(number(&redrive["maxReceiveCount"]), 1000, "{queue}");
        let target = short(&redrive["deadLetterTargetArn"]);
        assert_eq!(target, format!("{parked}.Arn"));
        let beyond = properties(parked).get("RedrivePolicy");
        assert!(beyond.is_none(), "{parked} is the end of the line");
    }
}

#[test]
fn a_fifo_queue_parks_into_a_fifo_queue() {
    for (queue, _, parked) in LANES {
        assert_eq!(is_fifo(queue), is_fifo(parked), "{queue}");
    }
    assert!(is_fifo("ExchangeQueue"));
}

#[test]
fn whatever_is_parked_raises_an_alarm_that_reaches_the_topic_if_there_is_one() {
    let alarms = of_type("AWS::CloudWatch::Alarm");
    assert_eq!(alarms.len(), LANES.len() + 12);
    let topic_if_any = json!({
        "Fn::If": ["AlarmsHaveATopic", [{ "Ref": "AlarmTopicArn" }], { "Ref": "AWS::NoValue" }]
    });
    for (_, _, parked) in LANES {
        let queue =
            json!([{ "Name": "QueueName", "Value": { "Fn::GetAtt": [parked, "QueueName"] } }]);
        let alarm = alarms.values().find(|alarm| alarm["Dimensions"] == queue);
        let alarm = alarm.unwrap_or_else(|| panic!("nobody hears of {parked}"));
        assert_eq!(alarm["Namespace"], "AWS/SQS");
        assert_eq!(alarm["MetricName"], "ApproximateNumberOfMessagesVisible");
        assert_eq!(alarm["Statistic"], "Maximum");
        assert_eq!(alarm["ComparisonOperator"], "GreaterThanThreshold");
        assert_eq!(number(&alarm["Threshold"]), 0);
        // An idle queue reports nothing, which is no reason to wake anybody.
        assert_eq!(alarm["TreatMissingData"], "ignore");
        assert_eq!(alarm["AlarmActions"], topic_if_any);
    }
}

#[test]
fn what_only_a_person_can_mend_raises_an_alarm_on_the_metric_that_the_functions_count() {
    let alarms = of_type("AWS::CloudWatch::Alarm");
    for (metric, function) in [
        ("MedicNeedsMending", "MedicExchangeFunction"),
        ("MedicRefusedCredentials", "MedicExchangeFunction"),
        ("StatusRefused", "MedicExchangeFunction"),
        ("SendingHeld", "OutboundSenderFunction"),
        ("FuseBlown", "OutboundSenderFunction"),
    ] {
        let alarm = alarms.values().find(|alarm| alarm["MetricName"] == metric);
        let alarm = alarm.unwrap_or_else(|| panic!("nobody hears of {metric}"));
        assert_eq!(alarm["Namespace"], "cht-africastalking");
        // Functions count under their own names: several stacks share an account.
        let dimensions = json!([{ "Name": "function", "Value": { "Ref": function } }]);
        assert_eq!(alarm["Dimensions"], dimensions);
        assert_eq!(alarm["Statistic"], "Sum");
        assert_eq!(alarm["TreatMissingData"], "notBreaching");
        assert!(alarm["AlarmActions"].get("Fn::If").is_some(), "{metric}");
    }
}

#[test]
fn what_does_not_flow_raises_an_alarm_whatever_the_reason() {
    for (name, queue) in [
        ("ExchangeLateAlarm", "ExchangeQueue"),
        ("OutboxLateAlarm", "OutboxQueue"),
    ] {
        let alarm = properties(name);
        assert_eq!(alarm["MetricName"], "ApproximateAgeOfOldestMessage");
        let dimensions =
            json!([{ "Name": "QueueName", "Value": { "Fn::GetAtt": [queue, "QueueName"] } }]);
        assert_eq!(alarm["Dimensions"], dimensions);
    }
}

#[test]
fn the_errors_of_every_function_raise_an_alarm() {
    for name in of_type("AWS::Lambda::Function").keys() {
        let stem = name.strip_suffix("Function").unwrap();
        let alarm = properties(&format!("{stem}ErrorsAlarm"));
        assert_eq!(alarm["Namespace"], "AWS/Lambda");
        assert_eq!(alarm["MetricName"], "Errors");
        let dimensions = json!([{ "Name": "FunctionName", "Value": { "Ref": name } }]);
        assert_eq!(alarm["Dimensions"], dimensions);
    }
}

#[test]
fn each_poll_differs_from_the_last_or_deduplication_would_swallow_it() {
    let schedules = of_type("AWS::Scheduler::Schedule");
    assert_eq!(schedules.len(), 1);
    let schedule = schedules["PollSchedule"];
    assert_eq!(schedule["ScheduleExpression"], "rate(1 minute)");
    let target = &schedule["Target"];
    assert_eq!(short(&target["Arn"]), "ExchangeQueue.Arn");
    assert_eq!(
        target["SqsParameters"],
        json!({ "MessageGroupId": "medic" })
    );
    let body: Value = serde_json::from_str(target["Input"].as_str().unwrap()).unwrap();
    let expected = json!({ "v": 1, "kind": "poll", "id": "<aws.scheduler.execution-id>" });
    assert_eq!(body, expected);
}

#[test]
fn the_queue_to_medic_takes_what_has_no_deduplication_id_as_the_schedule_cannot_give_one() {
    let queue = properties("ExchangeQueue");
    assert_eq!(queue["ContentBasedDeduplication"], json!(true));
    // By message group it would be high-throughput mode, with other rules.
    assert!(queue.get("DeduplicationScope").is_none());
}

#[test]
fn the_schedule_may_only_put_into_the_queue_to_medic() {
    let target = &properties("PollSchedule")["Target"];
    assert_eq!(short(&target["RoleArn"]), "PollScheduleRole.Arn");
    let expected = BTreeSet::from(["sqs:SendMessage ExchangeQueue.Arn".to_owned()]);
    assert_eq!(permissions("PollScheduleRole"), expected);
    let trust = &properties("PollScheduleRole")["AssumeRolePolicyDocument"]["Statement"][0];
    let this_account =
        json!({ "StringEquals": { "aws:SourceAccount": { "Ref": "AWS::AccountId" } } });
    assert_eq!(trust["Condition"], this_account);
}

#[test]
fn the_generated_key_is_alone_in_its_secret_and_fits_into_a_url() {
    let secret = properties("IncomingKeySecret");
    let expected = json!({
        "SecretStringTemplate": "{}",
        "GenerateStringKey": "key",
        "ExcludePunctuation": true,
        "PasswordLength": 40,
    });
    assert_eq!(secret["GenerateSecretString"], expected);
    assert!(secret.get("SecretString").is_none());
}

#[test]
fn no_update_overwrites_the_credentials_because_cloudformation_never_wrote_them() {
    let secret = properties("CredentialsSecret");
    assert!(secret.get("SecretString").is_none());
    assert!(secret.get("GenerateSecretString").is_none());
    assert_eq!(of_type("AWS::SecretsManager::Secret").len(), 2);
}

#[test]
fn the_ledger_forgets_by_itself_and_can_be_brought_back() {
    let tables = of_type("AWS::DynamoDB::Table");
    assert_eq!(tables.len(), 1);
    let ledger = tables["Ledger"];
    let forgets = json!({ "AttributeName": "expires_at_s", "Enabled": true });
    assert_eq!(ledger["TimeToLiveSpecification"], forgets);
    let recovery = json!({ "PointInTimeRecoveryEnabled": true });
    assert_eq!(ledger["PointInTimeRecoverySpecification"], recovery);
    assert_eq!(ledger["SSESpecification"], json!({ "SSEEnabled": true }));
    assert_eq!(ledger["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(resources()["Ledger"]["DeletionPolicy"], "Retain");
    assert_eq!(resources()["Ledger"]["UpdateReplacePolicy"], "Retain");
}

#[test]
fn the_ledger_has_one_key_and_two_sparse_indexes_of_keys() {
    let ledger = properties("Ledger");
    let key = json!([{ "AttributeName": "pk", "KeyType": "HASH" }]);
    assert_eq!(ledger["KeySchema"], key);
    let index = json!([{
        "IndexName": "untold",
        "KeySchema": [
            { "AttributeName": "untold", "KeyType": "HASH" },
            { "AttributeName": "first_offered_ms", "KeyType": "RANGE" },
        ],
        "Projection": { "ProjectionType": "KEYS_ONLY" },
    }, {
        "IndexName": "unsettled",
        "KeySchema": [{ "AttributeName": "unsettled", "KeyType": "HASH" }],
        "Projection": { "ProjectionType": "KEYS_ONLY" },
    }]);
    assert_eq!(ledger["GlobalSecondaryIndexes"], index);
    let types = json!([
        { "AttributeName": "pk", "AttributeType": "S" },
        { "AttributeName": "untold", "AttributeType": "S" },
        { "AttributeName": "first_offered_ms", "AttributeType": "N" },
        { "AttributeName": "unsettled", "AttributeType": "S" },
    ]);
    assert_eq!(ledger["AttributeDefinitions"], types);
}

#[test]
fn a_message_is_remembered_for_longer_than_medic_offers_it_again() {
    let days = &TEMPLATE["Parameters"]["LedgerRetentionDays"];
    assert!(number(&days["MinValue"]) >= 90);
    assert!(number(&days["Default"]) >= 90);
}

#[test]
fn only_the_two_callback_paths_reach_a_function_and_only_as_post() {
    let routes: BTreeSet<_> = of_type("AWS::ApiGatewayV2::Route")
        .into_values()
        .map(|route| {
            let integration = short(&route["Target"]);
            let name = integration
                .strip_prefix("integrations/${")
                .and_then(|name| name.strip_suffix('}'))
                .unwrap();
            let function = short(&properties(name)["IntegrationUri"]);
            (short(&route["RouteKey"]), function)
        })
        .collect();
    let expected = BTreeSet::from([
        (
            "POST /api/v1/sms/africastalking/incoming-messages".to_owned(),
            "IncomingMessagesFunction.Arn".to_owned(),
        ),
        (
            "POST /api/v1/sms/africastalking/delivery-reports".to_owned(),
            "DeliveryReportsFunction.Arn".to_owned(),
        ),
    ]);
    assert_eq!(routes, expected);
    for (name, integration) in of_type("AWS::ApiGatewayV2::Integration") {
        assert_eq!(integration["IntegrationType"], "AWS_PROXY", "{name}");
        assert_eq!(integration["PayloadFormatVersion"], "2.0", "{name}");
    }
}

#[test]
fn only_this_api_may_call_the_webhooks_and_only_by_their_own_paths() {
    let api = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${HttpApi}";
    let permissions = of_type("AWS::Lambda::Permission");
    assert_eq!(permissions.len(), 2);
    for (stem, path) in [
        ("IncomingMessages", "incoming-messages"),
        ("DeliveryReports", "delivery-reports"),
    ] {
        let permission = permissions[format!("{stem}Permission").as_str()];
        let function = format!("{stem}Function");
        assert_eq!(short(&permission["FunctionName"]), function);
        assert_eq!(permission["Principal"], "apigateway.amazonaws.com");
        assert_eq!(permission["Action"], "lambda:InvokeFunction");
        let source = format!("{api}/*/POST/api/v1/sms/africastalking/{path}");
        assert_eq!(short(&permission["SourceArn"]), source);
    }
}

#[test]
fn the_access_log_has_no_variable_that_a_caller_could_fill() {
    let stage = properties("HttpApiStage");
    let settings = &stage["AccessLogSettings"];
    assert_eq!(short(&settings["DestinationArn"]), "HttpApiLogGroup.Arn");
    let format = settings["Format"].as_str().unwrap();
    serde_json::from_str::<Value>(format).expect("each line of the log is JSON");
    // Not in it: $context.path, protocol, domainName, identity.userAgent and everything else that
    // comes from the request. The key is in its query.
    let harmless = BTreeSet::from([
        "error.responseType",
        "integrationErrorMessage",
        "integrationStatus",
        "requestId",
        "requestTime",
        "responseLatency",
        "responseLength",
        "routeKey",
        "status",
    ]);
    let variables: BTreeSet<_> = format
        .split('$')
        .skip(1)
        .map(|rest| {
            let end = rest.find(|c: char| c != '.' && !c.is_ascii_alphanumeric());
            let variable = &rest[..end.unwrap_or(rest.len())];
            variable.strip_prefix("context.").unwrap_or(variable)
        })
        .collect();
    assert!(variables.is_subset(&harmless), "{variables:?}");
    assert!(variables.contains("status"));
}

#[test]
fn the_stage_stops_a_flood_and_not_a_campaigns_reports() {
    let stage = properties("HttpApiStage");
    assert_eq!(stage["StageName"], "$default");
    assert_eq!(stage["AutoDeploy"], json!(true));
    let limits = &stage["DefaultRouteSettings"];
    let rate = number(&limits["ThrottlingRateLimit"]);
    assert!((100..=2000).contains(&rate));
    assert!(number(&limits["ThrottlingBurstLimit"]) >= rate);
}

#[test]
fn every_log_is_kept_for_as_long_as_the_parameter_says_and_no_longer() {
    let groups = of_type("AWS::Logs::LogGroup");
    assert_eq!(groups.len(), 6);
    for (name, group) in groups {
        assert_eq!(
            short(&group["RetentionInDays"]),
            "LogRetentionDays",
            "{name}"
        );
    }
    for stem in ["IncomingMessages", "DeliveryReports"]
        .into_iter()
        .chain(LANES.map(|(_, stem, _)| stem))
    {
        // Otherwise Lambda makes a group by itself, which keeps everything for ever.
        let group = &function(stem)["LoggingConfig"]["LogGroup"];
        assert_eq!(short(group), format!("{stem}LogGroup"));
    }
}

#[test]
fn each_function_gets_the_variables_that_it_reads_and_no_others() {
    let expected = [
        (
            "IncomingMessages",
            "EXCHANGE_PARKED_QUEUE_URL EXCHANGE_QUEUE_URL INCOMING_KEY_SECRET_ARN",
        ),
        (
            "DeliveryReports",
            "INCOMING_KEY_SECRET_ARN REPORTS_PARKED_QUEUE_URL REPORTS_QUEUE_URL",
        ),
        (
            "ReportRecorder",
            "LEDGER_RETENTION_DAYS LEDGER_TABLE REPORTS_PARKED_QUEUE_URL REPORTS_QUEUE_URL \
             SENDER_TIMEOUT_SECONDS",
        ),
        (
            "OutboundSender",
            "AFRICASTALKING_BASE_URL AFRICASTALKING_USERNAME CREDENTIALS_SECRET_ARN \
             FUSE_MESSAGES_AN_HOUR FUSE_SAME_TEXT_A_DAY INCOMING_KEY_SECRET_ARN \
             SENDER_TIMEOUT_SECONDS LEDGER_RETENTION_DAYS LEDGER_TABLE MESSAGE_MAX_AGE_HOURS \
             OUTBOX_PARKED_QUEUE_URL OUTBOX_QUEUE_URL RESEND_AFTER_SECONDS SENDER_IDS \
             UNKNOWN_OUTCOME_POLICY",
        ),
        (
            "MedicExchange",
            "CREDENTIALS_SECRET_ARN EXCHANGE_PARKED_QUEUE_URL EXCHANGE_QUEUE_URL \
             LEDGER_RETENTION_DAYS LEDGER_TABLE MEDIC_TIMEOUT_SECONDS MEDIC_URL OUTBOX_QUEUE_URL",
        ),
    ];
    for (stem, names) in expected {
        let variables = &function(stem)["Environment"]["Variables"];
        let variables: BTreeSet<_> = variables.as_object().unwrap().keys().collect();
        let names: BTreeSet<_> = names.split(' ').map(str::to_owned).collect();
        assert_eq!(variables, names.iter().collect(), "{stem}");
    }
    assert_eq!(of_type("AWS::Lambda::Function").len(), expected.len());
}

#[test]
fn no_secret_is_an_environment_variable() {
    for (name, function) in of_type("AWS::Lambda::Function") {
        let variables = function["Environment"].to_string();
        assert!(!variables.contains("resolve:"), "{name}");
    }
}

#[test]
fn the_sender_and_the_recorder_know_the_senders_time_out() {
    let sender = function("OutboundSender");
    for stem in ["OutboundSender", "ReportRecorder"] {
        let told = &function(stem)["Environment"]["Variables"]["SENDER_TIMEOUT_SECONDS"];
        assert_eq!(short(told), sender["Timeout"].to_string(), "{stem}");
    }
}

#[test]
fn the_exchange_has_time_for_several_requests_of_the_longest_kind() {
    let longest = number(&TEMPLATE["Parameters"]["MedicTimeoutSeconds"]["MaxValue"]);
    assert!(number(&function("MedicExchange")["Timeout"]) >= 4 * longest);
}

#[test]
fn every_parameter_is_explained_and_has_its_place_in_the_form() {
    let parameters = TEMPLATE["Parameters"].as_object().unwrap();
    let groups = &TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"];
    let in_form: Vec<_> = list(groups)
        .into_iter()
        .flat_map(|group| list(&group["Parameters"]))
        .map(short)
        .collect();
    let named: BTreeSet<_> = parameters.keys().cloned().collect();
    assert_eq!(in_form.iter().cloned().collect::<BTreeSet<_>>(), named);
    assert_eq!(in_form.len(), named.len());
    for (name, parameter) in parameters {
        let description = parameter["Description"].as_str().unwrap_or_default();
        assert!(description.len() >= 40, "{name} is not explained");
        let has_default = parameter.get("Default").is_some();
        assert_eq!(has_default, name != "MedicUrl", "{name}");
    }
}

#[test]
fn the_processor_is_a_parameter_and_the_default_is_the_tested_one() {
    assert_eq!(TEMPLATE["Parameters"]["Architecture"]["Default"], "x86_64");
    for (name, function) in of_type("AWS::Lambda::Function") {
        let architectures: Vec<_> = list(&function["Architectures"])
            .into_iter()
            .map(short)
            .collect();
        assert_eq!(architectures, ["Architecture"], "{name}");
        assert_eq!(function["Runtime"], "provided.al2023", "{name}");
        assert_eq!(function["Handler"], "bootstrap", "{name}");
    }
}

#[test]
fn several_stacks_fit_into_one_account_because_nothing_has_a_fixed_name() {
    for (name, resource) in resources() {
        for key in [
            "QueueName",
            "FunctionName",
            "TableName",
            "RoleName",
            "Name",
            "AlarmName",
        ] {
            let value = &resource["Properties"][key];
            assert!(!value.is_string(), "{name} has a fixed {key}");
        }
        let log_group = &resource["Properties"]["LogGroupName"];
        assert!(
            log_group.is_null() || short(log_group).contains("${AWS::StackName}"),
            "{name}"
        );
    }
}
