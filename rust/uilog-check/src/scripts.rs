//! `[logtoprocess]`: whether each script can run, and whether its event is ever
//! logged.

use std::collections::HashMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use nix::unistd::AccessFlags;
use nix::unistd::access;
use uilog_channel::wire::StdinFormat;
use uilog_config::Config;
use uilog_config::Source;
use uilog_event::events;
use uilog_event::suggest::did_you_mean;
use uilog_event::suggest::meant;
use uilog_finding::finding::Finding;
use uilog_finding::subject::Subject;
use uilog_finding::unemitted;
use uilog_logger::sinks::scripts::Scripts;
use uilog_sys::foreign_file;
use uilog_sys::search_path;
use uilog_sys::spawn::MAX_STRING_BYTES;

use super::entries::expanded;
use super::entries::values;
use super::first_word;
use super::first_word::FirstWord;
use super::report::Program;
use super::report::ScriptFacts;
use super::text::first_line;
use super::text::lossy;

const SECTION: &[u8] = b"logtoprocess";
/// The only sub-option.
const STDIN: &str = "stdin";
/// Bytes of a program that may name its interpreter.
const MAX_HASHBANG_BYTES: u64 = 256;

/// Checks the scripts; returns the facts about those that run.
pub(super) fn check(
    subject: &Subject<'_>,
    found: &mut Vec<Finding>,
) -> Vec<ScriptFacts> {
    let config = &subject.loaded.trusted;
    let (sink, faults) = Scripts::new(values(config, SECTION));
    for fault in faults {
        let entry = config.get(SECTION, fault.name.as_bytes());
        let finding = Finding::warning("sub-option", fault.to_string())
            .advise("its only value is json, beside a script for its event");
        found.push(match entry {
            Some(entry) => finding.at(&entry.source),
            None => finding,
        });
    }
    let scripts: HashMap<_, _> = sink.events().collect();
    let mut facts = Vec::new();
    for (event, entry) in config.items(SECTION) {
        let Some(script) = scripts.get(event) else {
            continue;
        };
        let place = &entry.source;
        check_event(config, event, place, found);
        let program = check_script(subject, &script.text, place, found);
        let stdin = match script.stdin {
            StdinFormat::Null => None,
            StdinFormat::Json => Some("json"),
        };
        facts.push(ScriptFacts {
            event: lossy(event),
            script: lossy(&script.text),
            stdin,
            source: place.to_string(),
            program,
        });
    }
    facts
}

/// Whether an event of this name can come.
fn check_event(
    config: &Config,
    event: &[u8],
    place: &Source,
    found: &mut Vec<Finding>,
) {
    let name = lossy(event);
    // A misspelled sub-option is an event with an odd name.
    if let (Some((before, sub)), None) =
        (name.rsplit_once(':'), events::find(event))
    {
        let text = format!(
            "there is no sub-option '{sub}': this is a script for an event \
             named '{name}'"
        );
        let advice = meant(sub.as_bytes(), [STDIN].into_iter()).map_or_else(
            || "the only sub-option is 'stdin'".to_owned(),
            |meant| did_you_mean(&format!("{before}:{meant}")),
        );
        found.push(
            Finding::warning("sub-option", text)
                .at(place)
                .advise(advice),
        );
        return;
    }
    found.extend(
        unemitted::check(config, event).map(|finding| finding.at(place)),
    );
}

/// Whether a script can run; returns the program that it begins with.
fn check_script(
    subject: &Subject<'_>,
    script: &[u8],
    place: &Source,
    found: &mut Vec<Finding>,
) -> Program {
    let mut push = |finding: Finding| found.push(finding.at(place));
    if script.contains(&0) {
        let text = "the script contains a NUL byte: it will not run";
        push(Finding::error("script-unusable", text.to_owned()));
        return Program::Unusable;
    }
    if script.len() >= MAX_STRING_BYTES {
        let text = "the script is longer than the system's limit of 128 KiB: \
            it will not run";
        push(
            Finding::error("script-unusable", text.to_owned())
                .advise("put it into a file"),
        );
        return Program::Unusable;
    }
    if let Some(error) = syntax_error(script) {
        push(Finding::error(
            "script-syntax",
            format!("the shell cannot parse the script: {error}"),
        ));
        return Program::Unusable;
    }
    let word = match first_word::begin(script) {
        FirstWord::Program(word) => word,
        FirstWord::Nothing => {
            let text = "the script does nothing: it is a comment";
            push(Finding::warning("script-empty", text.to_owned()));
            return Program::NotChecked;
        }
        FirstWord::Builtin(word) => return Program::Builtin(lossy(&word)),
        FirstWord::Unknown => return Program::NotChecked,
    };
    match look_up(subject, &word) {
        Lookup::Found(program) => {
            if let Some(finding) = check_interpreter(&program) {
                push(finding);
            }
            Program::Found(lossy(program.as_os_str().as_bytes()))
        }
        Lookup::Unknown => Program::NotChecked,
        Lookup::Fault(finding) => {
            push(finding);
            Program::Unusable
        }
    }
}

/// What became of looking for a program.
enum Lookup {
    Found(PathBuf),
    /// It depends on something that is not known here.
    Unknown,
    Fault(Finding),
}

fn look_up(subject: &Subject<'_>, word: &[u8]) -> Lookup {
    let named = first_line(word);
    if word.contains(&b'/') {
        let path = expanded(word, subject.environment);
        // hg may run anywhere, and `~joe` is the shell's to look up.
        if !path.is_absolute() {
            return Lookup::Unknown;
        }
        return match usable(&path) {
            Ok(()) => Lookup::Found(path),
            Err(problem) => Lookup::Fault(unusable(
                &problem,
                format!("the program {named} {problem}: the script will fail"),
            )),
        };
    }
    if word.contains(&b'~') {
        return Lookup::Unknown;
    }
    let path = subject.environment.var(b"PATH").unwrap_or_default();
    let mut last = Problem::Missing;
    for program in search_path::candidates(word, path) {
        match usable(&program) {
            Ok(()) => return Lookup::Found(program),
            Err(Problem::Missing) => {}
            Err(problem) => last = problem,
        }
    }
    let text = match last {
        Problem::Missing => {
            format!(
                "there is no program '{named}' on PATH: the script will fail"
            )
        }
        problem => format!(
            "the program '{named}' on PATH {problem}: the script will fail"
        ),
    };
    Lookup::Fault(unusable(&last, text))
}

fn unusable(problem: &Problem, text: String) -> Finding {
    let (code, advice) = match problem {
        Problem::Missing => (
            "script-missing",
            "install it, or correct the name; hg's PATH may also differ from \
             yours",
        ),
        Problem::Directory => ("script-not-executable", "name a program in it"),
        Problem::NotExecutable => {
            ("script-not-executable", "make it executable: chmod +x")
        }
    };
    Finding::error(code, text).advise(advice)
}

/// Why a program cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    Missing,
    Directory,
    NotExecutable,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "does not exist",
            Self::Directory => "is a directory",
            Self::NotExecutable => "is not executable",
        })
    }
}

fn usable(path: &Path) -> Result<(), Problem> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => Problem::NotExecutable,
        _ => Problem::Missing,
    })?;
    if metadata.is_dir() {
        return Err(Problem::Directory);
    }
    access(path, AccessFlags::X_OK).map_err(|_| Problem::NotExecutable)
}

/// Whether what a program's first line names exists.
fn check_interpreter(program: &Path) -> Option<Finding> {
    let begin =
        foreign_file::read_beginning(program, MAX_HASHBANG_BYTES).ok()?;
    let line = begin.strip_prefix(b"#!")?;
    let line = line.split(|byte| *byte == b'\n').next()?;
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t'));
    let interpreter = words.find(|word| !word.is_empty())?;
    let path = Path::new(std::ffi::OsStr::from_bytes(interpreter));
    let problem = usable(path).err().filter(|_| path.is_absolute())?;
    let text = format!(
        "{} is a script for {}, which {problem}: it will not run",
        program.display(),
        first_line(interpreter)
    );
    Some(
        Finding::error("script-interpreter", text)
            .advise("correct its first line"),
    )
}

/// The shell's error about a script's syntax, without running it.
fn syntax_error(script: &[u8]) -> Option<String> {
    let output = Command::new("/bin/sh")
        .arg("-n")
        .arg("-c")
        .arg(std::ffi::OsStr::from_bytes(script))
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .ok()?;
    if output.status.success() {
        return None;
    }
    let said = lossy(&output.stderr);
    let line = said.lines().next().unwrap_or("no reason given");
    // `/bin/sh: 1: Syntax error: ...`
    let line = line.strip_prefix("/bin/sh: ").unwrap_or(line);
    Some(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_parses_and_runs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("mark");
        let script = format!("touch '{}'", mark.display());
        assert_eq!(syntax_error(script.as_bytes()), None);
        assert!(!mark.exists());
        assert!(syntax_error(b"if true; then").is_some());
        assert_eq!(syntax_error(b"record # comment"), None);
    }
}
