//! The events of a command under `uilog run`, and when they are logged.
//!
//! The caller says when the command began and how it has ended. There are two
//! processes: one logs; the other must not be delayed by that, and counts
//! losses ([`Ledger`]). Must not know how the command is run.

use std::borrow::Cow;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::libc::SIGHUP;
use nix::libc::SIGINT;
use nix::libc::SIGPIPE;
use nix::libc::SIGTERM;
use uilog_channel::commandlost;
use uilog_channel::loss::Loss;
use uilog_channel::sink_config;
use uilog_config::Config;
use uilog_event::command;
use uilog_event::command::CommandLine;
use uilog_event::command::ProgramKind;
use uilog_event::event::EventOption;
use uilog_event::event::Text;
use uilog_event::event::Timestamp;
use uilog_event::event::Value;
use uilog_logger::claim::OuterClaim;
use uilog_logger::claim::ToLog;
use uilog_logger::host::Draft;
use uilog_logger::host::Host;
use uilog_logger::logger::Logger;
use uilog_logger::sinks::scripts::SECTION as SCRIPTS;

/// How long the beginning may stay unlogged, for the sake of an hg that would
/// do it.
pub(crate) const BEGIN_DELAY: Duration = Duration::from_secs(1);

/// What a [`Ledger`] says.
mod bits {
    /// It is known which events are wanted.
    pub(super) const CONFIGURED: u32 = 1;
    pub(super) const WANTS_BEGIN: u32 = 1 << 1;
    pub(super) const WANTS_END: u32 = 1 << 2;
    /// The logger is about to log the beginning.
    pub(super) const BEGINS: u32 = 1 << 3;
    pub(super) const BEGUN: u32 = 1 << 4;
    /// It is known what an hg inside has left to be logged.
    pub(super) const CLAIMED: u32 = 1 << 5;
    pub(super) const LEFT_BEGIN: u32 = 1 << 6;
    pub(super) const LEFT_END: u32 = 1 << 7;
    pub(super) const ENDED: u32 = 1 << 8;
    /// Nothing is left to be done.
    pub(super) const FINISHED: u32 = 1 << 9;
    /// It is not waited for any more, and missing events were counted.
    pub(super) const ABANDONED: u32 = 1 << 10;
    /// The bits from here on say how long to wait for delivery, in tenths of a
    /// second.
    pub(super) const WAIT_AT: u32 = 16;
}

/// The progress of the process that logs a command, in a word that it shares
/// with the process that waits for the command: if the former hangs, the latter
/// knows what was lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ledger<'a>(pub &'a AtomicU32);

/// What was lost when logging was abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abandoned {
    /// How many events, at most.
    pub(crate) events: u64,
    /// Whether the configuration had been read.
    pub(crate) is_configured: bool,
}

impl Ledger<'_> {
    fn note(self, bits: u32) {
        self.0.fetch_or(bits, Ordering::AcqRel);
    }

    fn has(self, bits: u32) -> bool {
        self.0.load(Ordering::Acquire) & bits != 0
    }

    /// Notes that nothing is left to be done.
    pub(crate) fn finish(self) {
        self.note(bits::FINISHED);
    }

    /// Notes that all is logged, and for how long it is waited until that is
    /// delivered.
    pub(crate) fn finish_and_wait(self, time: Duration) {
        let tenths = time.as_millis().div_ceil(100);
        let tenths = u16::try_from(tenths).unwrap_or(u16::MAX);
        self.note(u32::from(tenths) << bits::WAIT_AT | bits::FINISHED);
    }

    /// How long the logger waits for delivery, after it has finished.
    pub(crate) fn waits_for(self) -> Duration {
        let tenths = self.0.load(Ordering::Acquire) >> bits::WAIT_AT;
        Duration::from_millis(u64::from(tenths) * 100)
    }

    /// Whether nothing is left to be done.
    pub(crate) fn is_finished(self) -> bool {
        self.has(bits::FINISHED)
    }

    /// Stops waiting for the logger, which from now on does not begin anything.
    /// `None` if it has finished.
    pub(crate) fn abandon(
        self,
        outer: Option<&OuterClaim>,
    ) -> Option<Abandoned> {
        let before = self.0.fetch_or(bits::ABANDONED, Ordering::AcqRel);
        let has = |bits: u32| before & bits != 0;
        if has(bits::FINISHED | bits::ABANDONED) {
            return None;
        }
        let is_configured = has(bits::CONFIGURED);
        let left = match outer {
            Some(outer) if !has(bits::CLAIMED) => outer.end(),
            _ => ToLog {
                begin: !has(bits::CLAIMED) || has(bits::LEFT_BEGIN),
                end: !has(bits::CLAIMED) || has(bits::LEFT_END),
            },
        };
        let begin = (left.begin || has(bits::BEGINS))
            && !has(bits::BEGUN)
            && (!is_configured || has(bits::WANTS_BEGIN));
        let end = left.end
            && !has(bits::ENDED)
            && (!is_configured || has(bits::WANTS_END));
        Some(Abandoned {
            events: u64::from(begin) + u64::from(end),
            is_configured,
        })
    }
}

/// A command to log.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Where to.
    pub(crate) logger: Logger,
    /// What.
    pub(crate) line: CommandLine,
    /// Who else would log it; `None` if there was no way to find out.
    pub(crate) outer: Option<OuterClaim>,
    /// When it was started.
    pub(crate) started: Timestamp,
    /// Its process.
    pub(crate) pid: u32,
    /// hg's program, for scripts.
    pub(crate) hg: Vec<u8>,
    /// The repository that it runs in.
    pub(crate) root: Option<Vec<u8>>,
    /// The command's full name.
    pub(crate) canonical: Option<Vec<u8>>,
}

/// How a command has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// As in a shell, unless a signal has ended it.
    pub(crate) code: i32,
    /// The signal that has ended it.
    pub(crate) signal: Option<i32>,
    /// How long it ran.
    pub(crate) duration: Duration,
    /// The most memory that it had at a time.
    pub(crate) peak_memory_bytes: u64,
    /// Processor time in user mode.
    pub(crate) user_cpu: Duration,
    /// Processor time in the kernel.
    pub(crate) system_cpu: Duration,
}

impl Watch {
    /// The sinks of a command in this configuration. Mercurial writes its
    /// blackbox itself, and rhg does.
    pub(crate) fn logger(
        config: &Config,
        root: Option<&std::path::Path>,
        kind: ProgramKind,
    ) -> Logger {
        crate::configured::logger(config, root.filter(|_| !kind.is_mercurial()))
    }

    /// While the command runs: does all work for which its end would otherwise
    /// have to wait, unless another process certainly logs it.
    pub(crate) fn prepare(&self, host: &mut Host) {
        self.note(host);
        let is_likely = match self.line.kind {
            ProgramKind::Hg | ProgramKind::Chg => false,
            ProgramKind::Rhg | ProgramKind::Other => true,
        };
        let is_dispatched = |event: &[u8]| {
            let sinks = self.logger.sinks_of(event);
            let is_run = |name: &String| {
                name == SCRIPTS || name.starts_with(sink_config::PREFIX)
            };
            sinks.iter().any(is_run)
        };
        if is_likely
            && (is_dispatched(b"command") || is_dispatched(b"commandfinish"))
        {
            self.logger.prepare_dispatcher(host);
        }
    }

    /// Notes which events are wanted.
    pub(crate) fn note_wanted(&self, ledger: Ledger<'_>) {
        let mut wanted = bits::CONFIGURED;
        if self.logger.tracks(b"command") {
            wanted |= bits::WANTS_BEGIN;
        }
        if self.logger.tracks(b"commandfinish") {
            wanted |= bits::WANTS_END;
        }
        ledger.note(wanted);
    }

    /// When [`BEGIN_DELAY`] is over and the command still runs.
    pub(crate) fn begin(&self, host: &mut Host, ledger: Ledger<'_>) {
        if self.outer.as_ref().is_none_or(OuterClaim::begin) {
            self.log_begin(host, ledger);
        }
    }

    /// When it has ended. `has_begun` says whether [`Self::begin`] was called;
    /// `ended` is `None` if it is unknown how it has ended.
    pub(crate) fn end(
        &self,
        host: &mut Host,
        ledger: Ledger<'_>,
        ended: Option<&Ended>,
        has_begun: bool,
    ) {
        if ledger.has(bits::ABANDONED) {
            return;
        }
        let alone = ToLog {
            begin: !has_begun,
            end: true,
        };
        let left = self.outer.as_ref().map_or(alone, OuterClaim::end);
        let mut claimed = bits::CLAIMED;
        if left.begin {
            claimed |= bits::LEFT_BEGIN;
        }
        if left.end {
            claimed |= bits::LEFT_END;
        }
        ledger.note(claimed);
        if left.begin {
            self.log_begin(host, ledger);
        }
        if !left.end || ledger.has(bits::ABANDONED) {
            return;
        }
        match ended {
            Some(ended) => self.log_end(host, ended),
            None => self.lose_end(host),
        }
        ledger.note(bits::ENDED);
    }

    /// Logs that the end is unknown, because the waiting process was killed;
    /// counts it if no sink tracks that.
    fn lose_end(&self, host: &mut Host) {
        let name = b"commandfinish";
        if self.logger.tells_losses() {
            let now = Timestamp::now().micros;
            let micros = now.saturating_sub(self.started.micros);
            let micros = u64::try_from(micros).unwrap_or(0);
            self.log_loss(host, None, Duration::from_micros(micros));
            return;
        }
        if self.logger.tracks(name) {
            let reason = "uilog run was killed, and how its command ended is \
                unknown";
            let reason = reason.to_owned();
            host.account(name, Err(Loss { events: 1, reason }));
        }
    }

    fn log_begin(&self, host: &mut Host, ledger: Ledger<'_>) {
        ledger.note(bits::BEGINS);
        let name = b"command";
        if self.logger.tracks(name) {
            let message = command::begun(&self.line.formatted());
            let draft =
                self.draft(name, message, Vec::new(), Some(self.started));
            self.logger.log(host, draft);
        }
        ledger.note(bits::BEGUN);
    }

    fn log_end(&self, host: &mut Host, ended: &Ended) {
        let name = b"commandfinish";
        let is_killed = ended.signal.is_some_and(is_of_killed);
        let tells_losses = is_killed && self.logger.tells_losses();
        if !tells_losses && !self.logger.tracks(name) {
            return;
        }
        let signal = ended.signal;
        let code = signal.map_or(ended.code, |it| self.line.code_of_signal(it));
        let formatted = self.line.formatted();
        let message = command::finished(&formatted, code, ended.duration);
        let canonical = match &self.canonical {
            Some(name) => Value::Bytes(Text(Cow::Borrowed(name))),
            None => Value::Null,
        };
        let mut options = vec![
            option("return_code", int(code.into())),
            option("duration", seconds(ended.duration)),
            option("canonical_command", canonical),
            option("peak_memory_bytes", int(ended.peak_memory_bytes.into())),
            option("user_cpu_seconds", seconds(ended.user_cpu)),
            option("system_cpu_seconds", seconds(ended.system_cpu)),
        ];
        if let Some(signal) = signal {
            options.push(option("signal", int(signal.into())));
        }
        let draft = self.draft(name, message, options, None);
        if tells_losses {
            let lost = self.lost(signal, ended.duration);
            self.logger.log_loss(host, lost, draft);
        } else {
            self.logger.log(host, draft);
        }
    }

    /// Logs that the command was killed, or that its end is unknown.
    fn log_loss(
        &self,
        host: &mut Host,
        signal: Option<i32>,
        duration: Duration,
    ) {
        let lost = self.lost(signal, duration);
        // There is no ordinary end.
        let nothing = self.draft(b"", Vec::new(), Vec::new(), None);
        self.logger.log_loss(host, lost, nothing);
    }

    fn lost(&self, signal: Option<i32>, duration: Duration) -> Draft<'_> {
        let formatted = self.line.formatted();
        let message = commandlost::message(&formatted, duration);
        let canonical = self.canonical.as_deref();
        let mut options: Vec<_> =
            canonical.map(commandlost::canonical).into_iter().collect();
        options.extend(commandlost::options(self.started, duration, signal));
        self.draft(commandlost::NAME, message, options, None)
    }

    /// Notes that the command has begun: if all processes of uilog are killed
    /// with it, a finder logs that.
    fn note(&self, host: &mut Host) {
        let canonical = self.canonical.as_deref();
        let options = canonical.map(commandlost::canonical);
        let draft = self.draft(
            commandlost::NAME,
            self.line.formatted(),
            options.into_iter().collect(),
            Some(self.started),
        );
        self.logger.note_command(host, draft);
    }

    fn draft<'a>(
        &'a self,
        name: &'a [u8],
        message: Vec<u8>,
        options: Vec<EventOption<'a>>,
        time: Option<Timestamp>,
    ) -> Draft<'a> {
        Draft {
            name,
            message: Cow::Owned(message),
            options,
            hg: &self.hg,
            root: self.root.as_deref(),
            time,
            pid: Some(self.pid),
        }
    }
}

/// Whether a command that ends by this signal was killed, or has crashed.
/// Others are how people and systems end what they have started; hg handles
/// them.
fn is_of_killed(signal: i32) -> bool {
    let usual = [SIGHUP, SIGINT, SIGPIPE, SIGTERM];
    !usual.contains(&signal)
}

fn option<'a>(key: &'a str, value: Value<'a>) -> EventOption<'a> {
    EventOption {
        key: Cow::Borrowed(key.as_bytes()),
        value,
    }
}

fn int(number: i128) -> Value<'static> {
    Value::Int(Text(Cow::Owned(number.to_string().into_bytes())))
}

/// Seconds to the microsecond, as Python prints them.
// Python: float.__repr__
fn seconds(duration: Duration) -> Value<'static> {
    let seconds = duration.as_micros() as f64 / 1e6;
    let text = if seconds > 0.0 && seconds < 1e-4 {
        // The exponent has two digits there.
        format!("{seconds:e}").replace("e-", "e-0")
    } else {
        format!("{seconds:?}")
    };
    Value::Float(Text(Cow::Owned(text.into_bytes())))
}

#[cfg(test)]
mod tests {
    use uilog_event::event::SessionId;

    use super::*;

    #[test]
    fn what_is_missing_is_counted_once() {
        let lost = |noted: u32, outer: Option<&OuterClaim>| {
            let word = AtomicU32::new(noted);
            let abandoned = Ledger(&word).abandon(outer);
            assert_eq!(Ledger(&word).abandon(None), None);
            abandoned.map(|it| it.events)
        };
        let new = || OuterClaim::new(SessionId(7), None, false).unwrap();
        assert_eq!(lost(bits::FINISHED, None), None);
        // Before the configuration is known, either may be wanted.
        assert_eq!(lost(0, None), Some(2));
        assert_eq!(lost(0, Some(&new())), Some(2));
        assert_eq!(lost(bits::CONFIGURED, None), Some(0));
        let wanted = bits::CONFIGURED | bits::WANTS_BEGIN | bits::WANTS_END;
        assert_eq!(lost(wanted, None), Some(2));
        assert_eq!(lost(wanted | bits::BEGINS | bits::BEGUN, None), Some(1));
        // It hangs while it logs the beginning.
        let outer = new();
        assert!(outer.begin());
        assert_eq!(lost(wanted | bits::BEGINS, Some(&outer)), Some(2));
        // An hg inside has logged what it has come to.
        let all = wanted | bits::CLAIMED;
        assert_eq!(lost(all, None), Some(0));
        assert_eq!(lost(all | bits::LEFT_END, None), Some(1));
        let outer = new();
        outer.end();
        assert_eq!(lost(wanted, Some(&outer)), Some(0));
    }

    #[test]
    fn times_are_printed_as_by_python() {
        let printed = |micros| {
            let value = seconds(Duration::from_micros(micros));
            String::from_utf8(value.for_shell().to_vec()).unwrap()
        };
        assert_eq!(printed(0), "0.0");
        assert_eq!(printed(9), "9e-06");
        assert_eq!(printed(95), "9.5e-05");
        assert_eq!(printed(100), "0.0001");
        assert_eq!(printed(9123), "0.009123");
        assert_eq!(printed(3_000_000), "3.0");
    }
}
