//! Checks whether Medic can be reached, accepts our user, and offers us the messages that it wants sent.

use super::setup::CredentialsSecret;
use super::{Finding, Http, ask};
use crate::stack::{DEPLOY_GUIDED, Stack};

/// Asks Medic.
pub async fn examine(stack: &Stack, http: &Http, credentials: &CredentialsSecret) -> Vec<Finding> {
    const CHECK: &str = "Medic";
    let Some(base) = stack.parameter("MedicUrl") else {
        return vec![Finding::unknown(
            CHECK,
            "the stack has no parameter MedicUrl",
        )];
    };
    let base = base.trim_end_matches('/');
    let Some((user, password)) = &credentials.medic else {
        return vec![Finding::unknown(
            CHECK,
            "not asked: its user is not filled in",
        )];
    };
    let get = |path: &str| {
        let request = http.get(format!("{base}{path}"));
        request.basic_auth(user, Some(password))
    };
    // Only once, because ten refused logins lock the user out.
    let probe = match ask(get("/api/sms")).await {
        Err(problem) => {
            return vec![Finding::wrong(
                CHECK,
                format!("{base}: {problem}"),
                "look whether Medic runs and whether MedicUrl is right; what comes in meanwhile waits, for ten days",
            )];
        }
        Ok(answered) => answered,
    };
    let admitted = match probe.status {
        200 if probe.body.get("medic-gateway") == Some(&true.into()) => {
            Finding::fine(CHECK, "it answers, and lets our user in")
        }
        401 => Finding::wrong(
            CHECK,
            "it refuses our user or password",
            "`cargo ops set-credentials`; ten refusals lock the user out for a moment",
        ),
        403 => Finding::wrong(
            CHECK,
            "our user has no permission for the gateway's API",
            "give it the role `gateway`, or the permission `can_access_gateway_api`",
        ),
        429 => Finding::wrong(
            CHECK,
            "it lets nobody in for a moment, after too many wrong logins of this user or from this address",
            "try again in a minute; if it comes back, somebody behind the same proxy keeps trying a wrong password",
        ),
        502..=504 => Finding::wrong(
            CHECK,
            format!(
                "HTTP {}: it starts, or its proxy does not reach it",
                probe.status
            ),
            "wait for it; what comes in meanwhile waits, for ten days",
        ),
        status => Finding::wrong(
            CHECK,
            format!("HTTP {status}, and no gateway's API: this is not Medic's address"),
            format!("{DEPLOY_GUIDED}, with the address of Medic's API as MedicUrl, without a path"),
        ),
    };
    let is_admitted = admitted.verdict == super::Verdict::Fine;
    let mut findings = vec![admitted];
    if is_admitted {
        findings.push(outgoing(http, base, ask(get("/api/v1/settings")).await).await);
    }
    findings
}

/// Checks whether Medic's settings let it offer us the messages that it wants sent. Every user that is
/// logged in may read them.
async fn outgoing(
    http: &Http,
    base: &str,
    settings: Result<super::Answered, &'static str>,
) -> Finding {
    const CHECK: &str = "outgoing SMS";
    let due = due(http, base).await;
    let waiting = due.map_or(String::new(), |due| format!(" ({due} due in Medic)"));
    match settings {
        Ok(answer) if answer.status == 200 && answer.body.is_object() => {
            match OfferSetting::of(&answer.body) {
                OfferSetting::Offered => {
                    Finding::fine(CHECK, format!("Medic gives them to us{waiting}"))
                }
                OfferSetting::OfferedByDefault => Finding::fine(
                    CHECK,
                    format!("Medic gives them to us, because its settings have no `sms`{waiting}"),
                ),
                OfferSetting::Kept(service) => Finding::wrong(
                    CHECK,
                    format!(
                        "Medic's `sms.outgoing_service` is {}: polls bring nothing{waiting}",
                        service.map_or("not set".to_owned(), |service| format!("`{service}`"))
                    ),
                    "set it to `medic-gateway` in the app settings, and `cht upload-app-settings`",
                ),
            }
        }
        _ if due.is_some_and(|due| due > 0) => Finding::unknown(
            CHECK,
            format!(
                "Medic's settings cannot be read{waiting}; if that number does not fall within minutes, \
                 its `sms.outgoing_service` is not `medic-gateway`"
            ),
        ),
        _ => Finding::note(
            CHECK,
            "Medic's settings cannot be read; `sms.outgoing_service` must be `medic-gateway`",
        ),
    }
}

/// What Medic does with the messages that it wants sent, by its settings.
#[derive(Debug, PartialEq, Eq)]
enum OfferSetting<'a> {
    /// It offers them to gateways.
    Offered,
    /// The same, because there is no object `sms` in the settings at all. That is how a new CHT begins.
    OfferedByDefault,
    /// It does not offer them. The text is the setting `sms.outgoing_service`, if there is one.
    Kept(Option<&'a str>),
}

impl<'a> OfferSetting<'a> {
    fn of(settings: &'a serde_json::Value) -> Self {
        let Some(sms) = settings.get("sms") else {
            return Self::OfferedByDefault;
        };
        let service = sms.get("outgoing_service");
        match service.and_then(serde_json::Value::as_str) {
            Some("medic-gateway") => Self::Offered,
            other => Self::Kept(other),
        }
    }
}

/// How many of the outgoing messages that changed last, of at most a hundred, wait for a gateway. Medic's
/// public monitoring says so. Its total of due messages is of no use: it counts each message that was ever
/// due, and never falls.
async fn due(http: &Http, base: &str) -> Option<i64> {
    let answer = ask(http.get(format!("{base}/api/v2/monitoring")))
        .await
        .ok()?;
    let pending = answer
        .body
        .pointer("/messaging/outgoing/last_hundred/pending")?;
    let count = |state: &str| pending.get(state)?.as_i64().filter(|count| *count >= 0);
    let due = count("pending")?.checked_add(count("forwarded-to-gateway")?)?;
    (answer.status == 200).then_some(due)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn without_any_sms_in_its_settings_medic_offers_messages_and_with_an_empty_object_it_does_not()
    {
        let offered = json!({"sms": {"outgoing_service": "medic-gateway"}});
        let other = json!({"sms": {"outgoing_service": "africas-talking"}});
        for (settings, expected) in [
            (&offered, OfferSetting::Offered),
            (&json!({"locale": "en"}), OfferSetting::OfferedByDefault),
            (&json!({"sms": {}}), OfferSetting::Kept(None)),
            (&other, OfferSetting::Kept(Some("africas-talking"))),
        ] {
            assert_eq!(OfferSetting::of(settings), expected, "{settings}");
        }
    }
}
