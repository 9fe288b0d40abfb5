//! What a process knows of itself from its environment, and its session's id.

use crate::event::SessionId;
use crate::event::Timestamp;
use crate::pipeline::DEPTH_VARIABLE;
use crate::pipeline::SESSION_VARIABLE;
use crate::script_env::lookup;
use crate::trace;
use crate::trace::Context;
use crate::trace::Said;
use crate::user;

/// What the environment says, looked up once for as long as it stays the same.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The environment but for `TRACEPARENT`, which changes with each command.
    pub(crate) lasting: Vec<u8>,
    /// The value of `TRACEPARENT`, if it is there.
    pub(crate) traceparent: Option<Vec<u8>>,
    /// What `uilog run` says.
    run: Option<Vec<u8>>,
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
        if lasting != self.lasting {
            self.read(&lasting);
            self.lasting = lasting;
        }
        self.around = self.said().around();
    }

    fn read(&mut self, lasting: &[u8]) {
        let depth = lookup(lasting, DEPTH_VARIABLE)
            .and_then(|depth| std::str::from_utf8(depth).ok()?.parse().ok());
        self.depth = depth.unwrap_or(0);
        self.parent =
            lookup(lasting, SESSION_VARIABLE).and_then(SessionId::parse);
        self.user = login_name(lasting).map(<[u8]>::to_vec);
        let run = lookup(lasting, trace::RUN_VARIABLE.as_bytes());
        self.run = run.map(<[u8]>::to_vec);
    }

    /// What it says of traces.
    pub(crate) fn said(&self) -> Said<'_> {
        Said {
            traceparent: self.traceparent.as_deref(),
            run: self.run.as_deref(),
        }
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
