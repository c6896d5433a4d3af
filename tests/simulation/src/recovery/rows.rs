//! The rows: each trouble, how long it lasts, and how soon messages flow when it is over.

use std::time::Duration;

use crate::lambda::Function;

/// The trouble of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No connection to Medic comes about.
    MedicUnreachable,
    /// A proxy answers every POST with this status.
    MedicAnswers(u16),
    /// Every POST is answered with this status and a page of HTML.
    MedicAnswersHtml(u16),
    /// Medic cannot store anything and answers with its own error.
    FullDisk,
    /// Medic takes connections and answers none.
    MedicHangs,
    /// Medic works on one POST for longer than the client waits. It ends with the client's time-out.
    PostInDoubt,
    /// Medic's user has another password than the secret says.
    WrongPassword,
    /// Medic's user has no permission for the gateway's API.
    NoPermission,
    /// The stack has a wrong address. It ends with a deployment.
    WrongAddress,
    /// No connection to Africa's Talking comes about.
    AfricasTalkingUnreachable,
    /// Africa's Talking takes connections and answers none.
    AfricasTalkingSilent,
    /// No credit.
    NoCredit,
    /// The API key is another than the secret says.
    WrongApiKey,
    /// One of two sender IDs is not registered.
    UnregisteredSenderId,
    /// The same; what is measured are the messages with the other sender ID meanwhile.
    OtherSenderIdMeanwhile,
    /// The ledger is away.
    LedgerAway,
    /// Secrets Manager is away, and no function has cached anything.
    SecretsAway,
    /// SQS is away.
    SqsAway,
    /// SQS hands out messages, and takes none and changes no visibility.
    SqsTakesNothing,
    /// A function is killed in the middle of its work. It ends with the death.
    Killed(Function),
}

/// How soon, after the end of the trouble, at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoveryLimits {
    /// The first message that had waited.
    pub first: Option<Duration>,
    /// The messages that come right after the end.
    pub new: Option<Duration>,
    /// All that had waited.
    pub all: Option<Duration>,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct RecoveryRow {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its first cell.
    pub text: &'static str,
    /// The trouble of a row.
    pub trouble: Trouble,
    /// For how long, at least. The seed adds up to two minutes. Nothing, if it is over at once.
    pub lasts: Duration,
    /// How soon messages flow when it is over.
    pub limits: RecoveryLimits,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The grace time of a POST in doubt, as the simulation configures it.
const GRACE: Duration = Duration::from_secs(60);

/// How long a batch of the exchange is invisible after its function was killed: for longer than the
/// function can live and Medic can work.
const EXCHANGE_BATCH: Duration = Duration::from_secs(300 + 60 + 5);

/// Visibility timeouts of the queues, as in the template.
const EXCHANGE: Duration = Duration::from_secs(330);
const OUTBOX: Duration = Duration::from_secs(120);
const REPORTS: Duration = Duration::from_secs(60);

/// The first of what waited and what comes afterwards a minute after this has passed.
const fn a_minute_after(passes: Duration) -> RecoveryLimits {
    let limit = Some(passes.saturating_add(MINUTE));
    RecoveryLimits {
        first: limit,
        new: limit,
        all: None,
    }
}

const A_MINUTE: RecoveryLimits = a_minute_after(Duration::ZERO);

/// A message that comes right after the end waits behind all that waited before it, polls included: there
/// is one order.
const FIRST_WITHIN_A_MINUTE: RecoveryLimits = RecoveryLimits {
    first: Some(MINUTE),
    new: None,
    all: None,
};

/// One SMS finds out that Africa's Talking works again; then all the others follow.
const FIRST_ONE_THEN_ALL: RecoveryLimits = RecoveryLimits {
    first: Some(MINUTE),
    new: Some(Duration::from_secs(5 * 60)),
    all: Some(Duration::from_secs(5 * 60)),
};

/// Nobody says when a sender ID is registered.
const SENDER_ID: RecoveryLimits = RecoveryLimits {
    first: Some(Duration::from_secs(15 * 60)),
    new: Some(Duration::from_secs(15 * 60)),
    all: Some(Duration::from_secs(20 * 60)),
};

/// No message waits longer than this.
const NONE_WAITS: RecoveryLimits = RecoveryLimits {
    first: None,
    new: None,
    all: Some(MINUTE),
};

const fn row(
    name: &'static str,
    text: &'static str,
    trouble: Trouble,
    lasts: Duration,
    limits: RecoveryLimits,
) -> RecoveryRow {
    RecoveryRow {
        name,
        text,
        trouble,
        lasts,
        limits,
    }
}

/// All of them.
pub const ROWS: &[RecoveryRow] = &[
    row(
        "medic-unreachable-minute",
        "Medic unreachable for a minute",
        Trouble::MedicUnreachable,
        MINUTE,
        A_MINUTE,
    ),
    row(
        "medic-unreachable-hour",
        "Medic unreachable for an hour",
        Trouble::MedicUnreachable,
        HOUR,
        A_MINUTE,
    ),
    row(
        "medic-unreachable-day",
        "Medic unreachable for a day",
        Trouble::MedicUnreachable,
        DAY,
        FIRST_WITHIN_A_MINUTE,
    ),
    row(
        "medic-unreachable-ten-days",
        "Medic unreachable for ten days",
        Trouble::MedicUnreachable,
        Duration::from_secs(10 * 24 * 60 * 60),
        FIRST_WITHIN_A_MINUTE,
    ),
    row(
        "medic-503",
        "Medic answers 503 for an hour",
        Trouble::MedicAnswers(503),
        HOUR,
        A_MINUTE,
    ),
    row(
        "medic-html-200",
        "Medic answers 200 with HTML for an hour",
        Trouble::MedicAnswersHtml(200),
        HOUR,
        A_MINUTE,
    ),
    row(
        "medic-html-502",
        "A proxy before Medic answers 502 with HTML for an hour",
        Trouble::MedicAnswersHtml(502),
        HOUR,
        a_minute_after(GRACE),
    ),
    row(
        "medic-full-disk",
        "Medic's disk is full for an hour",
        Trouble::FullDisk,
        HOUR,
        A_MINUTE,
    ),
    row(
        "medic-hangs",
        "Medic hangs for an hour",
        Trouble::MedicHangs,
        HOUR,
        a_minute_after(GRACE),
    ),
    row(
        "medic-post-in-doubt",
        "A POST to Medic ends in doubt",
        Trouble::PostInDoubt,
        Duration::ZERO,
        // Medic stores what the POST brought by itself.
        RecoveryLimits {
            first: None,
            ..a_minute_after(GRACE)
        },
    ),
    row(
        "medic-password",
        "Medic's password is wrong (401) for an hour",
        Trouble::WrongPassword,
        HOUR,
        A_MINUTE,
    ),
    row(
        "medic-permission",
        "Medic's user lacks the permission (403) for an hour",
        Trouble::NoPermission,
        HOUR,
        A_MINUTE,
    ),
    row(
        "medic-address",
        "Medic's address is wrong (404) for an hour",
        Trouble::WrongAddress,
        HOUR,
        A_MINUTE,
    ),
    row(
        "africas-talking-unreachable",
        "Africa's Talking unreachable for an hour",
        Trouble::AfricasTalkingUnreachable,
        HOUR,
        FIRST_ONE_THEN_ALL,
    ),
    row(
        "africas-talking-silent",
        "Africa's Talking does not answer for an hour",
        Trouble::AfricasTalkingSilent,
        HOUR,
        FIRST_ONE_THEN_ALL,
    ),
    row(
        "no-credit",
        "No credit (405) for an hour",
        Trouble::NoCredit,
        HOUR,
        FIRST_ONE_THEN_ALL,
    ),
    row(
        "api-key",
        "The API key is wrong (HTTP 401) for an hour",
        Trouble::WrongApiKey,
        HOUR,
        FIRST_ONE_THEN_ALL,
    ),
    row(
        "sender-id",
        "A sender ID is not registered (`InvalidSenderId`) for an hour",
        Trouble::UnregisteredSenderId,
        HOUR,
        SENDER_ID,
    ),
    row(
        "other-sender-id",
        "Meanwhile: the longest wait of any message with another sender ID",
        Trouble::OtherSenderIdMeanwhile,
        HOUR,
        NONE_WAITS,
    ),
    row(
        "ledger",
        "The ledger is away for an hour",
        Trouble::LedgerAway,
        HOUR,
        A_MINUTE,
    ),
    row(
        "secrets",
        "Secrets Manager is away for an hour",
        Trouble::SecretsAway,
        HOUR,
        A_MINUTE,
    ),
    row(
        "sqs",
        "SQS is away for an hour",
        Trouble::SqsAway,
        HOUR,
        a_minute_after(EXCHANGE),
    ),
    row(
        "sqs-takes-nothing",
        "SQS takes nothing and changes no visibility for an hour",
        Trouble::SqsTakesNothing,
        HOUR,
        a_minute_after(EXCHANGE),
    ),
    row(
        "killed-exchange",
        "`medic-exchange` is killed before its POST",
        Trouble::Killed(Function::MedicExchange),
        Duration::ZERO,
        a_minute_after(EXCHANGE_BATCH),
    ),
    row(
        "killed-sender",
        "`outbound-sender` is killed before its claim",
        Trouble::Killed(Function::OutboundSender),
        Duration::ZERO,
        a_minute_after(OUTBOX),
    ),
    row(
        "killed-recorder",
        "`report-recorder` is killed before its write",
        Trouble::Killed(Function::ReportRecorder),
        Duration::ZERO,
        a_minute_after(REPORTS),
    ),
];
