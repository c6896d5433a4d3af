//! An account of Africa's Talking: whether it takes the user's key, and whether its SMS are real.

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::{ANSWER_WITHIN, RedactedSecret, ask};
use crate::http;

/// The user name with which Africa's Talking's simulator answers.
const SIMULATOR: &str = "sandbox";

/// An account of Africa's Talking that is none of ours.
#[derive(Clone, Debug)]
pub struct RealAccount {
    username: String,
    api_key: RedactedSecret,
    base_url: Option<String>,
}

impl RealAccount {
    /// The account of this user name: `sandbox` is Africa's Talking's simulator, every other one is
    /// live. Nothing is asked yet.
    ///
    /// # Errors
    /// When one of the two is missing or no user name.
    pub fn new(username: &str, api_key: RedactedSecret) -> anyhow::Result<Self> {
        let username = username.trim();
        let is_one = !username.is_empty()
            && username
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._@-".contains(c));
        ensure!(is_one, "--africastalking-username is no user name");
        ensure!(
            !api_key.is_empty(),
            "no API key of Africa's Talking was given"
        );
        Ok(Self {
            username: username.to_owned(),
            api_key,
            base_url: None,
        })
    }

    /// The same account at another address, where something plays Africa's Talking.
    #[must_use]
    pub fn at(self, base_url: String) -> Self {
        Self {
            base_url: Some(base_url),
            ..self
        }
    }

    /// Its user name.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Its API key.
    #[must_use]
    pub fn api_key(&self) -> &RedactedSecret {
        &self.api_key
    }

    /// The parameter `AfricasTalkingBaseUrl`: empty, unless something plays Africa's Talking.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.base_url.as_deref().unwrap_or_default()
    }

    /// Whether its SMS reach phones and cost money.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.username != SIMULATOR
    }

    /// Whether it takes the key; gives its balance, as Africa's Talking writes it. Nothing is sent.
    ///
    /// # Errors
    /// With one sentence that says what is wrong and what to do.
    pub async fn check(&self) -> anyhow::Result<String> {
        let host = if self.is_live() {
            "https://api.africastalking.com"
        } else {
            "https://api.sandbox.africastalking.com"
        };
        let base_url = self.base_url.as_deref().unwrap_or(host);
        let url = reqwest::Url::parse_with_params(
            &format!("{base_url}/version1/user"),
            [("username", &self.username)],
        )
        .context("the address of Africa's Talking is none")?;
        let request = http::client(ANSWER_WITHIN)?.get(url);
        let request = request.header("apiKey", self.api_key.reveal());
        match ask(request).await {
            Err(problem) => bail!("Africa's Talking: {problem}. Try again when it can be reached."),
            Ok(answer) if matches!(answer.status, 401 | 403) => bail!(
                "Africa's Talking refuses the API key for the user name `{}`: both must be of the same \
                 application, and a new key can take twenty minutes to work.",
                self.username
            ),
            Ok(answer) if answer.status == 200 => {
                let balance = ["/UserData/balance", "/userData/balance"]
                    .iter()
                    .find_map(|place| answer.body.pointer(place));
                Ok(
                    balance.map_or("unknown".to_owned(), |balance| match balance {
                        Value::String(text) => text.clone(),
                        other => other.to_string(),
                    }),
                )
            }
            Ok(answer) => bail!(
                "Africa's Talking answers HTTP {}: nothing can be said of key and credit. Try again later.",
                answer.status
            ),
        }
    }

    /// What is asked before a live account sends: how many SMS wait. Nothing for the simulator.
    #[must_use]
    pub fn question(&self, waiting: &str) -> Option<String> {
        self.is_live().then(|| {
            format!(
                "The account `{}` is live: real phones receive its SMS, and each costs money. SMS that \
                 wait to be sent now: {waiting}.",
                self.username
            )
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::africastalking::{AfricasTalkingConfig, AfricasTalkingStandIn};

    #[tokio::test]
    async fn the_key_is_tried_and_the_balance_is_shown() {
        let config = AfricasTalkingConfig::default();
        let somewhere = AfricasTalkingStandIn::start(config.clone()).await.unwrap();
        let account = |key: &str| {
            let account = RealAccount::new(&config.username, RedactedSecret::new(key)).unwrap();
            account.at(somewhere.url())
        };
        let balance = account(&config.api_key).check().await.unwrap();
        assert!(balance.starts_with(&config.currency), "{balance}");
        let problem = account("wrong").check().await.unwrap_err().to_string();
        assert!(problem.contains("refuses the API key"), "{problem}");
        assert!(somewhere.requests().is_empty());
    }

    #[test]
    fn only_a_live_account_needs_a_question_and_it_names_the_number() {
        let account = |name: &str| RealAccount::new(name, RedactedSecret::new("key")).unwrap();
        assert_eq!(account("sandbox").question("3"), None);
        let question = account("clinic").question("3").unwrap();
        assert!(question.contains("wait to be sent now: 3."), "{question}");
    }
}
