//! The kinds of option values and of commands' arguments, and what stays of
//! each.
//!
//! The default is [`OptionKind::Value`], of which nothing stays.

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
pub(super) enum OptionKind {
    /// Anything.
    Value,
    /// A text that a person wrote.
    Message,
    /// A text to search for.
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

/// Whether all of this is a placeholder, without any content.
pub(super) fn is_placeholder(text: &[u8]) -> bool {
    Placeholder::ALL.iter().any(|it| it.text() == text)
        || harmless::is_url_marker(text)
        || program::is_marker(text)
        || marker_at(text) == Some(text.len())
}

/// Options with another meaning in one command than elsewhere.
const OF_COMMANDS: &[(&str, &str, OptionKind)] = &[
    ("bisect", "command", OptionKind::Program),
    ("convert", "source-type", OptionKind::Name),
    ("convert", "dest-type", OptionKind::Name),
    ("debugshell", "command", OptionKind::Value),
    ("email", "from", OptionKind::User),
    ("email", "to", OptionKind::User),
    ("import", "base", OptionKind::Value),
    ("qimport", "name", OptionKind::Label),
    ("serve", "name", OptionKind::Value),
    ("serve", "style", OptionKind::Template),
    ("transplant", "source", OptionKind::Source),
    ("transplant", "filter", OptionKind::Program),
    ("transplant", "merge", OptionKind::Revset),
];

/// Options of every command.
const OF_ALL: &[(OptionKind, &str)] = &[
    (
        OptionKind::Message,
        "message comment note subject desc tombstone",
    ),
    (OptionKind::Keyword, "keyword"),
    (OptionKind::User, "user bcc cc reply-to reviewer blocker"),
    (
        OptionKind::Revset,
        "rev change from to base parent dest source prune at-rev \
         updaterev start-rev stop-rev local-as-revs remote-as-revs \
         revisions",
    ),
    (OptionKind::Label, "branch only-branch bookmark rename name"),
    (
        OptionKind::File,
        "cwd config-file logfile output mbox authormap authors filemap \
         splicemap branchmap rcfile dir path prefix accesslog errorlog \
         pid-file web-conf webdir-conf certificate export-marks \
         import-marks from-report to-report import-rules logiofile \
         enable-profile disable-profile bundlename commands",
    ),
    (
        OptionKind::Pattern,
        "include exclude addinclude addexclude removeinclude \
         removeexclude delete",
    ),
    (OptionKind::LineRange, "line-range"),
    (OptionKind::Source, "repository peer"),
    (OptionKind::Date, "date"),
    (OptionKind::Template, "template style oldtemplate templates"),
    (
        OptionKind::Number,
        "limit similarity unified strip max-count skip port size fuzz \
         seed logiofd",
    ),
    (
        OptionKind::Name,
        "pager color encoding encodingmode terse tool cmdserver system \
         show-stage optimize",
    ),
    (OptionKind::Type, "type part-type"),
    (OptionKind::Program, "ssh remotecmd program"),
    (OptionKind::ConfigItem, "config"),
    (OptionKind::Assignment, "pushvars"),
];

/// The kinds of commands' arguments, in their order; the last one repeats.
const ARGUMENTS: &[(OptionKind, Option<OptionKind>, &str)] = &[
    (
        OptionKind::Pattern,
        None,
        "absorb add addremove amend annotate cat children churn commit \
         copy diff extdiff files fix forget kwexpand kwfiles kwshrink \
         locate log glog parents purge qcommit qdiff qrefresh record \
         remove rename resolve revert shelve status uncommit",
    ),
    (OptionKind::Keyword, Some(OptionKind::Pattern), "grep"),
    (
        OptionKind::Source,
        None,
        "clone convert fetch identify import incoming init lfpull \
         outgoing pull push qclone qimport share unbundle lfconvert",
    ),
    (OptionKind::File, Some(OptionKind::Source), "bundle"),
    (OptionKind::File, None, "archive root"),
    (
        OptionKind::Revset,
        None,
        "backout bisect email export graft histedit identify merge \
         phabsend phase qfinish sigcheck sign split strip transplant \
         update",
    ),
    (
        OptionKind::Label,
        None,
        "bookmarks branch journal qdelete qfold qgoto qnew qpop qpush \
         qqueue qrename qselect tag unshelve",
    ),
    (
        OptionKind::Name,
        None,
        "config help paths show debugcommands",
    ),
];

/// What the value of an option is, by their full names.
pub(super) fn of_option(command: Option<&str>, option: &str) -> OptionKind {
    let own = OF_COMMANDS
        .iter()
        .find(|(of, name, _)| Some(*of) == command && *name == option);
    if let Some((_, _, kind)) = own {
        return *kind;
    }
    OF_ALL
        .iter()
        .find(|(_, names)| is_word_of(names, option.as_bytes()))
        .map_or(OptionKind::Value, |(kind, _)| *kind)
}

/// What an argument of a command is, by its place among the arguments.
pub(super) fn of_argument(command: Option<&str>, place: usize) -> OptionKind {
    let found = ARGUMENTS.iter().find(|(_, _, names)| {
        command.is_some_and(|it| is_word_of(names, it.as_bytes()))
    });
    match found {
        Some((_, Some(next), _)) if place > 0 => *next,
        Some((first, _, _)) => *first,
        None => OptionKind::Value,
    }
}

/// What stays of a value.
pub(super) fn reduced(
    kind: OptionKind,
    value: &[u8],
    by: &Structure<'_>,
) -> Vec<u8> {
    if is_placeholder(value) {
        return value.to_vec();
    }
    match kind {
        OptionKind::Message => return Placeholder::Message.marker(),
        OptionKind::Keyword => return Placeholder::Keyword.marker(),
        OptionKind::User => return user(value, by),
        OptionKind::Program => return program::value(value, by),
        OptionKind::ConfigItem => return config_item(value, by),
        OptionKind::Assignment => return assignment(value, by),
        _ => {}
    }
    if let Some(marker) = harmless::url_kind(value) {
        // `path:x` and the like are patterns and no URLs.
        return marker;
    }
    let (is_harmless, placeholder) = match kind {
        OptionKind::Revset => (by.is_revset(value), Placeholder::Revset),
        OptionKind::Label => (by.is_label(value), Placeholder::Name),
        OptionKind::File => (by.is_path(value), Placeholder::File),
        OptionKind::Pattern => (by.is_pattern(value), Placeholder::Pattern),
        OptionKind::LineRange => {
            (is_line_range(value, by), Placeholder::Pattern)
        }
        OptionKind::Source => (by.is_path(value), Placeholder::Source),
        OptionKind::Date => (harmless::is_date(value), Placeholder::Date),
        OptionKind::Template => (is_template(value), Placeholder::Template),
        OptionKind::Number => (harmless::is_number(value), Placeholder::Number),
        OptionKind::Name => {
            (by.is_name(value) || is_tool(value), Placeholder::Name)
        }
        OptionKind::Type => (is_type(value), Placeholder::Value),
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
