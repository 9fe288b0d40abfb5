//! A command, and which of its arguments belong to which program.
//!
//! Knows how options of any program tell of secrets; what a known program's
//! arguments mean is [`super::run`]'s business.

use std::collections::HashMap;
use std::collections::HashSet;
use std::ops::Range;

use memchr::memmem;

use crate::commands as hg;
use crate::commands::Role;
use crate::found::Found;
use crate::headers;
use crate::name::is_telling;
use crate::programs::option::is_account;
use crate::programs::option::is_command;
use crate::programs::option::is_secret_option;
use crate::programs::option::is_value;
use crate::programs::position::RUNNERS;
use crate::programs::position::WRAPPERS;
use crate::programs::position::is_assignment;
use crate::programs::position::is_inner_path;
use crate::programs::position::is_time;
use crate::programs::position::is_word;
use crate::programs::position::is_word_before;
use crate::programs::position::program_name;
use crate::programs::position::wrapped;
use crate::programs::run::Run;
use crate::programs::table::Program;
use crate::programs::table::Value;
use crate::programs::table::table;
use crate::programs::value::is_harmless;
use crate::programs::value::secret_part;
use crate::rule::Rule;
use crate::shell::Arg;
use crate::shell::Command;
use crate::url::find_userinfo;
use crate::url::is_token;
use crate::value::Scope;

/// Names of hg.
const HG: [&[u8]; 3] = [b"hg", b"rhg", b"chg"];

/// A command whose arguments are looked at.
pub(super) struct Call<'c> {
    pub(super) args: &'c [Arg],
    /// The last place of each argument.
    last: HashMap<&'c [u8], usize>,
    /// Letters behind single dashes.
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

    /// The lines of the table that are about the program at this place, and
    /// whether it stands where a command begins.
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

    pub(super) fn find(&self, found: &mut Vec<Found>) {
        self.find_printed(found);
        self.find_with_spaces(found);
        let mut at = 0;
        let mut run = self.tool();
        if let Some(run) = &mut run {
            at = 1 + run.tool_option(self, found);
        }
        while at < self.args.len() {
            let arg = &self.args[at];
            let bytes = &arg.bytes[..];
            at += 1;
            if arg.is_literal && HG.contains(&program_name(bytes)) {
                self.find_in_hg(at, found);
                break;
            }
            let programs: Vec<_> = if bytes.len() > 1 && bytes[0] == b'-' {
                Vec::new()
            } else {
                self.programs_at(at - 1).collect()
            };
            let is_new = programs.iter().any(|(program, begins)| {
                *begins
                    || run.as_ref().is_none_or(|run| {
                        program.has_options() && RUNNERS.contains(&run.name)
                    })
            });
            if is_new && run.as_ref().is_none_or(|run| !run.is(bytes)) {
                if let Some(run) = run.take() {
                    run.end(self, found);
                }
                run = Some(Run {
                    name: program_name(bytes),
                    begins: programs[0].1,
                    programs: programs
                        .into_iter()
                        .map(|(line, _)| line)
                        .collect(),
                    positional: Vec::new(),
                });
                continue;
            }
            let used = match &mut run {
                Some(run) => run.argument(self, at - 1, found),
                None => None,
            };
            match used {
                Some(used) => at = at.max(at - 1 + used),
                None => {
                    let start = run.as_ref().map_or(0, Run::start);
                    at += self.any_program(at - 1, start, found);
                }
            }
        }
        if let Some(run) = run {
            run.end(self, found);
        }
    }

    /// Finds passwords with spaces in quoted arguments, which end where the
    /// argument does: `-F 'password=two words'`, `'https://bob:two
    /// words@host'`.
    fn find_with_spaces(&self, found: &mut Vec<Found>) {
        let mut is_option = false;
        for arg in self.args {
            let bytes = &arg.bytes[..];
            let was_option = is_option;
            is_option = bytes.starts_with(b"-");
            let Some(space) = bytes.iter().position(|byte| *byte == b' ')
            else {
                continue;
            };
            if arg.is_bare || arg.segments.len() > 2 {
                continue;
            }
            let mut inner = Vec::new();
            find_userinfo(bytes, Scope::Word, None, &mut inner);
            for inner in inner {
                push(arg, 0, inner.range, inner.rule, found);
            }
            let is_single = !bytes[space..].contains(&b'=')
                && !bytes.iter().any(|byte| b"'\"".contains(byte));
            if !(is_option || was_option) || !is_single {
                continue;
            }
            let mut start = bytes.iter().take_while(|b| **b == b'-').count();
            for (at, byte) in bytes[..space].iter().enumerate() {
                if *byte == b'=' {
                    let name = &bytes[start.min(at)..at];
                    if is_telling(name)
                        && !name.eq_ignore_ascii_case(b"authorization")
                        && !bytes[at..].contains(&b'&')
                    {
                        let rule = Rule::SECRET;
                        self.value(arg, at + 1, Value::Whole, rule, found);
                        break;
                    }
                }
                if matches!(byte, b'=' | b'&') {
                    start = at + 1;
                }
            }
        }
    }

    /// Finds what stands for `%s` behind a telling name:
    /// `printf 'PASSWORD=%s' X`.
    fn find_printed(&self, found: &mut Vec<Found>) {
        for two in self.args.windows(2) {
            let Some(percent) = memmem::find(&two[0].bytes, b"%s") else {
                continue;
            };
            let before = &two[0].bytes[..percent];
            let name = before
                .strip_suffix(b"=")
                .or_else(|| before.strip_suffix(b": "));
            if let Some(name) = name
                && is_telling(
                    name.rsplit(|byte| !byte.is_ascii_graphic())
                        .next()
                        .unwrap_or(name),
                )
            {
                self.value(&two[1], 0, Value::Whole, Rule::SECRET, found);
            }
        }
    }

    /// Finds secrets in hg's own arguments, in a list.
    fn find_in_hg(&self, start: usize, found: &mut Vec<Found>) {
        let args = &self.args[start..];
        let words: Vec<_> = args.iter().map(|arg| &arg.bytes).collect();
        for part in hg::parse(&words).parts {
            let rule = match part.role {
                Role::Message => Rule::MESSAGE,
                Role::Secret => Rule::OPTION_VALUE,
                Role::User => continue,
            };
            push(&args[part.word], 0, part.range, rule, found);
        }
    }

    /// The tool that an item of hg is about: `merge-tools.TOOL.args=`.
    fn tool(&self) -> Option<Run<'c>> {
        let item = &self.args.first()?.bytes[..];
        let equals = item.iter().position(|byte| *byte == b'=')?;
        let item = &item[..equals];
        if !item.starts_with(b"merge-tools.") && !item.starts_with(b"extdiff.")
        {
            return None;
        }
        let name = item
            .split(|byte| *byte == b'.')
            .skip(1)
            .find(|part| !table().lines(part).is_empty())?;
        Some(Run {
            name,
            begins: false,
            programs: table()
                .lines(name)
                .iter()
                .map(|line| &table().programs[*line])
                .collect(),
            positional: Vec::new(),
        })
    }

    /// Looks at an option as of any program, which begins at `start`; how many
    /// further arguments it has used.
    fn any_program(
        &self,
        at: usize,
        start: usize,
        found: &mut Vec<Found>,
    ) -> usize {
        let bytes = &self.args[at].bytes;
        let dashes = bytes.iter().take_while(|byte| **byte == b'-').count();
        let dashes = match dashes {
            0 if bytes.starts_with(b"//") => 2,
            0 if bytes.starts_with(b"/") => 1,
            dashes => dashes,
        };
        if !(1..=2).contains(&dashes) {
            return 0;
        }
        let equals = bytes.iter().position(|byte| matches!(byte, b'=' | b':'));
        let name = &bytes[dashes..equals.unwrap_or(bytes.len())];
        let is_secret = is_secret_option(name)
            || (dashes == 1 && name.len() > 4 && is_telling(name));
        let is_secret = is_secret && !name.ends_with(b"-fd");
        let is_account = is_account(name);
        let is_windows = bytes[0] == b'/';
        let is_data = is_windows && equals.is_none() && self.is_data(name);
        if is_windows
            && !is_data
            && (equals.is_none() || !name.iter().all(u8::is_ascii_alphabetic))
        {
            return 0;
        }
        let value = if is_secret {
            Value::Whole
        } else if dashes == 1
            && matches!(name, b"p" | b"P" | b"w")
            && self.has_user(start)
        {
            Value::Chosen
        } else if is_command(name) {
            Value::Echo
        } else if name == b"key"
            || (dashes == 1 && matches!(name, b"p" | b"P" | b"t" | b"k" | b"w"))
        {
            Value::Made
        } else if self.is_data(name)
            || dashes == 2 && is_value(name) && self.is_about_secret()
        {
            Value::Chosen
        } else if is_account && self.is_pair(at, equals) {
            Value::After(b':')
        } else if dashes == 2 && name != b"secret" && is_telling(name) {
            Value::Chosen
        } else if is_account {
            Value::After(b':')
        } else {
            return 0;
        };
        let rule = if is_telling(name) {
            Rule::SECRET
        } else {
            Rule::OPTION_VALUE
        };
        if let Some(equals) = equals {
            let arg = &self.args[at];
            self.value(arg, equals + 1, value, rule, found);
            return 0;
        }
        let Some(next) = self.args.get(at + 1) else {
            return 0;
        };
        // `add_argument('--password', help='...')`
        if self.args[at].is_literal && !next.is_literal && !next.is_bare {
            return 0;
        }
        // `-pass 1` is no password, nor is `-p 8080`.
        if next.bytes.starts_with(b"-")
            || (dashes == 1
                && next.bytes.iter().all(u8::is_ascii_digit)
                && next.bytes.len() < 4)
        {
            return 0;
        }
        self.value(next, 0, value, rule, found);
        1
    }

    /// Whether the value of an option is a user and a password.
    fn is_pair(&self, at: usize, equals: Option<usize>) -> bool {
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
    fn is_data(&self, name: &[u8]) -> bool {
        const OPTIONS: [&[u8]; 5] =
            [b"d", b"value", b"string", b"data", b"val"];
        OPTIONS
            .iter()
            .any(|option| option.eq_ignore_ascii_case(name))
            && self.args.iter().skip(1).any(|arg| {
                !arg.bytes.starts_with(b"-")
                    && !arg.bytes.contains(&b'=')
                    && !arg.bytes.contains(&b' ')
                    && is_telling(
                        arg.bytes
                            .rsplit(|byte| *byte == b'/')
                            .next()
                            .unwrap_or(&arg.bytes),
                    )
            })
    }

    /// Whether this is a command that keeps secrets: `x secrets set`.
    fn is_about_secret(&self) -> bool {
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
    fn has_user(&self, start: usize) -> bool {
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

    /// Takes the secret out of an argument from a place on.
    pub(super) fn value(
        &self,
        arg: &Arg,
        start: usize,
        value: Value,
        rule: Rule,
        found: &mut Vec<Found>,
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
    found: &mut Vec<Found>,
) {
    let range = arg.in_text(&(start + part.start..start + part.end));
    found.push(Found::new(range, rule));
}

fn is_cluster(bytes: &[u8]) -> bool {
    bytes.len() > 1
        && bytes[0] == b'-'
        && bytes[1..].iter().all(u8::is_ascii_alphanumeric)
}
