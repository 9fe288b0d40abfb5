//! The separator between a name and its value: `=`, `:`, `=>`, `, `, `(`, and
//! the spaces of `--NAME VALUE`.
//!
//! Must not know words that separate, or what a value looks like.

use super::colon_fields::is_field_of_struct;
use super::form::Form;
use super::form::Name;
use super::form::spaces;
use crate::notation::anchor_len;
use crate::notation::block_len;
use crate::notation::dump_len;
use crate::notation::type_len;
use crate::notation::wrapper_len;
use crate::secret_words::SecretKind;

/// The beginning of a block of Ruby.
const BLOCK: &[u8] = b" { ";

/// Finds the separator after a name, and with it the form and the value; also
/// whether the name is in quotes.
pub(super) fn read_separator(name: &mut Name<'_>, text: &[u8]) -> bool {
    let Some(end) = key_end(name, text) else {
        return false;
    };
    if is_block_default(name, &text[end..]) {
        name.form = Form::Default;
        name.value = end + BLOCK.len();
        return true;
    }
    let spaces = spaces(&text[end..]);
    let start = end + spaces;
    let Some((form, len)) = separator(name, text, start, spaces) else {
        return false;
    };
    name.form = form;
    name.value = value_start(text, form, start + len);
    true
}

/// Ruby: `ENV.fetch('PASSWORD') { 'VALUE' }`
fn is_block_default(name: &Name<'_>, rest: &[u8]) -> bool {
    name.is_quoted
        && rest.starts_with(BLOCK)
        && matches!(rest.get(BLOCK.len()), Some(b'"' | b'\''))
}

/// Where the key ends that the name is: after quotes and brackets.
fn key_end(name: &mut Name<'_>, text: &[u8]) -> Option<usize> {
    let mut at = name.end;
    if text.get(at) == Some(&b'\\') {
        at += 1;
    }
    name.is_quoted = matches!(text.get(at), Some(b'"' | b'\''));
    if name.is_quoted {
        at += 1;
        // Python: os.environ['PASSWORD'] = ..., {('x', 'password'): ...}
        if matches!(text.get(at), Some(b']' | b')')) {
            at += 1;
        }
    } else if text.get(at) == Some(&b'\\') {
        return None;
    } else if is_key_closed(text, name.start, at) {
        at += 1;
    }
    Some(at)
}

/// The form of the separator that begins at `start`, after so many spaces, and
/// its length.
fn separator(
    name: &Name<'_>,
    text: &[u8],
    start: usize,
    spaces: usize,
) -> Option<(Form, usize)> {
    let rest = &text[start..];
    let is_option = name.is_option(text);
    Some(match rest {
        [b'=' | b'!', b'=', ..] => {
            let len = 2 + usize::from(rest.get(2) == Some(&b'='));
            (Form::Compared, len)
        }
        [b'=', b'~', ..] | [b':', b':' | b'/', ..] => return None,
        // The user of a URL.
        [b':', next, ..]
            if text[..name.start].ends_with(b"://")
                && !next.is_ascii_whitespace() =>
        {
            return None;
        }
        [b'<', b'<', b'<', ..] => (Form::Loose, 3),
        [b'=' | b'-', b'>', ..] => (Form::Loose, 2 + dump_len(&rest[2..])),
        [b'<', b'-', b' ', ..] => (Form::Loose, 2),
        [b':' | b'?', b'=', ..] => (Form::Loose, 2),
        [b'=', next, ..]
            if spaces == 0
                && !name.is_quoted
                && !matches!(next, b' ' | b'\t') =>
        {
            (Form::Tight, 1)
        }
        [b':', next, ..]
            if name.kind != SecretKind::Password
                && !name.is_quoted
                && !next.is_ascii_whitespace()
                && !matches!(next, b'"' | b'\'') =>
        {
            // As in a URL: `gitlab-ci-token:PASSWORD@`.
            if !is_field_of_struct(text, name.start, &rest[1..]) {
                return None;
            }
            (Form::Tight, 1)
        }
        [b':', ..] => (Form::Loose, 1 + type_len(&rest[1..])),
        [b'=', ..] => (Form::Loose, 1),
        // A list of arguments, as Python prints it.
        [b',', b' ', b'"' | b'\'', ..]
        | [b',', b' ', b'b' | b'u', b'"' | b'\'', ..]
            if is_option && name.is_quoted =>
        {
            (Form::Option, 2)
        }
        [b',', ..] if name.is_quoted || name.is_constant(text) => {
            (Form::Tuple, comma_len(rest)?)
        }
        [first, ..] if is_option && spaces > 0 && *first != b'-' => {
            (Form::Option, 0)
        }
        [b'(', b'"' | b'\'', ..] if spaces == 0 && !name.is_quoted => {
            (Form::Call, 1)
        }
        _ => return None,
    })
}

/// The length of a comma and what follows it up to the text of the next
/// argument: `, default=`.
fn comma_len(rest: &[u8]) -> Option<usize> {
    const KEYWORDS: [&[u8]; 3] = [b"default=", b"fallback=", b"value="];
    let mut len = 1 + spaces(&rest[1..]);
    len += KEYWORDS
        .iter()
        .find(|keyword| rest[len..].starts_with(keyword))
        .map_or(0, |keyword| keyword.len());
    let quote = match rest[len..] {
        [b'b' | b'u', quote, ..] => quote,
        [quote, ..] => quote,
        [] => return None,
    };
    matches!(quote, b'"' | b'\'').then_some(len)
}

/// Where the value begins after a separator of this form.
fn value_start(text: &[u8], form: Form, separator_end: usize) -> usize {
    let mut at = separator_end;
    if matches!(form, Form::Loose | Form::Compared) {
        at += spaces(&text[at..]);
    }
    if form == Form::Loose {
        at += wrapper_len(&text[at..]);
        at += block_len(&text[at..]);
        at += anchor_len(&text[at..]);
    }
    at
}

/// Whether a name is a key without quotes that ends here: Perl's
/// `$x{password} = `, Ruby's `x[:password] = `.
fn is_key_closed(text: &[u8], start: usize, end: usize) -> bool {
    let is_closed = match text.get(end) {
        Some(b'}') => text[..start].ends_with(b"{"),
        // Ruby, PHP's print_r.
        Some(b']') => {
            text[..start].ends_with(b"[:")
                || text[..start].ends_with(b"[")
                    && text[end..].starts_with(b"] =>")
        }
        _ => false,
    };
    is_closed && text[end + 1..].trim_ascii_start().starts_with(b"=")
}
