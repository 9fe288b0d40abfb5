//! One failure, as a line of the journal.

use serde::Deserialize;
use serde::Serialize;
use uilog_event::event::Timestamp;

use super::redacting::redacted;
use super::script::ScriptFailure;

/// One failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// When, as RFC 3339.
    pub time: String,
    /// The session it belongs to.
    pub session: String,
    /// The event, if it concerns one.
    pub event: String,
    /// What kind of failure.
    pub kind: FailureKind,
    /// How many events it cost.
    pub lost: u64,
    /// What happened, for people.
    pub detail: String,
    /// The script, if it concerns one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Box<ScriptFailure>>,
    /// The page of counters that was lost, if it concerns one. What two lines
    /// say of one page has been lost once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
}

/// What kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// Events were lost.
    Lost,
    /// A script could not be started.
    NotStarted,
    /// A script ended with a status other than 0, or by a signal.
    Failed,
    /// A script was ended by the time limit.
    TimedOut,
    /// A peer did not end by itself in time.
    Peer,
    /// A configuration could not be read, so that nothing was logged.
    Config,
    /// A structured sink has trouble that costs nothing yet.
    Sink,
}

impl FailureKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Lost,
        Self::NotStarted,
        Self::Failed,
        Self::TimedOut,
        Self::Peer,
        Self::Config,
        Self::Sink,
    ];

    /// A name for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::NotStarted => "not-started",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Peer => "peer",
            Self::Config => "config",
            Self::Sink => "sink",
        }
    }
}

impl Failure {
    /// A failure at the current time. Its detail is redacted, if
    /// [`crate::journal::redact_with`] was called.
    pub fn now(
        session: String,
        event: &[u8],
        kind: FailureKind,
        lost: u64,
        detail: String,
    ) -> Self {
        Self {
            time: Timestamp::now().to_rfc3339(),
            session,
            event: String::from_utf8_lossy(event).into_owned(),
            kind,
            lost,
            detail: redacted(detail),
            script: None,
            page: None,
        }
    }
}
