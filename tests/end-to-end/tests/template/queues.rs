//! Queues, what wakes functions from them, and the poll.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    CONSUMERS, FOURTEEN_DAYS_S, function, is_fifo, number, of_type, permissions, properties, short,
};

#[test]
fn each_queue_wakes_its_function_which_can_fail_message_by_message() {
    let mappings = of_type("AWS::Lambda::EventSourceMapping");
    assert_eq!(mappings.len(), CONSUMERS.len());
    for (queue, stem, _) in CONSUMERS {
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
fn a_message_stays_invisible_for_as_long_as_its_function_may_work_on_it() {
    for (queue, stem, _) in CONSUMERS {
        let visibility = number(&properties(queue)["VisibilityTimeout"]);
        let timeout = number(&function(stem)["Timeout"]);
        assert!(visibility >= timeout, "AWS refuses the mapping of {queue}");
    }
}

#[test]
fn a_crash_locks_the_exchange_for_hardly_longer_than_the_function_may_run() {
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
fn no_queue_has_a_limit_of_receives_that_would_force_long_waits() {
    for (name, queue) in of_type("AWS::SQS::Queue") {
        assert!(queue.get("RedrivePolicy").is_none(), "{name}");
    }
}

#[test]
fn a_fifo_queue_has_a_fifo_dead_letter_queue() {
    for (queue, _, dead_letter) in CONSUMERS {
        assert_eq!(is_fifo(queue), is_fifo(dead_letter), "{queue}");
    }
    assert!(is_fifo("ExchangeQueue"));
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
