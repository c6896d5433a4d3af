//! The ledger.

use serde_json::json;

use crate::{TEMPLATE, number, of_type, properties, resources};

#[test]
fn the_ledger_forgets_by_itself_and_can_be_brought_back() {
    let tables = of_type("AWS::DynamoDB::Table");
    assert_eq!(tables.len(), 1);
    let ledger = tables["Ledger"];
    let forgets = json!({ "AttributeName": "expires_at_s", "Enabled": true });
    assert_eq!(ledger["TimeToLiveSpecification"], forgets);
    let recovery = json!({ "PointInTimeRecoveryEnabled": true });
    assert_eq!(ledger["PointInTimeRecoverySpecification"], recovery);
    // DynamoDB's own key: one of KMS would be charged for.
    assert!(ledger.get("SSESpecification").is_none());
    assert_eq!(ledger["DeletionProtectionEnabled"], true);
    assert_eq!(ledger["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(resources()["Ledger"]["DeletionPolicy"], "Retain");
    assert_eq!(resources()["Ledger"]["UpdateReplacePolicy"], "Retain");
}

#[test]
fn the_ledger_has_one_key_and_one_sparse_index_of_keys() {
    let ledger = properties("Ledger");
    let key = json!([{ "AttributeName": "pk", "KeyType": "HASH" }]);
    assert_eq!(ledger["KeySchema"], key);
    let index = json!([{
        "IndexName": "unreported",
        "KeySchema": [
            { "AttributeName": "unreported", "KeyType": "HASH" },
            { "AttributeName": "first_offered_ms", "KeyType": "RANGE" },
        ],
        "Projection": { "ProjectionType": "KEYS_ONLY" },
    }]);
    assert_eq!(ledger["GlobalSecondaryIndexes"], index);
    let types = json!([
        { "AttributeName": "pk", "AttributeType": "S" },
        { "AttributeName": "unreported", "AttributeType": "S" },
        { "AttributeName": "first_offered_ms", "AttributeType": "N" },
    ]);
    assert_eq!(ledger["AttributeDefinitions"], types);
}

#[test]
fn a_message_is_remembered_for_longer_than_medic_offers_it_again() {
    let days = &TEMPLATE["Parameters"]["LedgerRetentionDays"];
    assert!(number(&days["MinValue"]) >= 90);
    assert!(number(&days["Default"]) >= 90);
}
