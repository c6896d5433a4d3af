//! What is asked of the operator, and what is kept secret.

use std::collections::BTreeSet;

use serde_json::json;

use crate::{TEMPLATE, list, of_type, properties, resources, short};

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
fn no_secret_is_an_environment_variable() {
    for (name, function) in of_type("AWS::Lambda::Function") {
        let variables = function["Environment"].to_string();
        assert!(!variables.contains("resolve:"), "{name}");
    }
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
