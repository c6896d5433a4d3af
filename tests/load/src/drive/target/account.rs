//! The two stacks of a load test in an account: the bridge, and its two ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ends::africastalking::AfricasTalkingEnd;
use ends::medic::{CampaignMessage, MedicEnd};
use models::africastalking::{ReportToPost, SmsToPhone, encode};
use reqwest::Client;
use sandbox::medic::MessageState;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Planned, seen};
use crate::drive::result::{PostedReports, RunResult};

/// How many callbacks are under way at the same time at most.
const REPORTS_AT_ONCE: usize = 20;

/// How often a callback is tried until it is answered with a 2xx, as by the sandbox's stand-in.
const ATTEMPTS: u32 = 3;

/// How long the answer to a callback may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);

/// The reports on an SMS that is delivered and on one that is not: each status, and why.
const DELIVERED: [(&str, Option<&str>); 3] =
    [("Sent", None), ("Submitted", None), ("Success", None)];
const FAILED: [(&str, Option<&str>); 3] = [
    ("Sent", None),
    ("Submitted", None),
    ("Failed", Some("DeliveryFailure")),
];

/// Every order of three reports.
const ORDERS: [[usize; 3]; 6] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
];

/// Where the callbacks of the bridge are, and what is to be posted there.
#[derive(Clone, Debug)]
pub struct AccountCallbacks {
    /// For SMS that come in, key included.
    pub incoming: String,
    /// For delivery reports, key included.
    pub reports: String,
    /// Of a hundred SMS, so many get one of their reports twice.
    pub repeats_percent: u8,
    /// Of a hundred SMS that Medic wants sent, so many are reported as failed.
    pub failures_percent: u8,
}

/// Both stacks.
#[derive(Debug)]
pub struct AccountTarget {
    name: String,
    callbacks: AccountCallbacks,
    client: Client,
    medic: MedicEnd,
    africastalking: AfricasTalkingEnd,
    /// The texts of the SMS that fail.
    to_fail: HashSet<String>,
    /// On so many accepted SMS the reports are posted, or on their way.
    reported: usize,
    posting: JoinSet<PostedReports>,
    posted: PostedReports,
    places: Arc<Semaphore>,
}

impl AccountTarget {
    /// The stacks whose calls these ends read.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn new(
        name: String,
        callbacks: AccountCallbacks,
        medic: MedicEnd,
        africastalking: AfricasTalkingEnd,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            name,
            callbacks,
            client: sandbox::http::client(ANSWER_WITHIN)?,
            medic,
            africastalking,
            to_fail: HashSet::new(),
            reported: 0,
            posting: JoinSet::new(),
            posted: PostedReports::default(),
            places: Arc::new(Semaphore::new(REPORTS_AT_ONCE)),
        })
    }

    /// Its name in words.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Where incoming messages are posted, key included.
    #[must_use]
    pub fn incoming_url(&self) -> &str {
        &self.callbacks.incoming
    }

    /// Whether the n-th SMS that Medic wants sent is to be reported as failed.
    #[must_use]
    pub fn is_to_fail(&self, n: u64) -> bool {
        n * 37 % 100 < u64::from(self.callbacks.failures_percent)
    }

    /// Has Medic send messages.
    ///
    /// # Errors
    /// When the table of calls cannot be used.
    pub async fn send(&mut self, campaign: Vec<Planned>) -> anyhow::Result<()> {
        let failing = campaign
            .iter()
            .filter(|sms| sms.expected == MessageState::Failed);
        self.to_fail.extend(failing.map(Planned::text));
        let messages = campaign.into_iter().map(|sms| CampaignMessage {
            content: sms.text(),
            id: sms.id,
            to: sms.to,
        });
        Ok(self.medic.send(messages.collect()).await?)
    }

    /// Looks where each SMS is, and posts the delivery reports on what was accepted since.
    ///
    /// # Errors
    /// When the table of calls cannot be read.
    pub async fn check(&mut self, result: &mut RunResult) -> anyhow::Result<()> {
        self.medic.catch_up().await?;
        self.africastalking.catch_up().await?;
        let medic = self.medic.model();
        let accepted = &self.africastalking.model().accepted;
        seen::fill(result, &medic.stored, accepted, &medic.outgoing);
        result.posts_at_once = Some(medic.max_in_flight);
        let new: Vec<SmsToPhone> = accepted.iter().skip(self.reported).cloned().collect();
        for sms in new {
            self.post_reports(&sms);
        }
        while let Some(posted) = self.posting.try_join_next() {
            let posted = posted?;
            self.posted.accepted += posted.accepted;
            self.posted.refused += posted.refused;
        }
        result.reports = Some(self.posted);
        Ok(())
    }

    /// Whether no report is on its way.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.posting.is_empty()
    }

    fn post_reports(&mut self, sms: &SmsToPhone) {
        let place = self.reported;
        self.reported += 1;
        let is_repeated = place * 31 % 100 < usize::from(self.callbacks.repeats_percent);
        let reports = reports_on(sms, self.to_fail.contains(&sms.text), place, is_repeated);
        let application = &self.africastalking.model().application;
        let bodies: Vec<String> = reports
            .iter()
            .map(|report| encode(&application.report_form(report)))
            .collect();
        let (client, url) = (self.client.clone(), self.callbacks.reports.clone());
        let places = Arc::clone(&self.places);
        self.posting.spawn(async move {
            let mut posted = PostedReports::default();
            for body in bodies {
                // It is closed only when the run has ended.
                let _place = places.acquire().await;
                match post(&client, &url, &body).await {
                    true => posted.accepted += 1,
                    false => posted.refused += 1,
                }
            }
            posted
        });
    }
}

/// The reports on the SMS at a place, in an order that depends on the place.
fn reports_on(sms: &SmsToPhone, fails: bool, place: usize, repeats: bool) -> Vec<ReportToPost> {
    let statuses = if fails { FAILED } else { DELIVERED };
    let order = ORDERS.iter().cycle().nth(place % ORDERS.len());
    let mut order = order.map(|order| order.to_vec()).unwrap_or_default();
    if repeats {
        order.extend(order.first().copied());
    }
    let report = |status: usize| {
        let (status, reason) = statuses.get(status)?;
        Some(ReportToPost {
            id: sms.id.clone(),
            number: sms.to.clone(),
            status: (*status).to_owned(),
            failure_reason: reason.map(str::to_owned),
        })
    };
    order.into_iter().filter_map(report).collect()
}

/// Whether a callback was answered with a 2xx at one of some attempts.
async fn post(client: &Client, url: &str, body: &str) -> bool {
    for _ in 0..ATTEMPTS {
        let request = client
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.to_owned());
        if request
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn reports_come_in_every_order_and_each_status_is_among_them() {
        let sms = SmsToPhone {
            id: "ATXid_1".to_owned(),
            to: "+254700000001".to_owned(),
            from: "20880".to_owned(),
            text: "a".to_owned(),
            at_ms: 0,
            cost_ten_thousandths: 0,
            on_phone: true,
        };
        let statuses = |fails, place, repeats| {
            let reports = reports_on(&sms, fails, place, repeats);
            reports
                .into_iter()
                .map(|report| report.status)
                .collect::<Vec<_>>()
        };
        let orders: BTreeSet<Vec<String>> =
            (0..6).map(|place| statuses(false, place, false)).collect();
        assert_eq!(orders.len(), 6);
        assert!(
            orders
                .iter()
                .all(|order| order.contains(&"Success".to_owned()))
        );
        assert_eq!(
            statuses(true, 4, true),
            ["Failed", "Sent", "Submitted", "Failed"]
        );
    }
}
