//! The faults between a function and a port: by chance, or as a test has written down.

use std::cell::{Cell, RefCell};

use crate::lambda::Function;
use crate::random::Random;

/// A port call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortCall {
    /// Sending to a queue.
    Send,
    /// Changing visibility.
    ChangeVisibility,
    /// Asking a queue how many messages it has.
    Depth,
    /// Reading rows.
    Read,
    /// Writing rows.
    Write,
    /// Asking the index.
    Unreported,
    /// Posting to Medic.
    Post,
    /// Sending an SMS.
    Sms,
    /// Asking Africa's Talking for the user.
    User,
    /// Reading a secret.
    Secret,
    /// Reading the secret with the credentials for Medic and Africa's Talking.
    Credentials,
}

/// The outcome of a port call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallDisposition {
    /// It does what it says.
    Fine,
    /// An error, and nothing was done.
    FailsBefore,
    /// An error, though it was done.
    FailsAfter,
    /// The invocation ends, before it was done.
    DiesBefore,
    /// The invocation ends, after it was done and before anybody heard of it.
    DiesAfter,
    /// It takes so many milliseconds before it does what it says.
    Slow(i64),
    /// It does what it says, and takes so many milliseconds to say so.
    AnswersSlowly(i64),
}

/// How a record ends its function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// Its process crashes, or runs out of memory: it ends at once.
    Crash,
    /// It works on without an end, until its time-out.
    TimeOut,
}

/// A record that ends the function that processes it, each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Killer {
    /// The function.
    pub function: Function,
    /// The call that it does not survive.
    pub call: PortCall,
    /// A part of the text of that call.
    pub marker: String,
    /// How it ends.
    pub death: Death,
}

/// How often what goes wrong, in a million calls.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    /// Errors of queue, ledger and secret store with nothing done.
    pub fails_before: u32,
    /// Errors after the effect.
    pub fails_after: u32,
    /// Deaths before the effect.
    pub dies_before: u32,
    /// Deaths after the effect.
    pub dies_after: u32,
    /// Calls that take seconds, or longer than the function may live.
    pub slow: u32,
    /// A conditional write that conflicts with nobody, as one whose own answer was lost can.
    pub conflict: u32,
    /// One entry of a batch is refused.
    pub entry_fails: u32,
    /// A deletion that gets lost after the handler's return.
    pub delete_lost: u32,
    /// A standard queue hands a message out twice.
    pub delivered_twice: u32,
    /// The index learns late.
    pub index_lags: u32,
    /// The clock of an invocation is wrong by seconds.
    pub clock_wrong: u32,
    /// Credentials cannot be read.
    pub no_credentials: u32,
    /// Medic, by POST: slow, answer lost, reset, 502 or 504 while it works on, and ends outright.
    pub medic_slow: u32,
    /// The answer to a POST is lost.
    pub medic_answer_lost: u32,
    /// The proxy gives up though Medic works on.
    pub medic_gateway_error: u32,
    /// No connection.
    pub medic_unreachable: u32,
    /// Africa's Talking accepts and does not answer, or answers in a way that says nothing.
    pub at_unknown: u32,
    /// Africa's Talking is not reached, or too busy, or refuses for now.
    pub at_not_sent: u32,
    /// Africa's Talking refuses for good.
    pub at_refuses: u32,
    /// A callback is repeated though it got its 200.
    pub callback_repeated: u32,
}

struct Scripted {
    function: Function,
    call: PortCall,
    skip: u32,
    disposition: CallDisposition,
    times: u32,
}

/// The faults of a run.
#[derive(Default)]
pub struct SimFaults {
    /// How often; all zero when faults have stopped.
    pub rates: RefCell<Rates>,
    /// The ledger refuses everything while this is set.
    pub ledger_out: Cell<bool>,
    /// SQS refuses everything while this is set.
    pub queues_out: Cell<bool>,
    /// The secret store refuses everything while this is set.
    pub secrets_out: Cell<bool>,
    /// SQS is away while this is set: what `queues_out` says, and it hands out nothing and deletes
    /// nothing.
    pub sqs_away: Cell<bool>,
    /// Records that end their function.
    pub killers: RefCell<Vec<Killer>>,
    script: RefCell<Vec<Scripted>>,
}

impl SimFaults {
    /// Writes down what becomes of a call of a function, after so many others of its kind, and how
    /// often.
    pub fn script(
        &self,
        function: Function,
        call: PortCall,
        skip: u32,
        disposition: CallDisposition,
        times: u32,
    ) {
        self.script.borrow_mut().push(Scripted {
            function,
            call,
            skip,
            disposition,
            times,
        });
    }

    /// The outcome of this call.
    pub fn disposition(
        &self,
        function: Function,
        call: PortCall,
        random: &Random,
    ) -> CallDisposition {
        if let Some(disposition) = self.scripted(function, call) {
            return disposition;
        }
        let is_out = match call {
            PortCall::Send | PortCall::ChangeVisibility | PortCall::Depth => {
                self.queues_out.get() || self.sqs_away.get()
            }
            PortCall::Read | PortCall::Write | PortCall::Unreported => self.ledger_out.get(),
            PortCall::Secret | PortCall::Credentials => self.secrets_out.get(),
            PortCall::Post | PortCall::Sms | PortCall::User => false,
        };
        if is_out {
            return CallDisposition::FailsBefore;
        }
        let rates = self.rates.borrow();
        // Medic and Africa's Talking have failures of their own.
        let fails = u32::from(!matches!(
            call,
            PortCall::Post | PortCall::Sms | PortCall::User
        ));
        if random.chance(rates.dies_before) {
            CallDisposition::DiesBefore
        } else if random.chance(rates.dies_after) {
            CallDisposition::DiesAfter
        } else if random.chance(rates.fails_before * fails) {
            CallDisposition::FailsBefore
        } else if random.chance(rates.fails_after * fails) {
            CallDisposition::FailsAfter
        } else {
            CallDisposition::Fine
        }
    }

    /// How a call of a function that is about this text ends it, if it does.
    pub fn death(
        &self,
        function: Function,
        call: PortCall,
        about: impl FnOnce() -> String,
    ) -> Option<Death> {
        let killers = self.killers.borrow();
        let mut concerned = killers
            .iter()
            .filter(|killer| killer.function == function && killer.call == call)
            .peekable();
        concerned.peek()?;
        let about = about();
        let killer = concerned.find(|killer| about.contains(&killer.marker));
        killer.map(|killer| killer.death)
    }

    fn scripted(&self, function: Function, call: PortCall) -> Option<CallDisposition> {
        let mut script = self.script.borrow_mut();
        let at = script
            .iter()
            .position(|line| line.function == function && line.call == call)?;
        let line = &mut script[at];
        if line.skip > 0 {
            line.skip -= 1;
            return None;
        }
        let disposition = line.disposition;
        line.times = line.times.saturating_sub(1);
        if line.times == 0 {
            script.remove(at);
        }
        Some(disposition)
    }
}
