//! What a process knows of itself from its environment, and its session's id.

use crate::event::SessionId;
use crate::event::Timestamp;
use crate::pipeline::DEPTH_VARIABLE;
use crate::pipeline::SESSION_VARIABLE;
use crate::script_env::lookup;
use crate::trace;
use crate::trace::Context;
use crate::user;

/// What the environment says, looked up once for as long as it stays the same.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The environment but for `TRACEPARENT`, which changes with each command.
    pub(crate) lasting: Vec<u8>,
    /// The value of `TRACEPARENT`, if it is there.
    pub(crate) traceparent: Option<Vec<u8>>,
    /// The session in whose script this process runs.
    pub(crate) parent: Option<SessionId>,
    /// How many scripts are around this process.
    pub(crate) depth: u32,
    /// The login name.
    pub(crate) user: Option<Vec<u8>>,
    /// The span that this process is a part of.
    pub(crate) around: Option<Context>,
}

impl Facts {
    /// Looks up what a changed environment says.
    pub(crate) fn update(&mut self, environment: &[u8]) {
        let (lasting, traceparent) = trace::split(environment);
        self.traceparent = traceparent.map(<[u8]>::to_vec);
        self.around = trace::around(environment);
        if lasting == self.lasting {
            return;
        }
        let depth = lookup(&lasting, DEPTH_VARIABLE)
            .and_then(|depth| std::str::from_utf8(depth).ok()?.parse().ok());
        self.depth = depth.unwrap_or(0);
        self.parent =
            lookup(&lasting, SESSION_VARIABLE).and_then(SessionId::parse);
        self.user = login_name(&lasting).map(<[u8]>::to_vec);
        self.lasting = lasting;
    }
}

/// The login name as the environment tells it.
pub(crate) fn login_name(environment: &[u8]) -> Option<&[u8]> {
    let names = user::VARIABLES.iter().map(|name| name.as_bytes());
    let values = names.filter_map(|name| lookup(environment, name));
    let mut named = values.filter(|value| !value.is_empty());
    named.next()
}

/// A new session's id.
pub(crate) fn new_session() -> SessionId {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Ids that repeat are better than none.
        let id = u64::from(std::process::id());
        let micros = Timestamp::now().micros as u64;
        return SessionId(u128::from(id) << 64 | u128::from(micros));
    }
    SessionId(u128::from_le_bytes(bytes))
}
