//! What functions run on, are told, and leave for others.

use std::collections::BTreeSet;

use sandbox::stack::{FUNCTIONS, template};
use serde_json::{Value, json};

use crate::{
    CONSUMERS, EXECUTIONS_OF_A_NEW_ACCOUNT, TEMPLATE, function, is_fifo, number, of_type,
    permissions, properties, short,
};

#[test]
fn a_function_that_feeds_its_own_queue_is_not_stopped_as_a_loop_and_no_other_is_let_loop() {
    for (queue, stem, _) in CONSUMERS {
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
fn the_pollers_leave_a_new_account_two_executions_for_the_webhooks() {
    let bounds = CONSUMERS.map(|(queue, stem, _)| {
        let mapping = properties(&format!("{stem}Mapping"));
        let bound = number(&mapping["ScalingConfig"]["MaximumConcurrency"]);
        assert!(bound >= 2, "AWS refuses a bound of less than two ({stem})");
        // One message group is one batch at a time.
        if is_fifo(queue) { 1 } else { bound }
    });
    assert!(bounds.iter().sum::<u64>() <= EXECUTIONS_OF_A_NEW_ACCOUNT - 2);
}

#[test]
fn no_function_reserves_executions_which_a_new_account_does_not_have_unless_it_is_asked_for() {
    let if_asked_for = json!({
        "Fn::If": [
            "WebhooksHaveReservedConcurrency",
            { "Ref": "WebhookReservedConcurrency" },
            { "Ref": "AWS::NoValue" },
        ]
    });
    for (name, function) in of_type("AWS::Lambda::Function") {
        let reserved = function.get("ReservedConcurrentExecutions");
        // A worker is bounded by its mapping; whatever it reserved, the webhooks would lack.
        let is_webhook = matches!(name, "IncomingMessagesFunction" | "DeliveryReportsFunction");
        let expected = is_webhook.then_some(&if_asked_for);
        assert_eq!(reserved, expected, "{name}");
    }
    let parameter = &TEMPLATE["Parameters"]["WebhookReservedConcurrency"];
    assert_eq!(parameter["Default"], 0);
}

#[test]
fn each_function_gets_the_variables_that_it_reads_and_no_others() {
    let expected = [
        (
            "IncomingMessages",
            "EXCHANGE_DEAD_LETTER_QUEUE_URL EXCHANGE_QUEUE_URL INCOMING_KEY_SECRET_ARN OPT_OUT_TEXT",
        ),
        (
            "DeliveryReports",
            "INCOMING_KEY_SECRET_ARN REPORTS_DEAD_LETTER_QUEUE_URL REPORTS_QUEUE_URL",
        ),
        (
            "ReportRecorder",
            "LEDGER_RETENTION_DAYS LEDGER_TABLE REPORTS_DEAD_LETTER_QUEUE_URL REPORTS_QUEUE_URL \
             SENDER_TIMEOUT_SECONDS",
        ),
        (
            "OutboundSender",
            "AFRICASTALKING_BASE_URL AFRICASTALKING_USERNAME CREDENTIALS_SECRET_ARN \
             RECIPIENT_MESSAGES_PER_HOUR RECIPIENT_SAME_TEXT_PER_DAY INCOMING_KEY_SECRET_ARN \
             SENDER_TIMEOUT_SECONDS LEDGER_RETENTION_DAYS LEDGER_TABLE MESSAGE_MAX_AGE_HOURS \
             OUTBOX_DEAD_LETTER_QUEUE_URL OUTBOX_QUEUE_URL RESEND_AFTER_SECONDS SENDER_IDS \
             UNKNOWN_OUTCOME_POLICY",
        ),
        (
            "MedicExchange",
            "CREDENTIALS_SECRET_ARN EXCHANGE_DEAD_LETTER_QUEUE_URL EXCHANGE_QUEUE_URL \
             LEDGER_RETENTION_DAYS LEDGER_TABLE MEDIC_TIMEOUT_SECONDS MEDIC_URL \
             MEDIC_GRACE_SECONDS OUTBOX_QUEUE_URL REPORTS_QUEUE_URL",
        ),
    ];
    for (stem, names) in expected {
        let variables = &function(stem)["Environment"]["Variables"];
        let variables: BTreeSet<_> = variables.as_object().unwrap().keys().collect();
        let names = names.split(' ').chain(["STACK_NAME"]);
        let names: BTreeSet<_> = names.map(str::to_owned).collect();
        assert_eq!(variables, names.iter().collect(), "{stem}");
    }
    assert_eq!(of_type("AWS::Lambda::Function").len(), expected.len());
}

#[test]
fn the_sender_and_the_recorder_know_the_senders_time_out() {
    let sender = function("OutboundSender");
    for stem in ["OutboundSender", "ReportRecorder"] {
        let reported = &function(stem)["Environment"]["Variables"]["SENDER_TIMEOUT_SECONDS"];
        assert_eq!(short(reported), sender["Timeout"].to_string(), "{stem}");
    }
}

#[test]
fn the_exchange_has_time_for_several_requests_of_the_longest_kind() {
    let longest = number(&TEMPLATE["Parameters"]["MedicTimeoutSeconds"]["MaxValue"]);
    assert!(number(&function("MedicExchange")["Timeout"]) >= 4 * longest);
}

/// The template as it is written, before SAM's transform.
fn written() -> String {
    std::fs::read_to_string(template::file()).unwrap()
}

#[test]
fn sam_builds_each_function_from_its_own_package() {
    let written = written();
    let folder = template::file().parent().unwrap().to_owned();
    for function in FUNCTIONS {
        let build = format!(
            "    Metadata: {{ BuildMethod: rust-cargolambda, BuildProperties: {{ Binary: {function} }} }}\n"
        );
        let source = format!("      CodeUri: ../functions/{function}/\n");
        for line in [build, source] {
            assert_eq!(written.matches(&line).count(), 1, "{line}");
        }
        let package = std::fs::read_to_string(
            folder
                .join("../functions")
                .join(function)
                .join("Cargo.toml"),
        );
        assert!(
            package
                .unwrap()
                .contains(&format!("name = \"{function}\"\n"))
        );
    }
    assert_eq!(written.matches("CodeUri:").count(), FUNCTIONS.len());
}

#[test]
fn the_template_names_the_version_of_the_workspace() {
    let version = &TEMPLATE["Outputs"]["Version"]["Value"];
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
}
