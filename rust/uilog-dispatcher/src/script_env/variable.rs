//! A variable of a script: whose it is, and how it is cut.

use std::borrow::Cow;
use std::ffi::CString;

/// Appended to a truncated value.
pub(super) const TRUNCATED: &[u8] = b" (truncated)";

/// The size of a string's pointer.
pub(super) const POINTER_BYTES: usize = size_of::<usize>();

/// Bytes of an option key that are named in `UILOG_TRUNCATED`.
pub(super) const MAX_SHOWN_NAME_BYTES: usize = 64;

/// The origin of a variable decides when it is truncated: the event's first,
/// the user's if they leave no room for short values, uilog's never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ours,
    User,
    Event,
}

#[derive(Debug)]
pub(super) struct Variable<'a> {
    pub(super) name: Cow<'a, [u8]>,
    pub(super) value: Cow<'a, [u8]>,
    pub(super) kind: Kind,
    /// How many bytes of the value stay; at most its length.
    pub(super) kept: usize,
}

impl Variable<'_> {
    pub(super) fn is_cut(&self) -> bool {
        self.kept < self.value.len()
    }

    pub(super) fn value_bytes(&self) -> usize {
        self.kept + if self.is_cut() { TRUNCATED.len() } else { 0 }
    }

    /// Its part of the total: `NAME=value`, NUL, pointer.
    pub(super) fn cost(&self) -> usize {
        self.name.len() + 1 + self.value_bytes() + 1 + POINTER_BYTES
    }

    /// Truncates the value to `bytes`, if that is shorter.
    pub(super) fn cut_to(&mut self, bytes: usize) {
        if self.value_bytes() > bytes {
            self.kept = self.kept.min(bytes.saturating_sub(TRUNCATED.len()));
        }
    }

    pub(super) fn into_string(self) -> Option<CString> {
        let mut string = Vec::with_capacity(self.cost());
        string.extend_from_slice(&self.name);
        string.push(b'=');
        string.extend_from_slice(&self.value[..self.kept]);
        if self.is_cut() {
            string.extend_from_slice(TRUNCATED);
        }
        CString::new(string).ok()
    }
}

pub(super) fn shown_name(name: &[u8]) -> Vec<u8> {
    let mut shown = usable_name(name);
    shown.truncate(MAX_SHOWN_NAME_BYTES);
    shown
}

/// The name, with every byte replaced that shells do not accept in one.
pub(super) fn usable_name(name: &[u8]) -> Vec<u8> {
    let usable = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    name.iter()
        .map(|b| if usable(b) { *b } else { b'_' })
        .collect()
}
