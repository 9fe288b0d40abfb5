//! Finds secret values of hg's configuration items wherever
//! `SECTION.NAME=VALUE` occurs: after `--config`, in an alias, in the output of
//! `hg config`.
//!
//! Must not know where a configuration comes from.

use std::sync::OnceLock;

use memchr::memchr_iter;
use regex::bytes::Regex;
use regex::bytes::RegexBuilder;

use crate::example_value::is_example;
use crate::extent::Extents;
use crate::extent::QuoteMark;
use crate::finding::Finding;
use crate::name::is_secret_name;
use crate::rule::Rule;
use crate::steps;
use crate::value::Scope;
use crate::value::is_placeholder;
use crate::value::looks_like_password;
use crate::value::looks_random;
use crate::words::blanks;

/// Items of stock hg and its bundled extensions. Names that suggest a secret
/// themselves (`smtp.password`) are found without this.
const DEFAULT_ITEMS: [&[u8]; 6] = [
    b"auth.*",
    b"hostsecurity.*",
    b"http_proxy.passwd",
    b"smtp.password",
    b"bugzilla.apikey",
    b"bugzilla.password",
];

/// Of the above, but harmless: which URLs an entry is for.
const HARMLESS_ITEMS: [&[u8]; 2] = [b"auth.*.prefix", b"auth.*.schemes"];

/// Maximum length of an item's name.
const MAX_NAME_BYTES: usize = 256;

/// Maximum number of spaces between name, `=` and value.
const MAX_SPACES: usize = 8;

/// Which items' values go.
#[derive(Debug)]
pub(crate) struct ConfigItems {
    further: Vec<Vec<u8>>,
}

impl ConfigItems {
    pub(crate) fn new(further: &[Vec<u8>]) -> Self {
        Self {
            further: further.to_vec(),
        }
    }

    /// Whether the value of this item is removed.
    pub(crate) fn contains(&self, item: &[u8]) -> bool {
        let is_one_of =
            |globs: &[&[u8]]| globs.iter().any(|glob| matches(glob, item));
        self.further.iter().any(|glob| matches(glob, item))
            || (is_one_of(&DEFAULT_ITEMS) && !is_one_of(&HARMLESS_ITEMS))
    }

    /// Values of such items in a text.
    pub(crate) fn find(
        &self,
        text: &[u8],
        scope: Scope,
        found: &mut Vec<Finding>,
    ) {
        let mut done = 0;
        let mut extents = Extents::new(text);
        for equals in memchr_iter(b'=', text) {
            if equals < done {
                continue;
            }
            let spaces = spaces_before(&text[..equals]);
            let end = equals - spaces;
            let start = name_start(&text[..end]);
            steps::add(end - start);
            let item = &text[start..end];
            let is_certain = self.contains(item);
            if !is_certain && !is_secret_item(item) {
                continue;
            }
            let after = blanks(&text[equals + 1..], MAX_SPACES);
            let at = equals + 1 + after;
            let is_alone = scope == Scope::Word
                && matches!(&text[..start], b"" | b"--config=");
            let range = if is_alone {
                at..text.len()
            } else if spaces + after > 0 || is_listed(&text[..start], scope) {
                // A line of a file or of `hg config`.
                let line = text[at..]
                    .iter()
                    .position(|byte| matches!(byte, b'\n' | b'\r'));
                steps::add(line.unwrap_or(text.len() - at));
                at..line.map_or(text.len(), |line| at + line)
            } else {
                extents.value(at, quote_before(text, start), false).range
            };
            let range = if is_certain {
                range
            } else {
                match secret_part(
                    &text[range.clone()],
                    is_password(item, spaces + after == 0),
                ) {
                    Some(start) => range.start + start..range.end,
                    None => continue,
                }
            };
            let value = &text[range.clone()];
            if !is_placeholder(value, Scope::Word) && !is_example(value) {
                done = range.end;
                let rule = if is_certain {
                    Rule::CONFIG_VALUE
                } else {
                    Rule::SECRET
                };
                found.push(Finding::new(range, rule));
            }
        }
    }
}

/// Parts of an item's section and name that suggest a secret, or an account.
const TELLING: [&[u8]; 19] = [
    b"auth",
    b"oauth",
    b"token",
    b"tokens",
    b"secret",
    b"secrets",
    b"pat",
    b"pw",
    b"pwd",
    b"pass",
    b"passwd",
    b"password",
    b"passwords",
    b"passphrase",
    b"apikey",
    b"credential",
    b"credentials",
    b"cookie",
    b"sqlhost",
];

/// How names of items end that are about a secret and hold none.
const HARMLESS_PARTS: [&[u8]; 24] = [
    b"file",
    b"path",
    b"cmd",
    b"command",
    b"helper",
    b"type",
    b"url",
    b"uri",
    b"host",
    b"user",
    b"username",
    b"id",
    b"name",
    b"method",
    b"mode",
    b"scheme",
    b"schemes",
    b"prefix",
    b"timeout",
    b"ttl",
    b"required",
    b"enabled",
    b"header",
    b"provider",
];

/// Sections whose names are chosen by the user, or mean something else.
const OTHER_SECTIONS: [&[u8]; 15] = [
    b"alias",
    b"cls",
    b"color",
    b"extdiff",
    b"extensions",
    b"hooks",
    b"merge-patterns",
    b"merge-tools",
    b"paths",
    b"phases",
    b"revsetalias",
    b"self",
    b"templatealias",
    b"templates",
    b"this",
];

/// Whether the section or the name of an item of any extension suggests a
/// secret: `jira.auth`, `tokens.hg`.
fn is_secret_item(item: &[u8]) -> bool {
    // `authtoken`, `clientsecret`
    const ENDINGS: [&[u8]; 4] = [b"token", b"secret", b"password", b"apikey"];
    let Some(dot) = item.iter().position(|byte| *byte == b'.') else {
        return false;
    };
    let is_separator = |byte: &u8| matches!(byte, b'.' | b'-' | b'_' | b':');
    let last = item.rsplit(is_separator).next().unwrap_or_default();
    let is_secret_name = |part: &[u8]| {
        TELLING.iter().any(|word| part.eq_ignore_ascii_case(word))
    };
    let is_harmless = HARMLESS_PARTS
        .iter()
        .any(|word| last.eq_ignore_ascii_case(word));
    // Quarkus has a profile before it: `%prod.`
    item.strip_prefix(b"%").unwrap_or(item)
        [..dot - usize::from(item[0] == b'%')]
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && dot > 0
        && !is_harmless
        && !OTHER_SECTIONS.contains(&&item[..dot])
        && (is_secret_name(&item[..dot])
            || is_secret_name(last)
            || ENDINGS
                .iter()
                .any(|ending| last.to_ascii_lowercase().ends_with(ending)))
}

/// Whether the value of an item can be nothing but a password; or a token, if
/// it is a setting and no line of a program.
fn is_password(item: &[u8], is_setting: bool) -> bool {
    const PASSWORDS: [&[u8]; 5] =
        [b"password", b"passwd", b"passphrase", b".pw", b".pass"];
    const TOKENS: [&[u8]; 5] = [b"secret", b"token", b"apikey", b"pw", b"pass"];
    let item = item.to_ascii_lowercase();
    let ends =
        |endings: &[&[u8]]| endings.iter().any(|ending| item.ends_with(ending));
    ends(&PASSWORDS) || (is_setting && ends(&TOKENS))
}

/// Where the secret begins in the value of such an item: after the user, if
/// there is one.
fn secret_part(value: &[u8], is_password: bool) -> Option<usize> {
    let is_switch = [
        &b"yes"[..],
        b"no",
        b"on",
        b"off",
        b"always",
        b"never",
        b"true",
        b"false",
    ]
    .iter()
    .any(|word| value.eq_ignore_ascii_case(word));
    let is_path =
        matches!(value.first(), Some(b'/' | b'~' | b'.' | b'$' | b'!'));
    let is_url = value.windows(3).any(|part| part == b"://");
    let is_number = value.len() < 4 && value.iter().all(u8::is_ascii_digit);
    if is_switch || is_number || is_path || is_url {
        return None;
    }
    if is_password {
        return Some(0);
    }
    if let Some(colon) = value.iter().rposition(|byte| *byte == b':')
        && value[..colon].iter().all(|byte| {
            byte.is_ascii_alphanumeric() || b"._-:@+".contains(byte)
        })
    {
        return (colon > 0 && colon + 1 < value.len()).then_some(colon + 1);
    }
    (looks_like_password(value) || looks_random(value)).then_some(0)
}

/// Values in sections of a file: `[auth]`, then `corp.password = X`.
pub(crate) fn find_in_sections(text: &[u8], found: &mut Vec<Finding>) {
    const SECTIONS: [&[u8]; 2] = [b"[auth]", b"[hostsecurity]"];
    let mut at = 0;
    let mut section: Option<&[u8]> = None;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let start = at;
        at += line.len();
        let trimmed = line.trim_ascii();
        if trimmed.starts_with(b"[") {
            section = SECTIONS
                .contains(&trimmed)
                .then(|| &trimmed[1..trimmed.len() - 1]);
            continue;
        }
        let Some(section) = section else {
            continue;
        };
        let Some(equals) = line.iter().position(|byte| *byte == b'=') else {
            continue;
        };
        let name = line[..equals].trim_ascii();
        let item = [section, b".", name].concat();
        let is_harmless =
            HARMLESS_ITEMS.iter().any(|glob| matches(glob, &item));
        let value = line[equals + 1..].trim_ascii();
        if is_harmless
            || name.starts_with(b"#")
            || name.starts_with(b";")
            || is_placeholder(value, Scope::Text)
            || is_example(value)
        {
            continue;
        }
        let from = start + equals + 1;
        let from = from
            + text[from..]
                .iter()
                .take_while(|byte| matches!(byte, b' ' | b'\t'))
                .count();
        found.push(Finding::new(from..from + value.len(), Rule::CONFIG_VALUE));
    }
}

/// How a program sets an item of hg's configuration.
// hg: ui.setconfig, ui.configoverride
const SETTING: &str = r#"(?x-u)
    \(\s?b?['"](?<section>[\w-]{1,64})['"],\s{0,4}
    b?['"](?<name>[\w.:-]{1,128})['"]\)?[,:]\s{0,4}
    b?(?:'(?<single>[^'\n]{1,1024})'|"(?<double>[^"\n]{1,1024})")"#;

/// Values that programs set: `ui.setconfig(b'auth', b'x.password', b'X')`.
pub(crate) fn find_settings(
    text: &[u8],
    items: &ConfigItems,
    found: &mut Vec<Finding>,
) {
    static REGEX: OnceLock<Regex> = OnceLock::new();
    let regex = REGEX.get_or_init(|| {
        RegexBuilder::new(SETTING)
            .unicode(false)
            .build()
            .expect("a test compiles it")
    });
    for captures in regex.captures_iter(text) {
        let item = [&captures["section"], b".", &captures["name"]].concat();
        let value = captures.name("single").or(captures.name("double"));
        if let Some(value) = value
            && (items.contains(&item)
                || is_secret_item(&item)
                || is_secret_name(&captures["name"]))
            && !is_placeholder(value.as_bytes(), Scope::Text)
            && !is_example(value.as_bytes())
        {
            found.push(Finding::new(value.range(), Rule::CONFIG_VALUE));
        }
    }
}

/// Whether an item after this text is on its own line, as `hg config` prints
/// it: perhaps after `FILE:LINE: `.
fn is_listed(before: &[u8], scope: Scope) -> bool {
    if scope == Scope::Word {
        return false;
    }
    let Some(file) = before.strip_suffix(b": ") else {
        return matches!(before.last(), None | Some(b'\n'));
    };
    file.last().is_some_and(u8::is_ascii_digit)
}

/// The quote before an item, or before the `--config=` that it follows.
fn quote_before(text: &[u8], start: usize) -> Option<QuoteMark> {
    let option = b"--config=";
    let start = if text[..start].ends_with(option) {
        start - option.len()
    } else {
        start
    };
    QuoteMark::before(text, start)
}

fn spaces_before(text: &[u8]) -> usize {
    text.iter()
        .rev()
        .take(MAX_SPACES)
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count()
}

/// Where the name begins that ends here.
fn name_start(text: &[u8]) -> usize {
    let len = text
        .iter()
        .rev()
        .take(MAX_NAME_BYTES)
        .take_while(|byte| {
            !byte.is_ascii_whitespace()
                && !matches!(
                    byte,
                    b'=' | b'"' | b'\'' | b'`' | b'(' | b'[' | b'{' | b',' | 0
                )
        })
        .count();
    text.len() - len
}

/// Whether a glob of `*` and `?` matches the whole of a text.
fn matches(glob: &[u8], text: &[u8]) -> bool {
    let (mut g, mut t) = (0, 0);
    let mut retry = None;
    while t < text.len() {
        if glob.get(g) == Some(&b'*') {
            retry = Some((g, t));
            g += 1;
        } else if glob
            .get(g)
            .is_some_and(|byte| *byte == b'?' || *byte == text[t])
        {
            g += 1;
            t += 1;
        } else if let Some((star, from)) = retry {
            retry = Some((star, from + 1));
            g = star + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    glob[g..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests;
