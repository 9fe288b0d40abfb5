//! What stays of the messages and options of events.
//!
//! A message of one of Mercurial's events stays if it has Mercurial's wording;
//! each variable part is checked separately. Otherwise it is replaced by
//! `<message>`. Events of other extensions and of `uilog emit` are redacted as
//! for local sinks, because their authors chose the words.

use std::sync::LazyLock;

use memchr::memmem;

use super::harmless;
use super::kind;
use super::kind::OptionKind;
use super::placeholder::Placeholder;
use super::reducer::Structure;

/// rhg marks its messages so.
const RHG: &[u8] = b"(rust) ";

/// The wordings of Mercurial's events. In the place of `@n` is a number, of
/// `@w` a name, of `@v` a version, of `@c` a function in a traceback, of `@f`
/// a file, of `@h` a list of hashes, of `@u` a URL, of `@m` any text, which
/// goes.
// hg: every call of ui.log in mercurial/ and hgext/, 6.3 to 7.2
const WORDINGS: &[(&str, &[&str])] = &[
    ("backupbundle", &["saved backup bundle to @f"]),
    (
        "branchcache",
        &[
            "updated branch cache in @n seconds",
            "updated branch cache (@w) in @n seconds",
            "wrote branch cache with @n labels and @n nodes",
            "wrote branch cache (@w) with @n labels and @n nodes",
        ],
    ),
    ("chgserver", &["worker process exits"]),
    (
        "cmdserver",
        &[
            "worker process exited (pid=@n)",
            "worker exited: pid=@n",
            "confighash = @w mtimehash = @w",
        ],
    ),
    ("commandslow", &["@w has been running for @n seconds (@w)"]),
    ("debug", &[]),
    ("develwarn", &["@m at: @f:@n (@w)"]),
    (
        "discovery",
        &["found @n common and @n unknown server heads, @n roundtrips in @ns"],
    ),
    (
        "extension",
        &[
            "loading extensions",
            "loading additional extensions",
            "- processing @n entries",
            "  - skipping disabled extension: @w",
            "  - loading extension: @w",
            "  > @w extension loaded in @m",
            "    - could not import @w (@m): trying @w",
            "    - validating extension tables: @w",
            "    - invoking registered callbacks: @w",
            "    > callbacks completed in @m",
            "> loaded @n extensions, total time @m",
            "- loading configtable attributes",
            "- executing uisetup hooks",
            "  - running uisetup for @w",
            "    - the @w extension uisetup failed",
            "  > uisetup for @w took @m",
            "> all uisetup took @m",
            "- executing extsetup hooks",
            "  - running extsetup for @w",
            "    - the @w extension extsetup failed",
            "  > extsetup for @w took @m",
            "> all extsetup took @m",
            "    - disabling broken @w extension",
            "- executing remaining aftercallbacks",
            "  - extension @w not loaded, notify callbacks",
            "> remaining aftercallbacks completed in @m",
        ],
    ),
    ("filestore_packsizes", &[]),
    (
        "fsmonitor",
        &["Watchman unavailable: @m", "Watchman exception: @m"],
    ),
    ("histedit", &["@n actions to histedit"]),
    ("hookrefused", &["hook @w has not run: @w"]),
    ("incoming", &["@n incoming changes - new heads: @h"]),
    ("linkrevfixup", &["adjusting linknode"]),
    ("lockbroken", &["broke @w of @m, which has ended"]),
    ("lockwait", &["waited @n seconds for @w held by @m (@w)"]),
    (
        "peerclose",
        &["connection to @u closed after @n seconds (@w)"],
    ),
    ("profile", &[]),
    (
        "rebase",
        &[
            "using in-memory rebase: @w",
            "rebasing working copy parent: @w",
        ],
    ),
    ("remotefilefetchlog", &["Success", "Fail"]),
    ("remotefilelog", &["remote cache hit rate is @n of @n"]),
    ("remotefilelog.prefetch", &[]),
    (
        "repocache",
        &[
            "repo from cache: @f",
            "loaded repo into cache: @f (in @ns)",
            "repos in cache: @n",
        ],
    ),
    ("session", &["hg @v on Python @v with uilog @v"]),
    (
        "tagscache",
        &[
            "@n/@n cache hits/lookups in @n seconds",
            "writing .hg/cache/@w with @n tags",
            "not writing .hg/cache/@w because lock cannot be acquired",
            "writing @n bytes to cache/@w",
            "couldn't write cache/@w: @m",
        ],
    ),
    ("uiblocked", &["ui blocked ms"]),
    ("userwait", &["waited @n seconds for the user (@w)"]),
    ("watchman", &["command @w completed in @n seconds"]),
    ("wirefinish", &["request @w took @n seconds (@w)"]),
    ("wirerequest", &["request @w begins"]),
];

/// Keyword arguments of other events that hold the arguments of a program.
const ARGUMENT_KEYS: &[&str] = &[
    "arguments",
    "args",
    "argv",
    "cmd",
    "cmdline",
    "command",
    "command_line",
    "commandline",
];

/// The message, which comes without the newline at its end.
pub(super) fn reduced(
    event: &[u8],
    message: &[u8],
    by: &Structure<'_>,
) -> Vec<u8> {
    match event {
        b"commandexception" => return exception(message, by),
        b"exthook" | b"pythonhook" => return hook(event, message, by),
        b"commandalias" => return alias(message, by),
        _ => {}
    }
    let Some(wordings) = wordings(event) else {
        return by.0.redact_text(message).text.into_owned();
    };
    if message.is_empty() {
        return Vec::new();
    }
    let (mark, message) = match message.strip_prefix(RHG) {
        Some(rest) => (RHG, rest),
        None => (&b""[..], message),
    };
    let told = wordings
        .iter()
        .find_map(|it| filled(it.as_bytes(), message, by));
    let told = told.unwrap_or_else(|| Placeholder::Message.marker());
    [mark, &told].concat()
}

fn wordings(event: &[u8]) -> Option<&'static [&'static str]> {
    let mut all = WORDINGS.iter();
    let found = all.find(|(name, _)| name.as_bytes() == event)?;
    Some(found.1)
}

/// The message, if it has this wording.
fn filled(
    wording: &[u8],
    message: &[u8],
    by: &Structure<'_>,
) -> Option<Vec<u8>> {
    let mut parts = wording.split(|byte| *byte == b'@');
    let first = parts.next()?;
    let mut rest = message.strip_prefix(first)?;
    let mut told = first.to_vec();
    for part in parts {
        let (kind, literal) = part.split_first()?;
        let end = if literal.is_empty() {
            rest.len()
        } else if *kind == b'm' {
            memmem::rfind(rest, literal)?
        } else {
            memmem::find(rest, literal)?
        };
        told.extend_from_slice(&varying(*kind, &rest[..end], by));
        told.extend_from_slice(literal);
        rest = &rest[end + literal.len()..];
    }
    rest.is_empty().then_some(told)
}

/// What tracebacks call code that is no function.
const CODE: &[&str] = &[
    "<module>",
    "<lambda>",
    "<listcomp>",
    "<setcomp>",
    "<dictcomp>",
    "<genexpr>",
];

/// What is in the place of `@` and this letter.
fn varying(letter: u8, text: &[u8], by: &Structure<'_>) -> Vec<u8> {
    let is_hash = |it: &u8| it.is_ascii_hexdigit() || b", ".contains(it);
    match letter {
        b'n' if harmless::is_number(text) => text.to_vec(),
        b'n' => Placeholder::Number.marker(),
        b'w' => by.name(text),
        b'v' if by.is_label(text) => text.to_vec(),
        b'v' => Placeholder::Name.marker(),
        b'c' if CODE.iter().any(|it| it.as_bytes() == text) => text.to_vec(),
        b'c' => by.name(text),
        b'f' => by.value(OptionKind::File, text),
        b'h' if text.iter().all(is_hash) => text.to_vec(),
        b'h' => Placeholder::Revset.marker(),
        b'u' => url(text, by),
        _ if text.is_empty() => Vec::new(),
        _ => Placeholder::Message.marker(),
    }
}

/// A server's URL without credentials, or what is kept of URLs elsewhere.
fn url(text: &[u8], by: &Structure<'_>) -> Vec<u8> {
    harmless::server_url(text, by)
        .unwrap_or_else(|| by.value(OptionKind::Source, text))
}

/// `exthook-NAME: COMMAND finished in 0.50 seconds`
// hg: hook.pythonhook, hook._exthook
fn hook(event: &[u8], message: &[u8], by: &Structure<'_>) -> Vec<u8> {
    const FINISHED: &[u8] = b" finished in ";
    const SECONDS: &[u8] = b" seconds";
    let (prefix, is_shell): (&[u8], _) = match event {
        b"exthook" => (b"exthook-", true),
        _ => (b"pythonhook-", false),
    };
    let parts = message.strip_prefix(prefix).and_then(|rest| {
        let colon = memmem::find(rest, b": ")?;
        Some((&rest[..colon], &rest[colon + 2..]))
    });
    let Some((name, rest)) = parts else {
        return Placeholder::Message.marker();
    };
    let end = memmem::rfind(rest, FINISHED).filter(|at| {
        rest[at + FINISHED.len()..]
            .strip_suffix(SECONDS)
            .is_some_and(harmless::is_number)
    });
    let (command, end) = rest.split_at(end.unwrap_or(rest.len()));
    let command = if is_shell {
        Structure::joined(&by.program_line(command))
    } else {
        by.name(command)
    };
    [prefix, &by.name(name), b": ", &command, end].concat()
}

/// `alias 'NAME' expands to 'DEFINITION'`
// hg: dispatch.cmdalias.__call__
fn alias(message: &[u8], by: &Structure<'_>) -> Vec<u8> {
    const ALIAS: &[u8] = b"alias '";
    const EXPANDS: &[u8] = b"' expands to '";
    let parts = message.strip_prefix(ALIAS).and_then(|rest| {
        let at = memmem::find(rest, EXPANDS)?;
        Some((&rest[..at], &rest[at + EXPANDS.len()..]))
    });
    let Some((name, definition)) = parts else {
        return Placeholder::Message.marker();
    };
    let definition = definition.strip_suffix(b"'").unwrap_or(definition);
    let definition = definition.trim_ascii();
    let (mark, words): (&[u8], _) = match definition.strip_prefix(b"!") {
        Some(line) => (b"!", by.program_line(line)),
        None => (b"", by.arguments_line(definition)),
    };
    let definition = Structure::joined(&words);
    [ALIAS, &by.name(name), EXPANDS, mark, &definition, b"'"].concat()
}

/// Lines before a traceback. The ends of some are told of, too.
// hg: dispatch._exceptionwarning
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

/// The places in the program and the type of an exception; neither what it
/// says, nor lines of source.
fn exception(message: &[u8], by: &Structure<'_>) -> Vec<u8> {
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

/// Whether an option of `commandlost` says what uilog says: a cause, or a time.
fn is_of_loss(key: &[u8], value: &[u8]) -> bool {
    let is_of_time = |it: &u8| it.is_ascii_digit() || b"T:+-.".contains(it);
    match key {
        b"cause" => value == b"signal" || value == b"unknown",
        b"began" => value.len() <= 40 && value.iter().all(is_of_time),
        _ => false,
    }
}

/// The words of `message_words.txt`, which is sorted.
static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let lines = include_str!("../../message_words.txt").lines();
    lines.filter(|line| !line.starts_with('#')).collect()
});

fn is_of_errors(word: &[u8]) -> bool {
    let word = word.to_ascii_lowercase();
    let same = |it: &&str| it.as_bytes().cmp(&word);
    WORDS.binary_search_by(same).is_ok()
}

/// What an exception says: Mercurial's words, with numbers, hashes, servers,
/// and what looks like a file or, in quotes, like a name.
fn error(text: &[u8], by: &Structure<'_>) -> Vec<u8> {
    let text = by.0.redact_text(text).text;
    let lines = text.split(|byte| *byte == b'\n');
    let told: Vec<_> = lines.map(|line| error_line(line, by)).collect();
    told.join(&b'\n')
}

fn error_line(line: &[u8], by: &Structure<'_>) -> Vec<u8> {
    let mut told: Vec<Vec<u8>> = Vec::new();
    let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
    let mut rest = &words[..];
    while let Some((word, after)) = rest.split_first() {
        rest = after;
        let (start, core, end) = bare(word);
        let mut placed = None;
        if start.ends_with(b"'") && !end.starts_with(b"'") {
            // Several words in quotes are a text.
            let last = after.iter().position(|it| bare(it).2.contains(&b'\''));
            if let Some(last) = last {
                rest = &after[last + 1..];
                placed = Some(bare(after[last]).2);
            }
        }
        let is_quoted = start.ends_with(b"'") && end.starts_with(b"'");
        let shown = match placed {
            Some(_) => Placeholder::Value.marker(),
            None => error_word(core, is_quoted, by),
        };
        let is_placeholder = shown == Placeholder::Value.marker();
        if start.is_empty() && is_placeholder && told.last() == Some(&shown) {
            // How many words there were is no one's business.
            if end.is_empty() {
                continue;
            }
            told.pop();
        }
        told.push([start, &shown, placed.unwrap_or(end)].concat());
    }
    told.join(&b' ')
}

/// A word, and what stands before and behind it.
fn bare(word: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let is_outside = |byte: &u8| b"'\"()[]{},;:.!?%".contains(byte);
    let from = word.iter().position(|byte| !is_outside(byte));
    let to = word.iter().rposition(|byte| !is_outside(byte));
    match (from, to) {
        (Some(from), Some(to)) => {
            (&word[..from], &word[from..=to], &word[to + 1..])
        }
        _ => (word, &[], &[]),
    }
}

fn error_word(word: &[u8], is_quoted: bool, by: &Structure<'_>) -> Vec<u8> {
    const HASHES: std::ops::RangeInclusive<usize> = 6..=40;
    if word.is_empty() || kind::is_placeholder(word) {
        return word.to_vec();
    }
    if memmem::find(word, b"://").is_some() {
        return url(word, by);
    }
    let is_hash = HASHES.contains(&word.len())
        && word.iter().all(u8::is_ascii_hexdigit)
        && word.iter().any(u8::is_ascii_digit);
    let is_file = is_quoted || word.iter().any(|byte| b"/.".contains(byte));
    if is_hash
        || is_of_errors(word)
        || harmless::is_number(word)
        || is_file && by.is_path(word)
    {
        return word.to_vec();
    }
    Placeholder::Value.marker()
}

/// `FILE:LINE` of a setting, or what else has set it.
// hg: ui.configsource
fn source(value: &[u8], by: &Structure<'_>) -> Vec<u8> {
    let colon = value.iter().rposition(|byte| *byte == b':');
    let (file, line) = value.split_at(colon.unwrap_or(value.len()));
    let is_line = line.is_empty() || harmless::is_number(&line[1..]);
    if is_line && by.is_path(file) {
        value.to_vec()
    } else {
        Placeholder::Value.marker()
    }
}

fn is_fingerprint(value: &[u8]) -> bool {
    value.len() == 16 && value.iter().all(u8::is_ascii_hexdigit)
}

/// A keyword argument: a name, a number or a file stays.
pub(super) fn option(
    event: &[u8],
    key: &[u8],
    value: &[u8],
    by: &Structure<'_>,
) -> Vec<u8> {
    let is_of_hg = wordings(event).is_some()
        || matches!(
            event,
            b"command"
                | b"commandfinish"
                | b"commandlost"
                | b"commandexception"
                | b"commandalias"
                | b"exthook"
                | b"pythonhook"
        );
    if value.is_empty() || kind::is_placeholder(value) {
        return value.to_vec();
    }
    // uilog's own wording, but any extension may log an event of this name.
    if event == b"commandlost" && is_of_loss(key, value) {
        return value.to_vec();
    }
    // Of another program, what it was called by.
    if key == b"canonical_command" {
        return if by.is_path(value) {
            value.to_vec()
        } else {
            Placeholder::Name.marker()
        };
    }
    if key == b"url" {
        return url(value, by);
    }
    if is_of_hg {
        match key {
            b"error" | b"exception_message" => return error(value, by),
            b"exception_stacktrace" => return exception(value, by),
            b"source" => return source(value, by),
            b"fingerprint" if is_fingerprint(value) => return value.to_vec(),
            _ => {}
        }
    }
    let is_arguments = ARGUMENT_KEYS
        .iter()
        .any(|it| it.as_bytes().eq_ignore_ascii_case(key));
    if is_arguments && !is_of_hg {
        return Structure::joined(&by.program_line(value));
    }
    let redacted = by.0.redact_option(key, value);
    if !is_of_hg {
        return redacted.text.into_owned();
    }
    if redacted.places.is_empty() && by.is_path(value) {
        return value.to_vec();
    }
    Placeholder::Value.marker()
}
