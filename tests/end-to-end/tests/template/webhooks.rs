//! The two webhooks and what is logged of calls to them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{number, of_type, properties, short};

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
