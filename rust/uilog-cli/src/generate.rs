//! `uilog generate`: the scripts that complete in a shell, manual pages,
//! generated from the definitions of the arguments, and what hg, man and the
//! documentation tell of topics and settings.
//!
//! The scripts are in the tree, under `completions`, and the program contains
//! them; the results of the rest are in the tree as well, so that installing
//! needs no second step; a test compares.

use std::fs;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use clap::Arg;
use clap::ArgAction;
use clap::Command;
use clap::ValueHint;
use clap::builder::StyledStr;
use clap_mangen::Man;

use crate::complete;
use crate::help;
use crate::manual::MANUAL;
use crate::manual::NAME;
use crate::manual::VERSION;
use crate::manual::escaped;

/// Text with more words before its colon is a sentence.
const MAX_HEAD_WORDS: usize = 2;

/// Make shell completions or manual pages
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: complete::Shell,
    },
    /// Write the manual pages into a directory
    Man {
        /// The directory, which must exist
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Print the Python module with the help for hg
    Help,
    /// Print a file with its generated parts renewed: the docstring of a Python
    /// module, the tables of settings in a Markdown page
    Parts {
        /// The file
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

pub(crate) fn run(
    arguments: &Arguments,
    command: &Command,
) -> anyhow::Result<()> {
    match &arguments.what {
        What::Completions { shell } => print(complete::script(*shell)),
        What::Man { dir } => {
            let mut command = without_hidden(command);
            command.build();
            write_pages(&command, dir)?;
            let path = dir.join(format!("{NAME}.5"));
            fs::write(&path, help::roff::page())
                .with_context(|| path.display().to_string())
        }
        What::Help => print(&help::python::module()),
        What::Parts { file } => {
            let text = fs::read_to_string(file)
                .with_context(|| file.display().to_string())?;
            let is_python = file.extension().is_some_and(|it| it == "py");
            let renewed = if is_python {
                help::parts::with_docstring(&text)
            } else {
                help::parts::with_tables(&text)
            };
            print(&renewed.with_context(|| file.display().to_string())?)
        }
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// The same without the subcommands that are not for users.
fn without_hidden(command: &Command) -> Command {
    let help = |text: Option<&StyledStr>| text.cloned().unwrap_or_default();
    let all = command.get_subcommands();
    Command::new(NAME)
        .version(VERSION)
        .about(help(command.get_about()))
        .long_about(help(command.get_long_about()))
        .after_help(help(command.get_after_help()))
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .subcommands(all.filter(|it| !it.is_hide_set()).cloned())
}

/// The command's page, and those of its subcommands.
fn write_pages(command: &Command, dir: &Path) -> anyhow::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let path = dir.join(format!("{name}.1"));
    let mut page = Vec::new();
    render(command, &mut page).context("cannot make a manual page")?;
    fs::write(&path, page).with_context(|| path.display().to_string())?;
    for subcommand in command.get_subcommands() {
        write_pages(subcommand, dir)?;
    }
    Ok(())
}

fn render(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let help = command.get_after_help().map(ToString::to_string);
    // The text after the options keeps its lines; clap_mangen would fill them,
    // and write one section.
    let command = command.clone().after_help("");
    let man = Man::new(command.clone());
    let name = command.get_display_name().unwrap_or(command.get_name());
    let name = name.to_uppercase();
    // No date: a page made again is the same.
    writeln!(
        page,
        ".TH \"{name}\" 1 \"\" \"{NAME} {VERSION}\" \"{MANUAL}\""
    )?;
    man.render_name_section(page)?;
    writeln!(page, ".SH SYNOPSIS\n{}", synopsis(&command))?;
    man.render_description_section(page)?;
    let (prose, sections) = parts(help.as_deref().unwrap_or_default());
    for paragraph in prose {
        writeln!(page, ".PP")?;
        write_lines(page, paragraph)?;
    }
    if command
        .get_arguments()
        .any(|argument| !argument.is_hide_set())
    {
        man.render_options_section(page)?;
    }
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    for section in sections {
        writeln!(page, ".SH \"{}\"\n.nf", section.head.to_uppercase())?;
        for (index, block) in section.blocks.into_iter().enumerate() {
            if index > 0 {
                writeln!(page, ".sp")?;
            }
            write_lines(page, block)?;
        }
        writeln!(page, ".fi")?;
    }
    Ok(())
}

/// The command with its arguments, and the names of their values.
fn synopsis(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let mut line = format!("\\fB{}\\fR", escaped(name));
    let is_shown = |argument: &&Arg| {
        !argument.is_hide_set()
            && !matches!(
                argument.get_action(),
                ArgAction::Help
                    | ArgAction::HelpShort
                    | ArgAction::HelpLong
                    | ArgAction::Version
            )
    };
    let all = command.get_arguments().filter(is_shown);
    let (places, options): (Vec<_>, Vec<_>) =
        all.partition(|argument| argument.is_positional());
    for argument in options.into_iter().chain(places) {
        let mut text = values(argument);
        if argument.is_positional() {
            text = text.trim_start().to_owned();
        }
        if let Some(flag) = flag(argument) {
            text = format!("\\fB{}\\fR{text}", escaped(&flag));
        }
        if !argument.is_required_set() {
            text = format!("[{text}]");
        }
        let is_repeated = matches!(argument.get_action(), ArgAction::Append);
        let dots = if is_repeated { "..." } else { "" };
        line.push_str(&format!(" {}{dots}", text.trim()));
    }
    if command.has_subcommands() {
        line.push_str(" \\fICOMMAND\\fR");
    }
    line
}

/// How an option is written, the short way if there is one.
fn flag(argument: &Arg) -> Option<String> {
    let short = argument.get_short().map(|it| format!("-{it}"));
    short.or_else(|| argument.get_long().map(|it| format!("--{it}")))
}

/// The names of an argument's values, with a blank before them if it is an
/// option.
fn values(argument: &Arg) -> String {
    if !argument.get_action().takes_values() {
        return String::new();
    }
    let fallback = argument.get_id().as_str().to_uppercase();
    let names = argument.get_value_names().map_or_else(
        || vec![fallback],
        |names| names.iter().map(ToString::to_string).collect(),
    );
    let names = names.iter().map(|it| format!("\\fI{}\\fR", escaped(it)));
    let names = names.collect::<Vec<_>>().join(" ");
    if complete::has_optional_value(argument) {
        format!(" [{names}]")
    } else {
        format!(" {names}")
    }
}

fn write_lines(page: &mut Vec<u8>, text: &str) -> io::Result<()> {
    for line in text.lines() {
        let line = line.strip_prefix("  ").unwrap_or(line);
        writeln!(page, "{}", escaped(line))?;
    }
    Ok(())
}

/// A section of a help text with a heading: `Examples:`.
#[derive(Debug, PartialEq, Eq)]
struct Section<'a> {
    head: &'a str,
    blocks: Vec<&'a str>,
}

/// The paragraphs without a head, and the sections.
fn parts(help: &str) -> (Vec<&str>, Vec<Section<'_>>) {
    let mut prose = Vec::new();
    let mut sections: Vec<Section<'_>> = Vec::new();
    for block in help.split("\n\n").filter(|block| !block.is_empty()) {
        if let (true, Some(last)) =
            (block.starts_with(' '), sections.last_mut())
        {
            last.blocks.push(block);
            continue;
        }
        let is_head = |head: &str| {
            head.starts_with(char::is_uppercase)
                && head.split(' ').count() <= MAX_HEAD_WORDS
        };
        match block.split_once(':').filter(|(head, _)| is_head(head)) {
            Some((head, body)) => sections.push(Section {
                head,
                blocks: vec![body.trim_start_matches(['\n', ' '])],
            }),
            None => prose.push(block),
        }
    }
    (prose, sections)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn a_help_text_has_sections() {
        let help = "This is some prose: here.\n\nExit status: 0\n\nExamples:\n  a\n\
                    \n  b\n\nmore";
        let (prose, sections) = parts(help);
        assert_eq!(prose, ["This is some prose: here.", "more"]);
        let heads: Vec<_> = sections.iter().map(|it| it.head).collect();
        assert_eq!(heads, ["Exit status", "Examples"]);
        assert_eq!(sections[1].blocks, ["a", "  b"]);
    }

    #[test]
    fn a_synopsis_names_the_values() {
        let mut command = crate::Arguments::command();
        command.build();
        let mut of = |names: &[&str]| {
            let mut found = &mut command;
            for name in names {
                found = found.find_subcommand_mut(name).unwrap();
            }
            synopsis(found).replace("\\fB", "").replace("\\fI", "")
        };
        let plain = |text: String| text.replace("\\fR", "").replace('\\', "");
        let check = plain(of(&["check"]));
        assert!(check.starts_with("uilog check [--run EVENT]"), "{check}");
        assert!(check.contains(" [--connect [SINK]]"), "{check}");
        assert!(check.contains(" [-R REPO]"), "{check}");
        let emit = plain(of(&["emit"]));
        assert!(emit.contains(" [--opt KEY=VALUE]..."), "{emit}");
        assert!(emit.ends_with(" EVENT MESSAGE"), "{emit}");
        let flush = plain(of(&["spool", "flush"]));
        assert!(flush.ends_with(" [SINKS]..."), "{flush}");
    }
}
