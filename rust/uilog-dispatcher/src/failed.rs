//! Scripts that have failed and are not in the journal yet, because their
//! standard error may not have been read completely.
//!
//! Must not know the queue.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::journal::Failure;
use uilog_channel::journal::FailureKind;
use uilog_channel::journal::Redact;
use uilog_sys::ended;
use uilog_sys::ended::Ended;

use crate::running::Script;
use crate::stderr::Capture;

/// How long to wait for the last of what a failed script has written, which
/// processes that it has left behind may write, too.
const STDERR_BOUND: Duration = Duration::from_secs(1);
/// How often to look whether it is there.
const STDERR_PAUSE: Duration = Duration::from_millis(5);
/// Bytes of it that the journal gets.
const STDERR_BYTES: usize = 4096;

/// All of them.
pub(crate) struct FailedScripts {
    waiting: Vec<Failed>,
    redact: Redact,
}

/// One of them.
struct Failed {
    failure: Failure,
    environment: Arc<[u8]>,
    capture: Option<Capture>,
    /// The deadline for the journal's entry, whether all output is there or
    /// not.
    until: Instant,
}

impl FailedScripts {
    pub(crate) fn new(redact: Redact) -> Self {
        Self {
            waiting: Vec::new(),
            redact,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds one, with what is known so far.
    pub(crate) fn add(
        &mut self,
        script: Script,
        ended: Ended,
        kind: FailureKind,
        detail: String,
    ) -> Failure {
        let session = script.session.clone();
        let mut failure = Failure::now(session, &script.event, kind, 0, detail);
        let mut facts = script.facts;
        facts.duration = Some(script.started_at.elapsed().as_secs_f64());
        match ended {
            Ended::Exited(status) => facts.status = Some(status),
            Ended::Killed { signal, .. } => {
                facts.signal = Some(ended::signal_name(signal));
            }
        }
        failure.script = Some(Box::new(facts));
        self.waiting.push(Failed {
            failure: failure.clone(),
            environment: script.environment,
            capture: script.capture,
            until: Instant::now() + STDERR_BOUND,
        });
        failure
    }

    /// Those of which all is known that will be, each with its environment.
    pub(crate) fn take_ready(
        &mut self,
        is_last: bool,
    ) -> Vec<(Failure, Arc<[u8]>)> {
        let now = Instant::now();
        let mut ready = Vec::new();
        for mut it in std::mem::take(&mut self.waiting) {
            let is_late = is_last || now >= it.until;
            if let (Some(capture), Some(script)) =
                (&it.capture, &mut it.failure.script)
            {
                if !is_late && !capture.is_complete() {
                    self.waiting.push(it);
                    continue;
                }
                script.stderr = shown(capture, self.redact);
            }
            ready.push((it.failure, it.environment));
        }
        ready
    }

    /// When to look after them again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (!self.is_empty()).then(|| Instant::now() + STDERR_PAUSE)
    }
}

/// The last of what a script has written, without secrets.
fn shown(capture: &Capture, redact: Redact) -> String {
    let (text, is_cut) = capture.text();
    let mut text = &*text;
    // A truncated text may begin with half a secret, which no rule would
    // recognize.
    let spare = text.len().saturating_sub(STDERR_BYTES);
    let line_end = text[..spare].iter().position(|byte| *byte == b'\n');
    if let (true, Some(line_end)) = (is_cut, line_end) {
        text = &text[line_end + 1..];
    }
    let redacted = redact(text);
    let text = String::from_utf8_lossy(&redacted);
    let mut begin = text.len().saturating_sub(STDERR_BYTES);
    while !text.is_char_boundary(begin) {
        begin += 1;
    }
    text[begin..].to_owned()
}
