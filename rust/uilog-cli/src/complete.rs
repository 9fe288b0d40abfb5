//! `uilog complete`: what a shell proposes for a command line.
//!
//! The scripts of the shells pass the words up to the cursor, and show the lines
//! of the answer. So the names of sinks, spools and traces are those of this
//! moment, and all shells propose the same. Must not change anything, and fails
//! in silence: there is nobody to read an error.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::io::Write;

use clap::Arg;
use clap::ArgAction;
use clap::Command;
use clap::ValueEnum;
use clap::ValueHint;
use uilog_event::events;

use crate::native;
use crate::spool::selected::Spools;
use crate::trace;

/// The command whose arguments may be commands.
const HELP: &str = "help";
/// Traces that are proposed, the newest ones.
const MAX_TRACES: usize = 20;

/// Print what may follow a command line (internal, called by the scripts that
/// complete it)
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The words up to the cursor; the last one, which may be empty, is completed
    #[arg(last = true)]
    words: Vec<OsString>,
}

pub(crate) fn run(arguments: &Arguments, command: &Command) -> io::Result<()> {
    let words = arguments.words.iter().map(|word| word.to_string_lossy());
    let words: Vec<String> = words.map(|it| it.into_owned()).collect();
    let mut output = io::stdout().lock();
    for line in answer(&words, command, &Machine) {
        writeln!(output, "{line}")?;
    }
    Ok(())
}

/// What the proposals depend on besides the arguments.
trait Names {
    fn sinks(&self) -> Vec<String>;
    fn spools(&self) -> Vec<String>;
    fn traces(&self) -> Vec<String>;
}

/// The configuration here, and this user's files.
struct Machine;

impl Names for Machine {
    fn sinks(&self) -> Vec<String> {
        let (definitions, _) = native::sinks(&native::usual_config());
        let named = definitions.into_iter().filter(|it| !it.is_history());
        named.map(|it| it.name).collect()
    }

    fn spools(&self) -> Vec<String> {
        let spools = Spools::of(&native::usual_config());
        spools.map(|it| it.names()).unwrap_or_default()
    }

    fn traces(&self) -> Vec<String> {
        trace::newest(MAX_TRACES)
    }
}

/// What an argument can be.
enum Proposal {
    /// These, each with a description.
    Values(Vec<(String, String)>),
    /// What the shell itself completes.
    Files,
    Directories,
    Programs,
    Nothing,
}

/// The lines for a shell: a value, and after a tab its description; or `:files`,
/// `:dirs` or `:programs` alone, which the shell completes itself.
fn answer(
    words: &[String],
    command: &Command,
    names: &dyn Names,
) -> Vec<String> {
    let Some((last, before)) = words.split_last() else {
        return Vec::new();
    };
    let mut root = command.clone();
    root.build();
    let position = Position::after(before, &root);
    if position.is_trailing {
        return vec![":files".to_owned()];
    }
    let (begin, value, proposal) = position.propose(last, &root, names);
    match proposal {
        Proposal::Values(values) => values
            .into_iter()
            .filter(|(it, _)| it.starts_with(value))
            .map(|(it, help)| match help.as_str() {
                "" => format!("{begin}{it}"),
                help => format!("{begin}{it}\t{help}"),
            })
            .collect(),
        Proposal::Files => vec![":files".to_owned()],
        Proposal::Directories => vec![":dirs".to_owned()],
        Proposal::Programs => vec![":programs".to_owned()],
        Proposal::Nothing => Vec::new(),
    }
}

/// Where the words before the cursor have led.
struct Position<'c> {
    command: &'c Command,
    /// The option whose value comes next.
    open: Option<&'c Arg>,
    /// How many places of the command are filled.
    places: usize,
    is_after_dashes: bool,
    /// The words are another program's.
    is_trailing: bool,
}

impl<'c> Position<'c> {
    fn after(words: &[String], root: &'c Command) -> Self {
        let mut position = Self {
            command: root,
            open: None,
            places: 0,
            is_after_dashes: false,
            is_trailing: false,
        };
        for word in words.iter().skip(1) {
            position.pass(word);
            if position.is_trailing {
                break;
            }
        }
        position
    }

    fn pass(&mut self, word: &str) {
        if self.open.take().is_some() {
            return;
        }
        if self.is_after_dashes || !word.starts_with('-') || word == "-" {
            match self.command.find_subcommand(word) {
                Some(command) if !self.is_after_dashes && self.places == 0 => {
                    self.command = command;
                }
                _ => self.places += 1,
            }
            self.is_trailing = is_trailing(self.command, self.places);
        } else if word == "--" {
            self.is_after_dashes = true;
        } else if !word.contains('=') {
            let option = option(self.command, word);
            self.open = option.filter(|it| takes_value(it));
        }
    }

    /// What the last word may become: the part of it that stays, the one that
    /// is completed, and with what.
    fn propose<'w>(
        &self,
        last: &'w str,
        root: &Command,
        names: &dyn Names,
    ) -> (String, &'w str, Proposal) {
        let command = self.command;
        if let Some(open) = self.open
            && (!last.starts_with('-') || !has_optional_value(open))
        {
            let proposal = of_argument(open, command, names);
            return (String::new(), last, proposal);
        }
        if let Some((flag, value)) = last.split_once('=')
            && flag.starts_with("--")
            && !self.is_after_dashes
        {
            let option = option(command, flag).filter(|it| takes_value(it));
            let proposal = option.map_or(Proposal::Nothing, |it| {
                of_argument(it, command, names)
            });
            return (format!("{flag}="), value, proposal);
        }
        if last.starts_with('-') && !self.is_after_dashes {
            let proposal = Proposal::Values(flags(command));
            return (String::new(), last, proposal);
        }
        let mut proposal =
            of_place(command, self.places, self.is_after_dashes, names);
        if let Proposal::Values(values) = &mut proposal
            && command.get_name() == HELP
            && self.places == 0
        {
            values.extend(subcommands(root));
        }
        (String::new(), last, proposal)
    }
}

fn option<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let mut options = command.get_arguments();
    options.find(|it| match word.strip_prefix("--") {
        Some(long) => it.get_long() == Some(long),
        None => it.get_short().is_some_and(|short| word.ends_with(short)),
    })
}

fn takes_value(argument: &Arg) -> bool {
    argument.get_action().takes_values()
}

/// Whether an option may stand without its value.
pub(crate) fn has_optional_value(option: &Arg) -> bool {
    let range = option.get_num_args();
    !option.is_positional()
        && range.is_some_and(|range| range.min_values() == 0)
}

/// The positional argument that comes after so many of them.
fn place(command: &Command, places: usize) -> Option<&Arg> {
    let all: Vec<_> = command.get_positionals().collect();
    let last = all.last().filter(|it| {
        it.get_num_args().is_some_and(|it| it.max_values() > 1)
            || matches!(it.get_action(), ArgAction::Append)
    });
    all.get(places).or(last).copied()
}

/// Whether what follows belongs to another program.
fn is_trailing(command: &Command, places: usize) -> bool {
    places > 0
        && place(command, places).is_some_and(Arg::is_trailing_var_arg_set)
}

fn of_place(
    command: &Command,
    places: usize,
    is_after_dashes: bool,
    names: &dyn Names,
) -> Proposal {
    let mut values = Vec::new();
    if places == 0 && !is_after_dashes {
        values = subcommands(command);
    }
    let Some(argument) = place(command, places) else {
        return Proposal::Values(values);
    };
    if argument.is_trailing_var_arg_set() {
        return Proposal::Programs;
    }
    match of_argument(argument, command, names) {
        Proposal::Values(more) => {
            values.extend(more);
            Proposal::Values(values)
        }
        Proposal::Nothing => Proposal::Values(values),
        other => other,
    }
}

fn subcommands(command: &Command) -> Vec<(String, String)> {
    let all = command.get_subcommands().filter(|it| !it.is_hide_set());
    all.map(|it| (it.get_name().to_owned(), first_line(it.get_about())))
        .collect()
}

fn flags(command: &Command) -> Vec<(String, String)> {
    let all = command.get_arguments().filter(|it| !it.is_hide_set());
    let mut flags = Vec::new();
    for argument in all {
        let help = first_line(argument.get_help());
        if let Some(long) = argument.get_long() {
            flags.push((format!("--{long}"), help.clone()));
        }
        if let Some(short) = argument.get_short() {
            flags.push((format!("-{short}"), help));
        }
    }
    flags
}

fn first_line(help: Option<&clap::builder::StyledStr>) -> String {
    let help = help.map(ToString::to_string).unwrap_or_default();
    help.lines().next().unwrap_or_default().to_owned()
}

fn of_argument(
    argument: &Arg,
    command: &Command,
    names: &dyn Names,
) -> Proposal {
    let plain = |all: Vec<String>| {
        let all: BTreeSet<String> = all.into_iter().collect();
        let all = all.into_iter().map(|it| (it, String::new()));
        Proposal::Values(all.collect())
    };
    let value_names = argument.get_value_names().unwrap_or_default();
    let is_of_spools = command
        .get_bin_name()
        .is_some_and(|name| name.split(' ').any(|word| word == "spool"));
    match value_names.first().map(|name| name.as_str()) {
        Some("SINK" | "SINKS") if is_of_spools => {
            return plain(names.spools());
        }
        Some("SINK" | "SINKS") => return plain(names.sinks()),
        Some("EVENT") => {
            let known = events::KNOWN.iter().map(|it| it.name.to_owned());
            return plain(known.collect());
        }
        Some("ID|last") => {
            let last = std::iter::once("last".to_owned());
            return plain(last.chain(names.traces()).collect());
        }
        Some("ID") if argument.get_id() == "trace" => {
            return plain(names.traces());
        }
        _ => {}
    }
    let possible = argument.get_possible_values();
    if !possible.is_empty() {
        let shown = possible.iter().filter(|it| !it.is_hide_set());
        return Proposal::Values(
            shown
                .map(|it| (it.get_name().to_owned(), first_line(it.get_help())))
                .collect(),
        );
    }
    match argument.get_value_hint() {
        ValueHint::FilePath | ValueHint::AnyPath => Proposal::Files,
        ValueHint::DirPath => Proposal::Directories,
        ValueHint::ExecutablePath
        | ValueHint::CommandName
        | ValueHint::CommandWithArguments
        | ValueHint::CommandString => Proposal::Programs,
        _ => Proposal::Nothing,
    }
}

/// A shell that completes.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The script of a shell, which asks this command.
pub(crate) fn script(shell: Shell) -> &'static str {
    match shell {
        Shell::Bash => include_str!("../../../completions/uilog"),
        Shell::Zsh => include_str!("../../../completions/_uilog"),
        Shell::Fish => include_str!("../../../completions/uilog.fish"),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    struct Some;

    impl Names for Some {
        fn sinks(&self) -> Vec<String> {
            vec!["audit".to_owned(), "fleet".to_owned()]
        }

        fn spools(&self) -> Vec<String> {
            vec!["fleet".to_owned()]
        }

        fn traces(&self) -> Vec<String> {
            vec!["4bf9".to_owned()]
        }
    }

    /// The values, without their descriptions.
    fn proposed(words: &[&str]) -> Vec<String> {
        let words = std::iter::once("uilog").chain(words.iter().copied());
        let words: Vec<String> = words.map(str::to_owned).collect();
        let lines = answer(&words, &crate::Arguments::command(), &Some);
        let values = lines.iter().filter_map(|it| it.split('\t').next());
        values.map(str::to_owned).collect()
    }

    #[test]
    fn names_are_those_of_this_moment() {
        for actions in ["flush", "export", "forget", "requeue"] {
            assert_eq!(proposed(&["spool", actions, ""]), ["fleet"]);
        }
        assert_eq!(proposed(&["spool", "flush", "fleet", "f"]), ["fleet"]);
        assert_eq!(proposed(&["check", "--connect", ""]), ["audit", "fleet"]);
        assert_eq!(proposed(&["check", "--connect", "f"]), ["fleet"]);
        assert_eq!(proposed(&["check", "--connect=f"]), ["--connect=fleet"]);
        assert_eq!(proposed(&["trace", ""]), ["4bf9", "last"]);
        assert_eq!(proposed(&["log", "--trace", ""]), ["4bf9"]);
    }

    #[test]
    fn nothing_else_is_proposed() {
        let nothing: [&str; 0] = [];
        for words in [
            &["spool", "flush", "x"][..],
            &["status", ""],
            &["flush", "--wait", ""],
            &["log", "--since", ""],
            &["generate"],
            &["user-name"],
            &["no-such-command", ""],
        ] {
            assert_eq!(proposed(words), nothing, "{words:?}");
        }
    }

    #[test]
    fn commands_options_events_and_settings() {
        assert_eq!(proposed(&["sta"]), ["status"]);
        assert!(proposed(&[""]).len() > 10);
        assert_eq!(proposed(&["spool", "fl"]), ["flush"]);
        assert_eq!(
            proposed(&["check", "--con"]),
            ["--connect", "--config", "--config-file"]
        );
        assert_eq!(
            proposed(&["check", "--run", "commandf"]),
            ["commandfinish"]
        );
        assert_eq!(
            proposed(&["log", "--event=commandl"]),
            ["--event=commandlost"]
        );
        assert_eq!(proposed(&["emit", "commandfi"]), ["commandfinish"]);
        assert_eq!(proposed(&["config", "uilog.max"]), ["uilog.max-scripts"]);
        assert_eq!(
            proposed(&["help", "uilog.sink.NAME:tr"]),
            ["uilog.sink.NAME:track"]
        );
        assert_eq!(proposed(&["help", "snk"]), Vec::<String>::new());
        assert_eq!(proposed(&["help", "statu"]), ["status"]);
        assert_eq!(proposed(&["check", "-T", ""]), ["json"]);
        assert_eq!(proposed(&["-"]).len(), 4);
    }

    #[test]
    fn the_shell_completes_files_and_programs() {
        assert_eq!(proposed(&["log", ""]), [":files"]);
        assert_eq!(proposed(&["check", "-R", ""]), [":dirs"]);
        assert_eq!(proposed(&["check", "--config-file="]), [":files"]);
        assert_eq!(proposed(&["run", "--", ""]), [":programs"]);
        assert_eq!(proposed(&["run", "--", "rhg", ""]), [":files"]);
        assert_eq!(proposed(&["run", "rhg", "-"]), [":files"]);
    }
}
