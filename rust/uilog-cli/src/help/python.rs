//! Help as a module of Python, for `hg help uilog`.

use std::fmt::Write;

use uilog_config::described::DESCRIBED;
use uilog_config::described::Described;

use super::document::OVERVIEW;
use super::document::Piece;
use super::document::TOPICS;
use super::document::pieces;
use super::document::wrapped;
use super::of_topic;
use super::plain::example;
use super::plain::facts;
use super::plain::sentence;

/// Where the overview lists the topics.
const TOPICS_HERE: &str = "@TOPICS@";

/// hg indents the text by 4 columns.
const WIDTH: usize = 74;

const HEAD: &str = r#"# uilog - event logging that a command never notices
#
# This software may be used and distributed according to the terms of the
# GNU General Public License version 2 or any later version.
"""what `hg help uilog.TOPIC` and `hg help uilog.SETTING` show

Made by `make generated` of rust/uilog-cli/help and
rust/uilog-config/items.toml.
"""

from __future__ import annotations

# Names, a title, and the text.
TEXTS = (
"#;

/// The docstring of the extension.
pub(crate) fn docstring() -> String {
    let mut topics = String::new();
    for topic in TOPICS {
        let _ = writeln!(topics, ":{}: {}", topic.name, topic.title());
    }
    OVERVIEW.replace(TOPICS_HERE, topics.trim_end())
}

/// The module with the texts of the topics and settings.
pub(crate) fn module() -> String {
    let mut module = HEAD.to_owned();
    for topic in TOPICS {
        let mut text = topic.text().to_owned();
        let settings = of_topic(topic);
        if !settings.is_empty() {
            text.push_str("\n\nSettings\n========\n");
            for setting in settings {
                let _ = write!(
                    text,
                    "\n``{}``\n  {}",
                    setting.full_name(),
                    filled(setting.help, 2)
                );
            }
            text.push_str(
                "\n\n:hg:`help uilog.SETTING` describes one of them.",
            );
        }
        write_text(&mut module, &[topic.name.to_owned()], topic.title(), &text);
    }
    for setting in DESCRIBED.iter().filter(|it| it.section == "uilog") {
        let title = setting.full_name();
        write_text(&mut module, &names(setting), &title, &described(setting));
    }
    module.push_str(")\n");
    module
}

/// The names of a setting, after `uilog.`. hg ends a name at a dot.
fn names(setting: &Described) -> Vec<String> {
    match setting.sink_option() {
        Some(option) => vec![format!(":{option}"), option.to_owned()],
        None => vec![setting.name.replace("sink.NAME", "sink")],
    }
}

fn described(setting: &Described) -> String {
    let mut text = filled(&in_rst(&sentence(setting.text)), 0);
    text.push_str("\n\n");
    for (label, value) in facts(setting) {
        let head = format!(":{label}: ");
        let value = filled(&in_rst(&value), 2);
        let _ = writeln!(text, "{head}{value}");
    }
    text.push_str("\nFor example::\n\n");
    for line in example(setting).lines() {
        let _ = writeln!(text, "  {line}");
    }
    text.trim_end().to_owned()
}

fn filled(text: &str, indent: usize) -> String {
    let separator = format!("\n{:indent$}", "");
    // The first line may have a label before it.
    wrapped(text, WIDTH - 12).join(&separator)
}

/// Markdown as reStructuredText.
fn in_rst(text: &str) -> String {
    let pieces = pieces(text).into_iter().map(|piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Literal(literal) => format!("``{literal}``"),
        Piece::Hg(command) => format!(":hg:`{command}`"),
    });
    pieces.collect()
}

fn write_text(module: &mut String, names: &[String], title: &str, text: &str) {
    let names: Vec<_> = names.iter().map(|it| format!("'{it}'")).collect();
    let names = match names.as_slice() {
        [name] => format!("({name},)"),
        names => format!("({})", names.join(", ")),
    };
    let _ = writeln!(
        module,
        "    (\n        {names},\n        '{title}',\n        \
         r'''\n{text}\n''',\n    ),"
    );
}
