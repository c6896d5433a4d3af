//! The environment variables, set by an operator.

use std::time::Duration;

use bridge::adapters::africas_talking::AfricasTalkingServer;
use bridge::adapters::medic::MedicServer;
use bridge::config::{ConfigError, read, read_duration};
use bridge::domain::message::UnknownOutcomePolicy;
use bridge::domain::phone_number::PhoneNumber;
use bridge::domain::sender_ids::SenderIds;
use proptest::prelude::*;

use crate::bending::{bent, text};
use crate::{at_once, cases, is_a_mixture};

fn bent_text(good: &str) -> impl Strategy<Value = String> + use<> {
    bent(good.as_bytes().to_vec()).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn list() -> impl Strategy<Value = String> {
    bent_text("MYORG, +256=20880,+25670=MTN UG")
}

fn number() -> impl Strategy<Value = PhoneNumber> {
    "\\+25[4-6][0-9]{9}".prop_map(|number| PhoneNumber::parse(&number).unwrap())
}

/// The list's meaning by its description, found in the simplest and slowest way.
fn expected<'a>(
    default: Option<&'a String>,
    prefixes: &'a [(String, String)],
    number: &PhoneNumber,
) -> Option<&'a str> {
    prefixes
        .iter()
        .filter(|(prefix, _)| number.as_str().starts_with(prefix.as_str()))
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(_, id)| id)
        .or(default)
        .map(String::as_str)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_list_of_sender_ids_is_refused_or_gives_what_is_in_it(
        list in list(), number in number(),
    ) {
        if let Ok(ids) = at_once(|| SenderIds::parse(&list)) {
            if let Some(id) = ids.for_number(&number) {
                prop_assert!(list.contains(id));
                prop_assert!(!id.is_empty() && !id.contains(['=', ',']) && !id.contains(char::is_control));
            }
            // White space around the separators means nothing.
            prop_assert_eq!(SenderIds::parse(&list.replace(',', " , ")), Ok(ids));
        }
    }

    #[test]
    fn a_list_of_sender_ids_says_what_was_written_into_it(
        default in proptest::option::of("[A-Z]{1,8}"),
        prefixes in proptest::collection::btree_map("\\+25[4-6]?[0-9]{0,2}", "[A-Z][A-Z ]{0,6}[A-Z]", 0..5),
        number in number(),
    ) {
        let prefixes: Vec<(String, String)> = prefixes.into_iter().collect();
        let entries = prefixes.iter().map(|(prefix, id)| format!("{prefix}={id}"));
        let list: Vec<String> = default.clone().into_iter().chain(entries).collect();
        let ids = SenderIds::parse(&list.join(",")).unwrap();
        prop_assert_eq!(ids.for_number(&number), expected(default.as_ref(), &prefixes, &number));
    }

    #[test]
    fn a_duration_is_refused_or_is_within_its_range(value in prop_oneof![
        text(), any::<i64>().prop_map(|n| n.to_string()), (-10_i64..100_000).prop_map(|n| n.to_string()),
    ]) {
        match read_duration("SOME_SECONDS", &value, Duration::from_secs(1), 45..=900) {
            Ok(duration) => {
                prop_assert!((45..=900).contains(&duration.as_secs()));
                prop_assert_eq!(Duration::from_secs(value.trim().parse().unwrap()), duration);
            }
            Err(ConfigError::Wrong { name, problem }) => {
                prop_assert_eq!(name, "SOME_SECONDS");
                prop_assert!(problem.len() < 100);
            }
            Err(ConfigError::Missing(_)) => prop_assert!(false, "it is set"),
        }
        // The longest unit and the widest range there could be.
        let _ = read_duration("SOME_DAYS", &value, Duration::MAX, u32::MIN..=u32::MAX);
    }

    #[test]
    fn a_count_is_refused_without_a_crash_or_is_what_was_written(value in prop_oneof![
        text(), bent_text("60"), any::<i64>().prop_map(|n| n.to_string()), any::<u32>().prop_map(|n| format!(" {n} ")),
    ]) {
        match read::<u32>("RECIPIENT_MESSAGES_PER_HOUR", &value) {
            Ok(count) => prop_assert_eq!(value.trim().parse(), Ok(count)),
            Err(ConfigError::Wrong { name, problem }) => {
                prop_assert_eq!(name, "RECIPIENT_MESSAGES_PER_HOUR");
                prop_assert!(problem.len() < 100);
            }
            Err(ConfigError::Missing(_)) => prop_assert!(false, "it is set"),
        }
    }

    #[test]
    fn a_policy_is_one_of_two_words(value in prop_oneof![text(), bent_text("resend-once"), bent_text("hold")]) {
        let policy = read::<UnknownOutcomePolicy>("UNKNOWN_OUTCOME_POLICY", &value);
        let expected = match value.trim() {
            "resend-once" => Some(UnknownOutcomePolicy::ResendOnce),
            "hold" => Some(UnknownOutcomePolicy::Hold),
            _ => None,
        };
        prop_assert_eq!(policy.ok(), expected);
    }

    #[test]
    fn an_address_is_refused_without_being_shown_or_is_taken(
        medic in bent_text("https://gateway:hushhush@medic.example.org:5988/api/sms/"),
        africas_talking in bent_text("https://gateway:hushhush@localhost:8443/v1/"),
        username in text(),
    ) {
        let server = at_once(|| MedicServer::new(&medic, Duration::MAX));
        let account = at_once(|| AfricasTalkingServer::new(username, Some(&africas_talking)));
        for error in [server.err(), account.err()].into_iter().flatten() {
            prop_assert!(error.to_string().len() < 200);
            prop_assert!(!error.to_string().contains("hush"), "{}", error);
        }
    }
}

#[test]
fn what_is_tried_is_a_mixture_of_good_and_bad() {
    is_a_mixture("lists of sender ids", list(), |list| {
        SenderIds::parse(&list).is_ok()
    });
}
