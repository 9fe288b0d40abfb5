//! What a command is doing, if that may take long: waiting for a lock, for
//! another repository, or for a program.
//!
//! hg writes it to the first page of its queue of records, once when it begins
//! and once when it is over. Only used to explain why a command takes long.
//! Must not know who reads it.

use std::borrow::Cow;

use serde::Deserialize;
use serde::Serialize;
use uilog_event::event::EventOption;
use uilog_event::event::Text;
use uilog_event::event::Value;

/// Bytes of a phase in a page at most.
pub const MAX_BYTES: usize = 330;

/// A phase of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase<'a> {
    /// `lock`, `wire`, `hook`, `editor`, `mergetool` or `program`.
    #[serde(borrow)]
    pub kind: Text<'a>,
    /// More details.
    #[serde(borrow)]
    pub options: Vec<EventOption<'a>>,
}

impl Phase<'_> {
    /// The form in a page; truncated by whole options if it is too long.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut phase = self.clone();
        loop {
            let bytes = postcard::to_stdvec(&phase).unwrap_or_default();
            if bytes.len() <= MAX_BYTES {
                return bytes;
            }
            if phase.options.pop().is_none() {
                return Vec::new();
            }
        }
    }

    /// Parses the form in a page; `None` if it is empty or invalid.
    pub fn parse(bytes: &[u8]) -> Option<Phase<'static>> {
        let phase: Phase<'_> = postcard::from_bytes(bytes).ok()?;
        let owned = |text: &Text<'_>| Text(Cow::Owned(text.0.to_vec()));
        let options = phase.options.iter().map(|it| EventOption {
            key: Cow::Owned(it.key.to_vec()),
            value: match &it.value {
                Value::Null => Value::Null,
                Value::Bool(value) => Value::Bool(*value),
                Value::Int(text) => Value::Int(owned(text)),
                Value::Float(text) => Value::Float(owned(text)),
                Value::Bytes(text) => Value::Bytes(owned(text)),
                Value::Str(text) => Value::Str(owned(text)),
            },
        });
        Some(Phase {
            kind: owned(&phase.kind),
            options: options.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_read_as_it_was_written() {
        let text = |text: &'static [u8]| Text(Cow::Borrowed(text));
        let option = |key: &'static [u8], value| EventOption {
            key: Cow::Borrowed(key),
            value,
        };
        let mut phase = Phase {
            kind: text(b"lock"),
            options: vec![
                option(b"holder_pid", Value::Int(text(b"4711"))),
                option(b"holder", Value::Bytes(text(b"h:4711"))),
            ],
        };
        assert_eq!(Phase::parse(&phase.to_bytes()), Some(phase.clone()));
        let whole = phase.clone();
        let long = Text(Cow::Owned(vec![b'x'; MAX_BYTES]));
        phase.options.push(option(b"url", Value::Bytes(long)));
        assert_eq!(Phase::parse(&phase.to_bytes()), Some(whole));
        for bytes in [&b""[..], b"\xff\xff\xff", b"\x05lock"] {
            assert_eq!(Phase::parse(bytes), None);
        }
    }
}
