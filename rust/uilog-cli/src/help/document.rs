//! The texts of the topics, and their parts.
//!
//! They are written in the subset of reStructuredText that hg's own help uses:
//! headings, paragraphs, literal blocks after `::`, lists of definitions and of
//! items, and ``` ``literals`` ```. Must not know where they are shown.

/// A topic of the help.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topic {
    pub(crate) name: &'static str,
    /// Its title, a blank line, and its text.
    source: &'static str,
}

macro_rules! topics {
    ($($name:literal),* $(,)?) => {
        &[$(Topic {
            name: $name,
            source: include_str!(concat!("../../help/", $name, ".rst")),
        }),*]
    };
}

/// All topics, in the order in which one reads them.
pub(crate) const TOPICS: &[Topic] = topics![
    "scripts", "events", "peers", "blackbox", "sinks", "privacy", "fleet",
    "failures", "off",
];

/// What `hg help uilog` shows.
pub(crate) const OVERVIEW: &str = include_str!("../../help/overview.rst");

impl Topic {
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        TOPICS.iter().find(|it| it.name == name)
    }

    pub(crate) fn title(&self) -> &'static str {
        self.source.lines().next().unwrap_or_default()
    }

    /// The text, without the title.
    pub(crate) fn text(&self) -> &'static str {
        let text = self.source.strip_prefix(self.title());
        text.unwrap_or_default().trim_matches('\n')
    }
}

/// A part of a text. Its lines are joined where they may be broken again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    Heading(String),
    Paragraph(String),
    /// To be shown as it is.
    Literal(String),
    Definition {
        term: String,
        body: String,
    },
    Item(String),
}

/// The parts of a text.
pub(crate) fn parse(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().peekable();
    let mut is_literal_next = false;
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let is_indented = |line: &&str| line.starts_with("  ");
        if is_literal_next && is_indented(&line) {
            let mut literal = vec![line];
            while let Some(line) =
                lines.next_if(|it| it.is_empty() || is_indented(it))
            {
                literal.push(line);
            }
            let literal: Vec<_> = literal
                .iter()
                .map(|line| line.strip_prefix("  ").unwrap_or(line))
                .collect();
            blocks
                .push(Block::Literal(literal.join("\n").trim_end().to_owned()));
            is_literal_next = false;
            continue;
        }
        if lines
            .next_if(|next| {
                !next.is_empty() && next.bytes().all(|it| it == b'=')
            })
            .is_some()
        {
            blocks.push(Block::Heading(line.to_owned()));
            continue;
        }
        let item = line.strip_prefix("- ");
        let mut body: Vec<&str> = item.into_iter().collect();
        while let Some(line) = lines.next_if(is_indented) {
            body.push(line.trim_start());
        }
        if item.is_some() {
            blocks.push(Block::Item(body.join(" ")));
            continue;
        }
        if !body.is_empty() {
            let (term, body) = (line.to_owned(), body.join(" "));
            blocks.push(Block::Definition { term, body });
            continue;
        }
        let mut paragraph = vec![line];
        while let Some(line) = lines.next_if(|it| !it.is_empty()) {
            paragraph.push(line);
        }
        let mut paragraph = paragraph.join(" ");
        is_literal_next = paragraph.ends_with("::");
        if is_literal_next {
            paragraph.pop();
        }
        blocks.push(Block::Paragraph(paragraph));
    }
    blocks
}

/// A piece of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Literal(&'a str),
    /// A command of hg, without `hg`.
    Hg(&'a str),
}

/// The pieces of a line, in reStructuredText or, with single backquotes, in
/// Markdown.
pub(crate) fn pieces(line: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('`') {
        let (before, is_hg) = match before.strip_suffix(":hg:") {
            Some(before) => (before, true),
            None => (before, false),
        };
        let (mark, after) = match after.strip_prefix('`') {
            Some(after) => ("``", after),
            None => ("`", after),
        };
        let Some((inner, after)) = after.split_once(mark) else {
            break;
        };
        pieces.push(Piece::Text(before));
        pieces.push(if is_hg {
            Piece::Hg(inner)
        } else {
            Piece::Literal(inner)
        });
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

/// The lines of a text, none longer than `width` unless a word is.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line)
                if line.chars().count() + 1 + word.chars().count() <= width =>
            {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_parts() {
        let text = "One\ntwo::\n\n  a\n\n    b\n\nHead\n====\n\n\
                    ``x``\n  is\n  it\n``y``\n  too\n\n- i\n  j\n- k\n";
        let definition = |term: &str, body: &str| Block::Definition {
            term: term.to_owned(),
            body: body.to_owned(),
        };
        assert_eq!(
            parse(text),
            [
                Block::Paragraph("One two:".to_owned()),
                Block::Literal("a\n\n  b".to_owned()),
                Block::Heading("Head".to_owned()),
                definition("``x``", "is it"),
                definition("``y``", "too"),
                Block::Item("i j".to_owned()),
                Block::Item("k".to_owned()),
            ]
        );
    }

    #[test]
    fn a_line_has_pieces() {
        assert_eq!(
            pieces("a ``b`` :hg:`c d`, `e`"),
            [
                Piece::Text("a "),
                Piece::Literal("b"),
                Piece::Text(" "),
                Piece::Hg("c d"),
                Piece::Text(", "),
                Piece::Literal("e"),
            ]
        );
    }

    #[test]
    fn lines_are_broken_at_the_width() {
        assert_eq!(wrapped("aa bb  cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("aaaaaa b", 5), ["aaaaaa", "b"]);
    }

    #[test]
    fn topics_have_titles_and_texts() {
        for topic in TOPICS {
            assert!(!topic.title().is_empty());
            assert!(parse(topic.text()).len() > 1, "{}", topic.name);
        }
    }
}
