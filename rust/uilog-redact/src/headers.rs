//! HTTP headers with secrets: `Authorization` with any scheme, and headers
//! whose names suggest a secret: `X-Api-Key`, `PRIVATE-TOKEN`,
//! `X-JFrog-Art-Api`.
//!
//! In `Authorization: SCHEME TOKEN` the token is removed and the scheme stays.
//! Quoted text that begins with a header's name is certainly a header;
//! elsewhere, the value must look like a secret, too.

use std::ops::Range;

use memchr::memchr2;

use crate::field::value_of_field;
use crate::found::Found;
use crate::rule::Rule;
use crate::rule::marker_at;
use crate::stand_in::is_stand_in;
use crate::steps;
use crate::trie::Trie;
use crate::trie::most_nodes;
use crate::value::Quote;
use crate::value::Scope;
use crate::value::is_placeholder;
use crate::value::looks_chosen;
use crate::value::looks_random;
use crate::words::blanks;

/// How names of such headers end. These are also what [`crate::redactor`]
/// looks for before it calls this module.
pub(crate) const ENDINGS: [&str; 17] = [
    "authorization",
    "apikey",
    "api-key",
    "api_key",
    "-key",
    "-token",
    "-secret",
    "-api",
    "-auth",
    "-signature",
    "-signature-256",
    "-password",
    "-passwd",
    "-jwt",
    "-pat",
    "-credential",
    "-team",
];

static TRIE: Trie<{ most_nodes(&ENDINGS) }, { ENDINGS.len() }> =
    Trie::new(&ENDINGS);

/// What names of harmless headers and other things begin with that end so.
const HARMLESS: [&str; 44] = [
    "cache",
    "primary",
    "sort",
    "foreign",
    "partition",
    "public",
    "index",
    "unique",
    "surrogate",
    "idempotency",
    "routing",
    "object",
    "host",
    "hash",
    "sec-websocket",
    "group",
    "row",
    "range",
    "hot",
    "short",
    "translation",
    "ssh",
    "gpg",
    "pgp",
    "page",
    "next",
    "continuation",
    "signing-public",
    "message",
    "event",
    "lookup",
    "search",
    "map",
    "dict",
    "config",
    "set",
    "get",
    "x-cache",
    "x-amz-meta",
    "registry",
    "meta",
    "new",
    "no",
    "rest",
];

/// Names that hold nothing but secrets.
const SECRET: [&str; 9] = [
    "apikey",
    "api-key",
    "private-token",
    "job-token",
    "deploy-token",
    "access-token",
    "auth-token",
    "secret-key",
    "x-honeycomb-team",
];

/// Schemes that may be followed by what looks like a word.
const SCHEMES: [&str; 23] = [
    "basic",
    "bearer",
    "token",
    "apikey",
    "api-key",
    "key",
    "digest",
    "negotiate",
    "ntlm",
    "oauth",
    "oauth2",
    "aws",
    "aws4-hmac-sha256",
    "hmac",
    "hawk",
    "splunk",
    "geniekey",
    "ssws",
    "bot",
    "jwt",
    "sharedkey",
    "pveapitoken",
    "kerberos",
];

/// Words that follow a header's name when people speak of it.
const SPEECH: [&str; 28] = [
    "sent",
    "set",
    "empty",
    "no",
    "required",
    "failed",
    "failure",
    "missing",
    "denied",
    "is",
    "was",
    "not",
    "none",
    "see",
    "for",
    "header",
    "headers",
    "by",
    "the",
    "and",
    "or",
    "invalid",
    "granted",
    "error",
    "expired",
    "auth",
    "authentication",
    "token",
];

const MAX_NAME_BYTES: usize = 64;
const MAX_SPACES: usize = 4;
/// How far the end of an unquoted value is looked for.
const MAX_VALUE_BYTES: usize = 1024;

/// How sure it is that this is a header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    /// `'NAME: VALUE'`, or a line of its own.
    Header,
    /// `'NAME': 'VALUE'`
    Entry,
    /// `NAME: VALUE` somewhere.
    Inline,
}

/// Values of headers in a text.
pub(crate) fn find(text: &[u8], scope: Scope, found: &mut Vec<Found>) {
    let mut done = 0;
    let mut last = 0;
    // Up to where parameters have been looked for already.
    let mut extended = 0;
    for word in TRIE.find(text) {
        if word.start < done || word.end == last || is_name(text.get(word.end))
        {
            continue;
        }
        last = word.end;
        let start = name_start(text, word.start);
        let before = text[..start].last().copied().unwrap_or(b' ');
        // In a URL it is a parameter, or a user; and it may be in a value that
        // has been looked at.
        if b"/?&;#%".contains(&before)
            || (start < extended && !before.is_ascii_whitespace())
        {
            continue;
        }
        let name = text[start..word.end].to_ascii_lowercase();
        if !is_secret_name(&name) {
            continue;
        }
        let Some((form, value)) = value(
            text,
            start,
            word.end,
            scope,
            Extent {
                is_authorization: is_authorization(&name),
                may_extend: start >= extended,
            },
        ) else {
            continue;
        };
        if form == Form::Inline {
            extended = extended.max(value.end);
        }
        steps::add(value.len());
        for part in secrets(&name, &text[value.clone()], form) {
            let part = value.start + part.start..value.start + part.end;
            done = part.end;
            found.push(Found::new(part, Rule::AUTHORIZATION));
        }
    }
}

/// What is secret in what follows an option such as `-H`.
pub(crate) fn in_option(header: &[u8]) -> Vec<Range<usize>> {
    let Some(colon) = header.iter().position(|byte| *byte == b':') else {
        return Vec::new();
    };
    let name = header[..colon].to_ascii_lowercase();
    let after = header[colon + 1..]
        .iter()
        .take_while(|byte| byte.is_ascii_whitespace())
        .count();
    let start = colon + 1 + after;
    let value = &header[start..];
    let is_secret = is_secret_name(&name)
        || [
            &b"key"[..],
            b"crumb",
            b"token",
            b"auth",
            b"secret",
            b"password",
            b"pass",
            b"pat",
        ]
        .iter()
        .any(|word| name.ends_with(word) && !is_harmless(&name))
        || (name.starts_with(b"x-") && is_key(&name, value));
    if !is_secret {
        return Vec::new();
    }
    secrets(&name, value, Form::Header)
        .into_iter()
        .map(|part| start + part.start..start + part.end)
        .collect()
}

/// Whether a header of any name has the value of a key: no hash and no id.
fn is_key(name: &[u8], value: &[u8]) -> bool {
    const MIN_BYTES: usize = 20;
    const OTHERS: [&[u8]; 12] = [
        b"id", b"trace", b"hash", b"etag", b"md5", b"sha", b"node", b"rev",
        b"version", b"nonce", b"date", b"span",
    ];
    value.len() >= MIN_BYTES
        && looks_random(value)
        && !value
            .iter()
            .all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
        && value
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.=+".contains(byte))
        && !OTHERS
            .iter()
            .any(|other| name.windows(other.len()).any(|part| part == *other))
}

/// Whether an event's option of this name holds the value of such a header.
pub(crate) fn is_secret_option(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    is_authorization(&name)
        || name.ends_with(b"cookie")
        || name.ends_with(b"cookies")
        || is_secret_name(
            &name
                .iter()
                .map(|byte| match byte {
                    b'_' => b'-',
                    byte => *byte,
                })
                .collect::<Vec<_>>(),
        )
}

fn is_name(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
    })
}

fn name_start(text: &[u8], at: usize) -> usize {
    let len = text[..at]
        .iter()
        .rev()
        .take(MAX_NAME_BYTES)
        .take_while(|byte| is_name(Some(byte)))
        .count();
    let start = at - len;
    // `-HX-Auth-Token:`, `--header`
    let dashes = text[start..at]
        .iter()
        .take_while(|byte| **byte == b'-')
        .count();
    match (dashes, text.get(start + 1)) {
        (1, Some(b'H')) => start + 2,
        _ => start + dashes,
    }
}

fn is_authorization(name: &[u8]) -> bool {
    // Chef: X-Ops-Authorization-1
    let digits = name.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let name = &name[..name.len() - digits];
    name.strip_suffix(b"-")
        .unwrap_or(name)
        .ends_with(b"authorization")
}

fn is_harmless(name: &[u8]) -> bool {
    HARMLESS.iter().any(|word| {
        name.strip_prefix(word.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"-"))
    })
}

/// Whether a name, in lower case, is that of a header with a secret.
fn is_secret_name(name: &[u8]) -> bool {
    if is_authorization(name) {
        return true;
    }
    // `--api-key` is no header.
    ENDINGS.iter().any(|ending| {
        name.ends_with(ending.as_bytes())
            && (name.len() > ending.len() || !ending.starts_with('-'))
    }) && !is_harmless(name)
        && (!name.ends_with(b"-team") || name == b"x-honeycomb-team")
}

fn spaces(text: &[u8]) -> usize {
    blanks(text, MAX_SPACES)
}

/// How far a header may go.
#[derive(Clone, Copy)]
struct Extent {
    is_authorization: bool,
    /// Whether parameters may follow the scheme.
    may_extend: bool,
}

/// Where the value of a header is, and how sure it is that this is one.
fn value(
    text: &[u8],
    start: usize,
    end: usize,
    scope: Scope,
    extent: Extent,
) -> Option<(Form, Range<usize>)> {
    let mut at = end;
    let rest = &text[at..];
    let around = Quote::before(text, start)
        .or_else(|| Quote::before(text, start.checked_sub(2)?));
    if let Some(after) = rest.strip_prefix(b":") {
        at += 1 + spaces(after);
        if text.get(at) == Some(&b'"') || text.get(at) == Some(&b'\'') {
            // HTTPie: Authorization:"Bearer x"
            if let Some(close) = Quote::before(text, at + 1)
                .and_then(|quote| quote.close(text, at + 1))
            {
                return Some((Form::Entry, at + 1..close));
            }
        }
        if let Some(around) = around
            && let Some(close) = around.close(text, at)
        {
            return Some((Form::Header, at..close));
        }
        let is_alone = text[..start].is_empty()
            || text[..start].ends_with(b"\n")
            || text[..start].ends_with(b"\n> ")
            || text[..start].ends_with(b"\n< ")
            || matches!(&text[..start], b"> " | b"< ");
        if scope == Scope::Word
            && matches!(&text[..start], b"" | b"-H" | b"--header=")
        {
            return Some((Form::Header, at..text.len()));
        }
        if is_alone && is_header_line(&text[start..end]) {
            let rest = &text[at..];
            let len = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            return Some((Form::Header, at..at + len));
        }
        return Some((
            Form::Inline,
            at..inline_end(text, at, extent.may_extend),
        ));
    }
    // Other names are [`crate::assignment`]'s business.
    let is_header = extent.is_authorization
        || is_header_line(&text[start..end])
            && text[start..end].contains(&b'-');
    if is_header && let Some(at) = value_of_field(text, start, end) {
        return Some((Form::Entry, field(text, at)));
    }
    if is_header && text[..start].ends_with(b"<") && rest.starts_with(b">") {
        return Some((Form::Entry, field(text, end + 1)));
    }
    if let Some(at) = directive(text, start, end) {
        return Some((Form::Entry, field(text, at)));
    }
    if let Some(after) = rest.strip_prefix(b"=")
        && (extent.is_authorization
            || text[start..end].to_ascii_lowercase().starts_with(b"x-"))
    {
        at += 1;
        let quoted = at + usize::from(after.starts_with(b"\\")) + 1;
        if let Some(close) = text
            .get(..quoted)
            .and_then(|_| Quote::before(text, quoted))
            .and_then(|quote| quote.close(text, quoted))
        {
            return Some((Form::Entry, quoted..close));
        }
        let line = if scope == Scope::Word {
            text.len()
        } else if let Some(around) = around {
            around
                .close(text, at)
                .unwrap_or_else(|| inline_end(text, at, extent.may_extend))
        } else {
            inline_end(text, at, extent.may_extend)
        };
        return Some((Form::Inline, at..line));
    }
    // PowerShell, Perl: @{Authorization = 'VALUE'}, (Authorization => 'VALUE')
    if extent.is_authorization {
        let equals = end + spaces(rest);
        let after = match &text[equals..] {
            [b'=', b'>', ..] => equals + 2,
            [b'=', ..] => equals + 1,
            _ => equals,
        };
        let quoted = after + spaces(&text[after..]) + 1;
        // nginx: proxy_set_header Authorization "VALUE";
        if (after > equals || equals > end)
            && let Some(close) = Quote::before(text, quoted)
                .and_then(|quote| quote.close(text, quoted))
        {
            return Some((Form::Entry, quoted..close));
        }
    }
    // 'NAME': 'VALUE', ('NAME', 'VALUE'), x['NAME'] = 'VALUE'
    if rest.first() == Some(&b'\\') {
        at += 1;
    }
    if !matches!(text.get(at), Some(b'\'' | b'"' | b'`')) {
        return None;
    }
    at += 1;
    if matches!(text.get(at), Some(b']' | b')')) {
        at += 1;
    }
    let between = spaces(&text[at..]);
    at += between;
    at += match &text[at..] {
        [b'=', b'=', b'=', ..] => 3,
        [b'=', b'>' | b'=', ..] => 2,
        [b':' | b',' | b'=', ..] => 1,
        // Clojure, Nix: {"NAME" "VALUE"}
        [b'"', ..] if between > 0 => 0,
        _ => return None,
    };
    at += spaces(&text[at..]);
    // Go: {"NAME":["VALUE"]}, {"NAME": []string{"VALUE"}}
    at += [&b"[]string{"[..], b"[", b"{"]
        .into_iter()
        .find(|list| text[at..].starts_with(list))
        .map_or(0, <[u8]>::len);
    if matches!(text.get(at), Some(b'b' | b'u' | b'f')) {
        at += 1;
    }
    if text.get(at) == Some(&b'\\') {
        at += 1;
    }
    if !matches!(text.get(at), Some(b'\'' | b'"' | b'`')) {
        return None;
    }
    at += 1;
    let close = Quote::before(text, at)?.close(text, at)?;
    Some((Form::Entry, at..close))
}

/// Where the value stands that begins here: in its quotes, or up to a tag or
/// the line's end.
fn field(text: &[u8], at: usize) -> Range<usize> {
    let start = at
        + text[at..]
            .iter()
            .take(2)
            .take_while(|byte| b"\\\"'".contains(byte))
            .count();
    if start > at
        && let Some(close) = Quote::before(text, start)
            .and_then(|quote| quote.close(text, start))
    {
        return start..close;
    }
    let near = &text[start..text.len().min(start + MAX_VALUE_BYTES)];
    let len = near
        .iter()
        .position(|byte| b"<\r\n;".contains(byte))
        .unwrap_or(near.len());
    start..start + len
}

/// Where the value begins in the directive of a server: `add_header NAME X;`,
/// `Header set NAME X`; or of a file: `NAME = X`.
fn directive(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let after = spaces(&text[end..]);
    let at = end + after;
    if after == 0 || at == text.len() {
        return None;
    }
    let before = &text[..start];
    if [
        &b"header "[..],
        b"Header set ",
        b"Header add ",
        b"Header append ",
    ]
    .iter()
    .any(|word| before.ends_with(word))
    {
        return (text[at] != b':' && text[at] != b'=').then_some(at);
    }
    let is_first = before.is_empty() || before.ends_with(b"\n");
    if is_first && text[at..].starts_with(b"= ") {
        return Some(at + 1 + spaces(&text[at + 1..]));
    }
    None
}

/// Whether a name stands on a line as a header's name does.
fn is_header_line(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_uppercase) || name.starts_with(b"x-")
}

/// Where a value ends that stands somewhere in a text: behind a scheme and a
/// token, or, if parameters follow the scheme, at the line's end.
fn inline_end(text: &[u8], at: usize, may_extend: bool) -> usize {
    let near = &text[at..text.len().min(at + MAX_VALUE_BYTES)];
    let first = word_len(near, Form::Inline);
    let token = first + spaces(&near[first..]);
    let end = token + word_len(&near[token..], Form::Inline);
    if may_extend && near[token..end].contains(&b'=') {
        line_end(text, at)
    } else {
        at + end
    }
}

fn line_end(text: &[u8], at: usize) -> usize {
    let near = &text[at..text.len().min(at + MAX_VALUE_BYTES)];
    memchr2(b'\n', b'\r', near).map_or(at + near.len(), |len| at + len)
}

/// What is secret in the value of a header.
fn secrets(name: &[u8], value: &[u8], form: Form) -> Vec<Range<usize>> {
    let value = value.trim_ascii_end();
    let word = word_len(value, form);
    if is_nothing(&value[..word]) || is_nothing(value) {
        return Vec::new();
    }
    let space = match &value[word..] {
        [b'%', b'2', b'0', ..] => 3,
        rest => spaces(rest),
    };
    let scheme = &value[..word];
    let rest = word + space..value.len();
    let is_authorization = is_authorization(name);
    let is_known = SCHEMES
        .iter()
        .any(|known| known.as_bytes().eq_ignore_ascii_case(scheme));
    if is_speech(scheme) && !is_known {
        return Vec::new();
    }
    if space > 0
        && !rest.is_empty()
        && is_scheme(scheme)
        && (is_authorization || is_known)
    {
        return credentials(value, rest, is_known, form)
            .into_iter()
            .collect();
    }
    if is_known && space == 0 {
        return Vec::new();
    }
    let end = if form == Form::Inline {
        word
    } else {
        value.len()
    };
    let token = &value[..end];
    if is_speech(token) || token.ends_with(b":") {
        return Vec::new();
    }
    let is_certain = is_authorization
        || name.starts_with(b"x-")
        || SECRET
            .iter()
            .any(|secret| name.ends_with(secret.as_bytes()));
    let is_secret = match form {
        Form::Header if name.ends_with(b"-signature") => looks_random(token),
        Form::Header => true,
        Form::Entry if is_authorization => token.len() > 5,
        Form::Entry if is_certain => token.len() > 3,
        Form::Inline if is_authorization => {
            looks_chosen(token) && !token.contains(&b'/') || looks_random(token)
        }
        Form::Inline if is_certain => token.len() > 5 && !is_word(token),
        Form::Entry | Form::Inline => looks_random(token),
    };
    if !is_secret || token.starts_with(b"http") && token.contains(&b'/') {
        return Vec::new();
    }
    vec![assigned(value, 0..end)]
}

/// The credentials behind a scheme.
fn credentials(
    value: &[u8],
    rest: Range<usize>,
    is_known: bool,
    form: Form,
) -> Option<Range<usize>> {
    let text = &value[rest.clone()];
    let word = word_len(text, form);
    let token = &text[..word];
    // `Basic realm="..."` asks for credentials.
    if is_nothing(token)
        || is_nothing(text)
        || text.to_ascii_lowercase().starts_with(b"realm=")
            && !text.contains(&b',')
    {
        return None;
    }
    match form {
        Form::Header | Form::Entry => {
            // `Authorization: Basic auth is needed`
            let is_text = text.contains(&b' ') && !text.contains(&b'=');
            (!(is_text && is_speech(token))).then(|| assigned(value, rest))
        }
        Form::Inline => {
            let has_parameters = text.contains(&b'=')
                && text.contains(&b',')
                && token.contains(&b'=');
            if has_parameters {
                let end = text
                    .iter()
                    .position(|byte| matches!(byte, b'\'' | b'<'))
                    .unwrap_or(text.len());
                return Some(rest.start..rest.start + end);
            }
            let is_secret = if is_known {
                !is_speech(token) && (token.len() > 5 || looks_chosen(token))
            } else {
                looks_random(token) && !token.contains(&b'/')
                    || looks_random(token) && token.len() > 24
            };
            let is_url = token.windows(3).any(|part| part == b"://");
            (is_secret && !is_url)
                .then(|| assigned(value, rest.start..rest.start + word))
        }
    }
}

/// Without `token=` and quotes before a single value.
fn assigned(value: &[u8], range: Range<usize>) -> Range<usize> {
    let text = &value[range.clone()];
    if text.contains(&b',') {
        return range;
    }
    let name = text
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count();
    let rest = &text[name..];
    let is_padding = rest.iter().all(|byte| *byte == b'=');
    if name == 0 || name > 24 || rest.first() != Some(&b'=') || is_padding {
        return range;
    }
    let mut start = range.start + name + 1;
    let mut end = range.end;
    if value[start..end].len() > 2
        && value[start..end].starts_with(b"\"")
        && value[start..end].ends_with(b"\"")
    {
        start += 1;
        end -= 1;
    }
    start..end
}

/// How long the first word of a value is.
fn word_len(value: &[u8], form: Form) -> usize {
    let mut at = 0;
    while let Some(byte) = value.get(at) {
        if let Some(len) = marker_at(&value[at..]) {
            at += len;
            continue;
        }
        let ends = match byte {
            b' ' | b'\t' => true,
            b'%' => value[at..].starts_with(b"%20"),
            b'\'' | b'"' | b'`' | b'<' | b'>' | b',' | b';' | b'\\' | b')'
            | b']' | b'}' => form == Form::Inline,
            _ => false,
        };
        if ends {
            break;
        }
        at += 1;
    }
    at
}

fn is_scheme(word: &[u8]) -> bool {
    const MAX_SCHEME_BYTES: usize = 40;
    word.len() <= MAX_SCHEME_BYTES
        && word.first().is_some_and(u8::is_ascii_alphabetic)
        && word
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
}

/// Whether this stands for a value.
fn is_nothing(value: &[u8]) -> bool {
    is_placeholder(value, Scope::Text)
        || is_stand_in(value)
        || (value.starts_with(b"$")
            && value[1..].iter().all(|byte| {
                byte.is_ascii_alphanumeric() || b"_{}".contains(byte)
            }))
        || value.starts_with(b"$(")
        || (value.starts_with(b"{") && value.ends_with(b"}"))
        || value.starts_with(b"%s")
}

fn is_speech(word: &[u8]) -> bool {
    SPEECH
        .iter()
        .any(|speech| speech.as_bytes().eq_ignore_ascii_case(word))
}

fn is_word(token: &[u8]) -> bool {
    token.iter().all(u8::is_ascii_alphabetic) && token.len() < 12
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        find(text.as_bytes(), Scope::Text, &mut found);
        found.into_iter().map(|found| &text[found.range]).collect()
    }

    #[test]
    fn the_scheme_stays_and_the_token_goes() {
        for (text, token) in [
            ("-H 'Authorization: GenieKey abc'", "abc"),
            ("-H 'Authorization:Splunk a-b c'", "a-b c"),
            ("{'Authorization': 'SSWS 00ab_c'}", "00ab_c"),
            ("('authorization', 'Bot a.b.c')", "a.b.c"),
            ("x\n> Authorization: Bearer hunter2\r\n", "hunter2"),
            ("got Authorization: Basic Zm9vOmJhcg== back", "Zm9vOmJhcg=="),
            ("-H 'Authorization: hunter2'", "hunter2"),
            ("-H 'Authorization: Token token=ab12'", "ab12"),
            ("h['Authorization'] = 'Key abcdef12'", "abcdef12"),
            (r#"{\"Authorization\": \"Key abcdef12\"}"#, "abcdef12"),
        ] {
            assert_eq!(found(text), [token], "{text}");
        }
    }

    #[test]
    fn names_tell() {
        for (text, secret) in [
            ("-H 'PRIVATE-TOKEN:abc'", "abc"),
            ("-H \"X-Api-Key: a b\"", "a b"),
            ("-H 'apikey:ab'", "ab"),
            ("-H 'X-JFrog-Art-Api: abc'", "abc"),
            ("{'X-Foo-Secret': 'abcdef'}", "abcdef"),
            ("X-Auth-Token: abcdefgh12", "abcdefgh12"),
        ] {
            assert_eq!(found(text), [secret], "{text}");
        }
    }

    #[test]
    fn speech_is_harmless() {
        for text in [
            "Authorization: required for https://hg.example/a1b2c3",
            "authorization: see your administrator",
            "cache-key: v1-linux-0123456789",
            "-H 'Authorization: Bearer $TOKEN'",
            "{'Authorization': 'Bearer %s' % token}",
            "-H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='",
            "--api-key",
            "the api-key: required",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
