//! What the environment says about this process, and its session's ID.

use uilog_event::environment_block::DEPTH_VARIABLE;
use uilog_event::environment_block::SESSION_VARIABLE;
use uilog_event::environment_block::lookup_all;
use uilog_event::event::SessionId;
use uilog_event::event::Trace;
use uilog_event::trace;
use uilog_event::trace::Context;
use uilog_event::trace::TraceVariables;
use uilog_event::user;

/// Facts in the environment, cached until it changes.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The environment but for `TRACEPARENT`, which changes with each command.
    pub(crate) lasting: Vec<u8>,
    /// The value of `TRACEPARENT`, if it is there.
    pub(crate) traceparent: Option<Vec<u8>>,
    /// The value of `TRACESTATE`, which belongs to `TRACEPARENT`.
    state: Option<Vec<u8>>,
    /// What `uilog run` says.
    run: Option<Vec<u8>>,
    /// The session of the script in which this process runs.
    pub(crate) parent: Option<SessionId>,
    /// The nesting depth in scripts.
    pub(crate) depth: u32,
    /// The login name.
    pub(crate) user: Option<Vec<u8>>,
    /// The span that this process is a part of.
    pub(crate) around: Option<Context>,
}

impl Facts {
    /// Reads a changed environment.
    pub(crate) fn update(&mut self, environment: &[u8]) {
        let (lasting, traceparent) = trace::split(environment);
        self.traceparent = traceparent.map(<[u8]>::to_vec);
        if lasting != self.lasting {
            self.read(&lasting);
            self.lasting = lasting;
        }
        self.around = self.said().parent_context();
    }

    fn read(&mut self, lasting: &[u8]) {
        let [depth, parent, run, state] = lookup_all(
            lasting,
            [
                DEPTH_VARIABLE,
                SESSION_VARIABLE,
                trace::RUN_VARIABLE.as_bytes(),
                trace::STATE_VARIABLE,
            ],
        );
        let depth = depth
            .and_then(|depth| std::str::from_utf8(depth).ok()?.parse().ok());
        self.depth = depth.unwrap_or(0);
        self.parent = parent.and_then(SessionId::parse);
        self.user = user::login_name(lasting).map(<[u8]>::to_vec);
        self.run = run.map(<[u8]>::to_vec);
        self.state = state.map(<[u8]>::to_vec);
    }

    /// What `TRACESTATE` says of this trace; nothing if it belongs to another
    /// one, or to none.
    pub(crate) fn state_of(&self, trace: Trace) -> Option<&[u8]> {
        let context = Context::parse(self.traceparent.as_deref()?)?;
        self.state.as_deref().filter(|_| context.id == trace.id)
    }

    /// The trace variables in it.
    pub(crate) fn said(&self) -> TraceVariables<'_> {
        TraceVariables {
            traceparent: self.traceparent.as_deref(),
            run: self.run.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_belongs_to_the_trace_that_it_came_with() {
        let trace = |id| Trace {
            id,
            span: 1,
            parent: 0,
            flags: 1,
        };
        let told = |environment: &str, id| {
            let mut facts = Facts::default();
            facts.update(environment.as_bytes());
            facts.state_of(trace(id)).map(<[u8]>::to_vec)
        };
        let parent = format!("TRACEPARENT=00-{:032x}-{:016x}-01\0", 7, 8);
        let both = format!("{parent}TRACESTATE=a=b\0");
        assert_eq!(told(&both, 7).as_deref(), Some(&b"a=b"[..]));
        assert_eq!(told(&both, 8), None);
        assert_eq!(told(&parent, 7), None);
        assert_eq!(told("TRACESTATE=a=b\0", 7), None);
        let invalid = both.replace("00-", "ff-");
        assert_eq!(told(&invalid, 7), None);
    }
}
