//! A name that suggests a secret, and how a value may follow it.
//!
//! Must not know how a form is recognized, or what a value looks like.

use crate::secret_words::SecretKind;
use crate::words::blanks;

pub(super) const MAX_NAME_BYTES: usize = 64;
pub(super) const MAX_SPACES: usize = 4;
/// Maximum distance between a name and its separate value.
pub(super) const MAX_GAP_BYTES: usize = 96;

/// How a value follows a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// `NAME=VALUE`
    Tight,
    /// `NAME = VALUE`, `NAME: VALUE`, `NAME => VALUE`
    Loose,
    /// `--NAME VALUE`
    Option,
    /// `<NAME>VALUE</NAME>`
    Element,
    /// `('NAME', 'VALUE')`
    Tuple,
    /// `getenv('NAME') or 'VALUE'`, `${NAME:-VALUE}`
    Default,
    /// `{"name": "NAME", "value": "VALUE"}`
    Field,
    /// `setenv NAME VALUE`, `PASSWORD 'VALUE'`
    Spaced,
    /// `NAME == 'VALUE'`
    Compared,
    /// `the token VALUE`
    Said,
    /// `x.password("VALUE")`
    Call,
}

/// A name that suggests a secret, and where its value begins.
#[derive(Debug)]
pub(super) struct Name<'t> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) bytes: &'t [u8],
    pub(super) kind: SecretKind,
    pub(super) form: Form,
    pub(super) value: usize,
    pub(super) is_quoted: bool,
}

impl Name<'_> {
    pub(super) fn is_option(&self, text: &[u8]) -> bool {
        const MIN_BYTES: usize = 5;
        match &text[..self.start] {
            [.., b'-', b'-'] => true,
            [before @ .., b'-'] => {
                self.bytes.len() >= MIN_BYTES
                    && !self.bytes.contains(&b'-')
                    && before.last().is_none_or(|byte| {
                        byte.is_ascii_whitespace()
                            || matches!(byte, b'"' | b'\'')
                    })
            }
            _ => false,
        }
    }

    /// Whether this is the name of a constant that a call is given:
    /// `put(SECURITY_CREDENTIALS, "VALUE")`.
    pub(super) fn is_constant(&self, text: &[u8]) -> bool {
        let last = self.bytes.rsplit(|byte| *byte == b'.').next();
        last.is_some_and(|last| {
            last.contains(&b'_') && !last.iter().any(u8::is_ascii_lowercase)
        }) && matches!(text[..self.start].last(), Some(b'(' | b' ' | b'.'))
    }

    pub(super) fn is_environment(&self) -> bool {
        const PREFIXES: [&[u8]; 3] =
            [b"TF_VAR_", b"ORG_GRADLE_PROJECT_", b"npm_config_"];
        // `process.env.API_TOKEN`
        let last = self.bytes.rsplit(|byte| *byte == b'.').next();
        !last
            .unwrap_or(self.bytes)
            .iter()
            .any(u8::is_ascii_lowercase)
            || PREFIXES.iter().any(|prefix| self.bytes.starts_with(prefix))
    }
}

/// How many spaces this begins with; the end of a line that a backslash
/// continues is one.
pub(super) fn spaces(text: &[u8]) -> usize {
    let len = blanks(text, MAX_SPACES);
    if len > 0 && text[len..].starts_with(b"\\\n") {
        let len = len + 2;
        return len + blanks(&text[len..], MAX_SPACES);
    }
    len
}

pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// Whether a name says twice that it is secret: `api_key`, `client_secret`.
pub(super) fn is_compound(name: &[u8]) -> bool {
    name.iter().any(|byte| matches!(byte, b'_' | b'-' | b'.'))
        || name.windows(2).any(|two| {
            two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase()
        })
}
