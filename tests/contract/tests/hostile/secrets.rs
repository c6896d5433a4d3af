//! The two secrets, as somebody filled them in by hand.

use std::time::Duration;

use bridge::domain::time::Timestamp;
use bridge::ports::{Clock, CredentialsError, SecretError, SecretStore};
use bridge::secrets::credentials::{
    AFRICASTALKING_API_KEY, MEDIC_PASSWORD, MEDIC_USERNAME, OutsideCredentials,
};
use bridge::secrets::{IncomingKeys, KeyCheck};
use futures_util::FutureExt as _;
use proptest::prelude::*;
use serde_json::json;

use crate::bending::{bent, bent_json_bytes, text};
use crate::{at_once, cases, is_a_mixture};

#[derive(Debug)]
struct SecretText(String);

impl SecretStore for &SecretText {
    async fn fetch(&self) -> Result<String, SecretError> {
        Ok(self.0.clone())
    }
}

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    async fn pause(&self, _: Duration) {}
}

fn secret() -> impl Strategy<Value = SecretText> {
    let text = prop_oneof![
        4 => bent_json_bytes(json!({ "key": "keykeykey", "second_key": "oldoldold", "number_hash_key": "hash" })),
        4 => bent_json_bytes(json!({
            "africastalking_api_key": "keykeykey", "medic_username": "gateway",
            "medic_password": "hushhushhush",
        })),
        1 => bent(b"keykeykey\n".to_vec()),
    ];
    text.prop_map(|bytes| SecretText(String::from_utf8_lossy(&bytes).into_owned()))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn only_what_is_in_the_secret_opens_the_callbacks(secret in secret(), presented in text()) {
        let keys = IncomingKeys::new(&secret);
        for presented in [presented.as_str(), "keykeykey", "oldoldold", ""] {
            let verdict = at_once(|| keys.check(Some(presented), Timestamp::from_millis(0)).now_or_never().unwrap());
            if let KeyCheck::Right { number_hash_key } = verdict {
                prop_assert!(!presented.trim().is_empty());
                let written = serde_json::to_string(presented).unwrap();
                // A text may be written in more than one way in JSON: those that need no escape are
                // there as they are.
                let is_plain = written.len() == presented.len() + 2 && presented.is_ascii();
                prop_assert!(!is_plain || secret.0.contains(presented) || secret.0.contains('\\'));
                prop_assert!(!number_hash_key.is_empty());
            }
        }
        let without = keys.check(None, Timestamp::from_millis(0)).now_or_never().unwrap();
        let opens = matches!(without, KeyCheck::Right { .. });
        prop_assert!(!opens);
    }

    #[test]
    fn a_key_that_was_filled_in_opens_the_callbacks(key in "[!-~]{1,80}") {
        let secret = SecretText(json!({ "key": key }).to_string());
        let keys = IncomingKeys::new(&secret);
        let verdict = keys.check(Some(&key), Timestamp::from_millis(0)).now_or_never().unwrap();
        let expected = KeyCheck::Right { number_hash_key: key };
        prop_assert!(verdict == expected);
    }

    #[test]
    fn credentials_are_whole_or_an_error_that_shows_nothing_of_them(secret in secret()) {
        let credentials = OutsideCredentials::new(&secret, FixedClock);
        let names = [AFRICASTALKING_API_KEY, MEDIC_USERNAME, MEDIC_PASSWORD];
        match at_once(|| credentials.fields(names).now_or_never().unwrap()) {
            Ok(fields) => {
                prop_assert!(fields.iter().all(|field| !field.trim().is_empty()));
                let bytes: usize = fields.iter().map(String::len).sum();
                prop_assert!(bytes <= 3 * secret.0.len());
            }
            Err(CredentialsError::Unusable(problem)) => {
                prop_assert!(problem.len() < 100);
                for word in ["keykeykey", "hushhush", "oldoldold"] {
                    prop_assert!(!problem.contains(word), "{}", problem);
                }
            }
            Err(CredentialsError::OutOfReach(_)) => prop_assert!(false, "the store has answered"),
        }
    }
}

#[test]
fn what_is_tried_is_a_mixture_of_good_and_bad() {
    is_a_mixture("secrets", secret(), |secret| {
        let keys = IncomingKeys::new(&secret);
        let verdict = keys
            .check(Some("keykeykey"), Timestamp::from_millis(0))
            .now_or_never()
            .unwrap();
        let credentials = OutsideCredentials::new(&secret, FixedClock);
        let fields = credentials.fields([MEDIC_USERNAME, MEDIC_PASSWORD]);
        matches!(verdict, KeyCheck::Right { .. }) || fields.now_or_never().unwrap().is_ok()
    });
}
