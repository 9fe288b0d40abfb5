//! The wordings of Mercurial's events, and what stays of their variable parts.

use memchr::memmem;

use crate::structure::harmless;
use crate::structure::kind::OptionKind;
use crate::structure::placeholder::Placeholder;
use crate::structure::reducer::Structure;

/// rhg marks its messages so.
pub(super) const RHG: &[u8] = b"(rust) ";

/// The wordings of Mercurial's events. In the place of `@n` is a number, of
/// `@w` a name, of `@v` a version, of `@c` a function in a traceback, of `@f`
/// a file, of `@h` a list of hashes, of `@u` a URL, of `@m` any text, which
/// goes.
// hg: every call of ui.log in mercurial/ and hgext/, 6.3 to 7.2
pub(super) const WORDINGS: &[(&str, &[&str])] = &[
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

pub(super) fn wordings(event: &[u8]) -> Option<&'static [&'static str]> {
    let mut all = WORDINGS.iter();
    let found = all.find(|(name, _)| name.as_bytes() == event)?;
    Some(found.1)
}

/// The message, if it has this wording.
pub(super) fn filled(
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

/// The text at the position of `@` and this letter.
pub(super) fn varying(letter: u8, text: &[u8], by: &Structure<'_>) -> Vec<u8> {
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

/// A server's URL without credentials, or what stays of other URLs.
pub(super) fn url(text: &[u8], by: &Structure<'_>) -> Vec<u8> {
    harmless::server_url(text, by)
        .unwrap_or_else(|| by.value(OptionKind::Source, text))
}

/// `exthook-NAME: COMMAND finished in 0.50 seconds`
// hg: hook.pythonhook, hook._exthook
pub(super) fn hook(
    event: &[u8],
    message: &[u8],
    by: &Structure<'_>,
) -> Vec<u8> {
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
pub(super) fn alias(message: &[u8], by: &Structure<'_>) -> Vec<u8> {
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
