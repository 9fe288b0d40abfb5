//! What keeps a configuration from being read, in Mercurial's words.

use std::fmt;

use crate::value::ValueError;

/// A configuration that Mercurial would not run with, either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    kind: Kind,
    warnings: Vec<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// A line that cannot be read.
    Line { location: Vec<u8>, message: Vec<u8> },
    /// A value of the wrong type.
    Value(ValueError),
    /// A repository that there is not.
    Repository(Vec<u8>),
    /// Anything else.
    Abort {
        message: Vec<u8>,
        hint: Option<Vec<u8>>,
    },
}

impl Error {
    fn new(kind: Kind) -> Self {
        let warnings = Vec::new();
        Self(Box::new(Inner { kind, warnings }))
    }

    /// The same, after these warnings.
    pub(crate) fn after(mut self, warnings: Vec<Vec<u8>>) -> Self {
        self.0.warnings = warnings;
        self
    }

    /// What Mercurial would have warned of before, each without its newline.
    pub fn warnings(&self) -> &[Vec<u8>] {
        &self.0.warnings
    }

    /// A line at `location`, as hg names it, that cannot be read.
    pub(crate) fn line(location: Vec<u8>, message: Vec<u8>) -> Self {
        Self::new(Kind::Line { location, message })
    }

    pub(crate) fn abort(message: Vec<u8>) -> Self {
        let hint = None;
        Self::new(Kind::Abort { message, hint })
    }

    pub(crate) fn repository(message: Vec<u8>) -> Self {
        Self::new(Kind::Repository(message))
    }

    /// Whether a command that needs no repository can do without this one.
    // hg: error.RepoError
    pub(crate) fn is_about_repository(&self) -> bool {
        matches!(self.0.kind, Kind::Repository(_))
    }

    pub(crate) fn abort_with_hint(message: Vec<u8>, hint: Vec<u8>) -> Self {
        let hint = Some(hint);
        Self::new(Kind::Abort { message, hint })
    }

    /// Where the line is that cannot be read, such as `/etc/hgrc:3`.
    pub fn location(&self) -> Option<&[u8]> {
        match &self.0.kind {
            Kind::Line { location, .. } => Some(location),
            Kind::Value(_) | Kind::Abort { .. } | Kind::Repository(_) => None,
        }
    }

    /// What is wrong, without where it is.
    pub fn message(&self) -> Vec<u8> {
        match &self.0.kind {
            Kind::Line { message, .. }
            | Kind::Abort { message, .. }
            | Kind::Repository(message) => message.clone(),
            Kind::Value(error) => error.to_bytes(),
        }
    }

    /// What Mercurial prints, without the last newline.
    // hg: error.Error.format, error.ConfigError.format
    pub fn to_bytes(&self) -> Vec<u8> {
        match &self.0.kind {
            Kind::Line { location, message } => {
                [b"config error at ", &location[..], b": ", message].concat()
            }
            Kind::Value(error) => {
                [b"config error: ", &error.to_bytes()[..]].concat()
            }
            Kind::Repository(message) => [b"abort: ", &message[..]].concat(),
            Kind::Abort { message, hint } => {
                let mut text = [b"abort: ", &message[..]].concat();
                if let Some(hint) = hint {
                    text.extend_from_slice(b"\n(");
                    text.extend_from_slice(hint);
                    text.push(b')');
                }
                text
            }
        }
    }
}

impl From<ValueError> for Error {
    fn from(error: ValueError) -> Self {
        Self::new(Kind::Value(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

impl std::error::Error for Error {}
