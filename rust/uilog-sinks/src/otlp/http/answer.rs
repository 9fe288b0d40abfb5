//! A collector's answer, or why there is none.
//!
//! Must not know what it means for records.

use ureq::http::StatusCode;
use ureq::http::Version;

use crate::otlp::printable::printable;
use crate::otlp::verdict::Answer;

/// Bytes of an answer that are read.
// OTLP's answers are short; longer ones come from another kind of server
pub(super) const MAX_ANSWER_BYTES: u64 = 64 * 1024;
/// The message for a longer answer.
pub(super) const TOO_LARGE: &str = "its answer is too large";

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum RequestError {
    /// The answer is longer than the limit.
    TooLarge {
        /// HTTP's status; 0 if its head is too large.
        status: u16,
    },
    /// No request could be sent, or no answer came.
    Unasked(String),
}

impl From<String> for RequestError {
    fn from(why: String) -> Self {
        Self::Unasked(why)
    }
}

/// An answer as received.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) retry_after: Option<String>,
    pub(super) content_type: Option<String>,
    /// Without our own headers, which some servers repeat.
    pub(super) body: Vec<u8>,
}

impl Received {
    /// The answer, for finding out what it means.
    pub(crate) fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status.as_u16(),
            retry_after: self.retry_after.as_deref(),
            content_type: self.content_type.as_deref(),
            body: &self.body,
        }
    }

    /// Its first line, with the usual words for its status.
    pub(crate) fn first_line(&self) -> String {
        let (version, status) = (self.version, self.status);
        let words = status.canonical_reason().unwrap_or("");
        let line = format!("{version:?} {} {words}", status.as_u16());
        line.trim_end().to_owned()
    }

    /// The first line of its body that is not empty, if it is a text.
    pub(crate) fn body_line(&self) -> Option<String> {
        let text = std::str::from_utf8(&self.body).ok()?;
        let is_text =
            !text.contains(|it: char| it.is_control() && !it.is_whitespace());
        let line = text.lines().find(|it| !it.trim().is_empty())?;
        is_text.then(|| printable(line))
    }
}

/// Overwrites a secret in a text, which keeps its length.
pub(super) fn blot(text: &mut [u8], secret: &[u8]) {
    const MIN_SECRET_BYTES: usize = 4;
    const SCHEMES: [&[u8]; 2] = [b"bearer", b"basic"];
    // `Bearer X` and `Basic X` may be repeated without their first word, too.
    let words = secret.split(u8::is_ascii_whitespace).filter(|word| {
        let is_scheme = |it: &&[u8]| it.eq_ignore_ascii_case(word);
        word.len() >= MIN_SECRET_BYTES && !SCHEMES.iter().any(is_scheme)
    });
    for word in words {
        let found: Vec<_> = memchr::memmem::find_iter(text, word).collect();
        for at in found {
            text[at..at + word.len()].fill(b'*');
        }
    }
}
