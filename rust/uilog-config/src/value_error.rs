//! The error for a value that does not have the required type.

use std::fmt;

use crate::source::Source;

/// A value that is not of the type it ought to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    /// The item's section.
    pub section: Vec<u8>,
    /// The item's name.
    pub name: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// Where it says so.
    pub source: Source,
    /// The expected type.
    pub expected: &'static str,
}

impl ValueError {
    /// As Mercurial words it.
    // hg: ui.configbool, ui.configwith
    pub fn to_bytes(&self) -> Vec<u8> {
        let parts: [&[u8]; 8] = [
            &self.section,
            b".",
            &self.name,
            b" is not ",
            self.expected.as_bytes(),
            b" ('",
            &self.value,
            b"')",
        ];
        parts.concat()
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

impl std::error::Error for ValueError {}
