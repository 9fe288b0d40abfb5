//! What the value of an option is, and an argument of a command, and what is
//! told of each.
//!
//! What is not listed here is [`Kind::Value`], of which nothing is told.

use super::harmless;
use super::placeholder::Placeholder;
use super::program;
use super::reducer::Structure;
use super::word_list::is_word_of;
use crate::rule::marker_at;
use crate::rule::user_marker;
use crate::user::hash_user;

/// What a value is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Anything.
    Value,
    /// A text that somebody wrote.
    Message,
    /// A text that is looked for.
    Keyword,
    /// A user's name.
    User,
    /// Revisions.
    Revset,
    /// The name of a branch, a bookmark, a tag, a patch.
    Label,
    /// A file.
    File,
    /// Files.
    Pattern,
    /// A file, and lines of it.
    LineRange,
    /// Another repository: a URL, a path, a name of `[paths]`.
    Source,
    /// A date, or a range of dates.
    Date,
    /// How something is printed.
    Template,
    /// A number.
    Number,
    /// A name that a program or an extension has given.
    Name,
    /// How a bundle or an archive is packed.
    Type,
    /// A program with arguments.
    Program,
    /// `SECTION.NAME=VALUE`.
    ConfigItem,
    /// `NAME=VALUE`.
    Assignment,
}

/// Whether all of this is what stands for a value: it holds nothing any more.
pub(super) fn is_placeholder(text: &[u8]) -> bool {
    Placeholder::ALL.iter().any(|it| it.text() == text)
        || harmless::is_url_marker(text)
        || program::is_marker(text)
        || marker_at(text) == Some(text.len())
}

/// Options of one command that mean something else than elsewhere.
const OF_COMMANDS: &[(&str, &str, Kind)] = &[
    ("bisect", "command", Kind::Program),
    ("convert", "source-type", Kind::Name),
    ("convert", "dest-type", Kind::Name),
    ("debugshell", "command", Kind::Value),
    ("email", "from", Kind::User),
    ("email", "to", Kind::User),
    ("import", "base", Kind::Value),
    ("qimport", "name", Kind::Label),
    ("serve", "name", Kind::Value),
    ("serve", "style", Kind::Template),
    ("transplant", "source", Kind::Source),
    ("transplant", "filter", Kind::Program),
    ("transplant", "merge", Kind::Revset),
];

/// Options, whatever the command.
const OF_ALL: &[(Kind, &str)] = &[
    (Kind::Message, "message comment note subject desc tombstone"),
    (Kind::Keyword, "keyword"),
    (Kind::User, "user bcc cc reply-to reviewer blocker"),
    (
        Kind::Revset,
        "rev change from to base parent dest source prune at-rev \
         updaterev start-rev stop-rev local-as-revs remote-as-revs \
         revisions",
    ),
    (Kind::Label, "branch only-branch bookmark rename name"),
    (
        Kind::File,
        "cwd config-file logfile output mbox authormap authors filemap \
         splicemap branchmap rcfile dir path prefix accesslog errorlog \
         pid-file web-conf webdir-conf certificate export-marks \
         import-marks from-report to-report import-rules logiofile \
         enable-profile disable-profile bundlename commands",
    ),
    (
        Kind::Pattern,
        "include exclude addinclude addexclude removeinclude \
         removeexclude delete",
    ),
    (Kind::LineRange, "line-range"),
    (Kind::Source, "repository peer"),
    (Kind::Date, "date"),
    (Kind::Template, "template style oldtemplate templates"),
    (
        Kind::Number,
        "limit similarity unified strip max-count skip port size fuzz \
         seed logiofd",
    ),
    (
        Kind::Name,
        "pager color encoding encodingmode terse tool cmdserver system \
         show-stage optimize",
    ),
    (Kind::Type, "type part-type"),
    (Kind::Program, "ssh remotecmd program"),
    (Kind::ConfigItem, "config"),
    (Kind::Assignment, "pushvars"),
];

/// What the arguments of commands are, one after the other; the last goes on.
const ARGUMENTS: &[(Kind, Option<Kind>, &str)] = &[
    (
        Kind::Pattern,
        None,
        "absorb add addremove amend annotate cat children churn commit \
         copy diff extdiff files fix forget kwexpand kwfiles kwshrink \
         locate log glog parents purge qcommit qdiff qrefresh record \
         remove rename resolve revert shelve status uncommit",
    ),
    (Kind::Keyword, Some(Kind::Pattern), "grep"),
    (
        Kind::Source,
        None,
        "clone convert fetch identify import incoming init lfpull \
         outgoing pull push qclone qimport share unbundle lfconvert",
    ),
    (Kind::File, Some(Kind::Source), "bundle"),
    (Kind::File, None, "archive root"),
    (
        Kind::Revset,
        None,
        "backout bisect email export graft histedit identify merge \
         phabsend phase qfinish sigcheck sign split strip transplant \
         update",
    ),
    (
        Kind::Label,
        None,
        "bookmarks branch journal qdelete qfold qgoto qnew qpop qpush \
         qqueue qrename qselect tag unshelve",
    ),
    (Kind::Name, None, "config help paths show debugcommands"),
];

/// What the value of an option is, by their full names.
pub(super) fn of_option(command: Option<&str>, option: &str) -> Kind {
    let own = OF_COMMANDS
        .iter()
        .find(|(of, name, _)| Some(*of) == command && *name == option);
    if let Some((_, _, kind)) = own {
        return *kind;
    }
    OF_ALL
        .iter()
        .find(|(_, names)| is_word_of(names, option.as_bytes()))
        .map_or(Kind::Value, |(kind, _)| *kind)
}

/// What an argument of a command is, by its place among the arguments.
pub(super) fn of_argument(command: Option<&str>, place: usize) -> Kind {
    let found = ARGUMENTS.iter().find(|(_, _, names)| {
        command.is_some_and(|it| is_word_of(names, it.as_bytes()))
    });
    match found {
        Some((_, Some(next), _)) if place > 0 => *next,
        Some((first, _, _)) => *first,
        None => Kind::Value,
    }
}

/// What is kept of a value.
pub(super) fn shown(kind: Kind, value: &[u8], by: &Structure<'_>) -> Vec<u8> {
    if is_placeholder(value) {
        return value.to_vec();
    }
    match kind {
        Kind::Message => return Placeholder::Message.marker(),
        Kind::Keyword => return Placeholder::Keyword.marker(),
        Kind::User => return user(value, by),
        Kind::Program => return program::value(value, by),
        Kind::ConfigItem => return config_item(value, by),
        Kind::Assignment => return assignment(value, by),
        _ => {}
    }
    if let Some(marker) = harmless::url_kind(value) {
        // `path:x` and the like are patterns and no URLs.
        return marker;
    }
    let (is_harmless, placeholder) = match kind {
        Kind::Revset => (by.is_revset(value), Placeholder::Revset),
        Kind::Label => (by.is_label(value), Placeholder::Name),
        Kind::File => (by.is_path(value), Placeholder::File),
        Kind::Pattern => (by.is_pattern(value), Placeholder::Pattern),
        Kind::LineRange => (is_line_range(value, by), Placeholder::Pattern),
        Kind::Source => (by.is_path(value), Placeholder::Source),
        Kind::Date => (harmless::is_date(value), Placeholder::Date),
        Kind::Template => (is_template(value), Placeholder::Template),
        Kind::Number => (harmless::is_number(value), Placeholder::Number),
        Kind::Name => (by.is_name(value) || is_tool(value), Placeholder::Name),
        Kind::Type => (is_type(value), Placeholder::Value),
        _ => (false, Placeholder::Value),
    };
    if is_harmless {
        value.to_vec()
    } else {
        placeholder.marker()
    }
}

fn user(name: &[u8], by: &Structure<'_>) -> Vec<u8> {
    match by.0.user_key() {
        Some(key) => user_marker(&hash_user(key, name)),
        None => Placeholder::User.marker(),
    }
}

/// `SECTION.NAME=VALUE`: the value if it is a number or a yes or no that
/// nothing says is a secret.
fn config_item(item: &[u8], by: &Structure<'_>) -> Vec<u8> {
    let Some(equals) = item.iter().position(|byte| *byte == b'=') else {
        return Placeholder::Value.marker();
    };
    let (name, value) = (&item[..equals], &item[equals + 1..]);
    if !by.is_name(name) {
        return Placeholder::Value.marker();
    }
    let is_harmless = is_placeholder(value)
        || (harmless::is_number(value) || harmless::is_boolean(value))
            && by.0.redact_url(item).places.is_empty()
            && by.0.redact_option(name, value).places.is_empty();
    named(name, is_harmless, value)
}

/// `NAME=VALUE`, of which the name is kept.
fn assignment(text: &[u8], by: &Structure<'_>) -> Vec<u8> {
    let Some(equals) = text.iter().position(|byte| *byte == b'=') else {
        return Placeholder::Value.marker();
    };
    let name = &text[..equals];
    if !by.is_name(name) {
        return Placeholder::Value.marker();
    }
    named(name, false, b"")
}

fn named(name: &[u8], is_harmless: bool, value: &[u8]) -> Vec<u8> {
    let value = if is_harmless {
        value.to_vec()
    } else {
        Placeholder::Value.marker()
    };
    [name, b"=", &value].concat()
}

/// `FILE,FROM:TO`
fn is_line_range(text: &[u8], by: &Structure<'_>) -> bool {
    let Some(comma) = text.iter().rposition(|byte| *byte == b',') else {
        return false;
    };
    let (file, lines) = (&text[..comma], &text[comma + 1..]);
    by.is_path(file)
        && lines.iter().all(|it| it.is_ascii_digit() || *it == b':')
}

/// Whether this is a template that comes with Mercurial.
// hg: mercurial/templates/map-cmdline.*, formatter.py, hgweb's styles
fn is_template(text: &[u8]) -> bool {
    const NAMES: &str = "\
        atom bisect cbor changelog coal compact debug default gitweb \
        json list monoblue paper phases pickle raw rss show spartan \
        status xml";
    is_word_of(NAMES, text)
}

/// `:merge`, `internal:other`.
fn is_tool(text: &[u8]) -> bool {
    let name = text.strip_prefix(b"internal").unwrap_or(text);
    name.strip_prefix(b":").is_some_and(|name| {
        const NAMES: &str = "\
            dump fail forcedump local merge merge-local merge-other merge3 \
            mergediff other prompt tagmerge union";
        is_word_of(NAMES, name)
    })
}

/// `gzip-v2`, `zstd-v2;obsolescence=yes`, `tar`: words from Mercurial's own
/// list, and numbers.
// hg: mercurial/bundlecaches.py, archival.py
fn is_type(text: &[u8]) -> bool {
    const WORDS: &str = "\
        v1 v2 v3 none gzip bzip2 zstd all packed1 streamv2 streamv3 \
        stream files tar tbz2 tgz txz zip uzip changegroup cg version \
        obsolescence mandatory phases revbranchcache tagsfnodescache \
        compression level requirements yes no true false 01 02 03 04";
    !text.is_empty()
        && text.split(|byte| b"-;=".contains(byte)).all(|word| {
            is_word_of(WORDS, word)
                || word.len() <= 2 && word.iter().all(u8::is_ascii_digit)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::TABLE;

    #[test]
    fn the_lists_name_what_there_is() {
        let options: Vec<_> = TABLE
            .options
            .iter()
            .filter(|it| it.takes_value)
            .map(|it| it.long)
            .collect();
        let words = OF_ALL.iter().flat_map(|(_, names)| names.split(' '));
        let of_commands = OF_COMMANDS.iter().map(|(_, name, _)| *name);
        for name in words.chain(of_commands) {
            assert!(options.contains(&name), "no option --{name}");
        }
        let words = ARGUMENTS.iter().flat_map(|(_, _, names)| names.split(' '));
        let of_commands = OF_COMMANDS.iter().map(|(command, _, _)| *command);
        for name in words.chain(of_commands) {
            let found = TABLE.exact_command(name.as_bytes());
            assert_eq!(found.map(|it| it.name), Some(name));
        }
    }
}
