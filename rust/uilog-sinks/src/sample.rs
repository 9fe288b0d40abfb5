//! Sampling: which traces are kept.
//!
//! OpenTelemetry's consistent probability sampling compares 56 random bits of a
//! trace ID with a threshold. All programs that do so keep the same traces, as
//! far as their rates allow. So a CI job, its hg and their hooks are kept or
//! dropped together.
//!
//! Must not know configuration or records.
// OpenTelemetry: specification/trace/tracestate-probability-sampling.md

use uilog_event::event::Event;

use crate::trace_state::TraceState;

/// How many bits of a trace are assumed to be random.
const RANDOM_BITS: u32 = 56;
/// Every number that they can be is below this.
const RANDOM_END: u64 = 1 << RANDOM_BITS;
/// Hexadecimal digits of such a number.
const RANDOM_DIGITS: usize = RANDOM_BITS as usize / 4;
/// The threshold that keeps all traces.
const ALL: &str = "0";

/// Keeps a part of all traces.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampler {
    /// Which part.
    rate: f64,
    /// Traces whose number is below it are dropped.
    threshold: u64,
    keeps_failures: bool,
}

/// Why an event is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sampled {
    /// The fraction of similar events that is kept; `None` without sampling.
    pub(crate) rate: Option<f64>,
    /// The same, for those who understand OpenTelemetry's `tracestate`.
    pub(crate) trace_state: Option<String>,
}

impl Sampler {
    /// `rate` is from 0 to 1.
    pub(crate) fn new(rate: f64, keeps_failures: bool) -> Self {
        let dropped = (1.0 - rate) * RANDOM_END as f64;
        Self {
            rate,
            threshold: dropped.round() as u64,
            keeps_failures,
        }
    }

    /// Whether the event is kept; `state` is the state of its trace.
    pub(crate) fn keep(
        &self,
        event: &Event<'_>,
        is_failure: impl FnOnce() -> bool,
        state: &TraceState<'_>,
    ) -> Option<Sampled> {
        let told = |threshold: Option<&str>| {
            event.trace.map(|_| state.with_threshold(threshold))
        };
        if self.rate >= 1.0 {
            // A parent's sampling does not affect what is kept here.
            let threshold = state.has_threshold().then_some(ALL);
            return Some(Sampled {
                rate: None,
                trace_state: told(threshold).filter(|it| !it.is_empty()),
            });
        }
        if self.keeps_failures && is_failure() {
            // All of them are kept.
            return Some(Sampled {
                rate: Some(1.0),
                trace_state: told(Some(ALL)),
            });
        }
        let number = state.number().unwrap_or_else(|| number(event));
        (number >= self.threshold).then(|| Sampled {
            rate: Some(self.rate),
            trace_state: told(Some(&self.digits())),
        })
    }

    /// Keeps an event if it is a failure, as configured for failures.
    pub(crate) fn keep_failure(
        &self,
        event: &Event<'_>,
        state: &TraceState<'_>,
    ) -> Sampled {
        let keeps_failures = true;
        let sampler = Self {
            keeps_failures,
            ..*self
        };
        sampler.keep(event, || true, state).unwrap_or_default()
    }

    /// The threshold as `tracestate` has it: without zeros at the end.
    fn digits(&self) -> String {
        let digits = format!("{:0RANDOM_DIGITS$x}", self.threshold);
        match digits.trim_end_matches('0') {
            "" => ALL.to_owned(),
            digits => digits.to_owned(),
        }
    }
}

/// The random number of a trace; of what belongs to none, its session's.
fn number(event: &Event<'_>) -> u64 {
    let id = event.trace.map_or(event.session.0, |trace| trace.id);
    (id as u64) % RANDOM_END
}

#[cfg(test)]
mod tests {

    use uilog_event::event::SessionId;
    use uilog_event::event::Trace;

    use super::*;

    fn event(session: u128, trace: Option<u128>) -> Event<'static> {
        Event {
            session: SessionId(session),
            trace: trace.map(|id| Trace {
                id,
                span: 1,
                parent: 0,
                flags: 0,
            }),
            ..Event::bare(b"command")
        }
    }

    fn keep(rate: f64, event: &Event<'_>, state: &[u8]) -> Option<Sampled> {
        let state = TraceState::parse(state);
        Sampler::new(rate, false).keep(event, || true, &state)
    }

    #[test]
    fn the_last_56_bits_decide() {
        let half = 1 << 55;
        for (id, expected) in [
            (half, true),
            (half - 1, false),
            ((1 << 56) | (half - 1), false),
            (u128::MAX, true),
            (0, false),
        ] {
            // Whatever the session.
            for session in [0, u128::MAX] {
                let kept = keep(0.5, &event(session, Some(id)), b"");
                assert_eq!(kept.is_some(), expected, "{id:x}");
            }
            let kept = keep(0.5, &event(id, None), b"");
            assert_eq!(kept.is_some(), expected, "{id:x}");
        }
    }

    #[test]
    fn the_extremes_keep_all_and_nothing() {
        let all = keep(1.0, &event(0, Some(0)), b"");
        assert_eq!(all, Some(Sampled::default()));
        assert_eq!(keep(0.0, &event(0, Some(u128::MAX)), b""), None);
    }

    #[test]
    fn who_keeps_more_keeps_the_same_and_more() {
        let is_kept = |rate, id: u128| {
            // Any bits will do that look random.
            let id = id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            keep(rate, &event(0, Some(id)), b"").is_some()
        };
        let kept = |rate| (0..10_000).filter(|id| is_kept(rate, *id)).count();
        assert!((0..10_000).all(|id| !is_kept(0.1, id) || is_kept(0.3, id)));
        assert!((900..1100).contains(&kept(0.1)), "{}", kept(0.1));
        assert!((2800..3200).contains(&kept(0.3)), "{}", kept(0.3));
    }

    #[test]
    fn the_rate_is_told() {
        let kept = keep(0.25, &event(0, Some(u128::MAX)), b"").unwrap();
        assert_eq!(kept.rate, Some(0.25));
        assert_eq!(kept.trace_state.as_deref(), Some("ot=th:c"));
        let kept = keep(0.25, &event(u128::MAX, None), b"").unwrap();
        assert_eq!(kept.trace_state, None);
    }

    #[test]
    fn failures_are_kept_one_and_all() {
        let sampler = Sampler::new(0.0, true);
        let event = event(0, Some(0));
        let state = TraceState::parse(b"a=b,ot=th:c;rv:00000000000001");
        let kept = sampler.keep(&event, || true, &state).unwrap();
        assert_eq!(kept.rate, Some(1.0));
        let told = kept.trace_state.as_deref();
        assert_eq!(told, Some("ot=th:0;rv:00000000000001,a=b"));
        assert_eq!(sampler.keep(&event, || false, &state), None);
    }

    #[test]
    fn a_given_number_counts() {
        let event = event(0, Some(7));
        let state = b"a=b, ot=x:1;rv:ffffffffffffff";
        let kept = keep(0.5, &event, state).unwrap();
        assert_eq!(
            kept.trace_state.as_deref(),
            Some("ot=th:8;x:1;rv:ffffffffffffff,a=b")
        );
        assert_eq!(keep(0.5, &event, b""), None);
        assert_eq!(keep(0.5, &event, b"ot=rv:ffffffffffff"), None);
    }

    #[test]
    fn who_keeps_all_does_not_hand_on_what_others_have_kept() {
        let told = |state: &[u8]| {
            let kept = keep(1.0, &event(0, Some(7)), state).unwrap();
            assert_eq!(kept.rate, None);
            kept.trace_state
        };
        assert_eq!(told(b""), None);
        assert_eq!(told(b"a=b").as_deref(), Some("a=b"));
        assert_eq!(told(b"a=b,ot=th:8").as_deref(), Some("ot=th:0,a=b"));
        assert_eq!(
            keep(1.0, &event(7, None), b"a=b"),
            Some(Sampled::default())
        );
    }
}
