//! Where a command may begin in its arguments: after `sudo`, a prompt, the
//! columns of `ps`.
//!
//! Knows names of programs, but not their arguments.

use memchr::memmem;

use crate::argument::Arg;
use crate::programs::table::table;

/// Programs whose arguments may be another program with its own.
pub(super) const RUNNERS: [&[u8]; 17] = [
    b"docker", b"podman", b"nerdctl", b"ctr", b"kubectl", b"oc", b"lxc",
    b"incus", b"ssh", b"autossh", b"sshpass", b"xcrun", b"java", b"pct",
    b"sudo", b"doas", b"su",
];

/// Programs that run the one that follows.
pub(super) const WRAPPERS: [&[u8]; 28] = [
    b"sudo",
    b"doas",
    b"env",
    b"exec",
    b"nice",
    b"ionice",
    b"time",
    b"nohup",
    b"xargs",
    b"do",
    b"then",
    b"else",
    b"if",
    b"while",
    b"until",
    b"elif",
    b"timeout",
    b"command",
    b"stdbuf",
    b"setsid",
    b"chronic",
    b"run",
    b"sh",
    b"RUN",
    b"CMD",
    b"ENTRYPOINT",
    b"watch",
    b"flock",
];

/// Other version control systems: their users have hg's commands and options
/// for messages.
const VERSION_CONTROL: [&[u8]; 9] = [
    b"brz", b"bzr", b"cvs", b"darcs", b"fossil", b"git", b"jj", b"sl", b"svn",
];

/// Whether a program's options for messages are those of hg.
pub(crate) fn has_options_of_hg(program: &[u8]) -> bool {
    VERSION_CONTROL.contains(&program_name(program))
}

/// Names of programs that are words, too: only where a command begins.
const WORDS: [&[u8]; 65] = [
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
    b"age",
    b"hey",
    b"crane",
];

/// Whether the name of a program is a word, too.
pub(crate) fn is_word(name: &[u8]) -> bool {
    WORDS.iter().any(|word| word.eq_ignore_ascii_case(name))
}

/// The name of the program in this word: without a path, and without the text
/// before it.
pub(super) fn program_name(bytes: &[u8]) -> &[u8] {
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

/// Up to where arguments belong to a program that runs the one that follows:
/// `sudo -u bob`, `docker exec web`, `ssh host`, `0 3 * * * root`.
pub(super) fn wrapped(args: &[Arg]) -> usize {
    const RUN: [&[u8]; 3] = [b"exec", b"run", b"compose"];
    let Some(first) = args.first() else {
        return 0;
    };
    let name = program_name(&first.bytes);
    let is_wrapper = WRAPPERS.contains(&name)
        || matches!(name, b"ssh" | b"autossh" | b"sshpass")
        || RUNNERS.contains(&name)
            && args.iter().any(|arg| RUN.contains(&&arg.bytes[..]))
        || is_schedule(args);
    if !is_wrapper {
        return 0;
    }
    args.iter()
        .skip(1)
        .position(|arg| {
            let name = program_name(&arg.bytes);
            !WRAPPERS.contains(&name)
                && !RUNNERS.contains(&name)
                && !table().lines(name).is_empty()
        })
        .map_or(args.len(), |at| at + 1)
}

/// Whether this begins as a line of cron's does.
fn is_schedule(args: &[Arg]) -> bool {
    const FIELDS: usize = 5;
    args.len() > FIELDS
        && args[..FIELDS].iter().all(|arg| {
            arg.bytes
                .iter()
                .all(|byte| byte.is_ascii_digit() || b"*/,-".contains(byte))
        })
}

/// Whether this is the path of no program: `auth/approle/login`.
pub(super) fn is_inner_path(bytes: &[u8]) -> bool {
    bytes.contains(&b'/')
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && !bytes.iter().any(|byte| b":=\\$".contains(byte))
        && memmem::find(bytes, b"bin/").is_none()
}

/// Whether this sets a variable for the command after it.
pub(super) fn is_assignment(bytes: &[u8]) -> bool {
    let name = bytes
        .iter()
        .take_while(|byte| {
            byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b'_'
        })
        .count();
    name > 0 && bytes.get(name) == Some(&b'=')
}

/// Whether this is a word of a sentence, although it ends with a sign.
pub(super) fn is_word_before(bytes: &[u8]) -> bool {
    matches!(bytes, [.., before, b'!' | b'*'] if before.is_ascii_alphabetic())
}

/// Whether this is a time or a percentage, as `ps` shows it before a command.
pub(super) fn is_time(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| b":.".contains(byte))
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_digit() || b":.-".contains(byte))
}
