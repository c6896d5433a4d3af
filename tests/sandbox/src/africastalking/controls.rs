//! What the controls do, called in process and over HTTP alike.

use super::Sms;
use super::State;
use super::callbacks::post_reports;

/// What a phone received.
pub(super) fn phone(state: &State, number: &str) -> Vec<Sms> {
    let received = |sms: &&Sms| sms.on_phone && sms.to == number;
    state
        .book
        .read(|book| book.accepted.iter().filter(received).cloned().collect())
}

/// Posts the reports that are held, and returns their number when all are posted.
pub(super) async fn release_reports(state: &State) -> usize {
    let paused = state
        .book
        .change(|book| std::mem::take(&mut book.paused_reports));
    let count = paused.len();
    post_reports(state, paused).await;
    count
}

/// The number an accepted SMS went to, or an empty text.
pub(super) fn number_of(state: &State, id: &str) -> String {
    let to = |book: &super::Book| {
        book.accepted
            .iter()
            .find(|sms| sms.id == id)
            .map(|sms| sms.to.clone())
    };
    state.book.read(to).unwrap_or_default()
}
