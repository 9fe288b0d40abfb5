//! The search for secrets in a command's arguments.
//!
//! Knows which options suggest secrets for any program; [`super::run`] knows
//! the arguments of known programs.

use memchr::memmem;

use crate::commands as hg;
use crate::commands::Role;
use crate::finding::Finding;
use crate::name::is_secret_name;
use crate::programs::call::Call;
use crate::programs::call::push;
use crate::programs::option::is_account;
use crate::programs::option::is_command;
use crate::programs::option::is_secret_option;
use crate::programs::option::is_value;
use crate::programs::position::RUNNERS;
use crate::programs::position::program_name;
use crate::programs::run::Run;
use crate::programs::table::Value;
use crate::programs::table::table;
use crate::rule::Rule;
use crate::url::find_userinfo;
use crate::value::Scope;

/// Names of hg.
const HG: [&[u8]; 3] = [b"hg", b"rhg", b"chg"];

impl<'c> Call<'c> {
    pub(super) fn find(&self, found: &mut Vec<Finding>) {
        self.find_printed(found);
        self.find_with_spaces(found);
        self.find_in_arguments(found);
    }

    /// Finds what programs and options give a meaning to.
    pub(super) fn find_in_arguments(&self, found: &mut Vec<Finding>) {
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
    fn find_with_spaces(&self, found: &mut Vec<Finding>) {
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
                    if is_secret_name(name)
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

    /// Finds the value of `%s` after a name that suggests a secret: `printf
    /// 'PASSWORD=%s' X`.
    fn find_printed(&self, found: &mut Vec<Finding>) {
        for two in self.args.windows(2) {
            let Some(percent) = memmem::find(&two[0].bytes, b"%s") else {
                continue;
            };
            let before = &two[0].bytes[..percent];
            let name = before
                .strip_suffix(b"=")
                .or_else(|| before.strip_suffix(b": "));
            if let Some(name) = name
                && is_secret_name(
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
    fn find_in_hg(&self, start: usize, found: &mut Vec<Finding>) {
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

    /// Examines an option, which begins at `start`, with the rules for any
    /// program; returns how many further arguments it has used.
    fn any_program(
        &self,
        at: usize,
        start: usize,
        found: &mut Vec<Finding>,
    ) -> usize {
        let Some(option) = AnyOption::read(&self.args[at].bytes) else {
            return 0;
        };
        let Some(value) = self.kind_of_value(&option, at, start) else {
            return 0;
        };
        let rule = if is_secret_name(option.name) {
            Rule::SECRET
        } else {
            Rule::OPTION_VALUE
        };
        if let Some(equals) = option.equals {
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
            || (option.dashes == 1
                && next.bytes.iter().all(u8::is_ascii_digit)
                && next.bytes.len() < 4)
        {
            return 0;
        }
        self.value(next, 0, value, rule, found);
        1
    }

    /// What the value of an option is, if it may be secret.
    fn kind_of_value(
        &self,
        option: &AnyOption<'_>,
        at: usize,
        start: usize,
    ) -> Option<Value> {
        let AnyOption {
            name,
            dashes,
            equals,
            is_windows,
        } = *option;
        let is_data = is_windows && equals.is_none() && self.is_data(name);
        if is_windows
            && !is_data
            && (equals.is_none() || !name.iter().all(u8::is_ascii_alphabetic))
        {
            return None;
        }
        let is_account = is_account(name);
        Some(if option.is_secret() {
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
        } else if dashes == 2 && name != b"secret" && is_secret_name(name) {
            Value::Chosen
        } else if is_account {
            Value::After(b':')
        } else {
            return None;
        })
    }
}

/// An option of a program that is not known: `--NAME`, `-NAME=X`, `/NAME:X`.
struct AnyOption<'a> {
    name: &'a [u8],
    dashes: usize,
    /// Where the sign before its value is.
    equals: Option<usize>,
    /// Whether it begins as those of Windows do.
    is_windows: bool,
}

impl<'a> AnyOption<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let dashes = bytes.iter().take_while(|byte| **byte == b'-').count();
        let dashes = match dashes {
            0 if bytes.starts_with(b"//") => 2,
            0 if bytes.starts_with(b"/") => 1,
            dashes => dashes,
        };
        if !(1..=2).contains(&dashes) {
            return None;
        }
        let equals = bytes.iter().position(|byte| matches!(byte, b'=' | b':'));
        Some(Self {
            name: &bytes[dashes..equals.unwrap_or(bytes.len())],
            dashes,
            equals,
            is_windows: bytes[0] == b'/',
        })
    }

    fn is_secret(&self) -> bool {
        let is_name = self.dashes == 1
            && self.name.len() > 4
            && is_secret_name(self.name);
        (is_secret_option(self.name) || is_name) && !self.name.ends_with(b"-fd")
    }
}
