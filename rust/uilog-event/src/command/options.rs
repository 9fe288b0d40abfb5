//! Mercurial's global options, and its two ways to find them.
//!
//! Takes arguments, returns the options; must not know configuration.

use std::borrow::Cow;

/// A global option.
struct Global {
    short: Option<u8>,
    long: &'static str,
    has_value: bool,
}

impl Global {
    fn can_be_negated(&self) -> bool {
        !self.has_value && !NEVER_NEGATED.contains(&self.long)
    }
}

const fn flag(short: Option<u8>, long: &'static str) -> Global {
    Global {
        short,
        long,
        has_value: false,
    }
}

const fn valued(short: Option<u8>, long: &'static str) -> Global {
    Global {
        short,
        long,
        has_value: true,
    }
}

// hg: cmd_impls.global_opts, commands.globalopts
const GLOBALS: [Global; 19] = [
    valued(Some(b'R'), "repository"),
    valued(None, "cwd"),
    flag(Some(b'y'), "noninteractive"),
    flag(Some(b'q'), "quiet"),
    flag(Some(b'v'), "verbose"),
    valued(None, "color"),
    valued(None, "config"),
    valued(None, "config-file"),
    flag(None, "debug"),
    flag(None, "debugger"),
    valued(None, "encoding"),
    valued(None, "encodingmode"),
    flag(None, "traceback"),
    flag(None, "time"),
    flag(None, "profile"),
    flag(None, "version"),
    flag(Some(b'h'), "help"),
    flag(None, "hidden"),
    valued(None, "pager"),
];

/// Flags that have no `--no-` form.
// hg: fancyopts.nevernegate
const NEVER_NEGATED: [&str; 2] = ["help", "version"];

/// Another name of an option, in the early search for options.
const REPO: &str = "repo";

/// What a command line says before its command is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EarlyOptions {
    /// `-R`.
    pub repository: Option<Vec<u8>>,
    /// `--cwd`.
    pub cwd: Option<Vec<u8>>,
    /// Each `--config`.
    pub config: Vec<Vec<u8>>,
    /// Each `--config-file`.
    pub config_files: Vec<Vec<u8>>,
}

impl EarlyOptions {
    /// Reads the arguments. `is_strict` ends that at the first that is no
    /// option.
    // hg: args_util.early_parse_opts, dispatch._earlyparseopts
    pub fn parse(args: &[Vec<u8>], is_strict: bool) -> Self {
        let mut early = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if arg == b"--" {
                break;
            }
            let is_taken = match known(arg) {
                Some((option, Some(value))) if option.has_value => {
                    early.set(option.long, value);
                    true
                }
                Some((option, None)) if option.has_value => {
                    let Some(value) = args.next() else { break };
                    early.set(option.long, value);
                    true
                }
                Some((_, None)) => true,
                _ => is_negated(arg),
            };
            if !is_taken && is_strict {
                break;
            }
        }
        early
    }

    fn set(&mut self, name: &str, value: &[u8]) {
        let value = value.to_vec();
        match name {
            "repository" => self.repository = Some(value),
            "cwd" => self.cwd = Some(value),
            "config" => self.config.push(value),
            "config-file" => self.config_files.push(value),
            _ => {}
        }
    }
}

/// Whether the environment demands that options end at the first argument that
/// is not one. The arguments are the variables' values, if they are set.
// hg: ui.plain('strictflags')
pub fn is_strict(plain: Option<&[u8]>, except: Option<&[u8]>) -> bool {
    let has = |text: &[u8], word: &[u8]| {
        text.split(|byte| *byte == b',').any(|it| it == word)
    };
    let except = except.unwrap_or_default().trim_ascii();
    plain.is_some_and(|plain| has(plain, b"+strictflags"))
        && !has(except, b"strictflags")
}

/// A long option, and the value in the same argument.
// hg: fancyopts._earlyoptarg
fn known(arg: &[u8]) -> Option<(&'static Global, Option<&[u8]>)> {
    if let Some(long) = arg.strip_prefix(b"--") {
        let end = long.iter().position(|byte| *byte == b'=');
        let name = &long[..end.unwrap_or(long.len())];
        let value = end.map(|end| &long[end + 1..]);
        let option = GLOBALS.iter().find(|option| {
            option.long.as_bytes() == name
                || option.long == "repository" && name == REPO.as_bytes()
        });
        return option.map(|option| (option, value));
    }
    let [b'-', letter, rest @ ..] = arg else {
        return None;
    };
    let option = GLOBALS
        .iter()
        .find(|option| option.short == Some(*letter))?;
    Some((option, (!rest.is_empty()).then_some(rest)))
}

/// Whether a global option takes the next argument as its value; `None` if the
/// argument is not a global option, as far as that is known without the
/// command.
pub(super) fn global(arg: &[u8]) -> Option<bool> {
    match known(arg) {
        Some((option, value)) => Some(option.has_value && value.is_none()),
        None => is_negated(arg).then_some(false),
    }
}

/// Whether it switches off a flag.
fn is_negated(arg: &[u8]) -> bool {
    arg.strip_prefix(b"--no-").is_some_and(|name| {
        GLOBALS.iter().any(|option| {
            option.long.as_bytes() == name && option.can_be_negated()
        })
    })
}

/// The command and its arguments, from arguments that may begin with options.
/// `None` if there is no command, or if the options are invalid.
// hg: fancyopts.fancyopts, Python: getopt.getopt
pub fn command(args: &[Vec<u8>]) -> Option<&[Vec<u8>]> {
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        if arg == b"--" {
            at += 1;
            break;
        }
        if arg == b"-" || !arg.starts_with(b"-") {
            break;
        }
        at += 1;
        let takes_next = match arg.strip_prefix(b"--") {
            Some(long) => takes_next_after_long(long)?,
            None => takes_next_after_short(&arg[1..])?,
        };
        if takes_next {
            args.get(at)?;
            at += 1;
        }
    }
    let rest = &args[at..];
    (!rest.is_empty()).then_some(rest)
}

// Python: getopt.do_longs
fn takes_next_after_long(long: &[u8]) -> Option<bool> {
    let end = long.iter().position(|byte| *byte == b'=');
    let name = &long[..end.unwrap_or(long.len())];
    let negated = GLOBALS
        .iter()
        .filter(|it| it.can_be_negated())
        .map(|it| (Cow::Owned(format!("no-{}", it.long)), false));
    let all = GLOBALS
        .iter()
        .map(|it| (Cow::Borrowed(it.long), it.has_value))
        .chain(negated);
    let mut possible = Vec::new();
    for (option, has_value) in all {
        if option.as_bytes() == name {
            possible = vec![has_value];
            break;
        }
        if option.as_bytes().starts_with(name) {
            possible.push(has_value);
        }
    }
    let [has_value] = possible[..] else {
        return None;
    };
    match end {
        Some(_) if !has_value => None,
        Some(_) => Some(false),
        None => Some(has_value),
    }
}

// Python: getopt.do_shorts
fn takes_next_after_short(letters: &[u8]) -> Option<bool> {
    for (index, letter) in letters.iter().enumerate() {
        let option = GLOBALS
            .iter()
            .find(|option| option.short == Some(*letter))?;
        if option.has_value {
            return Some(index + 1 == letters.len());
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(text: &str) -> Vec<Vec<u8>> {
        text.split_whitespace().map(|it| it.into()).collect()
    }

    #[test]
    fn early_options_are_found_anywhere() {
        let early = EarlyOptions::parse(
            &args("-R a log --config a.b=c -v --cwd=d --unknown -Rx --repo y"),
            false,
        );
        assert_eq!(early.repository, Some(b"y".to_vec()));
        assert_eq!(early.cwd, Some(b"d".to_vec()));
        assert_eq!(early.config, args("a.b=c"));
        let none = EarlyOptions::default();
        assert_eq!(EarlyOptions::parse(&args("log -- -R a"), false), none);
        assert_eq!(
            EarlyOptions::parse(&args("log -qR a --reposi b"), false),
            none
        );
        assert_eq!(EarlyOptions::parse(&args("log -R"), false), none);
        assert_eq!(EarlyOptions::parse(&args("log -R a"), true), none);
        let text = "-v --no-quiet -R a log -R b";
        let strict = EarlyOptions::parse(&args(text), true);
        assert_eq!(strict.repository, Some(b"a".to_vec()));
    }

    #[test]
    fn options_end_early_only_on_demand() {
        assert!(is_strict(Some(b"1,+strictflags"), None));
        assert!(!is_strict(Some(b"1"), None));
        assert!(!is_strict(None, Some(b"")));
        assert!(!is_strict(Some(b"+strictflags"), Some(b"strictflags")));
    }

    #[test]
    fn a_global_option_may_take_the_next_argument() {
        for (arg, takes_next) in [
            ("-R", Some(true)),
            ("-Ra", Some(false)),
            ("--cwd", Some(true)),
            ("--cwd=a", Some(false)),
            ("-q", Some(false)),
            ("--verbose", Some(false)),
            ("--no-verbose", Some(false)),
            // Neither is there to be switched off.
            ("--no-cwd", None),
            ("--no-nonsense", None),
            ("--rev", None),
            ("log", None),
        ] {
            assert_eq!(global(arg.as_bytes()), takes_next, "{arg}");
        }
    }

    #[test]
    fn the_command_comes_after_options() {
        let found = |text: &str| {
            command(&args(text))
                .map(|it| String::from_utf8(it[0].clone()).unwrap())
        };
        assert_eq!(found("log -R a").as_deref(), Some("log"));
        assert_eq!(found("-qvR a log").as_deref(), Some("log"));
        assert_eq!(found("-qRa log").as_deref(), Some("log"));
        assert_eq!(found("--rep a log").as_deref(), Some("log"));
        assert_eq!(found("--no-hid -- log").as_deref(), Some("log"));
        assert_eq!(found("--config-file a log").as_deref(), Some("log"));
        assert_eq!(found("--config a log").as_deref(), Some("log"));
        assert_eq!(found("- log").as_deref(), Some("-"));
        for none in ["", "-q", "--con a log", "-x log", "--quiet=1 log", "-R"] {
            assert_eq!(found(none), None, "{none}");
        }
        assert_eq!(found("--no-version log"), None);
    }
}
