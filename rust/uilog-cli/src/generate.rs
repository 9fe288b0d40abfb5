//! `uilog generate`: shell completions and manual pages, generated from the
//! definitions of the arguments.
//!
//! The results are in the tree, under `completions` and `docs/man`, so that
//! installing needs no second step; a test compares.

use std::fs;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use clap::Command;
use clap::ValueHint;
use clap::builder::StyledStr;
use clap_complete::Shell;
use clap_mangen::Man;

/// Text with more words before its colon is a sentence.
const MAX_HEAD_WORDS: usize = 2;

/// The manual's name, in each page's head.
const MANUAL: &str = "uilog manual";
const NAME: &str = "uilog";
const VERSION: &str = env!("CARGO_PKG_VERSION");

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
        shell: Shell,
    },
    /// Write the manual pages into a directory
    Man {
        /// The directory, which must exist
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
}

pub(crate) fn run(
    arguments: &Arguments,
    command: &Command,
) -> anyhow::Result<()> {
    let mut command = without_hidden(command);
    match &arguments.what {
        What::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command, NAME, &mut script);
            io::stdout().lock().write_all(&script)?;
            Ok(())
        }
        What::Man { dir } => {
            // Its page would only say what these pages say.
            command = command.disable_help_subcommand(true);
            command.build();
            write_pages(&command, dir)
        }
    }
}

/// The same without the subcommands that are not for users: completions would
/// propose them.
fn without_hidden(command: &Command) -> Command {
    let help = |text: Option<&StyledStr>| text.cloned().unwrap_or_default();
    let all = command.get_subcommands();
    Command::new(NAME)
        .version(VERSION)
        .about(help(command.get_about()))
        .long_about(help(command.get_long_about()))
        .after_help(help(command.get_after_help()))
        .subcommand_required(true)
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
    man.render_synopsis_section(page)?;
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

/// A line of text that roff prints unchanged.
fn escaped(line: &str) -> String {
    let escaped = line
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq");
    if escaped.starts_with('.') {
        format!("\\&{escaped}")
    } else {
        escaped
    }
}

#[cfg(test)]
mod tests {
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
    fn roff_takes_lines_as_text() {
        assert_eq!(escaped(".a \\n -x"), "\\&.a \\en \\-x");
        assert_eq!(escaped("'a'"), "\\(aqa\\(aq");
        assert_eq!(escaped("a 'b'"), "a \\(aqb\\(aq");
    }
}
