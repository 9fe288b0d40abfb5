//! Which variables a script gets: those of stock hg, ours, the user's.
//!
//! Must not know how many fit.

use std::borrow::Cow;
use std::collections::HashSet;

use uilog_event::environment_block::split_environment;
use uilog_event::event::Event;
use uilog_event::trace;

use super::variable::Kind;
use super::variable::Variable;
use super::variable::usable_name;

/// Bytes of the message that a script gets at most.
// hg: logtoprocess.processlogger.log
pub const MAX_MESSAGE_BYTES: usize = 100_000;

/// The input of a script.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The event.
    pub event: &'a Event<'a>,
    /// hg's executable.
    pub hg: &'a [u8],
    /// How many scripts this hg is nested in.
    pub depth: u32,
    /// hg's environment: `NAME=value`, each followed by NUL.
    pub base: &'a [u8],
    /// What hg's environment says in `TRACEPARENT`, unless `base` does.
    pub traceparent: Option<&'a [u8]>,
    /// The arguments' size with their pointers.
    pub argument_bytes: usize,
}

/// All of them, as long as they are.
pub(super) fn collect<'a>(input: &Input<'a>) -> Vec<Variable<'a>> {
    let event = input.event;
    let mut variables: Vec<Variable<'_>> = Vec::new();
    let mut add = |name: &'static [u8], value: Cow<'_, [u8]>, kind| {
        let value = visible_nul(&value).into_owned();
        let kept = match name {
            b"MSG1" => value.len().min(MAX_MESSAGE_BYTES),
            _ => value.len(),
        };
        let (name, value) = (Cow::Borrowed(name), Cow::Owned(value));
        variables.push(Variable {
            name,
            value,
            kind,
            kept,
        });
    };
    add(b"EVENT", Cow::Borrowed(&event.name), Kind::Event);
    add(b"HGPID", own(event.pid.to_string()), Kind::Ours);
    add(b"MSG1", Cow::Borrowed(&event.message), Kind::Event);
    add(b"HG", Cow::Borrowed(input.hg), Kind::Ours);
    add(b"UILOG_EVENT_ID", own(event.id()), Kind::Ours);
    add(b"UILOG_SESSION", own(event.session.to_string()), Kind::Ours);
    add(b"UILOG_TIME", own(event.time.to_rfc3339()), Kind::Ours);
    add(
        b"UILOG_DEPTH",
        own((input.depth + 1).to_string()),
        Kind::Ours,
    );
    add_options(event, &mut variables);
    add_user_environment(input, &mut variables);
    variables
}

fn add_options<'a>(event: &'a Event<'a>, variables: &mut Vec<Variable<'a>>) {
    let mut taken: HashSet<Vec<u8>> = HashSet::new();
    let mut push = |name: Vec<u8>, value: &Cow<'a, [u8]>| {
        if taken.insert(name.clone()) {
            variables.push(Variable {
                name: Cow::Owned(name),
                kept: value.len(),
                value: value.clone(),
                kind: Kind::Event,
            });
            return true;
        }
        false
    };
    // Stock names first, so that a replaced name cannot hide one.
    for option in &event.options {
        if !option.key.contains(&b'=') && !option.key.contains(&0) {
            let value = visible_nul(option.value.for_shell());
            push(stock_name(&option.key), &value);
        }
    }
    for option in &event.options {
        let stock = stock_name(&option.key);
        let usable = usable_name(&stock);
        if usable == stock {
            continue;
        }
        let value = visible_nul(option.value.for_shell());
        let mut name = usable.clone();
        let mut number = 2;
        while !push(name.clone(), &value) {
            name = usable.clone();
            name.extend_from_slice(format!("_{number}").as_bytes());
            number += 1;
        }
    }
}

// hg: logtoprocess.processlogger.log
fn stock_name(key: &[u8]) -> Vec<u8> {
    let mut name = b"OPT_".to_vec();
    name.extend(key.iter().map(u8::to_ascii_uppercase));
    name
}

/// Adds the user's variables that the event does not set. Of two with one
/// name the first counts, as for getenv(3).
fn add_user_environment<'a>(
    input: &Input<'a>,
    variables: &mut Vec<Variable<'a>>,
) {
    let mut taken: HashSet<Vec<u8>> = variables
        .iter()
        .map(|variable| variable.name.to_vec())
        .collect();
    // An hg that the script runs must not inherit what was truncated for the
    // script.
    taken.insert(b"UILOG_TRUNCATED".to_vec());
    let traceparent = input.traceparent.map(|it| (trace::VARIABLE, it));
    let rest = split_environment(input.base);
    for (name, value) in traceparent.into_iter().chain(rest) {
        if taken.insert(name.to_vec()) {
            variables.push(Variable {
                name: Cow::Borrowed(name),
                value: Cow::Borrowed(value),
                kind: Kind::User,
                kept: value.len(),
            });
        }
    }
}

/// The bytes with every NUL, which no environment can hold, as `\0`.
fn visible_nul(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&0) {
        return Cow::Borrowed(bytes);
    }
    Cow::Owned(
        bytes
            .split(|byte| *byte == 0)
            .collect::<Vec<_>>()
            .join(&b"\\0"[..]),
    )
}

fn own(text: String) -> Cow<'static, [u8]> {
    Cow::Owned(text.into_bytes())
}
