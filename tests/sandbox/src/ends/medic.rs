//! A Medic of the user's own: whether the bridge can work with it, and what would happen if it did.
//!
//! The questions are those of `cargo ops doctor`. None of them changes anything in Medic: what is
//! offered is asked of its public monitoring and not of the gateway's API, which would mark it.

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::{ANSWER_WITHIN, EndAnswer, RedactedSecret, ask};
use crate::http;

/// The only `sms.outgoing_service` with which Medic offers anything.
const GATEWAY: &str = "medic-gateway";

/// How many of the messages that changed last the monitoring looks at.
const LAST_HUNDRED: u64 = 100;

/// A Medic that is none of ours.
#[derive(Debug)]
pub struct RealMedic {
    url: String,
    user: String,
    password: RedactedSecret,
    client: reqwest::Client,
}

/// How the bridge stands with a Medic that lets it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MedicStanding {
    /// Whether it gives a gateway what it wants sent.
    pub service: OutgoingService,
    /// The result of its monitoring, if it has one.
    pub waiting: Option<MedicBacklog>,
}

/// Medic's setting `sms.outgoing_service`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutgoingService {
    /// Messages are offered to a gateway.
    Gateway,
    /// Messages are not offered; this is what the setting is, if it is set.
    Other(Option<String>),
    /// The settings could not be read.
    Unknown,
}

/// Where the outgoing messages are, among the hundred that changed last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MedicBacklog {
    /// That wait for a gateway.
    pub pending: u64,
    /// That a gateway was offered and has not acknowledged.
    pub offered: u64,
    /// That a gateway has.
    pub with_gateway: u64,
}

impl MedicBacklog {
    /// How many a gateway that asks now is offered.
    #[must_use]
    pub fn would_be_sent(self) -> u64 {
        self.pending.saturating_add(self.offered)
    }

    /// [`Self::would_be_sent`] in words.
    #[must_use]
    pub fn count_in_words(self) -> String {
        match self.would_be_sent() {
            LAST_HUNDRED.. => format!("{LAST_HUNDRED} or more"),
            count => count.to_string(),
        }
    }
}

impl RealMedic {
    /// A Medic at this address, with the gateway's user. Nothing is asked yet.
    ///
    /// # Errors
    /// When the address is none that the template takes, or user or password are missing.
    pub fn new(url: &str, user: &str, password: RedactedSecret) -> anyhow::Result<Self> {
        let url = url.trim().trim_end_matches('/');
        let parsed = reqwest::Url::parse(url).ok().filter(|parsed| {
            matches!(parsed.scheme(), "http" | "https") && parsed.host_str().is_some()
        });
        // Not shown: somebody may have put a password into it.
        let parsed =
            parsed.context("--medic-url is no address: https://, a host, perhaps a port")?;
        ensure!(
            parsed.username().is_empty() && parsed.password().is_none(),
            "--medic-url has a user name or a password in it: the name belongs to --medic-user, the \
             password is asked for"
        );
        ensure!(
            parsed.path() == "/" && parsed.query().is_none() && parsed.fragment().is_none(),
            "--medic-url has a path: only https://, a host and perhaps a port are wanted"
        );
        ensure!(!user.trim().is_empty(), "--medic-user is empty");
        ensure!(
            !password.is_empty(),
            "no password of Medic's user was given"
        );
        Ok(Self {
            url: url.to_owned(),
            user: user.trim().to_owned(),
            password,
            client: http::client(ANSWER_WITHIN)?,
        })
    }

    /// Its address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The name of the gateway's user.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password of the gateway's user.
    #[must_use]
    pub fn password(&self) -> &RedactedSecret {
        &self.password
    }

    /// Whether the bridge can work with it.
    ///
    /// # Errors
    /// With one sentence that says what is wrong and what to do.
    pub async fn check(&self) -> anyhow::Result<MedicStanding> {
        let at = format!("Medic at {}", self.url);
        // Once: ten refused logins lock the user out.
        let answer = match self.get("/api/sms").await {
            Ok(answer) => answer,
            Err(problem) => bail!("{at}: {problem}. {}", self.advice(&problem)),
        };
        match answer.status {
            200 if answer.body.get(GATEWAY) == Some(&true.into()) => {}
            200 => bail!(
                "{at} answers with something else than a gateway's API: it starts or is upgraded, or \
                 this is not Medic's address."
            ),
            300..=399 => bail!(
                "{at} sends us elsewhere (HTTP {}): take the address that it sends to, often https:// \
                 in the place of http://.",
                answer.status
            ),
            401 => bail!(
                "{at} refuses the user `{}` or the password; ten refusals in ten seconds lock the user \
                 out for a moment.",
                self.user
            ),
            403 => bail!(
                "{at} lets the user `{}` in, who has no permission for a gateway's API: give them the \
                 role `gateway`, or the permission `can_access_gateway_api`.",
                self.user
            ),
            429 => bail!(
                "{at} lets nobody in for a moment, after too many wrong logins: try again in a minute."
            ),
            502..=504 => bail!(
                "{at} answers HTTP {}: it starts, or its proxy does not reach it.",
                answer.status
            ),
            status => bail!(
                "{at} answers HTTP {status}, and has no gateway's API: this is not Medic's address."
            ),
        }
        Ok(MedicStanding {
            service: self.service().await,
            waiting: self.waiting().await,
        })
    }

    /// The number of messages that wait in it, by its public monitoring. `None` if that does not say.
    pub async fn waiting(&self) -> Option<MedicBacklog> {
        let url = format!("{}/api/v2/monitoring", self.url);
        let answer = ask(self.client.get(url)).await.ok()?;
        let pending = "/messaging/outgoing/last_hundred/pending";
        let pending = answer.body.pointer(pending)?;
        let count = |state: &str| pending.get(state).and_then(Value::as_u64);
        Some(MedicBacklog {
            pending: count("pending")?,
            offered: count("forwarded-to-gateway")?,
            with_gateway: count("received-by-gateway")
                .unwrap_or_default()
                .saturating_add(count("forwarded-by-gateway").unwrap_or_default()),
        })
    }

    /// Every user that is logged in may read the settings. Without any `sms` object in them Medic
    /// offers its messages as well.
    async fn service(&self) -> OutgoingService {
        let settings = match self.get("/api/v1/settings").await {
            Ok(answer) if answer.status == 200 && answer.body.is_object() => answer.body,
            _ => return OutgoingService::Unknown,
        };
        let Some(sms) = settings.get("sms") else {
            return OutgoingService::Gateway;
        };
        match sms.get("outgoing_service").and_then(Value::as_str) {
            Some(GATEWAY) => OutgoingService::Gateway,
            other => OutgoingService::Other(other.map(str::to_owned)),
        }
    }

    async fn get(&self, path: &str) -> Result<EndAnswer, String> {
        let request = self.client.get(format!("{}{path}", self.url));
        ask(request.basic_auth(&self.user, Some(self.password.reveal()))).await
    }

    fn advice(&self, problem: &str) -> &'static str {
        if problem.contains("certificate") {
            "For a CHT on this machine take an address such as \
             https://127-0-0-1.local-ip.medicmobile.org:10443, which has one."
        } else if problem.contains("no connection") {
            "Look whether it runs, and whether host and port are right."
        } else if self.url.starts_with("http://") {
            "Look whether it runs, and whether its address begins with https://."
        } else {
            "Look whether it runs."
        }
    }
}

impl MedicStanding {
    /// Each sentence that the user has to say yes to before anything is taken from this Medic.
    /// `own` is how many of the messages that are with a gateway are known to be with this one.
    #[must_use]
    pub fn warnings(&self, phones: PhonesBehind, own: u64) -> Vec<String> {
        let mut warnings = Vec::new();
        if let OutgoingService::Other(service) = &self.service {
            let service = service.as_ref();
            let service = service.map_or("not set".to_owned(), |name| format!("`{name}`"));
            warnings.push(format!(
                "Medic's `sms.outgoing_service` is {service}: it takes SMS and gives none to send. Set it \
                 to `{GATEWAY}` in the app settings to see both directions."
            ));
        }
        let backlog = self.waiting.unwrap_or_default();
        let of_others = backlog
            .offered
            .saturating_add(backlog.with_gateway)
            .saturating_sub(own);
        if of_others > 0 {
            warnings.push(format!(
                "Another gateway polls this Medic, or an earlier sandbox did: of its last hundred \
                 messages {of_others} were given to one. Two gateways are offered the same messages, and \
                 each sends them; stop the other one first."
            ));
        }
        let is_offered = !matches!(self.service, OutgoingService::Other(_));
        if is_offered && backlog.would_be_sent() > 0 {
            let consequence = match phones {
                PhonesBehind::StandIn => {
                    "The stand-in of Africa's Talking would take them: nobody receives them, and Medic \
                     hears that they were delivered."
                }
                PhonesBehind::Simulator => {
                    "Africa's Talking's simulator would take them: nobody receives them, and Medic hears \
                     what the simulator reports."
                }
                PhonesBehind::Live => "Real phones would receive them, and they cost money.",
            };
            warnings.push(format!(
                "This Medic holds messages that would be sent now: {}. {consequence}",
                backlog.count_in_words()
            ));
        }
        warnings
    }
}

/// Who receives what Medic sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhonesBehind {
    /// The stand-in.
    StandIn,
    /// Africa's Talking's own sandbox.
    Simulator,
    /// A live account.
    Live,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::faults::Scope;
    use crate::medic::{MedicConfig, MedicFault, MedicStandIn};

    fn real(url: &str, password: &str) -> anyhow::Result<RealMedic> {
        RealMedic::new(url, "gateway", RedactedSecret::new(password))
    }

    async fn medic() -> (MedicStandIn, RealMedic) {
        let config = MedicConfig::default();
        let somewhere = MedicStandIn::start(config.clone()).await.unwrap();
        let medic = real(&somewhere.url(), &config.password).unwrap();
        (somewhere, medic)
    }

    async fn problem(medic: &RealMedic) -> String {
        let problem = medic.check().await.unwrap_err().to_string();
        assert!(!problem.contains("a-password"), "{problem}");
        problem
    }

    #[tokio::test]
    async fn a_medic_that_lets_us_in_and_holds_nothing_is_fine() {
        let (somewhere, medic) = medic().await;
        let standing = medic.check().await.unwrap();
        assert_eq!(standing.service, OutgoingService::Gateway);
        assert_eq!(standing.waiting, Some(MedicBacklog::default()));
        let none: Vec<String> = Vec::new();
        assert_eq!(standing.warnings(PhonesBehind::StandIn, 0), none);
        assert_eq!(somewhere.posts().len(), 0);
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_in_one_sentence() {
        let (somewhere, medic) = medic().await;
        let wrong = real(&somewhere.url(), "wrong").unwrap();
        assert!(problem(&wrong).await.contains("refuses the user `gateway`"));
        somewhere.set_permitted(false);
        assert!(problem(&medic).await.contains("can_access_gateway_api"));
        somewhere.set_permitted(true);
        for (fault, words) in [
            (MedicFault::Html200, "something else than a gateway's API"),
            (MedicFault::Redirect, "sends us elsewhere"),
            (MedicFault::Http429, "try again in a minute"),
            (MedicFault::Starting, "it starts"),
            (MedicFault::Proxy502Html, "its proxy does not reach it"),
            (MedicFault::Http404, "this is not Medic's address"),
            (MedicFault::Close, "the connection ends"),
            (MedicFault::Down, "no connection comes about"),
        ] {
            somewhere.fault(fault, Scope::UntilCleared).await;
            let problem = problem(&medic).await;
            assert!(problem.contains(words), "{fault:?}: {problem}");
            somewhere.clear_faults().await;
        }
        assert!(medic.check().await.is_ok());
    }

    #[tokio::test]
    async fn offers_that_would_be_sent_are_counted_without_being_asked_for() {
        let (somewhere, medic) = medic().await;
        for text in ["one", "two", "three"] {
            somewhere.queue("+254700000001", text).unwrap();
        }
        let standing = medic.check().await.unwrap();
        let warnings = standing.warnings(PhonesBehind::Live, 0);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let warning = warnings.first().unwrap();
        assert!(warning.contains("would be sent now: 3."), "{warning}");
        assert!(warning.contains("cost money"), "{warning}");
        assert_eq!(somewhere.posts().len(), 0);
    }

    #[test]
    fn messages_that_another_gateway_was_given_are_named_and_our_own_are_not() {
        let standing = MedicStanding {
            service: OutgoingService::Gateway,
            waiting: Some(MedicBacklog {
                pending: 0,
                offered: 0,
                with_gateway: 7,
            }),
        };
        let warnings = standing.warnings(PhonesBehind::StandIn, 3);
        assert!(warnings.concat().contains("4 were given to one"));
        assert!(standing.warnings(PhonesBehind::StandIn, 7).is_empty());
    }

    #[tokio::test]
    async fn a_medic_that_offers_nothing_says_so() {
        let (somewhere, medic) = medic().await;
        somewhere.queue("+254700000001", "one").unwrap();
        somewhere.set_outgoing_service("africas-talking");
        let standing = medic.check().await.unwrap();
        let warnings = standing.warnings(PhonesBehind::StandIn, 0);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings.concat().contains("`africas-talking`"));
        somewhere.with_model(|medic| medic.outgoing_service = None);
        let standing = medic.check().await.unwrap();
        assert_eq!(standing.service, OutgoingService::Gateway);
    }

    #[test]
    fn an_address_with_a_password_or_a_path_is_refused_and_not_shown() {
        for url in [
            "https://gateway:hush@medic.example.org",
            "https://medic.example.org/api/hush",
            "medic.example.org/hush",
            "ftp://hush",
            "https://medic.example.org?hush",
        ] {
            let problem = real(url, "secret").unwrap_err().to_string();
            assert!(!problem.contains("hush"), "{problem}");
        }
        let medic = real("https://medic.example.org:10443/", "secret").unwrap();
        assert_eq!(medic.url(), "https://medic.example.org:10443");
        assert!(!format!("{medic:?}").contains("secret"));
    }
}
