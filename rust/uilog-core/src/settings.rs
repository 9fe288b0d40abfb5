//! The items of `[uilog]`: their names, defaults, and typed values.
//!
//! A value that makes no sense is a [`Fault`], never an error: the default
//! then counts, and whoever asks is told.

use std::fmt;
use std::time::Duration;

use crate::wire::RunLimits;

/// An item of `[uilog]`.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// Its name.
    pub name: &'static str,
    /// Its default, as one would write it.
    pub default: &'static str,
}

const MAX_SCRIPTS: Item = Item {
    name: "max-scripts",
    default: "8",
};
const SCRIPT_TIMEOUT: Item = Item {
    name: "script-timeout",
    default: "600",
};
const QUEUE_SIZE: Item = Item {
    name: "queue-size",
    default: "64 MB",
};
const PEER_TIMEOUT: Item = Item {
    name: "peer-timeout",
    default: "5",
};

/// Every item, for registering them with hg and for showing them.
pub const ITEMS: [Item; 4] =
    [MAX_SCRIPTS, SCRIPT_TIMEOUT, QUEUE_SIZE, PEER_TIMEOUT];

/// The most scripts that anyone may run at a time: each takes a process.
const MAX_MAX_SCRIPTS: u32 = 1024;
/// The smallest useful queue holds one large event.
const MIN_QUEUE_BYTES: u64 = 1024 * 1024;

/// What `[uilog]` says, in types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many scripts run at a time.
    pub max_scripts: u32,
    /// After how long a script is ended; zero is never.
    pub script_timeout: Duration,
    /// How much memory events take that wait for the dispatcher, in bytes.
    pub queue_bytes: u64,
    /// For how long nothing may come from a peer that is being closed before
    /// it is ended; zero is for ever.
    pub peer_timeout: Duration,
}

/// A configuration value that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Section of the item.
    pub section: &'static str,
    /// Name of the item.
    pub name: String,
    /// What is wrong with it, and what counts instead.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}: {}", self.section, self.name, self.problem)
    }
}

impl Default for Settings {
    fn default() -> Self {
        let mut settings = Self {
            max_scripts: 0,
            script_timeout: Duration::ZERO,
            queue_bytes: 0,
            peer_timeout: Duration::ZERO,
        };
        for item in ITEMS {
            let set = settings.set(item.name, item.default);
            debug_assert_eq!(set, Ok(()), "{}", item.name);
        }
        settings
    }
}

impl Settings {
    /// Reads the section's names and values; unknown names are left to hg.
    pub fn read<'a>(
        items: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> (Self, Vec<Fault>) {
        let mut settings = Self::default();
        let mut faults = Vec::new();
        for (name, value) in items {
            let Some(item) =
                ITEMS.iter().find(|item| item.name.as_bytes() == name)
            else {
                continue;
            };
            let text = String::from_utf8_lossy(value);
            if let Err(expected) = settings.set(item.name, text.trim()) {
                let default = item.default;
                let problem =
                    format!("'{text}' is not {expected}, using {default}");
                let name = item.name.to_owned();
                faults.push(Fault {
                    section: "uilog",
                    name,
                    problem,
                });
            }
        }
        (settings, faults)
    }

    /// Sets an item; an error says what was expected.
    fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        if name == MAX_SCRIPTS.name {
            let number = value.parse().ok();
            self.max_scripts = number
                .filter(|count| (1..=MAX_MAX_SCRIPTS).contains(count))
                .ok_or("a number from 1 to 1024")?;
        } else if name == SCRIPT_TIMEOUT.name {
            self.script_timeout = parse_seconds(value)?;
        } else if name == PEER_TIMEOUT.name {
            self.peer_timeout = parse_seconds(value)?;
        } else if name == QUEUE_SIZE.name {
            self.queue_bytes = parse_bytes(value)
                .filter(|bytes| *bytes >= MIN_QUEUE_BYTES)
                .ok_or("a size of 1 MB or more")?;
        }
        Ok(())
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

fn parse_seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or("a number of seconds")
}

/// A size as hg writes it: `1048576`, `64 MB`, `1.5g`.
// hg: util.sizetoint
fn parse_bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u32); 7] = [
        ("kb", 10),
        ("mb", 20),
        ("gb", 30),
        ("k", 10),
        ("m", 20),
        ("g", 30),
        ("b", 0),
    ];
    let text = text.trim().to_ascii_lowercase();
    let (number, shift) = UNITS
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))
        .unwrap_or((&text, 0));
    let number: f64 = number.trim().parse().ok()?;
    let bytes = number * f64::from(1_u32 << shift);
    (0.0..1e18).contains(&bytes).then_some(bytes as u64)
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
            ("unknown", "x"),
        ]);
        assert_eq!(faults, [""; 0]);
        assert_eq!(settings.max_scripts, 3);
        assert_eq!(settings.run_limits().timeout_ms, 250);
        assert_eq!(settings.queue_bytes, 3 << 29);
        assert_eq!(settings.peer_timeout, Duration::from_millis(2500));
        assert_eq!(parse_bytes("1048576"), Some(1 << 20));
        assert_eq!(parse_bytes("7kB"), Some(7 << 10));
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
