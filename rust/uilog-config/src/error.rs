//! Why a configuration cannot be read, in Mercurial's wording.

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::value_error::ValueError;

/// Mercurial's exit statuses.
const ABORTED: u8 = 255;
const CONFIG_ERROR: u8 = 30;
const INPUT_ERROR: u8 = 10;

/// A configuration that Mercurial would not run with, either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Inner {
    kind: ValueType,
    warnings: Vec<Vec<u8>>,
    has_detailed_status: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ValueType {
    /// A line that cannot be read.
    Line {
        location: Vec<u8>,
        message: Vec<u8>,
        /// How much of the message is not the line itself.
        own: usize,
    },
    /// A value of the wrong type.
    Value(ValueError),
    /// A repository that there is not.
    Repository(Vec<u8>),
    /// An argument that cannot be used.
    Input {
        message: Vec<u8>,
        hint: Option<Vec<u8>>,
    },
    /// Anything else.
    Abort(Vec<u8>),
}

impl Error {
    fn new(kind: ValueType) -> Self {
        Self(Box::new(Inner {
            kind,
            warnings: Vec::new(),
            has_detailed_status: false,
        }))
    }

    /// The same, after these warnings, and where `ui.detailed-exit-code` is
    /// this.
    pub(crate) fn after(
        mut self,
        warnings: Vec<Vec<u8>>,
        has_detailed_status: bool,
    ) -> Self {
        self.0.warnings = warnings;
        self.0.has_detailed_status = has_detailed_status;
        self
    }

    /// The exit status that Mercurial ends with.
    // hg: error.Error.detailed_exit_code
    pub fn exit_status(&self) -> u8 {
        match &self.0.kind {
            _ if !self.0.has_detailed_status => ABORTED,
            ValueType::Line { .. } | ValueType::Value(_) => CONFIG_ERROR,
            ValueType::Input { .. } => INPUT_ERROR,
            ValueType::Abort(_) | ValueType::Repository(_) => ABORTED,
        }
    }

    /// What Mercurial would have warned of before, each without its newline.
    pub fn warnings(&self) -> &[Vec<u8>] {
        &self.0.warnings
    }

    /// A line at `location`, as hg names it, that cannot be read.
    pub(crate) fn line(location: Vec<u8>, message: Vec<u8>) -> Self {
        let own = message.len();
        Self::new(ValueType::Line {
            location,
            message,
            own,
        })
    }

    /// The same, with a message that ends with the line itself.
    pub(crate) fn quoted_line(
        location: Vec<u8>,
        prefix: &[u8],
        line: &[u8],
    ) -> Self {
        Self::new(ValueType::Line {
            location,
            message: [prefix, line].concat(),
            own: prefix.len(),
        })
    }

    pub(crate) fn abort(message: Vec<u8>) -> Self {
        Self::new(ValueType::Abort(message))
    }

    pub(crate) fn repository(message: Vec<u8>) -> Self {
        Self::new(ValueType::Repository(message))
    }

    /// Whether a command that needs no repository can do without this one.
    // hg: error.RepoError
    pub(crate) fn is_about_repository(&self) -> bool {
        matches!(self.0.kind, ValueType::Repository(_))
    }

    /// An argument that cannot be used, and what may help.
    pub(crate) fn input(message: Vec<u8>, hint: Option<Vec<u8>>) -> Self {
        Self::new(ValueType::Input { message, hint })
    }

    /// Where the line is that cannot be read, such as `/etc/hgrc:3`.
    pub fn location(&self) -> Option<&[u8]> {
        match &self.0.kind {
            ValueType::Line { location, .. } => Some(location),
            _ => None,
        }
    }

    /// The error, without its position.
    pub fn message(&self) -> Vec<u8> {
        match &self.0.kind {
            ValueType::Line { message, .. }
            | ValueType::Input { message, .. }
            | ValueType::Abort(message)
            | ValueType::Repository(message) => message.clone(),
            ValueType::Value(error) => error.to_bytes(),
        }
    }

    /// Mercurial's message, without the line that it could not parse, which may
    /// contain a secret that no rule recognizes: for storing it.
    pub fn without_line(&self) -> Vec<u8> {
        match &self.0.kind {
            ValueType::Line {
                location,
                message,
                own,
            } => {
                let message = message[..*own].trim_ascii_end();
                let message = message.strip_suffix(b":").unwrap_or(message);
                let colon: &[u8] = if message.is_empty() { b"" } else { b": " };
                [b"config error at ", &location[..], colon, message].concat()
            }
            _ => self.to_bytes(),
        }
    }

    /// What Mercurial prints, without the last newline.
    // hg: error.Error.format, error.ConfigError.format
    pub fn to_bytes(&self) -> Vec<u8> {
        let message = &self.message()[..];
        match &self.0.kind {
            ValueType::Line { location, .. } => {
                [b"config error at ", &location[..], b": ", message].concat()
            }
            ValueType::Value(_) => [b"config error: ", message].concat(),
            ValueType::Abort(_) | ValueType::Repository(_) => {
                [b"abort: ", message].concat()
            }
            ValueType::Input { hint, .. } => {
                let mut text = [b"abort: ", message].concat();
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

/// What the system says of its error, as Python words it.
// Python: OSError.strerror
pub(crate) fn reason(error: &io::Error) -> Vec<u8> {
    let mut text = error.to_string();
    if let Some(errno) = error.raw_os_error() {
        let end = text.strip_suffix(&format!(" (os error {errno})"));
        if let Some(length) = end.map(str::len) {
            text.truncate(length);
        }
    }
    text.into_bytes()
}

/// The message that a file or directory cannot be used, in the wording of a
/// command that aborts. hg: scmutil.callcatch
pub(crate) fn cannot_use(path: &Path, error: &io::Error) -> Error {
    let path = path.as_os_str().as_bytes();
    let parts: [&[u8]; 4] = [&reason(error), b": '", path, b"'"];
    Error::abort(parts.concat())
}

impl From<ValueError> for Error {
    fn from(error: ValueError) -> Self {
        Self::new(ValueType::Value(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

impl std::error::Error for Error {}
