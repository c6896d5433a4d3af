//! Africa's Talking: its model, and the calls that its state follows from.
//!
//! No call depends on another one, so they have no order but their time, and instances that answer side by
//! side are never in each other's way.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use models::africastalking::{AfricasTalkingModel, Application};
use models::http::ServerOutcome;
use serde::{Deserialize, Serialize};

use crate::call::{RecordedRequest, now_ms, random};
use crate::table::{CallTable, CallTableError};

/// The calls of Africa's Talking in the table.
const END: &str = "africastalking";

/// A call may be recorded so much later than one with a later time.
const LATE_AT_MOST_MS: i64 = 60_000;

/// A call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AfricasTalkingCall {
    /// When it came, in milliseconds since 1970.
    pub at_ms: i64,
    /// The first id for what is accepted of it, as hexadecimal digits.
    pub first_id: String,
    /// The request.
    pub request: RecordedRequest,
}

/// Africa's Talking, as far as its calls are read.
#[derive(Debug)]
pub struct AfricasTalkingEnd {
    table: CallTable,
    model: AfricasTalkingModel,
    next_id: Arc<Mutex<u128>>,
    seen: HashSet<String>,
    latest_ms: i64,
}

impl AfricasTalkingEnd {
    /// An application with these credentials, no call read yet.
    #[must_use]
    pub fn new(table: CallTable, username: &str, api_key: &str) -> Self {
        let next_id = Arc::new(Mutex::new(0_u128));
        let ids = Arc::clone(&next_id);
        let application = Application {
            username: username.to_owned(),
            api_key: api_key.to_owned(),
            // Nothing here is about running out of credit.
            balance_ten_thousandths: i64::MAX / 2,
            ..Application::default()
        };
        let model = AfricasTalkingModel::new(application, move || {
            let mut next = ids.lock().unwrap_or_else(PoisonError::into_inner);
            let id = format!("ATXid_{:032x}", *next);
            *next = next.wrapping_add(1);
            id
        });
        Self {
            table,
            model,
            next_id,
            seen: HashSet::new(),
            latest_ms: 0,
        }
    }

    /// The model, after all calls that were read.
    #[must_use]
    pub fn model(&self) -> &AfricasTalkingModel {
        &self.model
    }

    /// Reads the calls that have come meanwhile.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn catch_up(&mut self) -> Result<(), CallTableError> {
        let from_ms = self.latest_ms.saturating_sub(LATE_AT_MOST_MS).max(0);
        let from = format!("{from_ms:013}");
        for (place, call) in self.table.after(END, &from).await? {
            if self.seen.insert(place)
                && let Ok(call) = serde_json::from_str::<AfricasTalkingCall>(&call)
            {
                self.latest_ms = self.latest_ms.max(call.at_ms);
                self.apply(&call);
            }
        }
        Ok(())
    }

    /// Answers a request.
    ///
    /// # Errors
    /// When the table does not take it.
    pub async fn answer(
        &mut self,
        request: RecordedRequest,
    ) -> Result<ServerOutcome, CallTableError> {
        let call = AfricasTalkingCall {
            at_ms: now_ms(),
            first_id: format!("{:032x}", random()),
            request,
        };
        let place = format!("{:013}-{}", call.at_ms, call.first_id);
        let text = serde_json::to_string(&call).unwrap_or_default();
        self.table.record(END, &place, &text).await?;
        Ok(self.apply(&call))
    }

    fn apply(&mut self, call: &AfricasTalkingCall) -> ServerOutcome {
        let first = u128::from_str_radix(&call.first_id, 16).unwrap_or_default();
        *self.next_id.lock().unwrap_or_else(PoisonError::into_inner) = first;
        let request = call.request.to_model();
        let processed = self.model.receive(&request, call.at_ms);
        if let (Some(number), ServerOutcome::Response(response)) =
            (processed.request, &processed.outcome)
        {
            self.model.answered(number, response.status);
        }
        processed.outcome
    }
}
