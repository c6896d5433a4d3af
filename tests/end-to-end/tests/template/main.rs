//! What AWS does that is easy to get wrong and that no emulator shows, held in the template as
//! CloudFormation gets to see it, after SAM's transform.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod functions;
mod ledger;
mod monitoring;
mod parameters;
mod permissions;
mod queues;
mod webhooks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use sandbox::stack::template;
use sandbox::tools;
use serde_json::{Map, Value, json};

/// The number of concurrent executions of an account that is new with AWS, for all functions together.
const EXECUTIONS_OF_A_NEW_ACCOUNT: u64 = 10;
const FOURTEEN_DAYS_S: u64 = 14 * 24 * 60 * 60;

/// The function of each queue, and where it dead-letters what cannot be processed.
const CONSUMERS: [(&str, &str, &str); 3] = [
    ("ExchangeQueue", "MedicExchange", "ExchangeDeadLetterQueue"),
    ("ReportsQueue", "ReportRecorder", "ReportsDeadLetterQueue"),
    ("OutboxQueue", "OutboundSender", "OutboxDeadLetterQueue"),
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
