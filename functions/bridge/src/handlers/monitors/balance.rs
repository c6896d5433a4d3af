//! The balance of the account with Africa's Talking.

use std::cell::Cell;

use super::TIME_FOR_A_CHECK;
use crate::domain::circuit_breaker::BALANCE_INTERVAL;
use crate::domain::time::Timestamp;
use crate::ledger;
use crate::log::{LogEvent, Redacted};
use crate::ports::{
    AfricasTalkingAccount, CredentialsError, Key, LedgerError, LedgerStore, Response, Row, Runtime,
};
use crate::wire::africastalking::balance;

/// Reads the balance once an hour for the whole stack, while anything is sent. The account's row in
/// the ledger says when it was read last.
#[derive(Debug, Default)]
pub struct BalanceMonitor {
    /// When the balance was read last, as far as this process knows, so that it need not read the
    /// row each time.
    asked: Cell<Option<Timestamp>>,
}

impl BalanceMonitor {
    /// Reads the balance if that is due and the invocation does not end too soon (at `deadline`).
    pub async fn check(
        &self,
        ledger: &impl LedgerStore,
        account: &impl AfricasTalkingAccount,
        runtime: &impl Runtime,
        deadline: Timestamp,
    ) {
        let now = runtime.now();
        let asked = self.asked.get();
        let is_known = asked.is_some_and(|asked| now.since(asked) < BALANCE_INTERVAL);
        if is_known || now + TIME_FOR_A_CHECK > deadline {
            return;
        }
        match self.take_turn(ledger, runtime).await {
            Ok(true) => runtime.record(event(account.user().await)),
            Ok(false) => {}
            Err(error) => runtime.record(LogEvent::LedgerFailed {
                error: Redacted::new(&error),
            }),
        }
    }

    /// Whether it is this process's turn to ask.
    async fn take_turn(
        &self,
        ledger: &impl LedgerStore,
        runtime: &impl Runtime,
    ) -> Result<bool, LedgerError> {
        let now = runtime.now();
        let (is_due, asked) = ledger::change(ledger, runtime, &[Key::Account], |rows| {
            let before = rows.account();
            let asked = before.balance_asked;
            match before.asking_for_the_balance(now) {
                Some(row) => (vec![Row::Account(row)], (true, Some(now))),
                None => (Vec::new(), (false, asked)),
            }
        })
        .await?;
        self.asked.set(asked);
        Ok(is_due)
    }
}

fn event(answer: Result<Response, CredentialsError>) -> LogEvent {
    let cause = match answer {
        Ok(Response::Answer {
            status: 200..=299,
            body,
        }) => match balance::read(&body) {
            Some(balance) => return LogEvent::BalanceRead { balance },
            None => match balance::unreadable(&body) {
                Some(as_it_came) => {
                    let as_it_came = Redacted::new(&as_it_came);
                    return LogEvent::BalanceUnreadable { as_it_came };
                }
                None => Redacted::new(&"the answer has no balance"),
            },
        },
        Ok(Response::Answer { status, .. }) => Redacted::new(&format!("HTTP {status}")),
        Ok(Response::NotConnected | Response::NoAnswer) => Redacted::new(&"no answer"),
        Err(error) => Redacted::new(&error),
    };
    LogEvent::BalanceUnknown { cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::backoff::RandomSource;
    use crate::domain::circuit_breaker::{AccountRow, Call, Cause, Signal};
    use crate::domain::ids::MedicMessageId;
    use crate::log::EventLog;
    use crate::ports::{Clock, Version, Write, Written};
    use futures_util::FutureExt;
    use std::cell::RefCell;
    use std::time::Duration;

    const HOUR: Duration = Duration::from_hours(1);

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

        async fn write(&self, write: Write) -> Result<Written, LedgerError> {
            let Row::Account(row) = write.row else {
                panic!("a row of the account")
            };
            *self.0.borrow_mut() = row;
            Ok(Written::Done(Version(String::new())))
        }

        async fn unreported(&self, _: usize) -> Result<Vec<MedicMessageId>, LedgerError> {
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
        now: Cell<Timestamp>,
        log: RefCell<Vec<LogEvent>>,
    }

    impl Clock for Around {
        fn now(&self) -> Timestamp {
            self.now.get()
        }

        async fn pause(&self, _: Duration) {}
    }

    impl RandomSource for Around {
        fn up_to(&self, _: u64) -> u64 {
            0
        }
    }

    impl EventLog for Around {
        fn record(&self, event: LogEvent) {
            self.log.borrow_mut().push(event);
        }
    }

    impl Around {
        fn check(&self, monitor: &BalanceMonitor, ledger: &Ledger, account: &Account) {
            let deadline = self.now.get() + Duration::from_mins(1);
            let check = monitor.check(ledger, account, self, deadline);
            check.now_or_never().unwrap();
        }
    }

    #[test]
    fn the_balance_is_asked_for_once_an_hour_by_whoever_comes_first() {
        let (around, ledger) = (Around::default(), Ledger::default());
        let two = [BalanceMonitor::default(), BalanceMonitor::default()];
        for minute in 0..180 {
            around.now.set(Timestamp::from_millis(minute * 60_000));
            for monitor in &two {
                around.check(monitor, &ledger, &rich());
            }
        }
        let log = around.log.borrow();
        assert_eq!(log.len(), 3, "{log:?}");
        assert!(
            matches!(&log[0], LogEvent::BalanceRead { balance } if balance.micros() == 1_500_500_000)
        );
        // Each process reads the row once an hour and not each time.
        assert_eq!(ledger.1.get(), 6);
    }

    #[test]
    fn an_open_circuit_stays_what_it_is() {
        let (around, ledger) = (Around::default(), Ledger::default());
        let call = Call {
            message: MedicMessageId::new("m").unwrap(),
            sender_id: None,
            changes: 0,
            half_open: None,
        };
        let refusal = Signal::Failed {
            cause: Cause::InsufficientBalance,
            in_doubt: false,
        };
        let now = Timestamp::from_millis(5);
        let opened = AccountRow::default().after_call(&call, refusal, now);
        *ledger.0.borrow_mut() = opened.clone();
        around.check(&BalanceMonitor::default(), &ledger, &rich());
        assert_eq!(ledger.0.borrow().open_circuits, opened.open_circuits);
    }

    #[test]
    fn an_invocation_that_is_about_to_end_leaves_it_to_the_next_one() {
        let (around, ledger) = (Around::default(), Ledger::default());
        let monitor = BalanceMonitor::default();
        around.now.set(Timestamp::from_millis(0) + HOUR);
        let check = monitor.check(
            &ledger,
            &Account(Ok(Response::NoAnswer)),
            &around,
            Timestamp::from_millis(0) + HOUR + Duration::from_secs(20),
        );
        check.now_or_never().unwrap();
        assert_eq!(ledger.1.get(), 0);
        around.check(&monitor, &ledger, &rich());
        assert_eq!(around.log.borrow().len(), 1);
    }

    #[test]
    fn a_balance_that_cannot_be_read_is_shown_as_it_came() {
        let (around, ledger) = (Around::default(), Ledger::default());
        let strange = answers(200, r#"{"UserData":{"balance":"KES plenty"}}"#);
        around.check(&BalanceMonitor::default(), &ledger, &strange);
        let as_it_came = Redacted::new(&"KES plenty");
        assert_eq!(
            around.log.borrow()[..],
            [LogEvent::BalanceUnreadable { as_it_came }]
        );
    }

    #[test]
    fn an_answer_without_a_balance_is_said_and_opens_no_circuit() {
        let unusable = CredentialsError::Unusable("it is not filled in".to_owned());
        for account in [
            answers(401, "The supplied authentication is invalid"),
            answers(200, "<html>"),
            Account(Ok(Response::NoAnswer)),
            Account(Ok(Response::NotConnected)),
            Account(Err(unusable)),
        ] {
            let (around, ledger) = (Around::default(), Ledger::default());
            around.check(&BalanceMonitor::default(), &ledger, &account);
            let log = around.log.borrow();
            assert!(
                matches!(log[..], [LogEvent::BalanceUnknown { .. }]),
                "{log:?}"
            );
            assert_eq!(ledger.0.borrow().open_circuits, []);
        }
    }
}
