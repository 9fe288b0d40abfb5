//! The typed settings of `[uilog]`. uilog-config knows the items, their
//! defaults and their valid values.
//!
//! An invalid value is a [`Fault`], never an error: the default is used, and
//! the fault is reported.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use uilog_config::items;
use uilog_config::items::Item;
use uilog_config::items::Value;

use crate::agent_address;
use crate::wire::RunLimits;

/// The section.
const SECTION: &str = "uilog";

/// What `[uilog]` says, in types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many scripts run at a time.
    pub max_scripts: u32,
    /// After how long a script is ended; zero is never.
    pub script_timeout: Duration,
    /// The maximum memory of events that wait for the dispatcher, in bytes.
    pub queue_bytes: u64,
    /// For how long nothing may come from a peer that is being closed before
    /// it is ended; zero is for ever.
    pub peer_timeout: Duration,
    /// How long a peer's end may take at all; zero is without end.
    pub peer_close_max: Duration,
    /// Whether records go to the user's agent.
    pub has_agent: bool,
    /// How much memory all of the user's queues of records take, in bytes.
    pub agent_queues_bytes: u64,
    /// How long hg waits at its end until its events are delivered.
    pub before_exit: BeforeExit,
}

/// How long a process waits at its end until its events are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeforeExit {
    /// A moment, where the place ends with the process and there is a
    /// collector; else it does not.
    Auto,
    /// So long at most, for every sink and script; zero is not at all.
    For(Duration),
}

/// A configuration value that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Section of the item.
    pub section: &'static str,
    /// Name of the item.
    pub name: String,
    /// What is wrong with it, and the value that is used instead.
    pub problem: String,
}

impl Fault {
    /// A value of this item's that is invalid.
    pub fn new(item: &Item, value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(value);
        let (kind, default) = (item.kind, item.default);
        Self {
            section: item.section,
            name: item.name.to_owned(),
            problem: format!("'{text}' is not {kind}, using {default}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}: {}", self.section, self.name, self.problem)
    }
}

/// The defaults, which are text in the table of items. A command server makes
/// a logger for each command.
static DEFAULTS: LazyLock<Settings> = LazyLock::new(Settings::of_items);

impl Default for Settings {
    fn default() -> Self {
        *DEFAULTS
    }
}

impl Settings {
    fn of_items() -> Self {
        let mut settings = Self {
            max_scripts: 0,
            script_timeout: Duration::ZERO,
            queue_bytes: 0,
            peer_timeout: Duration::ZERO,
            peer_close_max: Duration::ZERO,
            has_agent: false,
            agent_queues_bytes: 0,
            before_exit: BeforeExit::Auto,
        };
        for item in items::ITEMS {
            if let Some(value) = item.parse(item.default.as_bytes()) {
                settings.set(item, &value);
            }
        }
        settings
    }

    /// Reads the section's names and values; unknown names are left to hg.
    pub fn read<'a>(
        items: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> (Self, Vec<Fault>) {
        let mut settings = Self::default();
        let mut faults = Vec::new();
        for (name, value) in items {
            let Some(item) = items::find(SECTION.as_bytes(), name) else {
                continue;
            };
            if name == b"queue-dir"
                && let Err(problem) = agent_address::queue_dir_of(value)
            {
                faults.push(Fault {
                    section: item.section,
                    name: item.name.to_owned(),
                    problem,
                });
            }
            match item.parse(value) {
                Some(value) => settings.set(item, &value),
                None => faults.push(Fault::new(item, value)),
            }
        }
        (settings, faults)
    }

    /// Sets an item, if it is one of this section.
    fn set(&mut self, item: &Item, value: &Value) {
        if item.section != SECTION {
            return;
        }
        match (item.name, value) {
            ("max-scripts", Value::Number(count)) => {
                self.max_scripts = u32::try_from(*count).unwrap_or(u32::MAX);
            }
            ("script-timeout", Value::Seconds(timeout)) => {
                self.script_timeout = *timeout;
            }
            ("queue-size", Value::Number(bytes)) => {
                self.queue_bytes = u64::try_from(*bytes).unwrap_or(u64::MAX);
            }
            ("peer-timeout", Value::Seconds(timeout)) => {
                self.peer_timeout = *timeout;
            }
            ("peer-close-max", Value::Seconds(max)) => {
                self.peer_close_max = *max;
            }
            ("agent", Value::Boolean(is_wanted)) => {
                self.has_agent = *is_wanted;
            }
            ("agent-queues-size", Value::Number(bytes)) => {
                let bytes = u64::try_from(*bytes);
                self.agent_queues_bytes = bytes.unwrap_or(u64::MAX);
            }
            ("deliver-before-exit", Value::Auto) => {
                self.before_exit = BeforeExit::Auto;
            }
            ("deliver-before-exit", Value::Seconds(max)) => {
                self.before_exit = BeforeExit::For(*max);
            }
            // What there is besides is for the binary alone.
            _ => {}
        }
    }

    /// The part of the settings that the dispatcher needs.
    pub fn run_limits(&self) -> RunLimits {
        let timeout = self.script_timeout.as_millis();
        let timeout_ms = u64::try_from(timeout).unwrap_or(u64::MAX);
        // A limit below a millisecond is still a limit.
        let is_limited = !self.script_timeout.is_zero();
        RunLimits {
            max_scripts: self.max_scripts,
            timeout_ms: timeout_ms.max(u64::from(is_limited)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(items: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let items: Vec<_> = items
            .iter()
            .map(|(n, v)| (n.as_bytes(), v.as_bytes()))
            .collect();
        let (settings, faults) = Settings::read(items.into_iter());
        (settings, faults.iter().map(Fault::to_string).collect())
    }

    #[test]
    fn values_are_read_as_hg_writes_them() {
        let (settings, faults) = read(&[
            ("max-scripts", " 3 "),
            ("script-timeout", "0.25"),
            ("queue-size", "1.5 GB"),
            ("peer-timeout", "2.5"),
            ("peer-close-max", "90"),
            ("unknown", "x"),
        ]);
        assert_eq!(faults, [""; 0]);
        assert_eq!(settings.max_scripts, 3);
        assert_eq!(settings.run_limits().timeout_ms, 250);
        assert_eq!(settings.queue_bytes, 3 << 29);
        assert_eq!(settings.peer_timeout, Duration::from_millis(2500));
        assert_eq!(settings.peer_close_max, Duration::from_secs(90));
        assert_eq!(read(&[("queue-size", "1048576")]).0.queue_bytes, 1 << 20);
    }

    #[test]
    fn every_item_has_its_setting() {
        let unset = Settings {
            max_scripts: 0,
            script_timeout: Duration::ZERO,
            queue_bytes: 0,
            peer_timeout: Duration::ZERO,
            peer_close_max: Duration::ZERO,
            has_agent: false,
            agent_queues_bytes: 0,
            before_exit: BeforeExit::For(Duration::ZERO),
        };
        let own = items::ITEMS.iter().filter(|item| item.section == SECTION);
        for item in own.filter(|item| item.is_for_hg) {
            let mut settings = unset;
            settings.set(item, &item.parse(item.default.as_bytes()).unwrap());
            assert_ne!(settings, unset, "{}", item.name);
        }
    }

    #[test]
    fn nonsense_leaves_the_default_and_says_so() {
        let (settings, faults) = read(&[
            ("max-scripts", "0"),
            ("script-timeout", "-1"),
            ("queue-size", "many"),
            ("peer-timeout", "soon"),
        ]);
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.script_timeout, Duration::from_secs(600));
        assert_eq!(
            faults,
            [
                "uilog.max-scripts: '0' is not a number from 1 to 1024, \
                 using 8",
                "uilog.script-timeout: '-1' is not a number of seconds, \
                 using 600",
                "uilog.queue-size: 'many' is not a size of 1 MB or more, \
                 using 64 MB",
                "uilog.peer-timeout: 'soon' is not a number of seconds, \
                 using 5",
            ]
        );
    }
}
