//! What is counted of a process's events and faults.

/// Something that went wrong without costing an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A message that does not fit its format.
    Format,
    /// A value that could not be printed.
    Unprintable,
    /// Another extension's logger raised.
    ForeignLogger,
    /// Events logged while logging, too deep.
    Recursion,
    /// A peer that did not end by itself when it was closed.
    Peer,
    /// A log file that could not be rotated, or with incomplete lines.
    LogFile,
    /// A fault of our own.
    Internal,
}

impl FaultKind {
    /// Every kind, in the order of [`Counters::faults`].
    pub const ALL: [Self; 7] = [
        Self::Format,
        Self::Unprintable,
        Self::ForeignLogger,
        Self::Recursion,
        Self::Peer,
        Self::LogFile,
        Self::Internal,
    ];

    /// A name for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Unprintable => "unprintable",
            Self::ForeignLogger => "foreign-logger",
            Self::Recursion => "recursion",
            Self::Peer => "peer",
            Self::LogFile => "log-file",
            Self::Internal => "internal",
        }
    }
}

/// What happened to this process's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events, once for each sink that tracked them.
    pub events: u64,
    /// Deliveries that a sink took.
    pub delivered: u64,
    /// Deliveries that were lost.
    pub lost: u64,
    /// Faults, by [`FaultKind::ALL`].
    pub faults: [u64; FaultKind::ALL.len()],
}
