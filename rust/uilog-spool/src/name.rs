//! Names of segments: `TIME-SALT.seg1` and `TIME-SALT.rej1`, in hexadecimal.
//!
//! The time is that of the creation in milliseconds since 1970, or one more
//! than the latest in the directory, whichever is later. So a segment is sorted
//! after all earlier ones, even if the clock was set back, and the order of
//! names is the order of writing.
//!
//! The salt is random. It makes names unique, and is part of every checksum of
//! the segment, so that a payload cannot contain bytes that look like a record.
//! It is in the name, and not in the segment, so that damage to the segment
//! cannot destroy it.
//!
//! The suffix has the version of the format. Files with other names are neither
//! read nor removed.

use std::ffi::OsStr;
use std::fmt;

/// Digits of the time.
const TIME_DIGITS: usize = 12;
/// Digits of the salt.
const SALT_DIGITS: usize = 16;
/// The latest time that fits.
const MAX_TIME: u64 = (1 << (4 * TIME_DIGITS)) - 1;

/// What the records of a segment are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// Waiting to be sent.
    Pending,
    /// Permanently refused by the receiver, and kept separately.
    Rejected,
}

impl Class {
    fn suffix(self) -> &'static str {
        match self {
            Self::Pending => ".seg1",
            Self::Rejected => ".rej1",
        }
    }
}

/// The name of a segment. They are ordered as they were created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    time: u64,
    salt: u64,
    class: Class,
}

impl Name {
    /// A name that is sorted after `latest`.
    pub(crate) fn after(
        latest: Option<Name>,
        wall_ms: u64,
        salt: u64,
        class: Class,
    ) -> Self {
        let next = latest.map_or(0, |latest| latest.time + 1);
        let time = wall_ms.max(next).min(MAX_TIME);
        Self { time, salt, class }
    }

    /// The segment of that name, if it is one's.
    pub(crate) fn parse(name: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        let (digits, class) = [Class::Pending, Class::Rejected]
            .into_iter()
            .find_map(|it| Some((name.strip_suffix(it.suffix())?, it)))?;
        let (time, salt) = digits.split_once('-')?;
        let number = |text: &str, digits: usize| {
            let is_lower = |it: u8| matches!(it, b'0'..=b'9' | b'a'..=b'f');
            (text.len() == digits && text.bytes().all(is_lower))
                .then(|| u64::from_str_radix(text, 16).ok())
                .flatten()
        };
        let time = number(time, TIME_DIGITS)?;
        let salt = number(salt, SALT_DIGITS)?;
        Some(Self { time, salt, class })
    }

    pub(crate) fn class(self) -> Class {
        self.class
    }

    pub(crate) fn salt(self) -> u64 {
        self.salt
    }

    /// When it was created, if the clock was right.
    pub(crate) fn wall_ms(self) -> u64 {
        self.time
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { time, salt, class } = self;
        write!(f, "{time:012x}-{salt:016x}{}", class.suffix())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for class in [Class::Pending, Class::Rejected] {
            let name = Name::after(None, 0x1234, 0xabc, class);
            let text = name.to_string();
            assert_eq!(Name::parse(OsStr::new(&text)), Some(name));
        }
    }

    #[test]
    fn names_go_on_when_the_clock_goes_back() {
        let first = Name::after(None, 5000, 9, Class::Pending);
        let second = Name::after(Some(first), 100, 3, Class::Pending);
        assert!(first < second && first.to_string() < second.to_string());
        let last = Name::after(None, u64::MAX, 1, Class::Pending);
        let beyond = Name::after(Some(last), 100, 2, Class::Pending);
        assert!(last < beyond);
        let text = beyond.to_string();
        assert_eq!(Name::parse(OsStr::new(&text)), Some(beyond));
    }

    #[test]
    fn other_names_are_not_ours() {
        for name in [
            "",
            "notes.txt",
            ".seg1",
            "0-0.seg1",
            "000000000001-00000000000000A2.seg1",
            "000000000001-+0000000000000a2.seg1",
            "000000000001-00000000000000a2.seg2",
            "000000000001-00000000000000a2.seg1~",
        ] {
            assert_eq!(Name::parse(OsStr::new(name)), None, "{name}");
        }
    }
}
