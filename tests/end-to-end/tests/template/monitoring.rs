//! Logs, alarms, the dashboard and the saved queries; and that they, the code's metrics and the
//! runbook know of each other.

use std::collections::{BTreeMap, BTreeSet};

use bridge::log::metrics::{self, Dimension, Metric};
use sandbox::tools;
use serde_json::{Value, json};

use crate::{CONSUMERS, TEMPLATE, function, number, of_type, properties, short};

/// More metrics than this on a dashboard cost money.
const FREE_METRICS_OF_A_DASHBOARD: usize = 50;

/// The metrics of AWS's own that the template uses.
const OF_AWS: [(&str, &str, &str); 9] = [
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName"),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName"),
    ("AWS/SQS", "NumberOfMessagesSent", "QueueName"),
    ("AWS/SQS", "NumberOfMessagesDeleted", "QueueName"),
    ("AWS/ApiGateway", "4xx", "ApiId"),
    ("AWS/ApiGateway", "5xx", "ApiId"),
    ("AWS/Lambda", "Errors", "FunctionName"),
    ("AWS/Lambda", "Invocations", "FunctionName"),
    ("AWS/Lambda", "Throttles", "FunctionName"),
];

/// One of the code's metrics.
fn metric(name: &str) -> Metric {
    let found = Metric::ALL.iter().find(|metric| metric.name() == name);
    *found.unwrap_or_else(|| panic!("nothing counts {name}"))
}

/// Fails for a metric that nobody counts, or not by these dimensions.
fn assert_is_counted(namespace: &str, name: &str, dimensions: &[&str]) {
    if namespace == metrics::NAMESPACE {
        let sets = metric(name).dimensions().iter();
        let mut sets = sets.map(|one| {
            let by = one.map(Dimension::name);
            [metrics::STACK]
                .into_iter()
                .chain(by)
                .collect::<BTreeSet<_>>()
        });
        let asked: BTreeSet<_> = dimensions.iter().copied().collect();
        assert!(sets.any(|set| set == asked), "{name} by {dimensions:?}");
    } else {
        let [dimension] = dimensions else {
            panic!("{name} by {dimensions:?}")
        };
        let known = OF_AWS.contains(&(namespace, name, dimension));
        assert!(known, "AWS counts no {namespace} {name} by {dimension}");
    }
}

/// The metric of each alarm, as `namespace name dimension=value …`.
fn monitored() -> BTreeMap<&'static str, String> {
    let alarms = of_type("AWS::CloudWatch::Alarm").into_iter();
    let monitored = alarms.map(|(name, alarm)| {
        let dimensions = alarm["Dimensions"].as_array().unwrap();
        let by: Vec<_> = dimensions
            .iter()
            .map(|dimension| dimension["Name"].as_str().unwrap())
            .collect();
        let (namespace, metric) = (short(&alarm["Namespace"]), short(&alarm["MetricName"]));
        assert_is_counted(&namespace, &metric, &by);
        let values = dimensions.iter().map(|dimension| {
            let (by, value) = (short(&dimension["Name"]), short(&dimension["Value"]));
            format!(" {by}={value}")
        });
        (
            name,
            format!("{namespace} {metric}{}", values.collect::<String>()),
        )
    });
    monitored.collect()
}

#[test]
fn each_failure_has_its_alarm_and_alarms_beyond_these_cost_money() {
    let own = |metric: &str| format!("cht-africastalking {metric} stack=AWS::StackName");
    let oldest =
        "AWS/SQS ApproximateAgeOfOldestMessage QueueName=ExchangeQueue.QueueName".to_owned();
    let waiting = |function: &str| format!("{} function={function}", own("OldestWaiting"));
    let dead_letter = |queue: &str| {
        format!("AWS/SQS ApproximateNumberOfMessagesVisible QueueName={queue}.QueueName")
    };
    let lambda =
        |metric: &str, stem: &str| format!("AWS/Lambda {metric} FunctionName={stem}Function");
    let expected = BTreeMap::from([
        ("BalanceLowAlarm", own("Balance")),
        ("CallbacksAtWrongUrlAlarm", own("CallbacksAtWrongUrl")),
        (
            "ClientErrorsAlarm",
            "AWS/ApiGateway 4xx ApiId=HttpApi".to_owned(),
        ),
        ("ExchangeErrorsAlarm", lambda("Errors", "MedicExchange")),
        (
            "ExchangeNotRunningAlarm",
            lambda("Invocations", "MedicExchange"),
        ),
        ("QueueStalledAlarm", own("QueueStalled")),
        ("AwsFailuresAlarm", own("AwsFailures")),
        ("RecorderErrorsAlarm", lambda("Errors", "ReportRecorder")),
        (
            "RecorderThrottledAlarm",
            lambda("Throttles", "ReportRecorder"),
        ),
        ("SenderErrorsAlarm", lambda("Errors", "OutboundSender")),
        (
            "SenderThrottledAlarm",
            lambda("Throttles", "OutboundSender"),
        ),
        (
            "ExchangeDeadLetterAlarm",
            dead_letter("ExchangeDeadLetterQueue"),
        ),
        ("FailureRateAlarm", own("FailureRate")),
        ("FaultsAlarm", own("Faults")),
        ("RecipientLimitExceededAlarm", own("RecipientLimitExceeded")),
        ("IncomingLateAlarm", oldest),
        ("KeyRefusedAlarm", own("KeyRefused")),
        ("MedicRefusedAlarm", own("MedicRefused")),
        ("NoPollAlarm", own("PostsAnswered")),
        ("OutboxLateAlarm", waiting("outbound-sender")),
        ("QuarantineAlarm", waiting("medic-exchange")),
        (
            "OutboxDeadLetterAlarm",
            dead_letter("OutboxDeadLetterQueue"),
        ),
        ("ReportsLateAlarm", waiting("report-recorder")),
        (
            "ReportsDeadLetterAlarm",
            dead_letter("ReportsDeadLetterQueue"),
        ),
        ("CircuitOpenAlarm", own("CircuitOpened")),
        ("StatusLateAlarm", own("OldestUnreported")),
        (
            "WebhookErrorsAlarm",
            "AWS/ApiGateway 5xx ApiId=HttpApi".to_owned(),
        ),
    ]);
    assert_eq!(monitored(), expected);
}

#[test]
fn every_alarm_tells_the_topic_if_there_is_one_when_it_begins_and_when_it_ends() {
    let topic_if_any = json!({
        "Fn::If": ["AlarmsHaveATopic", [{ "Ref": "AlarmTopicArn" }], { "Ref": "AWS::NoValue" }]
    });
    for (name, alarm) in of_type("AWS::CloudWatch::Alarm") {
        assert_eq!(alarm["AlarmActions"], topic_if_any, "{name}");
        assert_eq!(alarm["OKActions"], topic_if_any, "{name}");
        let description = alarm["AlarmDescription"].as_str().unwrap();
        // The pager shows this, and no more than a thousand characters of it.
        assert!((40..=1000).contains(&description.len()), "{name}");
    }
}

#[test]
fn silence_is_an_alarm_only_where_there_must_be_a_sound() {
    for (name, alarm) in of_type("AWS::CloudWatch::Alarm") {
        let expected = match name {
            // Every minute something is asked, and answered.
            "NoPollAlarm" | "ExchangeNotRunningAlarm" => "breaching",
            // What was dead-lettered, or owed, a while ago still is.
            "ExchangeDeadLetterAlarm"
            | "ReportsDeadLetterAlarm"
            | "OutboxDeadLetterAlarm"
            | "BalanceLowAlarm" => "ignore",
            _ => "notBreaching",
        };
        assert_eq!(alarm["TreatMissingData"], expected, "{name}");
    }
}

#[test]
fn whatever_is_dead_lettered_raises_an_alarm() {
    for (_, _, dead_letter) in CONSUMERS {
        let name = format!("{}Alarm", dead_letter.strip_suffix("Queue").unwrap());
        let alarm = properties(&name);
        assert_eq!(alarm["Statistic"], "Maximum");
        assert_eq!(alarm["ComparisonOperator"], "GreaterThanThreshold");
        assert_eq!(number(&alarm["Threshold"]), 0);
    }
}

#[test]
fn a_failure_that_is_tried_now_and_then_keeps_its_alarm_up_between_two_tries() {
    let minutes = |name: &str| {
        let alarm = properties(name);
        assert_eq!(number(&alarm["DatapointsToAlarm"]), 1, "{name}");
        number(&alarm["Period"]) * number(&alarm["EvaluationPeriods"]) / 60
    };
    // After a POST in doubt the next comes within twelve minutes, with the longest MedicGraceSeconds.
    assert!(minutes("MedicRefusedAlarm") > 12);
    assert!(minutes("StatusLateAlarm") > 12);
    // The ledger is tried every 45 seconds.
    assert!(minutes("ReportsLateAlarm") > 1);
    // A pilot of an unknown sender ID tries every ten minutes, and a message that Africa's Talking does
    // not send for a reason of its own every 15, both with up to ten seconds more.
    assert!(minutes("CircuitOpenAlarm") > 15);
    assert!(minutes("OutboxLateAlarm") > 15);
}

/// Whether the alarm is raised by a single such event within a period.
fn is_raised_by_one(alarm: &Value) -> bool {
    alarm["Statistic"] == "Sum"
        && alarm["ComparisonOperator"] == "GreaterThanThreshold"
        && number(&alarm["Threshold"]) == 0
        && alarm.get("DatapointsToAlarm").map_or_else(
            || number(&alarm["EvaluationPeriods"]) == 1,
            |datapoints| number(datapoints) == 1,
        )
}

#[test]
fn a_function_that_dies_or_cannot_start_raises_an_alarm_that_needs_no_line_of_its_log() {
    // A worker, by what Lambda counts; a webhook, by what its caller gets from API Gateway.
    for (queue, stem, _) in CONSUMERS {
        let name = match stem {
            "MedicExchange" => "ExchangeErrorsAlarm",
            "OutboundSender" => "SenderErrorsAlarm",
            _ => "RecorderErrorsAlarm",
        };
        let expected = format!("AWS/Lambda Errors FunctionName={stem}Function");
        assert_eq!(monitored()[name], expected);
        let alarm = properties(name);
        assert!(is_raised_by_one(alarm), "{name}");
        let notice_s = number(&alarm["Period"]);
        assert!(notice_s <= 900, "{name} is noticed after {notice_s} s");
        // Its batch comes again after the visibility time-out, and it dies again.
        let kept_up_s = notice_s * number(&alarm["EvaluationPeriods"]);
        assert!(kept_up_s > 2 * number(&properties(queue)["VisibilityTimeout"]));
    }
    assert!(is_raised_by_one(properties("WebhookErrorsAlarm")));
    let served: BTreeSet<_> = of_type("AWS::ApiGatewayV2::Integration")
        .into_values()
        .map(|integration| {
            assert_eq!(short(&integration["ApiId"]), "HttpApi");
            short(&integration["IntegrationUri"])
        })
        .collect();
    let webhooks = [
        "DeliveryReportsFunction.Arn",
        "IncomingMessagesFunction.Arn",
    ];
    assert!(served.iter().eq(webhooks));
    assert_eq!(
        of_type("AWS::Lambda::Function").len(),
        CONSUMERS.len() + webhooks.len()
    );
}

#[test]
fn a_worker_that_is_throttled_for_ten_minutes_raises_an_alarm_and_a_short_burst_does_not() {
    for name in ["SenderThrottledAlarm", "RecorderThrottledAlarm"] {
        let alarm = properties(name);
        assert_eq!(number(&alarm["Threshold"]), 0, "{name}");
        let period_s = number(&alarm["Period"]);
        assert_eq!(period_s * number(&alarm["DatapointsToAlarm"]), 600);
        assert_eq!(period_s * number(&alarm["EvaluationPeriods"]), 900);
    }
}

#[test]
fn an_exchange_that_is_not_run_is_noticed_within_a_quarter_of_an_hour_and_one_that_waits_is_not() {
    let alarm = properties("ExchangeNotRunningAlarm");
    assert_eq!(alarm["ComparisonOperator"], "LessThanThreshold");
    assert_eq!(number(&alarm["Threshold"]), 1);
    let silence_s = number(&alarm["Period"]) * number(&alarm["EvaluationPeriods"]);
    assert_eq!(silence_s, 900);
    // After a POST in doubt it waits for the time-out, the grace time and a margin, and a fifth more
    // by chance. After a crash its batch is locked for the visibility time-out.
    let most = |name: &str| number(&TEMPLATE["Parameters"][name]["MaxValue"]);
    let in_doubt_s = most("MedicTimeoutSeconds") + most("MedicGraceSeconds") + 5;
    assert!(in_doubt_s * 12 / 10 < silence_s);
    assert!(number(&properties("ExchangeQueue")["VisibilityTimeout"]) < silence_s);
}

#[test]
fn a_queue_that_nobody_reads_keeps_its_alarm_up_between_two_checks() {
    let alarm = properties("QueueStalledAlarm");
    assert!(number(&alarm["Period"]) <= 60);
    assert_eq!(number(&alarm["DatapointsToAlarm"]), 1);
    let kept_up_s = number(&alarm["Period"]) * number(&alarm["EvaluationPeriods"]);
    assert!(kept_up_s >= 900);
}

#[test]
fn a_flood_of_refused_calls_raises_an_alarm_and_a_scanner_does_not() {
    let alarm = properties("ClientErrorsAlarm");
    assert_eq!(alarm["Statistic"], "Sum");
    assert_eq!(alarm["ComparisonOperator"], "GreaterThanThreshold");
    let (threshold, period_s) = (number(&alarm["Threshold"]), number(&alarm["Period"]));
    assert!((500..=2_000).contains(&threshold) && period_s == 300);
    // What the stage's limits refuse of a flood of twice their rate.
    let rate = number(&properties("HttpApiStage")["DefaultRouteSettings"]["ThrottlingRateLimit"]);
    assert!(rate * period_s > threshold);
}

/// The dashboard's body, with the names of resources in the place of what they become.
fn dashboard() -> Value {
    let dashboards = of_type("AWS::CloudWatch::Dashboard");
    assert_eq!(dashboards.len(), 1);
    let body = short(&dashboards["Dashboard"]["DashboardBody"]);
    serde_json::from_str(&body).expect("the dashboard is JSON")
}

/// The metrics of all widgets: namespace, name, and what they are divided by.
fn shown(dashboard: &Value) -> Vec<(String, String, Vec<String>)> {
    let widgets = dashboard["widgets"].as_array().unwrap().iter();
    let rows = widgets.filter_map(|widget| widget["properties"]["metrics"].as_array());
    rows.flatten()
        // Of a sum of others, those are in rows of their own.
        .filter(|row| {
            let expression = row[0]["expression"].as_str();
            expression.is_none_or(|expression| expression.contains("SEARCH("))
        })
        .map(|row| match row[0]["expression"].as_str() {
            Some(expression) => searched(expression),
            None => {
                let row = row.as_array().unwrap().iter();
                let mut texts = row.filter_map(|text| text.as_str().map(str::to_owned));
                let (namespace, name) = (texts.next().unwrap(), texts.next().unwrap());
                // Names of dimensions, each with its value.
                (namespace, name, texts.step_by(2).collect())
            }
        })
        .collect()
}

/// What `SEARCH('{"namespace",a,b} MetricName="Name" …', …)` looks for.
fn searched(expression: &str) -> (String, String, Vec<String>) {
    let (_, rest) = expression.split_once("SEARCH('{").unwrap();
    let (schema, rest) = rest.split_once('}').unwrap();
    let mut schema = schema
        .split(',')
        .map(|part| part.trim_matches('"').to_owned());
    let (_, name) = rest.split_once("MetricName=\"").unwrap();
    let (name, rest) = name.split_once('"').unwrap();
    assert!(
        rest.contains(r#"stack="${AWS::StackName}""#),
        "{name} of every stack of the account"
    );
    (schema.next().unwrap(), name.to_owned(), schema.collect())
}

#[test]
fn the_dashboard_shows_what_is_counted_and_stays_free() {
    let dashboard = dashboard();
    let shown = shown(&dashboard);
    for (namespace, name, dimensions) in &shown {
        let dimensions: Vec<_> = dimensions.iter().map(String::as_str).collect();
        assert_is_counted(namespace, name, &dimensions);
    }
    let different: BTreeSet<_> = shown.iter().collect();
    assert!(different.len() <= FREE_METRICS_OF_A_DASHBOARD);
}

#[test]
fn the_dashboard_shows_the_state_of_every_alarm() {
    let dashboard = dashboard();
    let widgets = dashboard["widgets"].as_array().unwrap();
    let widget = widgets.iter().find(|widget| widget["type"] == "alarm");
    let alarms = widget.unwrap()["properties"]["alarms"].as_array().unwrap();
    let shown: BTreeSet<_> = alarms.iter().map(short).collect();
    let all = monitored()
        .into_keys()
        .map(|name| format!("${{{name}.Arn}}"));
    assert_eq!(shown, all.collect());
}

#[test]
fn the_widgets_of_the_dashboard_stand_side_by_side_and_not_upon_each_other() {
    let dashboard = dashboard();
    let mut taken = BTreeSet::new();
    for widget in dashboard["widgets"].as_array().unwrap() {
        let side = |name: &str| number(&widget[name]);
        for x in side("x")..side("x") + side("width") {
            assert!(x < 24, "{widget}");
            for y in side("y")..side("y") + side("height") {
                assert!(taken.insert((x, y)), "{widget}");
            }
        }
    }
}

#[test]
fn whatever_the_code_counts_is_monitored_or_shown() {
    let monitored: Vec<_> = monitored().into_values().collect();
    let shown = shown(&dashboard());
    for metric in Metric::ALL {
        let name = metric.name();
        let is_monitored = monitored
            .iter()
            .any(|one| one.split(' ').nth(1) == Some(name));
        let is_shown = shown.iter().any(|(_, shown, _)| shown == name);
        assert!(
            is_monitored || is_shown,
            "{name} costs money and nobody looks"
        );
    }
}

#[test]
fn the_runbook_has_a_section_for_each_alarm_and_no_other() {
    let runbook = tools::repository().join("infra/RUNBOOK.md");
    let runbook = std::fs::read_to_string(runbook).expect("there is a runbook");
    let sections: BTreeSet<_> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|heading| heading.ends_with("Alarm"))
        .collect();
    let alarms = monitored();
    assert_eq!(sections, alarms.into_keys().collect());
}

#[test]
fn the_saved_queries_look_into_the_stacks_own_logs() {
    for (name, query) in of_type("AWS::Logs::QueryDefinition") {
        assert!(
            short(&query["Name"]).starts_with("${AWS::StackName}/"),
            "{name}"
        );
        let groups = query["LogGroupNames"].as_array().unwrap();
        assert!(!groups.is_empty(), "{name}");
        for group in groups {
            assert!(properties(&short(group)).is_object(), "{name}");
        }
    }
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
        .chain(CONSUMERS.map(|(_, stem, _)| stem))
    {
        // Otherwise Lambda makes a group by itself, which keeps everything for ever.
        let logging = &function(stem)["LoggingConfig"];
        assert_eq!(short(&logging["LogGroup"]), format!("{stem}LogGroup"));
        // Lambda logs what failed, and holds back nothing that a function writes.
        for (setting, value) in [
            ("LogFormat", "JSON"),
            ("SystemLogLevel", "WARN"),
            ("ApplicationLogLevel", "TRACE"),
        ] {
            assert_eq!(logging[setting], value, "{stem}");
        }
    }
}
