//! Africa's Talking: its messaging API, and the account.

use super::CredentialsError;
use crate::domain::phone_number::PhoneNumber;
use crate::wire::http_response::Response;

/// An SMS, as it is sent to Africa's Talking.
#[derive(Clone, PartialEq, Eq)]
pub struct Sms<'a> {
    /// The recipient.
    pub to: &'a PhoneNumber,
    /// The text, as Medic wrote it.
    pub text: &'a str,
    /// The sender id. With `None`, Africa's Talking uses its default.
    pub from: Option<&'a str>,
}

/// Africa's Talking's messaging API.
#[allow(async_fn_in_trait)]
pub trait AfricasTalking {
    /// Sends one SMS to one recipient, once.
    async fn send(&self, sms: Sms<'_>) -> Result<Response, CredentialsError>;
}

/// The account with Africa's Talking.
#[allow(async_fn_in_trait)]
pub trait AfricasTalkingAccount {
    /// Reads the account's balance, with credentials that are read again first, because somebody may
    /// have corrected them. Sends no SMS.
    async fn user(&self) -> Result<Response, CredentialsError>;
}
