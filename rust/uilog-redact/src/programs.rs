//! Secrets on the command lines of programs: `curl -u bob:X`, `mysql -pX`,
//! `htpasswd -nb bob X`, `echo X | sudo -S ...`.
//!
//! Which program takes secrets where is in `programs.txt`; how a text is taken
//! apart into commands is [`crate::shell`]'s business. hg's own options are
//! [`crate::commands`]' business.

use std::collections::HashMap;
use std::collections::HashSet;
use std::ops::Range;

use crate::commands as hg;
use crate::commands::Role;
use crate::found::Found;
use crate::headers;
use crate::name::is_telling;
use crate::program_table::Place;
use crate::program_table::Program;
use crate::program_table::Value;
use crate::program_table::table;
use crate::rule::Rule;
use crate::rule::marker_at;
use crate::shell::Arg;
use crate::shell::Command;
use crate::shell::commands;
use crate::stand_in::is_stand_in;
use crate::url::is_token;
use crate::value::Scope;
use crate::value::is_placeholder;
use crate::value::looks_chosen;
use crate::value::looks_random;

/// How deep commands are looked for in quoted arguments of commands.
const MAX_DEPTH: usize = 4;

/// Names of hg.
const HG: [&[u8]; 3] = [b"hg", b"rhg", b"chg"];

/// Programs that run the one that follows.
const WRAPPERS: [&[u8]; 22] = [
    b"sudo", b"doas", b"env", b"exec", b"nice", b"ionice", b"time", b"nohup",
    b"xargs", b"do", b"then", b"else", b"!", b"{", b"timeout", b"command",
    b"stdbuf", b"setsid", b"chronic", b"run", b"sh", b"RUN",
];

/// Names of programs that are words, too: only where a command begins.
const WORDS: [&[u8]; 62] = [
    b"act",
    b"arc",
    b"arg",
    b"art",
    b"asset",
    b"at",
    b"cf",
    b"chat",
    b"chef",
    b"cm",
    b"connect",
    b"crypt",
    b"deliver",
    b"email",
    b"env",
    b"exp",
    b"expo",
    b"fly",
    b"form",
    b"http",
    b"https",
    b"ii",
    b"imp",
    b"keyring",
    b"lab",
    b"label",
    b"linear",
    b"login",
    b"mail",
    b"mount",
    b"net",
    b"now",
    b"op",
    b"open",
    b"opera",
    b"oxide",
    b"pass",
    b"passwd",
    b"pb",
    b"platform",
    b"puppet",
    b"pw",
    b"realm",
    b"render",
    b"salt",
    b"sc",
    b"screen",
    b"security",
    b"set",
    b"slack",
    b"sn",
    b"sonar",
    b"ss",
    b"step",
    b"su",
    b"sum",
    b"summon",
    b"surge",
    b"telegram",
    b"tf",
    b"zap",
    b"bolt",
];

/// Options of any program whose value is a secret, without dashes.
const SECRET_OPTIONS: [&[u8]; 12] = [
    b"pw",
    b"pass",
    b"passwd",
    b"password",
    b"passphrase",
    b"passwort",
    b"storepass",
    b"keypass",
    b"passin",
    b"pwd",
    b"pat",
    b"otp",
];

/// Finds secrets in whatever commands there are in a text.
pub(crate) fn find(text: &[u8], found: &mut Vec<Found>) {
    find_at_depth(text, 0, found);
}

fn find_at_depth(text: &[u8], depth: usize, found: &mut Vec<Found>) {
    let commands = commands(text);
    let mut before: Option<&Command> = None;
    let mut inner = Vec::new();
    for command in &commands {
        Call::new(command).find(found);
        if command.is_file {
            find_file(command, before, found);
        }
        find_input(command, before, found);
        before = Some(command);
        if depth + 1 >= MAX_DEPTH {
            continue;
        }
        let args = command.args.iter().chain(&command.here_string);
        for segment in args.flat_map(|arg| &arg.segments) {
            if !segment.may_hold_commands() {
                continue;
            }
            let part = segment.inner();
            let text = &segment.word.bytes[part.clone()];
            find_at_depth(text, depth + 1, &mut inner);
            found.extend(inner.drain(..).map(|inner| {
                let start = part.start + inner.range.start;
                let end = part.start + inner.range.end;
                let range = segment.word.span(&(start..end));
                inner.at(range)
            }));
        }
    }
}

/// Finds a secret that a command reads from a pipe or a here-string.
fn find_input(
    command: &Command,
    before: Option<&Command>,
    found: &mut Vec<Found>,
) {
    let source = if let Some(here) = &command.here_string {
        here
    } else if command.is_piped
        && let Some(before) = before
        && let Some(printed) = printed(before)
    {
        printed
    } else {
        return;
    };
    let Some(value) = input_value(command) else {
        return;
    };
    if source.bytes.len() > 2 {
        Call::new(command).value(source, 0, value, Rule::OPTION_VALUE, found);
    }
}

/// Finds a secret that a command gets as a file: `--password-file <(echo X)`.
fn find_file(
    command: &Command,
    before: Option<&Command>,
    found: &mut Vec<Found>,
) {
    const WORDS: [&[u8]; 5] = [b"pass", b"key", b"secret", b"token", b"auth"];
    let Some(option) = before.and_then(|before| before.args.last()) else {
        return;
    };
    let option = option.bytes.to_ascii_lowercase();
    let is_secret = WORDS
        .iter()
        .any(|word| option.windows(word.len()).any(|part| part == *word));
    if is_secret && let Some(arg) = printed(command) {
        let call = Call::new(command);
        call.value(arg, 0, Value::Whole, Rule::OPTION_VALUE, found);
    }
}

/// What an `echo` or `printf` writes.
fn printed(command: &Command) -> Option<&Arg> {
    let is_printer = command
        .args
        .iter()
        .any(|arg| matches!(&arg.bytes[..], b"echo" | b"printf" | b"print"));
    is_printer.then(|| command.args.last()).flatten()
}

/// What a command reads, if that is a secret.
fn input_value(command: &Command) -> Option<Value> {
    const FLAGS: [&[u8]; 5] = [
        b"--with-token",
        b"--key-file",
        b"--api-token-stdin",
        b"--passwd-on-stdin",
        b"--auth-stdin",
    ];
    let call = Call::new(command);
    for (at, arg) in command.args.iter().enumerate() {
        for (programs, _) in call.programs_at(at) {
            for place in &programs.places {
                if let (Place::Input(flags), value) = place
                    && flags.iter().all(|flag| call.has_flag(*flag))
                {
                    return Some(*value);
                }
            }
        }
        let bytes = &arg.bytes[..];
        let is_fd = bytes.starts_with(b"--passphrase-fd");
        let is_stdin = bytes.ends_with(b"stdin")
            && bytes.strip_suffix(b"stdin").is_some_and(|name| {
                is_telling(name.trim_ascii_end()) || {
                    let name = name.strip_suffix(b"-").unwrap_or(name);
                    is_telling(name)
                }
            });
        let is_name = !bytes.contains(&b'=')
            && !bytes.contains(&b'/')
            && is_telling(bytes)
            && command.here_string.is_some();
        if is_fd || is_stdin || is_name || FLAGS.contains(&bytes) {
            return Some(Value::Whole);
        }
    }
    None
}

/// A command whose arguments are looked at.
struct Call<'c> {
    args: &'c [Arg],
    /// The last place of each argument.
    last: HashMap<&'c [u8], usize>,
    /// Letters behind single dashes.
    flags: HashSet<u8>,
}

impl<'c> Call<'c> {
    fn new(command: &'c Command) -> Self {
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
        Self { args, last, flags }
    }

    fn has_flag(&self, flag: u8) -> bool {
        self.flags.contains(&flag)
    }

    /// The lines of the table that are about the program at this place, and
    /// whether it stands where a command begins.
    fn programs_at(
        &self,
        at: usize,
    ) -> impl Iterator<Item = (&'static Program, bool)> {
        let name = program_name(&self.args[at].bytes);
        let begins = self.begins(at);
        let is_word = WORDS.iter().any(|word| word.eq_ignore_ascii_case(name));
        let lines: &[usize] = if is_word && !begins {
            &[]
        } else {
            table().lines(name)
        };
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
        let first = &self.args[0].bytes;
        before.ends_with(b":")
            || before.contains(&b'=')
            || before.starts_with(b"-")
            || WRAPPERS.contains(&program_name(before))
            || WRAPPERS.contains(&program_name(first))
    }

    fn find(&self, found: &mut Vec<Found>) {
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
                *begins || run.is_none() || program.has_options()
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
                None => at += self.any_program(at - 1, found),
            }
        }
        if let Some(run) = run {
            run.end(self, found);
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

    /// Looks at an option as of any program; how many further arguments it has
    /// used.
    fn any_program(&self, at: usize, found: &mut Vec<Found>) -> usize {
        let bytes = &self.args[at].bytes;
        let dashes = bytes.iter().take_while(|byte| **byte == b'-').count();
        let dashes = match dashes {
            0 if bytes.starts_with(b"/") => 1,
            dashes => dashes,
        };
        if !(1..=2).contains(&dashes) {
            return 0;
        }
        let equals = bytes.iter().position(|byte| matches!(byte, b'=' | b':'));
        let name = &bytes[dashes..equals.unwrap_or(bytes.len())];
        let is_secret = SECRET_OPTIONS
            .iter()
            .any(|option| option.eq_ignore_ascii_case(name))
            || (dashes == 1 && name.len() > 4 && is_telling(name));
        let is_secret = is_secret && !name.ends_with(b"-fd");
        let is_account = is_account(name);
        let is_windows = bytes[0] == b'/';
        if is_windows
            && (equals.is_none() || !name.iter().all(u8::is_ascii_alphabetic))
        {
            return 0;
        }
        let value = if is_secret {
            Value::Whole
        } else if is_account {
            Value::After(b':')
        } else if dashes == 1
            && matches!(name, b"p" | b"P" | b"w")
            && self.has_user()
        {
            Value::Chosen
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

    /// Whether there is an option for a user's name.
    fn has_user(&self) -> bool {
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
        .any(|option| self.last.contains_key(option))
    }

    /// Takes the secret out of an argument from a place on.
    fn value(
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

fn push(
    arg: &Arg,
    start: usize,
    part: Range<usize>,
    rule: Rule,
    found: &mut Vec<Found>,
) {
    let range = arg.in_text(&(start + part.start..start + part.end));
    found.push(Found::new(range, rule));
}

/// A program that has been found, and what it was called with so far.
struct Run<'c> {
    name: &'c [u8],
    begins: bool,
    programs: Vec<&'static Program>,
    /// Arguments that are no options nor values of them.
    positional: Vec<usize>,
}

impl Run<'_> {
    fn is(&self, bytes: &[u8]) -> bool {
        program_name(bytes).eq_ignore_ascii_case(self.name)
    }

    /// Looks at the option that an item's value begins with; how many further
    /// arguments it has used.
    fn tool_option(&self, call: &Call<'_>, found: &mut Vec<Found>) -> usize {
        let bytes = &call.args[0].bytes;
        let value = bytes.splitn(2, |byte| *byte == b'=').nth(1);
        for (place, kind) in self.places() {
            if let Place::Option(option) = place
                && Some(option.as_bytes()) == value
            {
                return self.next(call, 0, *kind, found) - 1;
            }
        }
        0
    }

    fn places(&self) -> impl Iterator<Item = &'static (Place, Value)> {
        self.programs.iter().flat_map(|program| &program.places)
    }

    /// Looks at an argument; how many were used, if it means something.
    fn argument(
        &mut self,
        call: &Call<'_>,
        at: usize,
        found: &mut Vec<Found>,
    ) -> Option<usize> {
        let arg = &call.args[at];
        let bytes = &arg.bytes[..];
        if bytes.starts_with(b"/")
            && let Some(used) = self.slash(call, at, found)
        {
            return Some(used);
        }
        if bytes.len() < 2 || bytes[0] != b'-' {
            for (place, value) in self.places() {
                match place {
                    Place::Keyword(word) if word.as_bytes() == bytes => {
                        return Some(self.next(call, at, *value, found));
                    }
                    Place::Assigned(name) => {
                        if let Some(rest) = bytes.strip_prefix(name.as_bytes())
                            && rest.starts_with(b"=")
                        {
                            let start = name.len() + 1;
                            call.value(
                                arg,
                                start,
                                *value,
                                Rule::OPTION_VALUE,
                                found,
                            );
                            return Some(1);
                        }
                    }
                    _ => {}
                }
            }
            // What follows is another program's.
            if self.name == b"sshpass" {
                self.programs.clear();
            }
            self.positional.push(at);
            return Some(1);
        }
        if self.programs.is_empty() {
            return None;
        }
        let equals = bytes.iter().position(|byte| *byte == b'=');
        let name = &bytes[..equals.unwrap_or(bytes.len())];
        for (place, value) in self.places() {
            let (Place::Option(option) | Place::Glued(option)) = place else {
                continue;
            };
            if option.len() > 2 && matches!(place, Place::Glued(_)) {
                if option.as_bytes() == name && equals.is_none() {
                    return Some(1);
                }
                if !option.starts_with("--") {
                    continue;
                }
            }
            if option.len() > 2 && option.as_bytes().eq_ignore_ascii_case(name)
            {
                return Some(match equals {
                    Some(equals) => {
                        let rule = rule_of(name);
                        call.value(arg, equals + 1, *value, rule, found);
                        1
                    }
                    None => self.next(call, at, *value, found),
                });
            }
        }
        if bytes[1] == b'-' {
            return None;
        }
        self.cluster(call, at, found)
    }

    /// `/p:X`, `/p X`
    fn slash(
        &self,
        call: &Call<'_>,
        at: usize,
        found: &mut Vec<Found>,
    ) -> Option<usize> {
        let arg = &call.args[at];
        for (place, value) in self.places() {
            let Place::Slash(option) = place else {
                continue;
            };
            let Some(start) = arg.bytes.get(..option.len()) else {
                continue;
            };
            if !start.eq_ignore_ascii_case(option.as_bytes()) {
                continue;
            }
            let start = start.len();
            if !option.ends_with([':', '=']) {
                if start == arg.bytes.len() {
                    return Some(self.next(call, at, *value, found));
                }
                continue;
            }
            call.value(arg, start, *value, Rule::OPTION_VALUE, found);
            return Some(1);
        }
        None
    }

    /// Reads letters behind one dash.
    fn cluster(
        &self,
        call: &Call<'_>,
        at: usize,
        found: &mut Vec<Found>,
    ) -> Option<usize> {
        let arg = &call.args[at];
        let bytes = &arg.bytes[..];
        for (number, letter) in bytes.iter().enumerate().skip(1) {
            if !letter.is_ascii_alphanumeric() {
                break;
            }
            let rest = &bytes[number + 1..];
            for (place, value) in self.places() {
                let start = number + 1 + usize::from(rest.starts_with(b"="));
                match place {
                    Place::Option(option)
                        if option.len() == 2
                            && option.as_bytes()[1] == *letter =>
                    {
                        if rest.is_empty() {
                            return Some(self.next(call, at, *value, found));
                        }
                        // In `-hpluto` there is no option -p.
                        if number == 1 || value.has_separator() {
                            call.value(
                                arg,
                                start,
                                *value,
                                Rule::OPTION_VALUE,
                                found,
                            );
                            return Some(1);
                        }
                    }
                    Place::Glued(option)
                        if number == 1
                            && bytes.starts_with(option.as_bytes())
                            && bytes.len() > option.len() =>
                    {
                        let start = option.len();
                        if !is_ports(&bytes[start..]) {
                            call.value(
                                arg,
                                start,
                                *value,
                                Rule::OPTION_VALUE,
                                found,
                            );
                        }
                        return Some(1);
                    }
                    _ => {}
                }
            }
        }
        None
    }

    /// Takes the next argument as a value.
    fn next(
        &self,
        call: &Call<'_>,
        at: usize,
        value: Value,
        found: &mut Vec<Found>,
    ) -> usize {
        let Some(next) = call.args.get(at + 1) else {
            return 1;
        };
        if next.bytes.len() > 1 && next.bytes[0] == b'-' && next.is_bare {
            return 1;
        }
        let rule = rule_of(&call.args[at].bytes);
        call.value(next, 0, value, rule, found);
        if value == Value::Two
            && let Some(second) = call.args.get(at + 2)
        {
            call.value(second, 0, value, Rule::OPTION_VALUE, found);
            return 3;
        }
        2
    }

    /// Looks at the arguments that are no options.
    fn end(self, call: &Call<'_>, found: &mut Vec<Found>) {
        for program in &self.programs {
            self.find_positional(program, call, found);
        }
    }

    fn find_positional(
        &self,
        program: &Program,
        call: &Call<'_>,
        found: &mut Vec<Found>,
    ) {
        if !self.begins {
            return;
        }
        for (place, value) in &program.places {
            let (number, flags) = match place {
                Place::Argument(number, flags) => (*number, flags),
                Place::Last(flags) => (self.positional.len(), flags),
                Place::Named(flags) => {
                    if flags.iter().all(|flag| call.has_flag(*flag)) {
                        self.find_named(call, *value, found);
                    }
                    continue;
                }
                _ => continue,
            };
            if !flags.iter().all(|flag| call.has_flag(*flag)) {
                continue;
            }
            if let Some(before) = number.checked_sub(1)
                && let Some(at) = self.positional.get(before)
            {
                let arg = &call.args[*at];
                let start = value_start(&arg.bytes);
                let rule = if is_telling(&arg.bytes[..start]) {
                    Rule::SECRET
                } else {
                    Rule::OPTION_VALUE
                };
                call.value(arg, start, *value, rule, found);
            }
        }
    }

    /// `set API_TOKEN X`
    fn find_named(
        &self,
        call: &Call<'_>,
        value: Value,
        found: &mut Vec<Found>,
    ) {
        for two in self.positional.windows(2) {
            let name = &call.args[two[0]].bytes;
            let arg = &call.args[two[1]];
            if two[1] != two[0] + 1
                || name.contains(&b'=')
                || name.contains(&b' ')
                || is_verb(name)
                || !is_telling(
                    name.rsplit(|byte| *byte == b'/').next().unwrap_or(name),
                )
            {
                continue;
            }
            // `config set token` is about a token; `config set x.token` is one.
            let is_name = name.iter().any(|byte| {
                matches!(byte, b'_' | b'.' | b'-' | b'/')
                    || byte.is_ascii_uppercase()
            });
            let value = if is_name { value } else { Value::Chosen };
            call.value(arg, 0, value, Rule::OPTION_VALUE, found);
        }
    }
}

/// The rule for the value of an option.
fn rule_of(option: &[u8]) -> Rule {
    if option.starts_with(b"--") && is_telling(option) {
        Rule::SECRET
    } else {
        Rule::OPTION_VALUE
    }
}

/// Where the value begins of an argument that may be `name=value`.
fn value_start(bytes: &[u8]) -> usize {
    let name = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_lowercase() || **byte == b'_')
        .count();
    match &bytes[name..] {
        [b'=', next, ..] if name > 0 && *next != b'=' => name + 1,
        _ => 0,
    }
}

/// Whether this says what to do, not with what: `set-credentials`.
fn is_verb(name: &[u8]) -> bool {
    [
        &b"set-"[..],
        b"create-",
        b"get-",
        b"add-",
        b"delete-",
        b"update-",
        b"list-",
        b"put-",
    ]
    .iter()
    .any(|verb| name.starts_with(verb))
}

fn is_cluster(bytes: &[u8]) -> bool {
    bytes.len() > 1
        && bytes[0] == b'-'
        && bytes[1..].iter().all(u8::is_ascii_alphanumeric)
}

/// The name of the program that is called by this: without a path, and without
/// what stands before it in a text.
fn program_name(bytes: &[u8]) -> &[u8] {
    let start = bytes
        .iter()
        .rposition(|byte| b"/\\=!({$\"'`@;&:".contains(byte))
        .map_or(0, |before| before + 1);
    let name = &bytes[start..];
    [&b".exe"[..], b".cmd", b".bat"]
        .into_iter()
        .find_map(|ending| {
            let len = name.len().checked_sub(ending.len())?;
            name[len..]
                .eq_ignore_ascii_case(ending)
                .then(|| &name[..len])
        })
        .unwrap_or(name)
}

/// Whether an option of this name is followed by a user and a password.
fn is_account(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    [
        &b"userpwd"[..],
        b"userpass",
        b"basic-auth",
        b"basicauth",
        b"auth",
        b"proxy-auth",
        b"http-auth",
        b"creds",
        b"cred",
        b"credentials",
        b"proxy-creds",
        b"user-pass",
        b"userpassword",
        b"proxy-user",
        b"auth-basic",
    ]
    .contains(&&name[..])
}

/// The part of an argument that is the secret.
fn secret_part(bytes: &[u8], value: Value) -> Option<Range<usize>> {
    let whole = 0..bytes.len();
    match value {
        Value::Nothing => None,
        Value::Whole
        | Value::Two
        | Value::Chosen
        | Value::Random
        | Value::Header
        | Value::Community
        | Value::Password
        | Value::IfBasic => Some(whole),
        Value::After(separator) => match separator_at(bytes, separator) {
            Some(at) => Some(at + 1..bytes.len()),
            // A token may stand for the user and the password.
            None if separator == b':' && is_token(bytes) => Some(whole),
            None => None,
        },
        Value::AfterUpToHost(separator) => {
            let at = separator_at(bytes, separator).filter(|at| *at > 0)?;
            let end = bytes.iter().rposition(|byte| *byte == b'@');
            let end = end.filter(|end| *end > at).unwrap_or(bytes.len());
            Some(at + 1..end)
        }
        Value::Proxy => {
            if bytes.windows(3).any(|part| part == b"://") {
                return None;
            }
            let end = bytes.iter().rposition(|byte| *byte == b'@')?;
            let at = separator_at(&bytes[..end], b':')?;
            Some(at + 1..end)
        }
        Value::AfterLast(separator) => {
            let at = bytes.iter().rposition(|byte| *byte == separator)?;
            let secret = &bytes[at + 1..];
            // A drive of Windows, or a PKCS #11 URI.
            let is_path = secret.starts_with(b"\\") || secret.starts_with(b"/");
            (!is_path && !bytes.starts_with(b"pkcs11:"))
                .then_some(at + 1..bytes.len())
        }
        Value::Prefixed(prefix) => bytes
            .starts_with(prefix.as_bytes())
            .then_some(prefix.len()..bytes.len()),
        Value::Cookies => bytes.contains(&b'=').then(|| 0..bytes.len()),
        Value::Echo => {
            let start = [&b"echo "[..], b"printf ", b"printf %s "]
                .into_iter()
                .filter(|echo| bytes.starts_with(echo))
                .map(<[u8]>::len)
                .max()?;
            Some(start..bytes.len())
        }
    }
}

/// Where the first separator is that is in no `${...}`, `$(...)` or marker.
fn separator_at(bytes: &[u8], separator: u8) -> Option<usize> {
    let mut open = 0usize;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        if let Some(len) = marker_at(&bytes[at..]) {
            at += len;
            continue;
        }
        match byte {
            b'{' | b'(' => open += 1,
            b'}' | b')' => open = open.saturating_sub(1),
            _ => {}
        }
        if open == 0 && *byte == separator {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Whether what is in the place of a secret is none.
fn is_harmless(secret: &[u8], arg: &Arg, value: Value) -> bool {
    let scope = if arg.is_literal {
        Scope::Word
    } else {
        Scope::Text
    };
    let lower = secret.to_ascii_lowercase();
    if is_placeholder(secret, scope)
        || is_placeholder(secret, Scope::Text) && !secret.starts_with(b"$")
        || is_substituted(secret, arg)
        || is_stand_in(secret)
        || secret.iter().all(u8::is_ascii_punctuation)
    {
        return true;
    }
    match value {
        Value::Whole | Value::Two => is_file(secret),
        Value::Chosen => {
            is_file(secret)
                || !(looks_chosen(secret) || looks_random(secret))
                || secret.contains(&b'.') && !looks_random(secret)
                || secret.contains(&b':')
        }
        Value::Random => is_file(secret) || !looks_random(secret),
        Value::Community => {
            matches!(&lower[..], b"public" | b"private") || is_file(secret)
        }
        Value::Password => {
            secret.starts_with(b"\\\\")
                || secret.starts_with(b"/")
                || (secret.len() == 2 && secret[1] == b':')
        }
        _ => false,
    }
}

/// Whether nothing is left of a value without variables.
fn is_substituted(secret: &[u8], arg: &Arg) -> bool {
    if arg.is_literal {
        return false;
    }
    let mut rest = secret;
    let mut is_any = false;
    while let [b'$', after @ ..] = rest {
        is_any = true;
        let len = match after.first() {
            Some(b'{') => {
                after.iter().position(|b| *b == b'}').map(|at| at + 1)
            }
            Some(b'(') => {
                after.iter().rposition(|b| *b == b')').map(|at| at + 1)
            }
            _ => Some(
                after
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
                    .count(),
            ),
        };
        let Some(len) = len else {
            return false;
        };
        rest = &after[len..];
    }
    // `$ecret1` may be either; a variable has a name that shells know.
    is_any && rest.is_empty()
}

/// Whether this is the name of a file.
fn is_file(secret: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 14] = [
        b".zip", b".7z", b".rar", b".pem", b".key", b".crt", b".p12", b".pfx",
        b".txt", b".json", b".yml", b".yaml", b".conf", b".tar",
    ];
    let is_path = matches!(secret, [b'/' | b'~', rest @ ..] if rest.contains(&b'/'))
        || secret.starts_with(b"./")
        || secret.starts_with(b"../")
        || secret.starts_with(b"~/");
    is_path || ENDINGS.iter().any(|ending| secret.ends_with(ending))
}

/// Whether this is `8080:80`.
fn is_ports(value: &[u8]) -> bool {
    value.contains(&b':')
        && value
            .iter()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'))
}
