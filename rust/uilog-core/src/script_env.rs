//! The environment of a script: stock logtoprocess's variables, mended.
//!
//! Pure: takes the event, the user's environment and the limits, returns the
//! strings. What it cuts, and why a name looks as it does, is decided here
//! and nowhere else.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::CString;

use crate::event::Event;

/// Bytes of the message that a script gets at most.
// hg: logtoprocess.processlogger.log
pub const MAX_MESSAGE_BYTES: usize = 100_000;

/// What is appended to a value that has been cut.
pub const TRUNCATED: &[u8] = b" (truncated)";

/// The most bytes of one string, its NUL included (`MAX_ARG_STRLEN`).
pub const MAX_STRING_BYTES: usize = 128 * 1024;

/// The bytes that Linux never refuses in total (`ARG_MAX` of limits.h).
const MIN_TOTAL_BYTES: usize = 128 * 1024;
/// The bytes that Linux never exceeds in total (three quarters of
/// `_STK_LIM`).
const MAX_TOTAL_BYTES: usize = 6 * 1024 * 1024;
/// Room for the program's path, the auxiliary vector and alignment.
const SLACK_BYTES: usize = 4096;
/// What one string costs beside its own bytes: its pointer.
const POINTER_BYTES: usize = size_of::<usize>();
/// Bytes of an option key that are named in `UILOG_TRUNCATED`.
const MAX_SHOWN_NAME_BYTES: usize = 64;

/// How many bytes the kernel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of one string, its NUL included.
    pub string: usize,
    /// Of arguments and environment together, with their pointers.
    pub total: usize,
}

impl Limits {
    /// The limits under a stack limit (`RLIMIT_STACK`, bytes).
    // Linux: fs/exec.c, bprm_stack_limits
    pub fn for_stack(stack: u64) -> Self {
        let quarter = usize::try_from(stack / 4).unwrap_or(usize::MAX);
        Self {
            string: MAX_STRING_BYTES,
            total: quarter.clamp(MIN_TOTAL_BYTES, MAX_TOTAL_BYTES),
        }
    }

    /// The limits to try after these turned out too generous.
    pub fn halved(self) -> Self {
        Self {
            string: self.string / 2,
            total: self.total / 2,
        }
    }
}

/// What a script is told.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The event.
    pub event: &'a Event<'a>,
    /// hg's executable.
    pub hg: &'a [u8],
    /// hg's environment: `NAME=value`, each followed by NUL.
    pub base: &'a [u8],
    /// Bytes that the arguments take, with their pointers.
    pub argument_bytes: usize,
}

/// Whose a variable is, which decides when it is cut: the later the kind
/// stands here, the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Ours,
    User,
    Event,
}

#[derive(Debug)]
struct Variable<'a> {
    name: Cow<'a, [u8]>,
    value: Cow<'a, [u8]>,
    kind: Kind,
    /// How many bytes of the value stay; at most its length.
    kept: usize,
}

impl Variable<'_> {
    fn is_cut(&self) -> bool {
        self.kept < self.value.len()
    }

    fn value_bytes(&self) -> usize {
        self.kept + if self.is_cut() { TRUNCATED.len() } else { 0 }
    }

    /// What it takes of the total: `NAME=value`, NUL, pointer.
    fn cost(&self) -> usize {
        self.name.len() + 1 + self.value_bytes() + 1 + POINTER_BYTES
    }

    /// Cuts the value so that it takes at most `bytes`, if that is shorter.
    fn cut_to(&mut self, bytes: usize) {
        if self.value_bytes() > bytes {
            self.kept = self.kept.min(bytes.saturating_sub(TRUNCATED.len()));
        }
    }

    fn into_string(self) -> Option<CString> {
        let mut string = Vec::with_capacity(self.cost());
        string.extend_from_slice(&self.name);
        string.push(b'=');
        string.extend_from_slice(&self.value[..self.kept]);
        if self.is_cut() {
            string.extend_from_slice(TRUNCATED);
        }
        CString::new(string).ok()
    }
}

/// The environment, each string `NAME=value`, within `limits`.
pub fn build(input: &Input<'_>, limits: Limits) -> Vec<CString> {
    let event = input.event;
    let mut variables: Vec<Variable<'_>> = Vec::new();
    let mut add = |name: &'static [u8], value: Cow<'_, [u8]>, kind| {
        let value = visible_nul(&value).into_owned();
        let kept = value.len();
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
    for variable in &mut variables {
        if *variable.name == *b"MSG1" && variable.kept > MAX_MESSAGE_BYTES {
            variable.kept = MAX_MESSAGE_BYTES;
        }
    }
    add_options(event, &mut variables);
    let mut cut: Vec<Vec<u8>> = Vec::new();
    add_user_environment(input.base, &mut variables);
    variables.retain(|variable| {
        let fits = variable.name.len() + 2 + TRUNCATED.len() <= limits.string;
        if !fits {
            cut.push(shown_name(&variable.name));
        }
        fits
    });
    for variable in &mut variables {
        let room = limits.string - variable.name.len() - 2;
        variable.cut_to(room);
    }
    // Room for the list of what was cut, which is not known yet.
    let list_bytes: usize =
        variables.len().min(256) * (MAX_SHOWN_NAME_BYTES / 4) + 64;
    let available = limits
        .total
        .saturating_sub(input.argument_bytes + SLACK_BYTES + list_bytes);
    // What the script starts gets the same environment and arguments of its
    // own: an eighth of the total is left to them, unless it is the user's
    // environment that needs it.
    fit(&mut variables, available - available / 8, Kind::Event);
    fit(&mut variables, available, Kind::User);
    cut.extend(
        variables
            .iter()
            .filter(|variable| variable.is_cut())
            .map(|variable| shown_name(&variable.name)),
    );
    if !cut.is_empty() {
        let mut list = cut.join(&b' ');
        list.truncate(list_bytes.max(MAX_SHOWN_NAME_BYTES));
        variables.push(Variable {
            name: Cow::Borrowed(b"UILOG_TRUNCATED"),
            kept: list.len(),
            value: Cow::Owned(list),
            kind: Kind::Ours,
        });
    }
    variables
        .into_iter()
        .filter_map(Variable::into_string)
        .collect()
}

/// Cuts variables of `kind` or less precious ones, the longest first, until
/// all of them fit into `available` bytes or nothing is left to cut.
fn fit(variables: &mut [Variable<'_>], available: usize, kind: Kind) {
    let total = |variables: &[Variable<'_>]| {
        variables.iter().map(Variable::cost).sum::<usize>()
    };
    if total(variables) <= available {
        return;
    }
    // Cutting the longest first, until it fits, means one common bound.
    let fits_with = |bound: usize| {
        let cost = variables.iter().map(|variable| {
            let spare = if variable.kind >= kind {
                variable.value_bytes().saturating_sub(bound)
            } else {
                0
            };
            variable.cost() - spare
        });
        cost.sum::<usize>() <= available
    };
    let mut low = TRUNCATED.len();
    let mut high = variables
        .iter()
        .map(Variable::value_bytes)
        .max()
        .unwrap_or(low)
        .max(low);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits_with(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    for variable in variables {
        if variable.kind >= kind {
            variable.cut_to(low);
        }
    }
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
    // Stock names first: a usable name never takes the place of one.
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

/// The name with every byte replaced that no shell takes in one.
fn usable_name(name: &[u8]) -> Vec<u8> {
    let usable = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    name.iter()
        .map(|b| if usable(b) { *b } else { b'_' })
        .collect()
}

/// Adds the user's variables that the event does not set. Of two with one
/// name the first counts, as for getenv(3).
fn add_user_environment<'a>(base: &'a [u8], variables: &mut Vec<Variable<'a>>) {
    let mut taken: HashSet<Vec<u8>> = variables
        .iter()
        .map(|variable| variable.name.to_vec())
        .collect();
    // A script's own hg must not inherit what was cut for the script.
    taken.insert(b"UILOG_TRUNCATED".to_vec());
    for (name, value) in split_environment(base) {
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

/// The names and values of an environment block.
fn split_environment(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    block.split(|byte| *byte == 0).filter_map(|entry| {
        let at = entry.iter().position(|byte| *byte == b'=')?;
        let (name, value) = entry.split_at(at);
        (!name.is_empty()).then(|| (name, &value[1..]))
    })
}

/// The value of `name` in an environment block.
pub fn lookup<'a>(block: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    split_environment(block)
        .find(|(key, _)| *key == name)
        .map(|(_, v)| v)
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

fn shown_name(name: &[u8]) -> Vec<u8> {
    let mut shown = usable_name(name);
    shown.truncate(MAX_SHOWN_NAME_BYTES);
    shown
}

fn own(text: String) -> Cow<'static, [u8]> {
    Cow::Owned(text.into_bytes())
}
