//! Secrets on the command lines of programs: `curl -u bob:X`, `mysql -pX`,
//! `htpasswd -nb bob X`, `echo X | sudo -S ...`.
//!
//! `programs.txt` lists where each program takes secrets. [`crate::shell`]
//! splits a text into commands. [`crate::commands`] handles hg's own options.

use memchr::memchr;
use memchr::memchr2;
use memchr::memmem;
use memchr::memrchr;

use crate::argument::Arg;
use crate::argument::Segment;
use crate::finding::Finding;
use crate::name::is_secret_name;
use crate::programs::call::Call;
use crate::programs::list::lists;
use crate::programs::position::program_name;
use crate::programs::table::ArgumentPosition;
use crate::programs::table::Value;
use crate::rule::Rule;
use crate::shell::Command;
use crate::shell::commands;
use crate::words::Word;

mod call;
mod list;
mod option;
mod position;
mod run;
mod search;
pub(crate) mod table;
mod value;

pub(crate) use position::has_options_of_hg;
pub(crate) use position::is_word;

/// Maximum depth of commands in quoted arguments of commands.
const MAX_DEPTH: usize = 4;

/// Finds secrets in all commands in a text.
pub(crate) fn find(text: &[u8], found: &mut Vec<Finding>) {
    find_at_depth(text, None, 0, found);
    find_wrapped(text, found);
    if memchr(b'\n', text.trim_ascii_end()).is_some()
        && memchr2(b'\'', b'"', text).is_some()
    {
        find_in_lines(text, found);
    }
}

/// Finds secrets in a command line that is already split: the first word may be
/// a program, and no character in the others has a meaning for a shell.
pub(crate) fn find_in_words(words: Vec<Word>, found: &mut Vec<Finding>) {
    let args = words.into_iter().map(|word| {
        let is_quoted = word.is_quoted();
        Arg::in_list(word, is_quoted)
    });
    let command = Command {
        args: args.collect(),
        ..Command::default()
    };
    Call::new(&command).find_in_arguments(found);
}

/// Finds commands in quotes that contain quotes of the same kind, up to the
/// last one of the line: `Command 'a 'b c'' returned 1`, `cmd /c "a "b c""`.
fn find_wrapped(text: &[u8], found: &mut Vec<Finding>) {
    const BEFORE: [&[u8]; 3] = [b"Command '", b"/c \"", b"/C \""];
    if BEFORE.iter().all(|it| memmem::find(text, it).is_none()) {
        return;
    }
    let mut at = 0;
    let mut inner = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let start = BEFORE.iter().find_map(|before| {
            memmem::find(line, before).map(|start| start + before.len())
        });
        if let Some(start) = start
            && let Some(end) = memrchr(line[start - 1], &line[start..])
        {
            let command = &line[start..start + end];
            find_at_depth(command, None, 1, &mut inner);
            found.extend(inner.drain(..).map(|inner| {
                let offset = at + start;
                let range =
                    offset + inner.range.start..offset + inner.range.end;
                inner.at(range)
            }));
        }
        at += line.len();
    }
}

/// Searches each line separately: a quote without an end, as in "can't", hides
/// nothing in later lines.
fn find_in_lines(text: &[u8], found: &mut Vec<Finding>) {
    let mut start = 0;
    let mut inner = Vec::new();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        find_at_depth(line, None, 0, &mut inner);
        found.extend(inner.drain(..).map(|inner| {
            let range = start + inner.range.start..start + inner.range.end;
            inner.at(range)
        }));
        start += line.len();
    }
}

/// Finds secrets in the commands and in the lists of arguments of a text, which
/// may contain the arguments of a program whose name is elsewhere.
fn find_at_depth(
    text: &[u8],
    program: Option<&[u8]>,
    depth: usize,
    found: &mut Vec<Finding>,
) {
    let mut commands = commands(text);
    if let (Some(program), Some(first)) = (program, commands.first_mut()) {
        first.args.insert(0, Arg::named(program));
    }
    let mut before: Option<&Command> = None;
    for command in &commands {
        Call::new(command).find(found);
        if command.is_file {
            find_file(command, before, found);
        }
        find_input(command, before, found);
        before = Some(command);
        let args = command.args.iter().chain(&command.here_string);
        for segment in args.flat_map(|arg| &arg.segments) {
            if segment.may_hold_commands() {
                find_in_segment(segment, None, depth, found);
            }
        }
    }
    for list in lists(text) {
        if list.args.len() > 1 {
            Call::new(&list).find(found);
        }
        for (number, arg) in list.args.iter().enumerate() {
            // `Process.Start("curl", "-u bob:X")`
            let program = (number == 1 && list.args.len() == 2)
                .then_some(&list.args[0].bytes[..]);
            for segment in &arg.segments {
                if segment.may_hold_commands() || segment.may_hold_lists() {
                    find_in_segment(segment, program, depth, found);
                }
            }
        }
    }
}

/// Finds secrets in the commands in an argument.
fn find_in_segment(
    segment: &Segment,
    program: Option<&[u8]>,
    depth: usize,
    found: &mut Vec<Finding>,
) {
    if depth + 1 >= MAX_DEPTH {
        return;
    }
    let part = segment.inner();
    let text = &segment.word.bytes[part.clone()];
    let mut inner = Vec::new();
    find_at_depth(text, program, depth + 1, &mut inner);
    found.extend(inner.into_iter().map(|inner| {
        let start = part.start + inner.range.start;
        let end = part.start + inner.range.end;
        let range = segment.word.span(&(start..end));
        inner.at(range)
    }));
}

/// Finds a secret that a command reads from a pipe or a here-string.
fn find_input(
    command: &Command,
    before: Option<&Command>,
    found: &mut Vec<Finding>,
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
    let Some(mut value) = input_value(command).or_else(|| {
        // Otherwise a single word that looks like a password can only be one.
        (command.here_string.is_some()
            && !is_filter(command)
            && !source.bytes.iter().all(u8::is_ascii_hexdigit))
        .then_some(Value::Chosen)
    }) else {
        return;
    };
    // printf 'bob:%s' X | chpasswd
    if let Value::After(separator) = value
        && !source.bytes.contains(&separator)
        && before.is_some_and(|before| {
            before.args.iter().any(|arg| arg.bytes.ends_with(b"%s"))
        })
    {
        value = Value::Whole;
    }
    if source.bytes.len() > 2 {
        Call::new(command).value(source, 0, value, Rule::OPTION_VALUE, found);
    }
}

/// Whether a command reads any text, and no password.
fn is_filter(command: &Command) -> bool {
    const FILTERS: [&[u8]; 40] = [
        b"cat",
        b"grep",
        b"egrep",
        b"fgrep",
        b"rg",
        b"sed",
        b"awk",
        b"gawk",
        b"jq",
        b"yq",
        b"bc",
        b"dc",
        b"wc",
        b"tr",
        b"cut",
        b"sort",
        b"uniq",
        b"head",
        b"tail",
        b"tee",
        b"read",
        b"base64",
        b"xxd",
        b"od",
        b"hexdump",
        b"md5sum",
        b"sha1sum",
        b"sha256sum",
        b"sha512sum",
        b"python",
        b"python3",
        b"perl",
        b"ruby",
        b"node",
        b"bash",
        b"sh",
        b"xargs",
        b"diff",
        b"column",
        b"hg",
    ];
    command
        .args
        .iter()
        .any(|arg| FILTERS.contains(&program_name(&arg.bytes)))
}

/// Finds a secret that a command gets as a file: `--password-file <(echo X)`.
fn find_file(
    command: &Command,
    before: Option<&Command>,
    found: &mut Vec<Finding>,
) {
    const WORDS: [&[u8]; 5] = [b"pass", b"key", b"secret", b"token", b"auth"];
    let Some(option) = before.and_then(|before| before.args.last()) else {
        return;
    };
    let is_secret_name = |arg: &Arg| {
        let name = arg.bytes.to_ascii_lowercase();
        WORDS
            .iter()
            .any(|word| name.windows(word.len()).any(|part| part == *word))
    };
    let program = before.and_then(|before| before.args.first());
    let is_secret = is_secret_name(option)
        || option.bytes == b"-f" && program.is_some_and(is_secret_name);
    if is_secret && let Some(arg) = printed(command) {
        let call = Call::new(command);
        call.value(arg, 0, Value::Whole, Rule::OPTION_VALUE, found);
    }
}

/// What an `echo` or `printf` writes.
fn printed(command: &Command) -> Option<&Arg> {
    let is_printer =
        |arg: &Arg| matches!(&arg.bytes[..], b"echo" | b"printf" | b"print");
    let printed = command.args.last().filter(|it| !is_printer(it));
    printed.filter(|_| command.args.iter().any(is_printer))
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
                if let (ArgumentPosition::Input(flags), value) = place
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
                is_secret_name(name.trim_ascii_end()) || {
                    let name = name.strip_suffix(b"-").unwrap_or(name);
                    is_secret_name(name)
                }
            });
        let is_name = !bytes.contains(&b'=')
            && !bytes.contains(&b'/')
            && is_secret_name(bytes)
            && (command.here_string.is_some()
                || (bytes.starts_with(b"--")
                    && command
                        .args
                        .get(at + 1)
                        .is_none_or(|next| next.bytes.starts_with(b"-"))));
        if is_fd || is_stdin || is_name || FLAGS.contains(&bytes) {
            return Some(Value::Whole);
        }
    }
    None
}
