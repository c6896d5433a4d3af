//! The webhooks and what is logged of calls to them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{TEMPLATE, number, of_type, properties, resources, short};

#[test]
fn only_what_is_below_the_callbacks_path_reaches_a_function_and_only_as_post() {
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
    let paths = [
        ("incoming-messages", "IncomingMessagesFunction.Arn"),
        ("opt-outs", "IncomingMessagesFunction.Arn"),
        ("{proxy+}", "IncomingMessagesFunction.Arn"),
        ("delivery-reports", "DeliveryReportsFunction.Arn"),
        ("delivery-reports/", "DeliveryReportsFunction.Arn"),
    ];
    let expected = paths.map(|(path, function)| {
        let route = format!("POST /api/v1/sms/africastalking/{path}");
        (route, function.to_owned())
    });
    assert_eq!(routes, BTreeSet::from(expected));
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
    for (stem, function, path) in [
        ("IncomingMessages", "IncomingMessagesFunction", "*"),
        (
            "DeliveryReports",
            "DeliveryReportsFunction",
            "delivery-reports*",
        ),
    ] {
        let permission = permissions[format!("{stem}Permission").as_str()];
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
fn a_domain_of_ones_own_takes_the_place_of_the_default_address_everywhere() {
    let switched_off = json!({ "Fn::If": ["HasDomain", true, false] });
    assert_eq!(
        properties("HttpApi")["DisableExecuteApiEndpoint"],
        switched_off
    );
    for (output, path) in [
        ("IncomingMessagesCallbackUrl", "incoming-messages"),
        ("DeliveryReportsCallbackUrl", "delivery-reports"),
        ("OptOutsCallbackUrl", "opt-outs"),
    ] {
        let path = format!("/api/v1/sms/africastalking/{path}?key=");
        let own = json!({ "Fn::Sub": format!("https://${{DomainName}}{path}") });
        let default = json!({ "Fn::Sub": format!("${{HttpApi.ApiEndpoint}}{path}") });
        let expected = json!({ "Fn::If": ["HasDomain", own, default] });
        assert_eq!(TEMPLATE["Outputs"][output]["Value"], expected, "{output}");
    }
    for name in ["CallbackDomain", "CallbackDomainMapping"] {
        assert_eq!(resources()[name]["Condition"], "HasDomain", "{name}");
    }
    let domain = properties("CallbackDomain");
    assert_eq!(short(&domain["DomainName"]), "DomainName");
    let configuration = &domain["DomainNameConfigurations"][0];
    assert_eq!(short(&configuration["CertificateArn"]), "CertificateArn");
    assert_eq!(configuration["SecurityPolicy"], "TLS_1_2");
    let mapping = properties("CallbackDomainMapping");
    // All paths of the stage, as without the domain.
    assert!(mapping.get("ApiMappingKey").is_none());
    let to = ["ApiId", "DomainName", "Stage"].map(|name| short(&mapping[name]));
    assert_eq!(to, ["HttpApi", "CallbackDomain", "HttpApiStage"]);
    let rule = &TEMPLATE["Rules"]["ADomainNeedsItsCertificate"];
    let is_set = |name: &str| json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": name }, ""] }] });
    assert_eq!(rule["RuleCondition"], is_set("DomainName"));
    assert_eq!(rule["Assertions"][0]["Assert"], is_set("CertificateArn"));
}
