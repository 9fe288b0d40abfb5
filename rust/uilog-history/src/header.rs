//! Reads the beginning of a line without parsing the whole line.
//!
//! Responsible for skipping lines fast: uilog writes the fields of a record in
//! one order, so event, time and duration are found without a parser. All other
//! lines are parsed. Must not know what is wanted.

use memchr::memchr;

/// What uilog's own lines begin with.
const BEGINNING: &[u8] = b"{\"schema\":1,\"id\":\"";
const EVENT: &[u8] = b",\"event\":\"";
const TIME: &[u8] = b",\"time\":\"";
const DURATION: &[u8] = b",\"duration\":";

/// The fields at the beginning of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Header<'a> {
    pub(crate) event: &'a [u8],
    /// RFC 3339.
    pub(crate) time: &'a [u8],
    /// Seconds, if there is a duration.
    pub(crate) duration: Option<f64>,
}

impl<'a> Header<'a> {
    /// That of a line of our own.
    #[inline]
    pub(crate) fn of(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(BEGINNING)?;
        let (_, rest) = until_quote(rest)?;
        let (event, rest) = until_quote(rest.strip_prefix(EVENT)?)?;
        let (time, rest) = until_quote(rest.strip_prefix(TIME)?)?;
        let duration = match rest.strip_prefix(DURATION) {
            None => None,
            Some(rest) => {
                let end = rest.iter().position(|it| b",}".contains(it))?;
                let number = std::str::from_utf8(&rest[..end]).ok()?;
                Some(number.parse().ok()?)
            }
        };
        Some(Self {
            event,
            time,
            duration,
        })
    }
}

/// The texts before and after the next quotation mark; none if the former
/// contains an escape.
#[inline]
fn until_quote(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b'"', text)?;
    let (before, after) = (&text[..end], &text[end + 1..]);
    (memchr(b'\\', before).is_none()).then_some((before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_lines_have_a_header_and_others_do_not() {
        let line = br#"{"schema":1,"id":"a-2","event":"command","time":"T"}"#;
        let header = Header {
            event: b"command",
            time: b"T",
            duration: None,
        };
        assert_eq!(Header::of(line), Some(header));
        let line = br#"{"schema":1,"id":"a-2","event":"x","time":"T","duration":1.5,"s"#;
        assert_eq!(Header::of(line).unwrap().duration, Some(1.5));
        for other in [
            &br#"{"schema": 1,"id":"a-2","event":"x","time":"T"}"#[..],
            br#"{"schema":1,"id":"a\"2","event":"x","time":"T"}"#,
            br#"{"schema":1,"id":"a","event":"x"}"#,
            b"",
        ] {
            assert_eq!(Header::of(other), None);
        }
    }
}
