//! Settings that all structured sinks share: the spool's directory and limits,
//! additional items to redact, the host's name, hg's environment.
//!
//! Must not know sinks. Reads no file.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use uilog_channel::sink_config::SECTION;
use uilog_config::Environment;
use uilog_config::expand_path;
use uilog_config::items;
use uilog_config::items::Value;

/// The settings of all sinks.
#[derive(Debug)]
pub struct Globals {
    /// The directory of all spools, one for each sink that needs one; or why
    /// there is none.
    pub spool: Result<PathBuf, String>,
    /// The directory with the numbers of sinks without a spool; or why there is
    /// none.
    pub numbers: Result<PathBuf, String>,
    /// How many bytes may wait in a spool.
    pub spool_max_bytes: u64,
    /// For how long something may wait there.
    pub spool_max_age: Duration,
    /// How many bytes the history may have.
    pub history_max_bytes: u64,
    /// For how long something stays in the history.
    pub history_max_age: Duration,
    /// Further items whose values are secrets, as globs over `SECTION.NAME`.
    pub redact_config: Vec<Vec<u8>>,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// This machine's name.
    pub host: String,
    environment: Environment,
}

impl Globals {
    /// Those of a `[uilog]` with these items and of an hg with this
    /// environment: a block of `NAME=value`, each followed by NUL.
    pub fn new(items: &[(Vec<u8>, Vec<u8>)], environment: &[u8]) -> Self {
        let environment = Environment::new(variables(environment), "/".into());
        let number = |name| match value(items, name) {
            Value::Number(number) => number.clamp(0, u64::MAX.into()) as u64,
            _ => 0,
        };
        let age = |name| match value(items, name) {
            Value::Seconds(age) => age,
            _ => Duration::ZERO,
        };
        Self {
            spool: spool(&value(items, "spool"), &environment),
            numbers: state(&environment)
                .map(|it| it.join("numbers"))
                .ok_or_else(|| {
                    "neither XDG_STATE_HOME nor HOME names a directory"
                        .to_owned()
                }),
            spool_max_bytes: number("spool-max-size"),
            spool_max_age: age("spool-max-age"),
            history_max_bytes: number("history-max-size"),
            history_max_age: age("history-max-age"),
            redact_config: match value(items, "redact-config") {
                Value::List(globs) => globs,
                _ => Vec::new(),
            },
            home: directory(&environment, b"HOME"),
            host: host_name(),
            environment,
        }
    }

    /// hg's environment, for paths.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// A variable of hg's environment.
    pub fn variable(&self, name: &str) -> Option<&[u8]> {
        self.environment.var(name.as_bytes())
    }

    /// The variables that determine the user's journal, as a block.
    pub fn environment_of_journal(&self) -> Vec<u8> {
        let mut block = Vec::new();
        for name in ["HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"] {
            if let Some(value) = self.variable(name) {
                block.extend_from_slice(name.as_bytes());
                block.push(b'=');
                block.extend_from_slice(value);
                block.push(0);
            }
        }
        block
    }

    /// The path that a value of the configuration means: `~` and variables
    /// are replaced.
    ///
    /// # Errors
    ///
    /// If it is relative, since there is nothing to resolve it against.
    pub fn path(&self, text: &[u8]) -> Result<PathBuf, String> {
        absolute(text, &self.environment)
    }
}

fn variables(block: &[u8]) -> HashMap<Vec<u8>, Vec<u8>> {
    let mut variables = HashMap::new();
    for entry in block.split(|byte| *byte == 0) {
        let Some(at) = entry.iter().position(|byte| *byte == b'=') else {
            continue;
        };
        // libc: the first of several is the one that getenv finds
        variables
            .entry(entry[..at].to_vec())
            .or_insert_with(|| entry[at + 1..].to_vec());
    }
    variables
}

/// An item's value: the last valid one, otherwise the default.
fn value(items: &[(Vec<u8>, Vec<u8>)], name: &str) -> Value {
    let item = items::find(SECTION.as_bytes(), name.as_bytes());
    let item = item.expect("a test asks for each by its name");
    let set = items.iter().rfind(|it| it.0 == name.as_bytes());
    set.and_then(|(_, text)| item.parse(text))
        .or_else(|| item.parse(item.default.as_bytes()))
        .expect("items.toml: a test parses each default")
}

fn spool(value: &Value, environment: &Environment) -> Result<PathBuf, String> {
    if let Value::Text(text) = value
        && !text.trim_ascii().is_empty()
    {
        return absolute(text, environment)
            .map_err(|problem| format!("{SECTION}.spool: {problem}"));
    }
    state(environment)
        .map(|it| it.join("spool"))
        .ok_or_else(|| {
            format!(
                "there is no directory for a spool: neither {SECTION}.spool \
                 nor \
             XDG_STATE_HOME nor HOME names a directory"
            )
        })
}

/// The directory of uilog's state.
pub(crate) fn state(environment: &Environment) -> Option<PathBuf> {
    if let Some(state) = directory(environment, b"XDG_STATE_HOME") {
        return Some(state.join("uilog"));
    }
    let home = directory(environment, b"HOME")?;
    Some(home.join(".local/state/uilog"))
}

fn absolute(text: &[u8], environment: &Environment) -> Result<PathBuf, String> {
    let expanded = expand_path(text.trim_ascii(), environment);
    let path = PathBuf::from(OsString::from_vec(expanded));
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(format!("'{}' is not an absolute path", path.display()))
    }
}

fn directory(environment: &Environment, name: &[u8]) -> Option<PathBuf> {
    let path = Path::new(OsStr::from_bytes(environment.var(name)?));
    path.is_absolute().then(|| path.to_owned())
}

/// This machine's name.
pub fn host_name() -> String {
    nix::sys::utsname::uname()
        .map(|names| names.nodename().to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globals(items: &[(&str, &str)], environment: &str) -> Globals {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let items: Vec<_> =
            items.iter().map(|(n, v)| (bytes(n), bytes(v))).collect();
        Globals::new(&items, environment.as_bytes())
    }

    fn spool(items: &[(&str, &str)], environment: &str) -> String {
        match globals(items, environment).spool {
            Ok(path) => path.display().to_string(),
            Err(problem) => problem,
        }
    }

    #[test]
    fn the_spool_is_where_the_state_is() {
        assert_eq!(
            spool(&[], "HOME=/h\0XDG_STATE_HOME=/s\0"),
            "/s/uilog/spool"
        );
        let in_home = "/h/.local/state/uilog/spool";
        assert_eq!(spool(&[], "HOME=/h\0"), in_home);
        assert_eq!(spool(&[], "XDG_STATE_HOME=s\0HOME=/h\0"), in_home);
        assert_eq!(
            spool(&[], "HOME=h\0"),
            "there is no directory for a spool: neither uilog.spool nor \
             XDG_STATE_HOME nor HOME names a directory"
        );
    }

    #[test]
    fn a_spool_can_be_elsewhere() {
        let spool = |value| spool(&[("spool", value)], "HOME=/h\0X=/x\0");
        assert_eq!(spool(" /a "), "/a");
        assert_eq!(spool("~/a"), "/h/a");
        assert_eq!(spool("$X/a"), "/x/a");
        assert_eq!(spool("a"), "uilog.spool: 'a' is not an absolute path");
        assert_eq!(spool(" "), "/h/.local/state/uilog/spool");
    }

    #[test]
    fn limits_are_read_or_their_defaults() {
        let set = globals(
            &[
                ("spool-max-size", "2 MB"),
                ("spool-max-age", "1 day"),
                ("redact-config", "corp.*, x.y"),
            ],
            "A=1\0A=2\0",
        );
        assert_eq!(set.spool_max_bytes, 2 << 20);
        assert_eq!(set.spool_max_age, Duration::from_secs(86_400));
        assert_eq!(set.redact_config, [&b"corp.*"[..], b"x.y"]);
        assert_eq!(set.variable("A"), Some(&b"1"[..]));
        assert_eq!(set.variable("B"), None);
        assert!(!set.host.is_empty());
        let default = globals(&[("spool-max-size", "much")], "");
        assert_eq!(default.spool_max_bytes, 64 << 20);
        assert_eq!(default.spool_max_age, Duration::from_secs(7 * 86_400));
        assert_eq!(default.home, None);
        // A number without a unit is not taken for seconds.
        let default = globals(&[("spool-max-age", "7")], "");
        assert_eq!(default.spool_max_age, Duration::from_secs(7 * 86_400));
    }
}
