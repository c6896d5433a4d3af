//! The balance of the account with Africa's Talking.

use std::cell::Cell;

use super::TIME_FOR_A_LOOK_MS;
use crate::domain::account::BALANCE_INTERVAL_MS;
use crate::domain::balance::Balance;
use crate::journal::{Entry, Shown};
use crate::ledger;
use crate::ports::{
    AfricasTalkingAccount, CredentialsError, Key, LedgerError, LedgerStore, Response, Row,
    Surroundings,
};

/// Asks for the balance once an hour while anything is sent, for the whole stack: the ledger's row of
/// the account says when it was asked for last.
#[derive(Debug, Default)]
pub struct BalanceWatch {
    /// What this process knows of that, so that it need not read the row each time.
    asked_ms: Cell<Option<i64>>,
}

impl BalanceWatch {
    /// Asks, if it is due and the invocation does not end (at `deadline_ms`, in milliseconds since
    /// 1970) before it can be answered.
    pub async fn look(
        &self,
        ledger: &impl LedgerStore,
        account: &impl AfricasTalkingAccount,
        surroundings: &impl Surroundings,
        deadline_ms: i64,
    ) {
        let now_ms = surroundings.now_ms();
        let asked_ms = self.asked_ms.get();
        let is_known = asked_ms.is_some_and(|asked_ms| now_ms - asked_ms < BALANCE_INTERVAL_MS);
        if is_known || now_ms.saturating_add(TIME_FOR_A_LOOK_MS) > deadline_ms {
            return;
        }
        match self.take_turn(ledger, surroundings).await {
            Ok(true) => surroundings.record(entry(account.user().await)),
            Ok(false) => {}
            Err(error) => surroundings.record(Entry::LedgerTrouble {
                error: Shown::new(&error),
            }),
        }
    }

    /// Whether it is this process's turn to ask.
    async fn take_turn(
        &self,
        ledger: &impl LedgerStore,
        surroundings: &impl Surroundings,
    ) -> Result<bool, LedgerError> {
        let now_ms = surroundings.now_ms();
        let (is_due, asked_ms) = ledger::change(ledger, surroundings, &[Key::Account], |rows| {
            let before = rows.account();
            let asked_ms = before.balance_asked_ms;
            match before.asking_for_the_balance(now_ms) {
                Some(row) => (vec![Row::Account(row)], (true, Some(now_ms))),
                None => (Vec::new(), (false, asked_ms)),
            }
        })
        .await?;
        self.asked_ms.set(asked_ms);
        Ok(is_due)
    }
}

fn entry(answer: Result<Response, CredentialsError>) -> Entry {
    let trouble = match answer {
        Ok(Response::Answer {
            status: 200..=299,
            body,
        }) => match Balance::of_answer(&body) {
            Some(balance) => return Entry::BalanceRead { balance },
            None => Shown::new(&"the answer has no balance"),
        },
        Ok(Response::Answer { status, .. }) => Shown::new(&format!("HTTP {status}")),
        Ok(Response::NotConnected | Response::NoAnswer) => Shown::new(&"no answer"),
        Err(error) => Shown::new(&error),
    };
    Entry::BalanceUnknown { trouble }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::{AccountRow, AccountTrouble};
    use crate::domain::backoff::Dice;
    use crate::domain::ids::MedicMessageId;
    use crate::journal::Journal;
    use crate::ports::{Clock, Version, Write, Written};
    use futures_util::FutureExt;
    use std::cell::RefCell;

    const HOUR_MS: i64 = 60 * 60 * 1000;

    /// A ledger that holds the row of the account and nothing else, and how often it was asked.
    #[derive(Default)]
    struct Ledger(RefCell<AccountRow>, Cell<u32>);

    impl LedgerStore for Ledger {
        async fn read(&self, keys: &[Key]) -> Result<Vec<(Row, Version)>, LedgerError> {
            assert_eq!(keys, [Key::Account]);
            self.1.set(self.1.get() + 1);
            let version = Version("v".to_owned());
            Ok(vec![(Row::Account(self.0.borrow().clone()), version)])
        }

        async fn write(&self, writes: Vec<Write>) -> Result<Written, LedgerError> {
            for write in writes {
                let Row::Account(row) = write.row else {
                    panic!("a row of the account")
                };
                *self.0.borrow_mut() = row;
            }
            Ok(Written::Done)
        }

        async fn untold(&self, _: usize) -> Result<Vec<MedicMessageId>, LedgerError> {
            Ok(Vec::new())
        }

        async fn unsettled(&self, _: &str, _: usize) -> Result<Vec<Key>, LedgerError> {
            Ok(Vec::new())
        }
    }

    struct Account(Result<Response, CredentialsError>);

    impl AfricasTalkingAccount for Account {
        async fn user(&self) -> Result<Response, CredentialsError> {
            self.0.clone()
        }
    }

    fn answers(status: u16, body: &str) -> Account {
        Account(Ok(Response::Answer {
            status,
            body: body.as_bytes().to_vec(),
        }))
    }

    fn rich() -> Account {
        answers(200, r#"{"UserData":{"balance":"KES 1500.5"}}"#)
    }

    #[derive(Default)]
    struct Around {
        now_ms: Cell<i64>,
        journal: RefCell<Vec<Entry>>,
    }

    impl Clock for Around {
        fn now_ms(&self) -> i64 {
            self.now_ms.get()
        }

        async fn pause(&self, _: u64) {}
    }

    impl Dice for Around {
        fn up_to(&self, _: u64) -> u64 {
            0
        }
    }

    impl Journal for Around {
        fn record(&self, entry: Entry) {
            self.journal.borrow_mut().push(entry);
        }
    }

    impl Around {
        fn look(&self, watch: &BalanceWatch, ledger: &Ledger, account: &Account) {
            let deadline_ms = self.now_ms.get() + 60_000;
            let look = watch.look(ledger, account, self, deadline_ms);
            look.now_or_never().unwrap();
        }
    }

    #[test]
    fn the_balance_is_asked_for_once_an_hour_by_whoever_comes_first() {
        let (around, ledger) = (Around::default(), Ledger::default());
        let two = [BalanceWatch::default(), BalanceWatch::default()];
        for minute in 0..180 {
            around.now_ms.set(minute * 60_000);
            for watch in &two {
                around.look(watch, &ledger, &rich());
            }
        }
        let journal = around.journal.borrow();
        assert_eq!(journal.len(), 3, "{journal:?}");
        assert!(
            matches!(&journal[0], Entry::BalanceRead { balance } if balance.micros() == 1_500_500_000)
        );
        // Each process reads the row once an hour and not each time.
        assert_eq!(ledger.1.get(), 6);
    }

    #[test]
    fn a_hold_of_the_account_stays_what_it_is() {
        let (around, ledger) = (Around::default(), Ledger::default());
        let held = AccountRow::default().refused(AccountTrouble::InsufficientBalance, 5);
        *ledger.0.borrow_mut() = held.clone();
        around.look(&BalanceWatch::default(), &ledger, &rich());
        assert_eq!(ledger.0.borrow().hold, held.hold);
    }

    #[test]
    fn an_invocation_that_is_about_to_end_leaves_it_to_the_next_one() {
        let (around, ledger) = (Around::default(), Ledger::default());
        let watch = BalanceWatch::default();
        around.now_ms.set(HOUR_MS);
        let look = watch.look(
            &ledger,
            &Account(Ok(Response::NoAnswer)),
            &around,
            HOUR_MS + 20_000,
        );
        look.now_or_never().unwrap();
        assert_eq!(ledger.1.get(), 0);
        around.look(&watch, &ledger, &rich());
        assert_eq!(around.journal.borrow().len(), 1);
    }

    #[test]
    fn an_answer_without_a_balance_is_said_and_holds_nothing() {
        let unusable = CredentialsError::Unusable("it is not filled in".to_owned());
        for account in [
            answers(401, "The supplied authentication is invalid"),
            answers(200, "<html>"),
            Account(Ok(Response::NoAnswer)),
            Account(Ok(Response::NotConnected)),
            Account(Err(unusable)),
        ] {
            let (around, ledger) = (Around::default(), Ledger::default());
            around.look(&BalanceWatch::default(), &ledger, &account);
            let journal = around.journal.borrow();
            assert!(
                matches!(journal[..], [Entry::BalanceUnknown { .. }]),
                "{journal:?}"
            );
            assert_eq!(ledger.0.borrow().hold, None);
        }
    }
}
