//! What is logged about a command, in Mercurial's wording, for any program.
//!
//! Knows what a command line means; runs nothing and reads no configuration.

mod canonical;
pub mod options;
mod spellings;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

pub use spellings::spellings;
use uilog_config::Config;
use uilog_sys::search_path;

/// hg ends with this status when it is interrupted.
// hg: dispatch.dispatch returns -1
const EXIT_INTERRUPTED: i32 = 255;
/// What a shell adds to the number of the signal that has ended a command.
const EXIT_SIGNALLED: i32 = 128;

/// What a program is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramKind {
    /// hg, in Python.
    Hg,
    /// rhg, which may become hg.
    Rhg,
    /// chg: another process does its work.
    Chg,
    /// Anything else.
    Other,
}

impl ProgramKind {
    /// The program at `file`, which was called as `name`: by that name, or by
    /// the name of the file that it is a link to.
    pub fn of(name: &[u8], file: Option<&Path>) -> Self {
        let named = Self::of_name(name);
        let real = file.and_then(|it| it.canonicalize().ok());
        match real.map(|it| Self::of_name(it.as_os_str().as_bytes())) {
            Some(real) if real != Self::Other => real,
            _ => named,
        }
    }

    fn of_name(path: &[u8]) -> Self {
        match base_name(path) {
            b"hg" => Self::Hg,
            b"rhg" => Self::Rhg,
            b"chg" => Self::Chg,
            _ => Self::Other,
        }
    }

    /// Whether it has Mercurial's arguments, reads its configuration, and
    /// writes its blackbox.
    pub fn is_mercurial(self) -> bool {
        self != Self::Other
    }
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// Where a program is; `path` is a value of `PATH`.
pub fn locate(name: &[u8], path: &[u8]) -> Option<PathBuf> {
    if name.contains(&b'/') {
        return Some(PathBuf::from(OsStr::from_bytes(name)));
    }
    search_path::candidates(name, path)
        .find(|file| search_path::is_program(file))
}

/// A command line.
#[derive(Clone, Debug)]
pub struct CommandLine {
    /// What its program is.
    pub kind: ProgramKind,
    args: Vec<Vec<u8>>,
}

impl CommandLine {
    /// The program's name and its arguments.
    pub fn new(kind: ProgramKind, args: Vec<Vec<u8>>) -> Self {
        Self { kind, args }
    }

    /// What the program is called by.
    pub fn name(&self) -> &[u8] {
        self.args.first().map_or(&[], Vec::as_slice)
    }

    /// The program's arguments.
    pub fn arguments(&self) -> &[Vec<u8>] {
        self.args.get(1..).unwrap_or_default()
    }

    /// The command as it is logged: of Mercurial its arguments, of any other
    /// program its name as well.
    // hg: dispatch._formatargs
    pub fn formatted(&self) -> Vec<u8> {
        let args = if self.kind.is_mercurial() {
            self.arguments()
        } else {
            &self.args
        };
        let mut text = Vec::new();
        for (index, arg) in args.iter().enumerate() {
            if index > 0 {
                text.push(b' ');
            }
            quote(arg, &mut text);
        }
        text
    }

    /// The full name of the command: for Mercurial, using the aliases in
    /// `config`; for another program, the program's name.
    pub fn canonical(&self, config: &Config) -> Option<Vec<u8>> {
        if !self.kind.is_mercurial() {
            return self.args.first().map(|name| base_name(name).to_vec());
        }
        let command = options::command(self.arguments())?;
        let aliases = config
            .items(b"alias")
            .map(|(name, entry)| (name, &entry.value[..]));
        let strict = config.bool(b"ui", b"strict");
        let is_strict = strict.ok().flatten().unwrap_or(false);
        canonical::canonical(&command[0], aliases, is_strict)
    }

    /// The return code that is logged of a command that a signal has ended.
    /// Where hg catches the signal, that is the one that hg then logs.
    pub fn code_of_signal(&self, signal: i32) -> i32 {
        let is_caught = [
            nix::libc::SIGINT,
            nix::libc::SIGTERM,
            nix::libc::SIGHUP,
            nix::libc::SIGPIPE,
        ]
        .contains(&signal);
        if self.kind.is_mercurial() && is_caught {
            EXIT_INTERRUPTED
        } else {
            EXIT_SIGNALLED + signal
        }
    }
}

/// What `command` says of a command.
pub fn begun(formatted: &[u8]) -> Vec<u8> {
    [formatted, b"\n"].concat()
}

/// What `commandfinish` says of a command.
// hg: dispatch._rundispatch
pub fn finished(formatted: &[u8], code: i32, duration: Duration) -> Vec<u8> {
    let seconds = duration.as_secs_f64();
    let rest = format!(" exited {code} after {seconds:.2} seconds\n");
    [formatted, rest.as_bytes()].concat()
}

/// Appends an argument as one would type it into a shell.
// hg: posix.shellquote, the same in all versions
fn quote(arg: &[u8], out: &mut Vec<u8>) {
    let is_plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"._/+-".contains(byte);
    if !arg.is_empty() && arg.iter().all(is_plain) {
        out.extend_from_slice(arg);
        return;
    }
    out.push(b'\'');
    for byte in arg {
        match byte {
            b'\'' => out.extend_from_slice(b"'\\''"),
            _ => out.push(*byte),
        }
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn line(kind: ProgramKind, args: &[&str]) -> CommandLine {
        let args = args.iter().map(|arg| arg.as_bytes().to_vec());
        CommandLine::new(kind, args.collect())
    }

    #[test]
    fn commands_are_quoted_as_by_hg() {
        let args = ["hg", "log", "-r", ".^", "", "it's", "a/b_c", "--x=y"];
        let text = line(ProgramKind::Hg, &args).formatted();
        assert_eq!(text, br"log -r '.^' '' 'it'\''s' a/b_c '--x=y'");
        let text = line(ProgramKind::Other, &["make", "all"]).formatted();
        assert_eq!(text, b"make all");
    }

    #[test]
    fn ends_are_worded_as_by_hg() {
        let duration = Duration::from_millis(1234);
        let text = finished(b"status", 255, duration);
        assert_eq!(text, b"status exited 255 after 1.23 seconds\n");
        assert_eq!(begun(b"status"), b"status\n");
    }

    #[test]
    fn signals_have_hgs_code_where_hg_catches_them() {
        let hg = line(ProgramKind::Rhg, &["rhg", "files"]);
        assert_eq!(hg.code_of_signal(nix::libc::SIGINT), 255);
        assert_eq!(hg.code_of_signal(nix::libc::SIGKILL), 137);
        let other = line(ProgramKind::Other, &["make"]);
        assert_eq!(other.code_of_signal(nix::libc::SIGINT), 130);
    }

    #[test]
    fn a_program_is_what_it_is_called_or_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().as_os_str().as_bytes();
        for name in ["rhg", "tool"] {
            let file = dir.path().join(name);
            std::fs::write(&file, "").unwrap();
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&file, mode).unwrap();
        }
        let link = |from: &str, to: &str| {
            std::os::unix::fs::symlink(to, dir.path().join(from)).unwrap();
        };
        link("hg", "rhg");
        link("chg", "tool");
        link("files", "rhg");
        let kind = |name: &[u8], path: &[u8]| {
            ProgramKind::of(name, locate(name, path).as_deref())
        };
        assert_eq!(kind(b"hg", path), ProgramKind::Rhg);
        assert_eq!(kind(b"chg", path), ProgramKind::Chg);
        assert_eq!(kind(b"files", path), ProgramKind::Rhg);
        assert_eq!(kind(b"tool", path), ProgramKind::Other);
        assert_eq!(kind(b"/no/such/hg", b""), ProgramKind::Hg);
        assert_eq!(kind(b"", path), ProgramKind::Other);
    }

    #[test]
    fn other_programs_are_named_as_they_are() {
        let config = Config::default();
        let name = |kind, args: &[&str]| {
            let name = line(kind, args).canonical(&config);
            name.map(|name| String::from_utf8(name).unwrap())
        };
        let is = |found: Option<String>, expected: Option<&str>| {
            assert_eq!(found.as_deref(), expected);
        };
        is(name(ProgramKind::Other, &["/bin/make", "-k"]), Some("make"));
        is(name(ProgramKind::Hg, &["hg", "-q", "st"]), Some("status"));
        is(name(ProgramKind::Hg, &["hg", "--version"]), None);
        is(name(ProgramKind::Hg, &["hg"]), None);
    }
}
