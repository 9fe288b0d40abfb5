//! Help as plain text, for a terminal.

use std::fmt::Write;

use uilog_config::described::Described;

use super::document::Block;
use super::document::Piece;
use super::document::Topic;
use super::document::parse;
use super::document::pieces;
use super::document::wrapped;

/// A topic, with the settings that belong to it.
pub(super) fn topic(
    topic: &Topic,
    settings: &[&Described],
    width: usize,
) -> String {
    let mut text = format!("{}\n", topic.title());
    for block in parse(topic.text()) {
        write_block(&mut text, &block, width);
    }
    if !settings.is_empty() {
        text.push_str("\nSettings:\n");
        write_table(
            &mut text,
            settings.iter().map(|it| (it.full_name(), it.help)),
            width,
        );
        text.push_str("\n'uilog help SETTING' describes one of them.\n");
    }
    text
}

fn write_block(text: &mut String, block: &Block, width: usize) {
    match block {
        Block::Heading(heading) => {
            let _ = write!(text, "\n{heading}:\n");
        }
        Block::Paragraph(paragraph) => {
            text.push('\n');
            write_indented(text, &inline(paragraph), 0, width);
        }
        Block::Literal(literal) => {
            text.push('\n');
            for line in literal.lines() {
                let line = format!("    {line}");
                text.push_str(line.trim_end());
                text.push('\n');
            }
        }
        Block::Definition { term, body } => {
            let _ = writeln!(text, "\n  {}", inline(term));
            write_indented(text, &inline(body), 6, width);
        }
        Block::Item(item) => {
            let lines = wrapped(&inline(item), width.saturating_sub(4));
            for (index, line) in lines.iter().enumerate() {
                let mark = if index == 0 { "- " } else { "  " };
                let _ = writeln!(text, "  {mark}{line}");
            }
        }
    }
}

fn write_indented(text: &mut String, body: &str, indent: usize, width: usize) {
    for line in wrapped(body, width.saturating_sub(indent)) {
        let _ = writeln!(text, "{:indent$}{line}", "");
    }
}

/// A line without the marks of literals that a terminal does not show.
pub(super) fn inline(line: &str) -> String {
    let pieces = pieces(line).into_iter().map(|piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Literal(literal) => format!("`{literal}`"),
        Piece::Hg(command) => format!("`hg {command}`"),
    });
    pieces.collect()
}

/// Two columns; the second one is broken at the width.
pub(super) fn write_table<'a>(
    text: &mut String,
    rows: impl Iterator<Item = (String, &'a str)>,
    width: usize,
) {
    /// Longer names have a line of their own.
    const MAX_NAME: usize = 28;
    let rows: Vec<_> = rows.collect();
    let names = rows.iter().map(|(name, _)| name.len());
    let column = names.max().unwrap_or(0).min(MAX_NAME);
    for (name, help) in rows {
        let lines = wrapped(help, width.saturating_sub(column + 4).max(20));
        let mut lines = lines.iter();
        if name.len() > column {
            let _ = writeln!(text, "  {name}");
        } else {
            let first = lines.next().map_or("", String::as_str);
            let line = format!("  {name:column$}  {first}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
        for line in lines {
            let _ = writeln!(text, "  {:column$}  {line}", "");
        }
    }
}

/// All about a setting.
pub(super) fn setting(setting: &Described, width: usize) -> String {
    let mut text = format!("{}\n", setting.full_name());
    text.push('\n');
    write_indented(&mut text, &sentence(setting.text), 2, width);
    text.push('\n');
    for (label, value) in facts(setting) {
        let lines = wrapped(&inline(&value), width.saturating_sub(12).max(20));
        for (index, line) in lines.iter().enumerate() {
            let label = match index {
                0 => format!("{label}:"),
                _ => String::new(),
            };
            let _ = writeln!(text, "  {label:9} {line}");
        }
    }
    text.push_str("  Example:\n");
    for line in example(setting).lines() {
        let _ = writeln!(text, "    {line}");
    }
    text
}

/// Lines of an hgrc that set it, with the sink or the script that it is for.
pub(super) fn example(setting: &Described) -> String {
    let Described {
        section,
        name,
        example,
        sinks,
        ..
    } = setting;
    let name_of_sink = example.split(':').next().unwrap_or_default();
    let before = match setting.sink_option() {
        Some(_) if sinks.contains(&"otlp") => {
            format!("{name_of_sink} = otlp:https://collector.example:4318\n")
        }
        Some(_) if sinks.contains(&"syslog") => {
            format!("{name_of_sink} = syslog:\n")
        }
        Some(_) => format!("{name_of_sink} = file:~/log/hg.jsonl\n"),
        None if *name == "EVENT:stdin" => {
            "commandfinish = record-json\n".to_owned()
        }
        None => String::new(),
    };
    format!("[{section}]\n{before}{example}")
}

/// A description that begins as a sentence does, and ends as one.
pub(super) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|it| it.to_uppercase().to_string());
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{}{}{end}", first.unwrap_or_default(), characters.as_str())
}

/// What there is to know of a setting besides its description, in Markdown.
pub(super) fn facts(setting: &Described) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Type", setting.kind.to_string())];
    if let Some(unit) = setting.unit() {
        facts.push(("Unit", unit.to_owned()));
    }
    facts.push(("Default", setting.default.to_owned()));
    if !setting.sinks.is_empty() {
        let sinks = setting.sinks.iter().map(|sink| format!("`{sink}:`"));
        facts.push(("Sinks", sinks.collect::<Vec<_>>().join(", ")));
    }
    facts.push(("Topic", setting.topic.to_owned()));
    facts.push(("Since", format!("uilog {}", setting.since)));
    facts
}
