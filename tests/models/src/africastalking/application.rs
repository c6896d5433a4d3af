//! A customer's application.

/// A customer's application.
#[derive(Clone, Debug)]
pub struct Application {
    /// The only user name that has access.
    pub username: String,
    /// The only key that has access.
    pub api_key: String,
    /// The short code that phones write to. It is a registered sender, too.
    pub short_code: String,
    /// Further registered senders.
    pub sender_ids: Vec<String>,
    /// The currency of prices and of the balance.
    pub currency: String,
    /// The price of a part of an SMS, in ten-thousandths of the currency.
    pub price_ten_thousandths: i64,
    /// The balance, in ten-thousandths of the currency.
    pub balance_ten_thousandths: i64,
    /// The `networkCode` in callbacks.
    pub network_code: String,
    /// How often every report comes under [`AfricasTalkingFault::ReportsRepeated`].
    pub report_repeats: u32,
}

impl Default for Application {
    fn default() -> Self {
        Self {
            username: "sandbox".to_owned(),
            api_key: "a-key-for-the-sandbox-only".to_owned(),
            short_code: "20880".to_owned(),
            sender_ids: Vec::new(),
            currency: "KES".to_owned(),
            price_ten_thousandths: 8_000,
            balance_ten_thousandths: 100_000_000,
            network_code: "99999".to_owned(),
            report_repeats: 3,
        }
    }
}
