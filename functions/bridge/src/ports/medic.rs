//! Medic.

use super::CredentialsError;
use crate::wire::http_response::Response;

/// Medic's gateway API. No connection lives longer than the invocation.
#[allow(async_fn_in_trait)]
pub trait Medic {
    /// Posts this JSON to `/api/sms`.
    async fn post(&self, body: String) -> Result<Response, CredentialsError>;
}
