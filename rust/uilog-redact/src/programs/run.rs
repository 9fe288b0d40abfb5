//! A known program in a command: its options, arguments and keywords.
//!
//! Knows the positions of secrets. Must not know what a secret looks like.

use crate::finding::Finding;
use crate::name::is_secret_name;
use crate::programs::call::Call;
use crate::programs::option::is_secret_option;
use crate::programs::position::program_name;
use crate::programs::table::ArgumentPosition;
use crate::programs::table::Program;
use crate::programs::table::Value;
use crate::rule::Rule;

/// A program in a command, and its arguments so far.
pub(super) struct Run<'c> {
    pub(super) name: &'c [u8],
    pub(super) begins: bool,
    pub(super) programs: Vec<&'static Program>,
    /// Arguments that are no options nor values of them.
    pub(super) positional: Vec<usize>,
}

impl Run<'_> {
    pub(super) fn is(&self, bytes: &[u8]) -> bool {
        program_name(bytes).eq_ignore_ascii_case(self.name)
    }

    /// Where the program begins that the next option belongs to.
    pub(super) fn start(&self) -> usize {
        if self.programs.is_empty() {
            self.positional.last().copied().unwrap_or(0)
        } else {
            0
        }
    }

    /// Examines the option at the beginning of an item's value; returns how
    /// many further arguments it has used.
    pub(super) fn tool_option(
        &self,
        call: &Call<'_>,
        found: &mut Vec<Finding>,
    ) -> usize {
        let bytes = &call.args[0].bytes;
        let value = bytes.splitn(2, |byte| *byte == b'=').nth(1);
        for (place, kind) in self.places() {
            if let ArgumentPosition::Option(option) = place
                && Some(option.as_bytes()) == value
            {
                return self.next(call, 0, *kind, found) - 1;
            }
        }
        0
    }

    fn places(
        &self,
    ) -> impl Iterator<Item = &'static (ArgumentPosition, Value)> {
        self.programs.iter().flat_map(|program| &program.places)
    }

    /// Examines an argument; returns how many were used, if it has a meaning.
    pub(super) fn argument(
        &mut self,
        call: &Call<'_>,
        at: usize,
        found: &mut Vec<Finding>,
    ) -> Option<usize> {
        let bytes = &call.args[at].bytes[..];
        if bytes.starts_with(b"/")
            && let Some(used) = self.slash(call, at, found)
        {
            return Some(used);
        }
        if bytes.len() < 2 || bytes[0] != b'-' {
            return Some(
                self.keyword(call, at, found)
                    .unwrap_or_else(|| self.note_positional(call, at)),
            );
        }
        if self.programs.is_empty() {
            return None;
        }
        if let Some(used) = self.long_option(call, at, found) {
            return Some(used);
        }
        // `-pw X` is no `-p w`.
        let is_glued = self
            .places()
            .any(|(place, _)| matches!(place, ArgumentPosition::Glued("-p")));
        if bytes[1] == b'-' || !is_glued && is_secret_option(&bytes[1..]) {
            return None;
        }
        self.cluster(call, at, found)
    }

    /// `PASSWORD X`, `PASSWORD=X`
    fn keyword(
        &self,
        call: &Call<'_>,
        at: usize,
        found: &mut Vec<Finding>,
    ) -> Option<usize> {
        let arg = &call.args[at];
        let bytes = &arg.bytes[..];
        for (place, value) in self.places() {
            match place {
                ArgumentPosition::Keyword(word) if word.as_bytes() == bytes => {
                    return Some(self.next(call, at, *value, found));
                }
                ArgumentPosition::Assigned(name) => {
                    if let Some(rest) = bytes.strip_prefix(name.as_bytes())
                        && rest.starts_with(b"=")
                    {
                        let start = name.len() + 1;
                        let rule = Rule::OPTION_VALUE;
                        call.value(arg, start, *value, rule, found);
                        return Some(1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Notes an argument that is no option.
    fn note_positional(&mut self, call: &Call<'_>, at: usize) -> usize {
        self.positional.push(at);
        if self.has_ended(call) {
            self.programs.clear();
        }
        1
    }

    /// `--password X`, `--password=X`, `-password X`
    fn long_option(
        &self,
        call: &Call<'_>,
        at: usize,
        found: &mut Vec<Finding>,
    ) -> Option<usize> {
        let arg = &call.args[at];
        let bytes = &arg.bytes[..];
        let equals = bytes.iter().position(|byte| *byte == b'=');
        let name = &bytes[..equals.unwrap_or(bytes.len())];
        for (place, value) in self.places() {
            let (ArgumentPosition::Option(option)
            | ArgumentPosition::Glued(option)) = place
            else {
                continue;
            };
            if option.len() <= 2 {
                continue;
            }
            if matches!(place, ArgumentPosition::Glued(_)) {
                if option.as_bytes() == name && equals.is_none() {
                    return Some(1);
                }
                if !option.starts_with("--") {
                    continue;
                }
            }
            if option.as_bytes().eq_ignore_ascii_case(name) {
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
        None
    }

    /// Whether what follows is another program's.
    fn has_ended(&self, call: &Call<'_>) -> bool {
        match self.name {
            b"sshpass" | b"sudo" | b"doas" => true,
            b"ssh" | b"autossh" => self.positional.len() == 2,
            b"docker" | b"podman" | b"kubectl" | b"oc" | b"nerdctl" => {
                let run = self.positional.iter().position(|at| {
                    matches!(&call.args[*at].bytes[..], b"exec" | b"run")
                });
                run.is_some_and(|run| self.positional.len() > run + 2)
            }
            _ => false,
        }
    }

    /// `/p:X`, `/p X`
    fn slash(
        &self,
        call: &Call<'_>,
        at: usize,
        found: &mut Vec<Finding>,
    ) -> Option<usize> {
        let arg = &call.args[at];
        for (place, value) in self.places() {
            let ArgumentPosition::Slash(option) = place else {
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

    /// Reads letters after one dash.
    fn cluster(
        &self,
        call: &Call<'_>,
        at: usize,
        found: &mut Vec<Finding>,
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
                    ArgumentPosition::Option(option)
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
                    ArgumentPosition::Glued(option)
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
        found: &mut Vec<Finding>,
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

    /// Examines the arguments that are not options.
    pub(super) fn end(self, call: &Call<'_>, found: &mut Vec<Finding>) {
        for program in &self.programs {
            self.find_positional(program, call, found);
        }
    }

    fn find_positional(
        &self,
        program: &Program,
        call: &Call<'_>,
        found: &mut Vec<Finding>,
    ) {
        if !self.begins {
            return;
        }
        for (place, value) in &program.places {
            let (number, flags) = match place {
                ArgumentPosition::Argument(number, flags) => (*number, flags),
                ArgumentPosition::Last(flags) => (self.positional.len(), flags),
                ArgumentPosition::Named(flags) => {
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
                let start = match value {
                    // It says itself where the value starts.
                    Value::After(b'=') => 0,
                    _ => value_start(&arg.bytes),
                };
                let rule = if is_secret_name(&arg.bytes[..start]) {
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
        found: &mut Vec<Finding>,
    ) {
        for two in self.positional.windows(2) {
            let name = &call.args[two[0]].bytes;
            let arg = &call.args[two[1]];
            if two[1] != two[0] + 1
                || name.contains(&b'=')
                || name.contains(&b' ')
                || is_verb(name)
                || is_source_file(name)
                || !is_secret_name(
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
    if option.starts_with(b"--") && is_secret_name(option) {
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

/// Whether this is the name of a file with a program or a text:
/// `src/token.py`.
fn is_source_file(name: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 16] = [
        b"c", b"cc", b"cpp", b"css", b"go", b"h", b"html", b"java", b"js",
        b"md", b"py", b"rb", b"rs", b"sh", b"ts", b"txt",
    ];
    let mut parts = name.rsplitn(2, |byte| *byte == b'.');
    let ending = parts.next();
    parts.next().is_some()
        && ending.is_some_and(|ending| ENDINGS.contains(&ending))
}

/// Whether this is `8080:80`.
fn is_ports(value: &[u8]) -> bool {
    value.contains(&b':')
        && value
            .iter()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.'))
}
