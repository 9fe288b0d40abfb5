//! What stays of a traceback: the places in the program and the types.

use super::wordings::filled;
use super::wordings::varying;
use crate::structure::placeholder::Placeholder;
use crate::structure::reducer::Structure;

/// Lines before a traceback. For some, the rest of the line is kept, too. hg:
/// dispatch._exceptionwarning
const HEADER: &[&str] = &[
    "** unknown exception encountered, please report by visiting",
    "** https://mercurial-scm.org/wiki/BugTracker",
    "** Unknown exception encountered with possibly-broken third-party \
     extension \"@w\" (version @v)",
    "** Unknown exception encountered with possibly-broken third-party \
     extension @w",
    "** which supports versions @v of Mercurial.",
    "** Please disable \"@w\" and try your action again.",
    "** Please disable @w and try your action again.",
    "** If that fixes the bug please report it to @m",
    "** Python @m",
    "** Mercurial Distributed SCM (version @v)",
    "** Extensions loaded: @e",
    "Traceback (most recent call last):",
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
];

/// The positions in the program and the type of an exception; neither its text
/// nor source lines.
pub(super) fn exception(message: &[u8], by: &Structure<'_>) -> Vec<u8> {
    let mut told: Vec<Vec<u8>> = Vec::new();
    let mut is_in_frames = false;
    for line in message.split(|byte| *byte == b'\n') {
        if let Some(place) = frame(line, by) {
            is_in_frames = true;
            told.push(place);
        } else if let Some(line) =
            HEADER.iter().find_map(|it| header(it, line, by))
        {
            is_in_frames = false;
            told.push(line);
        } else if is_in_frames && !line.starts_with(b" ") {
            is_in_frames = false;
            told.push(raised(line, by));
        }
    }
    if told.is_empty() && !message.is_empty() {
        return Placeholder::Message.marker();
    }
    told.join(&b'\n')
}

fn header(wording: &str, line: &[u8], by: &Structure<'_>) -> Option<Vec<u8>> {
    let Some(start) = wording.strip_suffix("@e") else {
        return filled(wording.as_bytes(), line, by);
    };
    let list = line.strip_prefix(start.as_bytes())?;
    let names: Vec<_> = list
        .split(|byte| b", ".contains(byte))
        .filter(|name| !name.is_empty())
        .map(|name| varying(b'v', name, by))
        .collect();
    Some([start.as_bytes(), &names.join(&b", "[..])].concat())
}

/// `  File "PATH", line N, in NAME`
fn frame(line: &[u8], by: &Structure<'_>) -> Option<Vec<u8>> {
    const WORDINGS: [&[u8]; 2] =
        [b"  File \"@f\", line @n, in @c", b"  File \"@f\", line @n"];
    WORDINGS.iter().find_map(|it| filled(it, line, by))
}

/// `TYPE: TEXT`
fn raised(line: &[u8], by: &Structure<'_>) -> Vec<u8> {
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, text) = line.split_at(colon.unwrap_or(line.len()));
    let mut told = by.name(name);
    if !text.is_empty() {
        told.extend_from_slice(b": ");
        told.extend_from_slice(&Placeholder::Message.marker());
    }
    told
}
