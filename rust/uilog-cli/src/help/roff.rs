//! Help as the manual page uilog(5): topics, each with its settings.

use std::fmt::Write;

use uilog_config::described::Described;

use super::document::Block;
use super::document::OVERVIEW;
use super::document::Piece;
use super::document::TOPICS;
use super::document::parse;
use super::document::pieces;
use super::of_topic;
use super::plain::example;
use super::plain::facts;
use super::plain::sentence;
use crate::manual::MANUAL;
use crate::manual::NAME;
use crate::manual::VERSION;
use crate::manual::escaped;

/// The page.
pub(crate) fn page() -> String {
    let mut page = String::new();
    let _ = writeln!(
        page,
        ".TH \"UILOG\" 5 \"\" \"{NAME} {VERSION}\" \"{MANUAL}\"\n\
         .SH NAME\nuilog \\- configuration of Mercurial's event logging\n\
         .SH SYNOPSIS\n.nf"
    );
    let blocks = parse(OVERVIEW);
    for block in &blocks {
        if let Block::Literal(literal) = block {
            write_lines(&mut page, literal);
        }
    }
    page.push_str(".fi\n.SH DESCRIPTION\n");
    if let Some(Block::Paragraph(first)) = blocks.get(1) {
        write_block(&mut page, &Block::Paragraph(first.clone()));
    }
    page.push_str(
        ".PP\nThe settings are in the hgrc files that \\fBhg help config\\fR \
         lists. Values from untrusted files are ignored.\n\
         \\fBuilog help\\fR \\fISETTING\\fR shows what this page says of a \
         setting, \\fBuilog help \\-\\-path\\fR the directory of the \
         documentation.\n",
    );
    for topic in TOPICS {
        let _ = writeln!(page, ".SH \"{}\"", topic.title().to_uppercase());
        for block in parse(topic.text()) {
            write_block(&mut page, &block);
        }
        let settings = of_topic(topic);
        if !settings.is_empty() {
            page.push_str(".SS Settings\n");
        }
        for setting in settings {
            write_setting(&mut page, setting);
        }
    }
    page.push_str(
        ".SH \"SEE ALSO\"\n.BR uilog (1),\n.BR hg (1),\n.BR hgrc (5)\n",
    );
    page
}

fn write_setting(page: &mut String, setting: &Described) {
    let _ = writeln!(page, ".TP\n.B {}", escaped(&setting.full_name()));
    write_text(page, &sentence(setting.text));
    for (label, value) in facts(setting) {
        if label != "Topic" {
            page.push_str(".br\n");
            write_text(page, &format!("{label}: {value}."));
        }
    }
    page.push_str(".sp\n.nf\n");
    write_lines(page, &example(setting));
    page.push_str(".fi\n");
}

fn write_block(page: &mut String, block: &Block) {
    match block {
        Block::Heading(heading) => {
            let _ = writeln!(page, ".SS \"{}\"", escaped(heading));
        }
        Block::Paragraph(text) => {
            page.push_str(".PP\n");
            write_text(page, text);
        }
        Block::Literal(text) => {
            page.push_str(".PP\n.RS 4\n.nf\n");
            write_lines(page, text);
            page.push_str(".fi\n.RE\n");
        }
        Block::Definition { term, body } => {
            page.push_str(".TP\n");
            write_text(page, term);
            write_text(page, body);
        }
        Block::Item(text) => {
            page.push_str(".IP \\(bu 2\n");
            write_text(page, text);
        }
    }
}

fn write_lines(page: &mut String, text: &str) {
    for line in text.lines() {
        page.push_str(&escaped(line));
        page.push('\n');
    }
}

/// A line that is filled.
fn write_text(page: &mut String, text: &str) {
    let mut line = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => line.push_str(&inner(text)),
            Piece::Literal(literal) => {
                let _ = write!(line, "\\fB{}\\fR", inner(literal));
            }
            Piece::Hg(command) => {
                let _ = write!(line, "\\fBhg {}\\fR", inner(command));
            }
        }
    }
    if line.starts_with('.') {
        line.insert_str(0, "\\&");
    }
    page.push_str(&line);
    page.push('\n');
}

/// A piece within a line.
fn inner(text: &str) -> String {
    let escaped = escaped(text);
    escaped.strip_prefix("\\&").unwrap_or(&escaped).to_owned()
}
