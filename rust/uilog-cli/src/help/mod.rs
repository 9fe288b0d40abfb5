//! `uilog help`: commands, topics, settings and events.
//!
//! The texts have one source: `help/*.rst` of this crate for the topics, and
//! `items.toml` for the settings. `uilog generate` makes of it what hg, man and
//! the documentation show.

pub(crate) mod document;
pub(crate) mod parts;
mod plain;
pub(crate) mod python;
pub(crate) mod roff;

use std::env;
use std::io;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Command;
use document::TOPICS;
use document::Topic;
use uilog_config::described::DESCRIBED;
use uilog_config::described::Described;
use uilog_event::events;
use uilog_event::suggest;
use uilog_sys::terminal;

use crate::suggest::Suggest;

/// Columns, if nothing else is known, and the most.
const WIDTH: usize = 80;
const MAX_WIDTH: usize = 100;

/// The exit status if there is no help for a name.
const UNKNOWN: u8 = 2;

/// Show help for a command, a topic, a setting or an event
///
/// Without arguments, lists all of them by subject. A setting may be named with
/// or without its section, and with the name of a sink: `max-scripts`,
/// `uilog.max-scripts`, `sink.fleet:track`, `track`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
    uilog help                   list topics, settings and commands
  uilog help sinks             a topic
  uilog help agent-idle        a setting: type, unit, default, example
  uilog help sink.fleet:track  an option of a sink
  uilog help commandfinish     an event, and its options
  uilog help spool flush       a command

Exit status:
  0  help is shown
  2  there is no such command, topic, setting or event")]
pub(crate) struct Arguments {
    /// A command, a topic, a setting or an event
    #[arg(
        value_name = "NAME",
        value_parser = Suggest(all_names),
        hide_possible_values = true
    )]
    names: Vec<std::ffi::OsString>,
    /// Print the directory of the documentation, which is cited as `docs/`
    #[arg(long, conflicts_with = "names")]
    path: bool,
}

pub(crate) fn run(
    arguments: &Arguments,
    command: &Command,
) -> anyhow::Result<ExitCode> {
    if arguments.path {
        let dir = documentation()
            .context("the documentation is not installed with this uilog")?;
        writeln!(io::stdout().lock(), "{}", dir.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    let names = arguments.names.iter().map(|name| name.to_string_lossy());
    let names: Vec<String> = names.map(|it| it.into_owned()).collect();
    match text(&names, command, width()) {
        Ok(mut text) => {
            if let Some(dir) = documentation()
                && text.contains("docs/")
            {
                text.push_str(&format!("\n'docs/' is {}/\n", dir.display()));
            }
            io::stdout().lock().write_all(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problem) => {
            crate::output::say(&format!("uilog: {problem}"));
            Ok(ExitCode::from(UNKNOWN))
        }
    }
}

/// Where the documentation is installed, if it is.
fn documentation() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let dir = program.parent()?.parent()?.join("share/doc/uilog");
    dir.is_dir().then_some(dir)
}

fn width() -> usize {
    let columns = || env::var("COLUMNS").ok()?.parse().ok();
    let terminal = terminal::size(io::stdout()).map(|(columns, _)| columns);
    terminal.or_else(columns).unwrap_or(WIDTH).min(MAX_WIDTH)
}

/// What is shown for these names; otherwise why there is nothing.
fn text(
    names: &[String],
    command: &Command,
    width: usize,
) -> Result<String, String> {
    let [name] = names else {
        return match names {
            [] => Ok(list(command, width)),
            _ => command_help(names, command, width).ok_or_else(|| {
                format!("there is no command '{}'", names.join(" "))
            }),
        };
    };
    let settings: Vec<_> =
        DESCRIBED.iter().filter(|it| it.is_meant_by(name)).collect();
    if let Some(mut text) = command_help(names, command, width) {
        for setting in settings {
            text.push_str(&format!(
                "\n'uilog help {0}' describes the setting {0}.\n",
                setting.full_name()
            ));
        }
        return Ok(text);
    }
    if let Some(topic) = Topic::find(name) {
        return Ok(plain::topic(topic, &of_topic(topic), width));
    }
    if !settings.is_empty() {
        let texts = settings.iter().map(|it| plain::setting(it, width));
        return Ok(texts.collect::<Vec<_>>().join("\n"));
    }
    if let Some(known) = events::KNOWN.iter().find(|it| it.name == *name) {
        return Ok(event(known, width));
    }
    Err(unknown(name, command))
}

/// The settings that belong to a topic.
pub(crate) fn of_topic(topic: &Topic) -> Vec<&'static Described> {
    let settings = DESCRIBED.iter();
    settings.filter(|it| it.topic == topic.name).collect()
}

/// Everything that there is help for, by subject.
fn list(command: &Command, width: usize) -> String {
    let mut text = String::from("Topics:\n");
    let topics = TOPICS.iter();
    plain::write_table(
        &mut text,
        topics.map(|it| (it.name.to_owned(), it.title())),
        width,
    );
    for topic in TOPICS {
        let settings = of_topic(topic);
        if !settings.is_empty() {
            text.push_str(&format!("\nSettings: {}\n", topic.name));
            plain::write_table(
                &mut text,
                settings.iter().map(|it| (it.full_name(), it.help)),
                width,
            );
        }
    }
    text.push_str("\nCommands:\n");
    let commands: Vec<_> = command
        .get_subcommands()
        .filter(|it| !it.is_hide_set())
        .map(|it| {
            let about = it.get_about().map(ToString::to_string);
            (it.get_name().to_owned(), about.unwrap_or_default())
        })
        .collect();
    plain::write_table(
        &mut text,
        commands
            .iter()
            .map(|(name, it)| (name.clone(), it.as_str())),
        width,
    );
    let advice = "'uilog help NAME' describes one of them; 'uilog help \
                  --path' prints the directory of the documentation.";
    let advice = document::wrapped(advice, width).join("\n");
    text.push_str(&format!("\n{advice}\n"));
    text
}

/// The help of a command; none if there is no such command.
fn command_help(
    names: &[String],
    command: &Command,
    width: usize,
) -> Option<String> {
    let mut command = command.clone().term_width(width);
    command.build();
    let mut found = &mut command;
    for name in names {
        found = found.find_subcommand_mut(name)?;
    }
    if found.is_hide_set() {
        return None;
    }
    Some(found.render_long_help().to_string())
}

/// A known event: when it comes, and a sample of its message and options.
fn event(known: &events::KnownEvent, width: usize) -> String {
    let mut text = format!("{}\n\n", known.name);
    match known.needs {
        events::Prerequisite::Nothing => {}
        events::Prerequisite::Extension(name) => text.push_str(&format!(
            "  hg logs it if the extension '{name}' is enabled.\n\n"
        )),
        events::Prerequisite::Item(section, name) => text.push_str(&format!(
            "  hg logs it with the setting {section}.{name} = yes.\n\n"
        )),
    }
    let message = known.message.trim_end();
    text.push_str(&format!("  Message, for instance:\n    {message}\n"));
    if !known.options.is_empty() {
        text.push_str("  Options, for instance:\n");
        let rows = known.options.iter().map(|(name, sample)| {
            let value = match sample {
                events::Sample::Bool(true) => "True",
                events::Sample::Bool(false) => "False",
                events::Sample::Int(value)
                | events::Sample::Float(value)
                | events::Sample::Bytes(value) => value,
            };
            (format!("  {name}"), value)
        });
        plain::write_table(&mut text, rows, width);
    }
    text.push_str(&format!(
        "\n'uilog check --run {}' tries its script and sinks with this sample;\n\
         'uilog help events' describes what uilog adds.\n",
        known.name
    ));
    text
}

fn all_names() -> Vec<String> {
    names().collect()
}

/// Everything that has a name but commands, as one would write it.
fn names() -> impl Iterator<Item = String> {
    let topics = TOPICS.iter().map(|it| it.name.to_owned());
    topics
        .chain(DESCRIBED.iter().map(Described::full_name))
        .chain(events::KNOWN.iter().map(|it| it.name.to_owned()))
}

/// Why there is no help for a name.
fn unknown(name: &str, command: &Command) -> String {
    let problem =
        format!("there is no command, topic, setting or event '{name}'");
    // A name is often given without its section, or with a sink's own name.
    let (prefix, option) = match name.split_once(':') {
        Some((prefix, option)) => (format!("{prefix}:"), option),
        None => (String::new(), name),
    };
    let options = DESCRIBED.iter().filter_map(Described::sink_option);
    let all: Vec<String> = names()
        .chain(DESCRIBED.iter().map(|it| it.name.to_owned()))
        .chain(options.map(|option| format!("{prefix}{option}")))
        .chain(command.get_subcommands().map(|it| it.get_name().to_owned()))
        .collect();
    let meant = suggest::meant(name.as_bytes(), all.iter().map(String::as_str));
    match meant {
        Some(meant) => format!("{problem}: {}", suggest::did_you_mean(meant)),
        None => {
            let similar: Vec<_> = all
                .iter()
                .filter(|it| it.contains(option))
                .take(5)
                .collect();
            if similar.is_empty() || option.is_empty() {
                format!("{problem}; 'uilog help' lists them")
            } else {
                let similar: Vec<&str> =
                    similar.into_iter().map(String::as_str).collect();
                format!("{problem}; similar: {}", similar.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn help(names: &[&str]) -> Result<String, String> {
        let names: Vec<_> = names.iter().map(|&it| it.to_owned()).collect();
        text(&names, &crate::Arguments::command(), 60)
    }

    #[test]
    fn a_setting_is_shown_with_all_that_is_known_of_it() {
        let shown = help(&["agent-idle"]).unwrap();
        assert_eq!(
            shown,
            "uilog.agent-idle\n\n\
            \x20 Seconds without a record until the agent exits.\n\n\
            \x20 Type:     a number of seconds\n\
            \x20 Unit:     seconds\n\
            \x20 Default:  `10`\n\
            \x20 Topic:    fleet\n\
            \x20 Since:    uilog 0.1.0\n\
            \x20 Example:\n    [uilog]\n    agent-idle = 60\n"
        );
        let shown = help(&["sink.fleet:maxsize"]).unwrap();
        assert!(shown.contains("  Sinks:    `file:`\n"), "{shown}");
        let shown = help(&["track"]).unwrap();
        assert!(shown.starts_with("blackbox.track\n"), "{shown}");
        assert!(shown.contains("\nuilog.sink.NAME:track\n"), "{shown}");
    }

    #[test]
    fn each_name_in_the_list_has_help() {
        let list = help(&[]).unwrap();
        for name in names() {
            assert!(help(&[&name]).is_ok(), "{name}");
        }
        for setting in DESCRIBED {
            assert!(Topic::find(setting.topic).is_some(), "{setting:?}");
            assert!(list.contains(&setting.full_name()), "{setting:?}");
        }
        let command = crate::Arguments::command();
        for it in command.get_subcommands().filter(|it| !it.is_hide_set()) {
            assert!(help(&[it.get_name()]).is_ok(), "{}", it.get_name());
            assert!(list.contains(it.get_name()), "{}", it.get_name());
        }
        let shown = help(&["spool", "flush"]).unwrap();
        assert!(shown.contains("Usage: uilog spool flush"), "{shown}");
        let shown = help(&["agent"]).unwrap();
        assert!(shown.contains("uilog help uilog.agent"), "{shown}");
    }

    #[test]
    fn an_unknown_name_is_told_with_what_was_meant() {
        for (name, meant) in [
            ("agent-idel", "agent-idle"),
            ("uilog.max-script", "uilog.max-scripts"),
            ("sink.fleet:tarck", "sink.fleet:track"),
            ("comandfinish", "commandfinish"),
            ("snks", "sinks"),
            ("statsu", "status"),
        ] {
            let told = help(&[name]).unwrap_err();
            let advice = format!("did you mean '{meant}'?");
            assert!(told.ends_with(&advice), "{told}");
        }
        let told = help(&["size"]).unwrap_err();
        assert!(told.contains("similar: "), "{told}");
        let told = help(&["xyzzyxyzzy"]).unwrap_err();
        assert!(told.ends_with("'uilog help' lists them"), "{told}");
        let told = help(&["spool", "flsh"]).unwrap_err();
        assert_eq!(told, "there is no command 'spool flsh'");
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        let literal = |line: &str| line.starts_with("    ");
        for width in [60, 100] {
            let command = crate::Arguments::command();
            for topic in TOPICS {
                let shown = text(&[topic.name.to_owned()], &command, width);
                for line in shown.unwrap().lines().filter(|it| !literal(it)) {
                    assert!(line.chars().count() <= width, "{line}");
                }
            }
            let shown = text(&[], &command, width).unwrap();
            for line in shown.lines() {
                assert!(line.chars().count() <= width, "{line}");
            }
        }
    }

    /// The help of a command and of all below it, at this width.
    fn each_help(command: &Command, width: usize, all: &mut Vec<String>) {
        let mut built = command.clone().term_width(width);
        all.push(built.render_long_help().to_string());
        for below in command.get_subcommands() {
            each_help(below, width, all);
        }
    }

    #[test]
    fn the_help_of_commands_wraps_at_the_terminal() {
        for width in [60, 120] {
            let mut command = crate::Arguments::command();
            command.build();
            let mut all = Vec::new();
            each_help(&command, width, &mut all);
            assert!(all.len() > 20);
            for line in all.iter().flat_map(|text| text.lines()) {
                // A word is not broken.
                let is_one_word = line.trim().split(' ').count() == 1;
                let columns = line.trim_end().chars().count();
                assert!(columns <= width || is_one_word, "{line}");
            }
        }
    }
}
