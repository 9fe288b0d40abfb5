//! How the corpus's files are read: families, texts, and marks in them. What
//! they look like is described at the head of `secrets.txt`.

use crate::escapes::unescaped;

/// A text of the corpus.
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) family: String,
    pub(crate) event: String,
    pub(crate) text: String,
}

/// The texts of a file, each with the family above it.
pub(crate) fn lines(file: &str) -> Vec<Line> {
    let mut family = String::from("no family");
    let mut lines = Vec::new();
    for (index, line) in file.lines().enumerate() {
        if let Some(name) = line.strip_prefix("## ") {
            name.clone_into(&mut family);
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (event, text) = line.split_once('\t').expect("a tab");
        lines.push(Line {
            number: index + 1,
            family: family.clone(),
            event: event.to_owned(),
            text: text.replace("{+}", ""),
        });
    }
    lines
}

/// A text with marks: as it is, as it should become, and its secrets with the
/// names of the rules that have to find them.
#[derive(Default)]
pub(crate) struct Marked {
    pub(crate) text: Vec<u8>,
    pub(crate) wanted: Vec<u8>,
    pub(crate) secrets: Vec<(String, Vec<u8>)>,
}

/// Takes the marks out of a text.
pub(crate) fn marked(text: &str) -> Marked {
    let mut marked = Marked::default();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('⟦') {
        let (inside, after) = after.split_once('⟧').expect("a mark's end");
        let (rule, secret) = inside.split_once(':').expect("a mark's rule");
        let before = unescaped(before);
        let secret = unescaped(secret);
        marked.text.extend_from_slice(&before);
        marked.text.extend_from_slice(&secret);
        marked.wanted.extend_from_slice(&before);
        let marker = format!("<redacted:{rule}>");
        marked.wanted.extend_from_slice(marker.as_bytes());
        marked.secrets.push((rule.to_owned(), secret));
        rest = after;
    }
    let rest = unescaped(rest);
    marked.text.extend_from_slice(&rest);
    marked.wanted.extend_from_slice(&rest);
    marked
}

/// The longest piece of a secret that may stay by chance.
const CHANCE: usize = 5;

/// What of a secret is left in a text, if it is not there by chance: all of a
/// short one, or six bytes in a row of a long one.
pub(crate) fn is_left(secret: &[u8], text: &[u8], wanted: &[u8]) -> bool {
    let len = secret.len().min(CHANCE + 1);
    secret
        .windows(len)
        .any(|piece| contains(text, piece) && !contains(wanted, piece))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
