//! What commands have cost that hg does not tell: sums, which become options
//! of `commandfinish`.
//!
//! Each command gets the difference between the sums at its end and at its
//! beginning, so one that runs within another counts for both. Knows neither
//! what the sums are of nor Python; here and not in Python because each command
//! would have to read that code.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use uilog_event::event::EventOption;
use uilog_event::event::Text;
use uilog_event::event::Value;

/// The option that tells of all wire commands.
const WIRE_COMMANDS: &[u8] = b"wire_commands";

/// Locked only while no Python code can run.
static COSTS: Mutex<Costs> = Mutex::new(Costs::new());

/// A cost in its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cost {
    Count(i64),
    Seconds(f64),
}

/// The number of requests, and the seconds spent waiting for them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Waited {
    count: u64,
    seconds: f64,
}

#[derive(Clone, Debug, Default)]
struct Sums {
    options: BTreeMap<String, Cost>,
    wire_commands: BTreeMap<Vec<u8>, Waited>,
}

struct Costs {
    sums: Option<Sums>,
    /// What the sums were when the last command of each depth began or ended.
    before: Vec<Option<Sums>>,
    /// How many commands are nested in the outermost.
    depth: usize,
}

impl Costs {
    const fn new() -> Self {
        Self {
            sums: None,
            before: Vec::new(),
            depth: 0,
        }
    }

    fn remember(&mut self) {
        if self.before.len() <= self.depth {
            self.before.resize(self.depth + 1, None);
        }
        self.before[self.depth] = self.sums.clone();
    }

    fn of_command(&self) -> Vec<EventOption<'static>> {
        let Some(sums) = &self.sums else {
            return Vec::new();
        };
        let none = Sums::default();
        let before = self.before.get(self.depth).and_then(Option::as_ref);
        let before = before.unwrap_or(&none);
        let mut options = Vec::new();
        for (option, cost) in &sums.options {
            if let Some(value) = difference(*cost, before.options.get(option)) {
                options.push(EventOption {
                    key: Cow::Owned(option.clone().into_bytes()),
                    value,
                });
            }
        }
        let commands = sums.wire_commands.iter().filter_map(|(name, now)| {
            let then = before.wire_commands.get(name);
            let then = then.copied().unwrap_or_default();
            let waited = Waited {
                count: now.count - then.count,
                seconds: now.seconds - then.seconds,
            };
            (waited.count > 0).then(|| (name.clone(), waited))
        });
        let commands: Vec<_> = commands.collect();
        if !commands.is_empty() {
            options.push(EventOption {
                key: Cow::Borrowed(WIRE_COMMANDS),
                value: Value::Bytes(Text(Cow::Owned(text(commands)))),
            });
        }
        options
    }
}

/// What has been added, unless that is nothing.
fn difference(now: Cost, before: Option<&Cost>) -> Option<Value<'static>> {
    let owned = |text: String| Text(Cow::Owned(text.into_bytes()));
    match (now, before) {
        (Cost::Count(now), before) => {
            let before = match before {
                Some(Cost::Count(before)) => *before,
                _ => 0,
            };
            let added = now - before;
            (added != 0).then(|| Value::Int(owned(added.to_string())))
        }
        (Cost::Seconds(now), before) => {
            let before = match before {
                Some(Cost::Seconds(before)) => *before,
                _ => 0.0,
            };
            let added = now - before;
            (added != 0.0).then(|| Value::Float(owned(format!("{added:?}"))))
        }
    }
}

/// The longest time first.
fn text(mut commands: Vec<(Vec<u8>, Waited)>) -> Vec<u8> {
    commands.sort_by(|(a, one), (b, other)| {
        other.seconds.total_cmp(&one.seconds).then_with(|| a.cmp(b))
    });
    let mut text = Vec::new();
    for (name, Waited { count, seconds }) in commands {
        if !text.is_empty() {
            text.push(b' ');
        }
        text.extend_from_slice(&name);
        text.extend_from_slice(format!("={count}:{seconds:.3}").as_bytes());
    }
    text
}

fn with<T>(body: impl FnOnce(&mut Costs) -> T) -> T {
    body(&mut COSTS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Adds to what `commandfinish` tells by this option.
pub(crate) fn add(option: &str, cost: Cost) {
    with(|costs| {
        let sums = costs.sums.get_or_insert_default();
        match (sums.options.get_mut(option), cost) {
            (Some(Cost::Count(sum)), Cost::Count(count)) => *sum += count,
            (Some(Cost::Seconds(sum)), Cost::Seconds(time)) => *sum += time,
            _ => {
                sums.options.insert(option.to_owned(), cost);
            }
        }
    });
}

/// Adds wire commands, each with how often it was sent and for how many seconds
/// hg has waited; returns the text that tells of them.
pub(crate) fn add_wire_commands(commands: Vec<(Vec<u8>, u64, f64)>) -> Vec<u8> {
    let commands: Vec<_> = commands
        .into_iter()
        .map(|(name, count, seconds)| (name, Waited { count, seconds }))
        .collect();
    with(|costs| {
        let sums = &mut costs.sums.get_or_insert_default().wire_commands;
        for (name, waited) in &commands {
            let sum = sums.entry(name.clone()).or_default();
            sum.count += waited.count;
            sum.seconds += waited.seconds;
        }
    });
    text(commands)
}

/// A command has begun, or has been told of.
pub(crate) fn begin() {
    with(Costs::remember);
}

/// A command begins within the one that runs.
pub(crate) fn enter() {
    with(|costs| {
        costs.depth += 1;
        costs.remember();
    });
}

/// The innermost command is over.
pub(crate) fn leave() {
    with(|costs| costs.depth = costs.depth.saturating_sub(1));
}

/// What the innermost command has cost since it began, as options.
pub(crate) fn of_command() -> Vec<EventOption<'static>> {
    with(|costs| costs.of_command())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(costs: &Costs) -> String {
        let options = costs.of_command().into_iter().map(|it| {
            let value = match it.value {
                Value::Int(Text(text))
                | Value::Float(Text(text))
                | Value::Bytes(Text(text)) => text,
                _ => unreachable!(),
            };
            let key = String::from_utf8(it.key.into_owned()).unwrap();
            format!("{key}={}", String::from_utf8_lossy(&value))
        });
        options.collect::<Vec<_>>().join(", ")
    }

    fn add_to(costs: &mut Costs, option: &str, cost: Cost) {
        let sums = costs.sums.get_or_insert_default();
        sums.options.insert(option.to_owned(), cost);
    }

    #[test]
    fn a_command_is_told_what_has_come_since_it_began() {
        let mut costs = Costs::new();
        costs.remember();
        assert_eq!(told(&costs), "");
        add_to(&mut costs, "lock_held", Cost::Seconds(1.5));
        add_to(&mut costs, "roundtrips", Cost::Count(3));
        assert_eq!(told(&costs), "lock_held=1.5, roundtrips=3");
        // One that runs within it has cost nothing yet, and then something.
        costs.depth = 1;
        costs.remember();
        assert_eq!(told(&costs), "");
        add_to(&mut costs, "roundtrips", Cost::Count(5));
        assert_eq!(told(&costs), "roundtrips=2");
        costs.depth = 0;
        assert_eq!(told(&costs), "lock_held=1.5, roundtrips=5");
        // The next one of a server.
        costs.remember();
        assert_eq!(told(&costs), "");
    }

    #[test]
    fn wire_commands_are_told_by_the_time_they_took() {
        let waited = |count, seconds| Waited { count, seconds };
        let commands = vec![
            (b"hello".to_vec(), waited(1, 0.25)),
            (b"batch".to_vec(), waited(2, 0.25)),
            (b"getbundle".to_vec(), waited(1, 2.0)),
        ];
        let expected = "getbundle=1:2.000 batch=2:0.250 hello=1:0.250";
        assert_eq!(text(commands), expected.as_bytes());
    }
}
