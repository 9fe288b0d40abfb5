//! What is logged of a command that runs under `uilog run`, and when.
//!
//! Whoever runs it says when it began and how it has ended; nothing here knows
//! how it is run.

use std::borrow::Cow;
use std::time::Duration;

use uilog_config::Config;

use crate::claim::Left;
use crate::claim::Outer;
use crate::command;
use crate::command::CommandLine;
use crate::command::Kind;
use crate::event::EventOption;
use crate::event::Text;
use crate::event::Timestamp;
use crate::event::Value;
use crate::logtoprocess::SECTION as SCRIPTS;
use crate::pipeline::Draft;
use crate::pipeline::Host;
use crate::pipeline::Logger;
use crate::sinks;

/// How long the beginning may stay unlogged, for the sake of an hg that would
/// do it.
pub const BEGIN_DELAY: Duration = Duration::from_secs(1);

/// A command to log.
#[derive(Debug)]
pub struct Watch {
    /// Where to.
    pub logger: Logger,
    /// What.
    pub line: CommandLine,
    /// Who else would log it; `None` if there was no way to find out.
    pub outer: Option<Outer>,
    /// When it was started.
    pub started: Timestamp,
    /// Its process.
    pub pid: u32,
    /// hg's program, for scripts.
    pub hg: Vec<u8>,
    /// The repository that it runs in.
    pub root: Option<Vec<u8>>,
    /// What the command is called whatever it was called.
    pub canonical: Option<Vec<u8>>,
}

/// How a command has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// As a shell tells it, unless a signal has ended it.
    pub code: i32,
    /// The signal that has ended it.
    pub signal: Option<i32>,
    /// How long it ran.
    pub duration: Duration,
    /// The most memory that it had at a time.
    pub peak_memory_bytes: u64,
    /// Processor time in user mode.
    pub user_cpu: Duration,
    /// Processor time in the kernel.
    pub system_cpu: Duration,
}

impl Watch {
    /// The sinks of a command in this configuration. Mercurial writes its
    /// blackbox itself, and rhg does.
    pub fn logger(
        config: &Config,
        root: Option<&std::path::Path>,
        kind: Kind,
    ) -> Logger {
        crate::native::logger(config, root.filter(|_| !kind.is_mercurial()))
    }

    /// While the command runs: does what its end would otherwise wait for,
    /// unless it is certain that somebody else logs it.
    pub fn prepare(&self, host: &mut Host) {
        let is_likely = match self.line.kind {
            Kind::Hg | Kind::Chg => false,
            Kind::Rhg | Kind::Other => true,
        };
        let is_dispatched = |event: &[u8]| {
            let sinks = self.logger.sinks_of(event);
            let is_run = |name: &String| {
                name == SCRIPTS || name.starts_with(sinks::PREFIX)
            };
            sinks.iter().any(is_run)
        };
        if is_likely
            && (is_dispatched(b"command") || is_dispatched(b"commandfinish"))
        {
            host.dispatcher().prepare(self.logger.settings());
        }
    }

    /// When [`BEGIN_DELAY`] is over and the command still runs.
    pub fn begin(&self, host: &mut Host) {
        if self.outer.as_ref().is_none_or(Outer::begin) {
            self.log_begin(host);
        }
    }

    /// When it has ended. `has_begun` says whether [`Self::begin`] was called.
    pub fn end(&self, host: &mut Host, ended: &Ended, has_begun: bool) {
        let alone = Left {
            begin: !has_begun,
            end: true,
        };
        let left = self.outer.as_ref().map_or(alone, Outer::end);
        if left.begin {
            self.log_begin(host);
        }
        if left.end {
            self.log_end(host, ended);
        }
    }

    fn log_begin(&self, host: &mut Host) {
        let name = b"command";
        if self.logger.tracks(name) {
            let message = command::begun(&self.line.formatted());
            let draft =
                self.draft(name, message, Vec::new(), Some(self.started));
            self.logger.log(host, draft);
        }
    }

    fn log_end(&self, host: &mut Host, ended: &Ended) {
        let name = b"commandfinish";
        if !self.logger.tracks(name) {
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
        self.logger.log(host, draft);
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
    use super::*;

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
