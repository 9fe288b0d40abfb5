//! What looks harmless: the only code that lets bytes pass which other people
//! have chosen.
//!
//! Looks prove nothing: a password may look like a branch. So these functions
//! are used only for values whose position says what they are; machine-made
//! values and known forms of secrets are never harmless.
//!
//! Must not know options or commands.

use super::reducer::Structure;
use super::word_list::is_word_of;

/// Bytes of a name, an option's or a command's.
const MAX_NAME_BYTES: usize = 64;
/// Bytes of a path or a set of revisions.
const MAX_VALUE_BYTES: usize = 1024;
/// Letters and digits in a row that may be a key if there are no more words
/// among them.
const MIN_KEY_BYTES: usize = 16;
/// Changes between letters and digits that no name has.
const MAX_CHANGES: usize = 4;

/// Functions of revision sets that take revisions and numbers only.
// hg: mercurial/revset.py
const REVISION_FUNCTIONS: &str = "\
    all ancestor ancestors bookmark branch children closed descendants \
    draft first head heads last limit max merge min obsolete only \
    orphan p1 p2 parents public rev reverse roots secret sort tag wdir";

/// Words of dates, apart from months and days of the week.
const DATE_WORDS: &str = "\
    now today yesterday am pm utc gmt to z t jan feb mar apr may jun \
    jul aug sep oct nov dec january february march april june july \
    august september october november december mon tue wed thu fri sat \
    sun";

/// Schemes of URLs that are kept.
const SCHEMES: &str = "\
    http https ssh file bundle union static-http svn svn+ssh svn+http \
    svn+https git git+ssh git+http git+https hg ftp largefile socks5 \
    socks5h";

impl Structure<'_> {
    /// Whether this is a name as people choose them: of a command, an option,
    /// an extension, a hook, an item.
    pub(super) fn is_name(&self, text: &[u8]) -> bool {
        text.len() <= MAX_NAME_BYTES
            && text
                .first()
                .is_some_and(|it| it.is_ascii_alphabetic() || *it == b'_')
            && self.is_plain(text, b"-_.:")
    }

    /// Whether this is the name of a branch, a bookmark, a tag, a patch.
    pub(super) fn is_label(&self, text: &[u8]) -> bool {
        text.len() <= MAX_VALUE_BYTES
            && text != b"-"
            && self.is_plain(text, b"-_./+")
    }

    /// Whether this names a file: no URL, no query, no address.
    pub(super) fn is_path(&self, text: &[u8]) -> bool {
        text.len() <= MAX_VALUE_BYTES && self.is_plain(text, b"-_./+~,")
    }

    /// Whether this is a pattern of file names, `glob:*.py`.
    pub(super) fn is_pattern(&self, text: &[u8]) -> bool {
        const KINDS: &[&[u8]] = &[
            b"path",
            b"relpath",
            b"filepath",
            b"rootfilesin",
            b"glob",
            b"relglob",
            b"rootglob",
            b"listfile",
            b"listfile0",
            b"include",
            b"subinclude",
        ];
        let colon = text.iter().position(|byte| *byte == b':');
        match colon {
            Some(at) if KINDS.contains(&&text[..at]) => {
                let rest = &text[at + 1..];
                rest.len() <= MAX_VALUE_BYTES
                    && self.is_plain(rest, b"-_./+~,*?[]{}")
            }
            Some(_) => false,
            // What a `?` may begin here is a query.
            None => {
                text.len() <= MAX_VALUE_BYTES
                    && self.is_plain(text, b"-_./+~,*")
            }
        }
    }

    /// Whether this selects revisions by numbers, hashes and names.
    pub(super) fn is_revset(&self, text: &[u8]) -> bool {
        const OPERATORS: &[u8] = b":()!^~+&|, ";
        let has_url = text.windows(2).any(|two| two == b"//");
        if text.len() > MAX_VALUE_BYTES || text.is_empty() || has_url {
            return false;
        }
        let mut rest = text;
        // Two words without an operator between them are a text.
        let mut is_behind_symbol = false;
        // `x^2`, `x~3`
        let mut is_generation = false;
        while let Some(first) = rest.first() {
            if OPERATORS.contains(first) {
                match first {
                    b' ' | b'!' => {}
                    b')' => is_behind_symbol = true,
                    _ => is_behind_symbol = false,
                }
                is_generation = b"^~".contains(first);
                rest = &rest[1..];
                continue;
            }
            let end = rest.iter().position(|byte| OPERATORS.contains(byte));
            let (symbol, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after;
            let is_function = rest.first() == Some(&b'(');
            if matches!(symbol, b"and" | b"or" | b"not") {
                is_behind_symbol = false;
                continue;
            }
            if is_behind_symbol || (is_generation && !is_number(symbol)) {
                return false;
            }
            is_generation = false;
            is_behind_symbol = !is_function;
            let is_known = if is_function {
                is_word_of(REVISION_FUNCTIONS, symbol)
            } else {
                self.is_revision(symbol)
            };
            if !is_known {
                return false;
            }
        }
        true
    }

    /// Whether this is a number, a hash or a name of a revision.
    fn is_revision(&self, text: &[u8]) -> bool {
        const MAX_HASH_BYTES: usize = 40;
        let is_hash = text.len() <= MAX_HASH_BYTES
            && text.iter().all(u8::is_ascii_hexdigit);
        is_hash
            || matches!(text, b"." | b"@" | b"-")
            || is_number(text)
            || self.is_label(text)
    }

    /// Letters and digits of any script, and the given marks; nothing that
    /// looks like a key, or that the redactor would take out.
    fn is_plain(&self, text: &[u8], marks: &[u8]) -> bool {
        let Ok(chars) = std::str::from_utf8(text) else {
            return false;
        };
        let is_allowed = |char: char| {
            char.is_alphanumeric()
                || u8::try_from(char).is_ok_and(|it| marks.contains(&it))
        };
        !text.is_empty()
            && chars.chars().all(is_allowed)
            && !text
                .split(|byte| *byte == b'/')
                .any(looks_made_by_a_machine)
            && self.0.redact_url(text).places.is_empty()
    }
}

/// Whether a part of a name is a key rather than words and numbers.
fn looks_made_by_a_machine(part: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let letters_and_digits: Vec<u8> = part
        .iter()
        .copied()
        .filter(u8::is_ascii_alphanumeric)
        .collect();
    let changes = letters_and_digits
        .windows(2)
        .filter(|two| is_digit(&two[0]) != is_digit(&two[1]))
        .count();
    if changes > MAX_CHANGES {
        return true;
    }
    part.split(|byte| !byte.is_ascii_alphanumeric()).any(|run| {
        run.len() >= MIN_KEY_BYTES
            && (is_key(run) || run.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Whether a long row of letters and digits has no words.
fn is_key(run: &[u8]) -> bool {
    // Words have more letters between capitals.
    const MIN_WORD: usize = 4;
    let has = |is: fn(&u8) -> bool| run.iter().any(is);
    let capitals = run.iter().filter(|it| it.is_ascii_uppercase()).count();
    let is_shouted = !has(u8::is_ascii_lowercase);
    (has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic))
        || (!is_shouted && capitals * MIN_WORD > run.len())
}

/// Whether this is a number as people write them.
pub(super) fn is_number(text: &[u8]) -> bool {
    const MAX_DIGITS: usize = 12;
    let digits = text
        .strip_prefix(b"-")
        .or_else(|| text.strip_prefix(b"+"))
        .unwrap_or(text);
    !digits.is_empty()
        && digits.len() <= MAX_DIGITS
        && digits.iter().all(|it| it.is_ascii_digit() || *it == b'.')
        && digits.iter().filter(|it| **it == b'.').count() <= 1
        && digits != b"."
}

/// Whether this word means yes or no.
pub(super) fn is_boolean(text: &[u8]) -> bool {
    const WORDS: &str = "yes no true false on off always never auto";
    is_word_of(WORDS, &text.to_ascii_lowercase())
}

/// Whether this is a date, or a range of dates: numbers, and words of dates.
pub(super) fn is_date(text: &[u8]) -> bool {
    const MAX_BYTES: usize = 64;
    const MARKS: &[u8] = b" :-+./,<>";
    text.len() <= MAX_BYTES
        && !text.is_empty()
        && text
            .split(|it| MARKS.contains(it) || it.is_ascii_digit())
            .filter(|word| !word.is_empty())
            .all(|word| is_word_of(DATE_WORDS, &word.to_ascii_lowercase()))
}

/// What stays of a URL: `url`, and the scheme and the host if they are certain.
/// None if this is not a URL.
pub(super) fn url_kind(text: &[u8]) -> Option<Vec<u8>> {
    let known = |scheme: &[u8]| {
        SCHEMES
            .split(' ')
            .find(|it| it.as_bytes().eq_ignore_ascii_case(scheme))
    };
    let colon = text.iter().position(|byte| *byte == b':')?;
    let (scheme, rest) = (&text[..colon], &text[colon + 1..]);
    let is_scheme = !scheme.is_empty()
        && scheme
            .iter()
            .all(|it| it.is_ascii_alphanumeric() || b"+-.".contains(it));
    let Some(rest) = rest.strip_prefix(b"//").filter(|_| is_scheme) else {
        if let Some(scheme) = known(scheme) {
            return Some(format!("<url:{scheme}>").into_bytes());
        }
        return scp_kind(text);
    };
    let Some(scheme) = known(scheme) else {
        return Some(b"<url>".to_vec());
    };
    let end = rest.iter().position(|it| b"/?#\\".contains(it));
    let (authority, after) = rest.split_at(end.unwrap_or(rest.len()));
    // Behind a path, an @ may mean that a password has a slash in it, and
    // that the host is another.
    let host = if after.contains(&b'@') {
        None
    } else {
        let at = authority.iter().rposition(|byte| *byte == b'@');
        host(&authority[at.map_or(0, |at| at + 1)..])
    };
    Some(marker_of_url(scheme, host))
}

/// `USER@HOST:PATH`.
fn scp_kind(text: &[u8]) -> Option<Vec<u8>> {
    let at = text.iter().position(|byte| *byte == b'@')?;
    let is_user =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+".contains(byte);
    let rest = &text[at + 1..];
    if at == 0 || !text[..at].iter().all(is_user) {
        return None;
    }
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let host =
        host(&rest[..colon]).filter(|_| !rest[colon + 1..].contains(&b'@'));
    Some(marker_of_url("scp", host))
}

fn marker_of_url(scheme: &str, host: Option<&str>) -> Vec<u8> {
    match host {
        Some(host) => format!("<url:{scheme}:{host}>").into_bytes(),
        None => format!("<url:{scheme}>").into_bytes(),
    }
}

/// The name in `HOST:PORT`, if it is one that a person can read.
fn host(text: &[u8]) -> Option<&str> {
    const MAX_BYTES: usize = 253;
    let host = std::str::from_utf8(text).ok()?;
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, port),
        Some(_) => return None,
        None => (host, ""),
    };
    let is_readable = !host.is_empty()
        && host.len() <= MAX_BYTES
        && host
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"-.".contains(&it))
        && !host
            .split('.')
            .any(|label| looks_made_by_a_machine(label.as_bytes()));
    (is_readable && port.bytes().all(|it| it.is_ascii_digit())).then_some(host)
}

/// Whether this is what [`url_kind`] makes.
pub(super) fn is_url_marker(text: &[u8]) -> bool {
    let Some(inner) = text
        .strip_prefix(b"<url")
        .and_then(|text| text.strip_suffix(b">"))
    else {
        return false;
    };
    let Some(inner) = inner.strip_prefix(b":") else {
        return inner.is_empty();
    };
    let colon = inner.iter().position(|byte| *byte == b':');
    let (scheme, rest) = inner.split_at(colon.unwrap_or(inner.len()));
    let is_known = scheme == b"scp" || is_word_of(SCHEMES, scheme);
    let is_host = rest
        .strip_prefix(b":")
        .is_none_or(|name| !name.contains(&b':') && host(name).is_some());
    is_known && is_host
}

/// A server's URL without parts that may be secret: the user before the host,
/// the query and the fragment.
pub(super) fn server_url(
    text: &[u8],
    shown: &Structure<'_>,
) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let (scheme, rest) = text.split_once("://")?;
    let scheme = SCHEMES.split(' ').find(|it| *it == scheme)?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if path.contains('@') {
        return None;
    }
    let address = authority.rsplit('@').next()?;
    host(address.as_bytes())?;
    let path = match path.find(['?', '#']) {
        Some(end) => &path[..end],
        None => path,
    };
    let is_known = path.is_empty() || shown.is_path(path.as_bytes());
    is_known.then(|| format!("{scheme}://{address}{path}").into_bytes())
}
