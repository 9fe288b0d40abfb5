//! A command, and which of its arguments belong to which program.
//!
//! Knows how a secret is removed from an argument; [`super::search`] and
//! [`super::run`] decide which arguments have one.

use std::collections::HashMap;
use std::collections::HashSet;
use std::ops::Range;

use crate::argument::Arg;
use crate::finding::Finding;
use crate::headers;
use crate::name::is_secret_name;
use crate::programs::position::WRAPPERS;
use crate::programs::position::is_assignment;
use crate::programs::position::is_inner_path;
use crate::programs::position::is_time;
use crate::programs::position::is_word;
use crate::programs::position::is_word_before;
use crate::programs::position::program_name;
use crate::programs::position::wrapped;
use crate::programs::table::Program;
use crate::programs::table::Value;
use crate::programs::table::table;
use crate::programs::value::is_harmless;
use crate::programs::value::secret_part;
use crate::rule::Rule;
use crate::shell::Command;
use crate::url::is_token;

/// A command and its arguments.
pub(super) struct Call<'c> {
    pub(super) args: &'c [Arg],
    /// The last place of each argument.
    last: HashMap<&'c [u8], usize>,
    /// Letters after single dashes.
    flags: HashSet<u8>,
    /// Up to where it is a program that runs the one that follows.
    wrapped: usize,
}

impl<'c> Call<'c> {
    pub(super) fn new(command: &'c Command) -> Self {
        let args = &command.args;
        let last = args
            .iter()
            .enumerate()
            .map(|(at, arg)| (&arg.bytes[..], at))
            .collect();
        let flags = args
            .iter()
            .filter(|arg| is_cluster(&arg.bytes))
            .flat_map(|arg| arg.bytes[1..].iter().copied())
            .collect();
        let wrapped = wrapped(args);
        Self {
            args,
            last,
            flags,
            wrapped,
        }
    }

    pub(super) fn has_flag(&self, flag: u8) -> bool {
        self.flags.contains(&flag)
    }

    /// The lines of the table about the program at this place, and whether a
    /// command begins there.
    pub(super) fn programs_at(
        &self,
        at: usize,
    ) -> impl Iterator<Item = (&'static Program, bool)> {
        let name = program_name(&self.args[at].bytes);
        let begins = self.begins(at);
        let lines = table().lines(name);
        let is_called = lines.is_empty()
            || !is_word(name)
            || begins && !(at > 0 && is_inner_path(&self.args[at].bytes));
        let lines = if is_called { lines } else { &[] };
        lines
            .iter()
            .map(|line| &table().programs[*line])
            .filter(move |program| {
                program.subcommands.is_empty()
                    || program.subcommands.iter().any(|word| {
                        self.last
                            .get(word.as_bytes())
                            .is_some_and(|last| *last > at)
                    })
            })
            .map(move |program| (program, begins))
    }

    /// Whether a command may begin at this place.
    fn begins(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else {
            return true;
        };
        let before = &self.args[before].bytes;
        // A prompt, `set -x`, a time, an item of a list, `x = `.
        let is_sign = before.last().is_some_and(|byte| {
            b":$#%>+=!{]*".contains(byte) && !is_word_before(before)
        });
        is_sign
            || is_assignment(before)
            || before.starts_with(b"-")
            || is_time(before)
            || WRAPPERS.contains(&program_name(before))
            || at <= self.wrapped
    }

    /// Whether the value of an option is a user and a password.
    pub(super) fn is_pair(&self, at: usize, equals: Option<usize>) -> bool {
        let value = match equals {
            Some(equals) => &self.args[at].bytes[equals + 1..],
            None => match self.args.get(at + 1) {
                Some(next) => &next.bytes[..],
                None => return false,
            },
        };
        value.contains(&b':')
    }

    /// Whether an option of this name gives the value of what another argument
    /// names: `reg add KEY /v Password /d X`, `put-parameter --name x-token
    /// --value X`.
    pub(super) fn is_data(&self, name: &[u8]) -> bool {
        const OPTIONS: [&[u8]; 5] =
            [b"d", b"value", b"string", b"data", b"val"];
        OPTIONS
            .iter()
            .any(|option| option.eq_ignore_ascii_case(name))
            && self.args.iter().skip(1).any(|arg| {
                !arg.bytes.starts_with(b"-")
                    && !arg.bytes.contains(&b'=')
                    && !arg.bytes.contains(&b' ')
                    && is_secret_name(
                        arg.bytes
                            .rsplit(|byte| *byte == b'/')
                            .next()
                            .unwrap_or(&arg.bytes),
                    )
            })
    }

    /// Whether this command stores secrets: `x secrets set`.
    pub(super) fn is_about_secret(&self) -> bool {
        [
            &b"secret"[..],
            b"secrets",
            b"put-secret",
            b"create-secret",
            b"set-secret",
            b"secretsmanager",
            b"credential",
            b"credentials",
        ]
        .iter()
        .any(|word| self.last.contains_key(word))
    }

    /// Whether there is an option for a user's name from a place on.
    pub(super) fn has_user(&self, start: usize) -> bool {
        [
            &b"-u"[..],
            b"-U",
            b"--user",
            b"--username",
            b"-user",
            b"-l",
            b"-username",
            b"--login",
            b"-n",
            b"-D",
        ]
        .iter()
        .any(|option| self.last.get(option).is_some_and(|at| *at >= start))
            || self.args[start..].iter().any(|arg| {
                arg.bytes.starts_with(b"-u=")
                    || arg.bytes.starts_with(b"--user=")
                    || arg.bytes.starts_with(b"--username=")
            })
    }

    /// Removes the secret from an argument, from this position.
    pub(super) fn value(
        &self,
        arg: &Arg,
        start: usize,
        value: Value,
        rule: Rule,
        found: &mut Vec<Finding>,
    ) {
        let bytes = &arg.bytes[start..];
        let Some(part) = secret_part(bytes, value) else {
            return;
        };
        match value {
            Value::Header => {
                for range in headers::in_option(bytes) {
                    push(arg, start, range, Rule::AUTHORIZATION, found);
                }
                return;
            }
            Value::Cookies => {
                push(arg, start, part, Rule::COOKIE, found);
                return;
            }
            Value::IfBasic => {
                let is_basic = |arg: &Arg| arg.bytes.starts_with(b"http-basic");
                if !self.args.iter().any(is_basic) {
                    return;
                }
            }
            // `TOKEN:` is a user, but what matters.
            Value::After(b':')
                if part.start > 1 && is_token(&bytes[..part.start - 1]) =>
            {
                push(arg, start, 0..part.start - 1, rule, found);
            }
            _ => {}
        }
        let secret = &bytes[part.clone()];
        if is_harmless(secret, arg, value) {
            return;
        }
        push(arg, start, part, rule, found);
    }
}

pub(super) fn push(
    arg: &Arg,
    start: usize,
    part: Range<usize>,
    rule: Rule,
    found: &mut Vec<Finding>,
) {
    let range = arg.in_text(&(start + part.start..start + part.end));
    found.push(Finding::new(range, rule));
}

fn is_cluster(bytes: &[u8]) -> bool {
    bytes.len() > 1
        && bytes[0] == b'-'
        && bytes[1..].iter().all(u8::is_ascii_alphanumeric)
}
