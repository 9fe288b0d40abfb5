//! Items of hg's configuration whose values are nobody's business, wherever
//! `SECTION.NAME=VALUE` stands: behind `--config`, in an alias, in what
//! `hg config` prints.
//!
//! Knows nothing of where a configuration comes from.

use memchr::memchr_iter;

use crate::extent::Extents;
use crate::extent::Mark;
use crate::found::Found;
use crate::rule::Rule;
use crate::value::Scope;
use crate::value::is_placeholder;

/// Those of stock hg and its bundled extensions. Names that tell by themselves
/// (`smtp.password`) are found without this.
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

/// The longest name of an item that is looked at.
const MAX_NAME_BYTES: usize = 256;

/// The spaces between name, `=` and value that are looked over.
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

    /// Whether the value of this item goes.
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
        found: &mut Vec<Found>,
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
            if !self.contains(&text[start..end]) {
                continue;
            }
            let after = text[equals + 1..]
                .iter()
                .take(MAX_SPACES)
                .take_while(|byte| matches!(byte, b' ' | b'\t'))
                .count();
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
                at..line.map_or(text.len(), |line| at + line)
            } else {
                extents.value(at, quote_before(text, start), false).range
            };
            if !is_placeholder(&text[range.clone()], Scope::Word) {
                done = range.end;
                found.push(Found::new(range, Rule::CONFIG_VALUE));
            }
        }
    }
}

/// Whether an item behind this stands on a line of its own, as `hg config`
/// prints it: perhaps behind `FILE:LINE: `.
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
fn quote_before(text: &[u8], start: usize) -> Option<Mark> {
    let option = b"--config=";
    let start = if text[..start].ends_with(option) {
        start - option.len()
    } else {
        start
    };
    Mark::before(text, start)
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
mod tests {
    use super::*;

    fn found(text: &str, scope: Scope) -> Vec<&str> {
        let mut found = Vec::new();
        ConfigItems::new(&[b"corp.*-code".to_vec()]).find(
            text.as_bytes(),
            scope,
            &mut found,
        );
        found.into_iter().map(|found| &text[found.range]).collect()
    }

    #[test]
    fn globs_match_wholly() {
        assert!(matches(b"auth.*", b"auth.x.password"));
        assert!(matches(b"*.pass?ord", b"a.b.password"));
        assert!(matches(b"a*b*c", b"aXbXbXc"));
        assert!(!matches(b"auth.*", b"xauth.x"));
        assert!(!matches(b"a*b", b"abc"));
        assert!(matches(b"*", b""));
    }

    #[test]
    fn values_end_where_their_item_ends() {
        let text = Scope::Text;
        assert_eq!(found("x --config auth.a.password=b c", text), ["b"]);
        assert_eq!(found("x '--config=auth.a.password=b c' d", text), ["b c"]);
        assert_eq!(found("'auth.a.username=b c'", text), ["b c"]);
        assert_eq!(found("auth.a.key = b c\nd", text), ["b c"]);
        assert_eq!(found("auth.a.password='b c' d", Scope::Word), ["'b c' d"]);
        assert_eq!(found("corp.door-code=4711", text), ["4711"]);
        assert_eq!(found("auth.a.prefix=b auth.a.schemes=c", text), [""; 0]);
        assert_eq!(found("ui.username=b web.auth.x=c", text), [""; 0]);
    }
}
