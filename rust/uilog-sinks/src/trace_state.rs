//! W3C Trace Context's `tracestate`: data of vendors about a trace, including
//! OpenTelemetry's.
//!
//! Must not know where it comes from, or how sampling works.
// OpenTelemetry: specification/trace/tracestate-handling.md

use std::fmt::Write;

/// The member that is OpenTelemetry's.
const OURS: &str = "ot";
/// How many members there may be.
// W3C Trace Context, level 2, section 3.3.1.1
const MAX_MEMBERS: usize = 32;
/// Characters of a key, and of a value.
const MAX_TEXT: usize = 256;
/// Hexadecimal digits of a random number or a threshold.
const DIGITS: usize = 14;

/// What a `tracestate` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TraceState<'s> {
    /// OpenTelemetry's keys and values, but for the threshold.
    ours: Vec<(&'s str, &'s str)>,
    /// Whether there is a threshold.
    has_threshold: bool,
    /// The other members, as they are.
    others: Vec<(&'s str, &'s str)>,
}

impl<'s> TraceState<'s> {
    /// Parses one. Invalid parts are ignored.
    pub(crate) fn parse(text: &'s [u8]) -> Self {
        let text = std::str::from_utf8(text).ok();
        text.and_then(Self::read).unwrap_or_default()
    }

    fn read(text: &'s str) -> Option<Self> {
        let mut members = Vec::new();
        for member in text.split(',') {
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            let is_known = members.iter().any(|it: &(&str, &str)| it.0 == key);
            if is_known || !is_key(key) || !is_value(value) {
                return None;
            }
            members.push((key, value));
        }
        if members.len() > MAX_MEMBERS {
            return None;
        }
        let ours = members.iter().find(|it| it.0 == OURS);
        let ours = ours.map(|it| it.1).and_then(read_ours).unwrap_or_default();
        let has_threshold = ours.iter().any(|it| it.0 == "th");
        members.retain(|it| it.0 != OURS);
        Some(Self {
            ours: ours.into_iter().filter(|it| it.0 != "th").collect(),
            has_threshold,
            others: members,
        })
    }

    /// Whether it has a sampling threshold.
    pub(crate) fn has_threshold(&self) -> bool {
        self.has_threshold
    }

    /// The random number of the trace's creator, for a trace without a random
    /// ID.
    pub(crate) fn number(&self) -> Option<u64> {
        let digits = self.ours.iter().find(|it| it.0 == "rv")?.1;
        u64::from_str_radix(digits, 16).ok()
    }

    /// Removes those members of other vendors whose value does not pass.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.others.retain(|it| is_kept(it.1));
    }

    /// The same with this threshold, or with none: hexadecimal digits.
    pub(crate) fn with_threshold(&self, digits: Option<&str>) -> String {
        let threshold = digits.map(|digits| ("th", digits));
        let pairs = threshold.iter().chain(&self.ours);
        let pairs: Vec<_> = pairs.map(|(k, v)| format!("{k}:{v}")).collect();
        let mut text = String::new();
        if !pairs.is_empty() {
            // A changed member is moved to the front.
            text = format!("{OURS}={}", pairs.join(";"));
        }
        let room = MAX_MEMBERS - usize::from(!text.is_empty());
        for (key, value) in self.others.iter().take(room) {
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{comma}{key}={value}");
        }
        text
    }
}

fn is_key(key: &str) -> bool {
    let is_first = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
    let is_inner = |it: u8| is_first(it) || b"_-*/@".contains(&it);
    let bytes = key.as_bytes();
    bytes.len() <= MAX_TEXT
        && bytes.first().is_some_and(|it| is_first(*it))
        && bytes.iter().all(|it| is_inner(*it))
}

fn is_value(value: &str) -> bool {
    let is_plain = |it: u8| (0x20..0x7f).contains(&it) && it != b'=';
    (1..=MAX_TEXT).contains(&value.len()) && value.bytes().all(is_plain)
}

/// OpenTelemetry's own keys and values; none if they are not valid.
fn read_ours(text: &str) -> Option<Vec<(&str, &str)>> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for pair in text.split(';') {
        let (key, value) = pair.split_once(':')?;
        let is_lower = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
        let is_value =
            |it: u8| it.is_ascii_alphanumeric() || b"._-".contains(&it);
        let is_hex =
            |it: u8| it.is_ascii_digit() || (b'a'..=b'f').contains(&it);
        let is_good = match key {
            "rv" => value.len() == DIGITS && value.bytes().all(is_hex),
            "th" => {
                (1..=DIGITS).contains(&value.len()) && value.bytes().all(is_hex)
            }
            _ => value.bytes().all(is_value),
        };
        let is_known = pairs.iter().any(|it| it.0 == key);
        if key.is_empty() || !key.bytes().all(is_lower) || is_known {
            return None;
        }
        if is_good {
            pairs.push((key, value));
        }
    }
    Some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, threshold: Option<&str>) -> String {
        TraceState::parse(text.as_bytes()).with_threshold(threshold)
    }

    #[test]
    fn other_members_are_kept_and_ours_comes_first() {
        for (given, expected) in [
            ("", "ot=th:8"),
            ("a=b", "ot=th:8,a=b"),
            ("a=b,ot=th:c;p:8, c@d=e;f:g", "ot=th:8;p:8,a=b,c@d=e;f:g"),
            (",a=b,,", "ot=th:8,a=b"),
            ("a=b,ot=rv:0123456789abcd", "ot=th:8;rv:0123456789abcd,a=b"),
            // A number that is none, and what is no list of OpenTelemetry's.
            ("ot=rv:0123456789ABCD;x:1", "ot=th:8;x:1"),
            ("ot=nonsense,a=b", "ot=th:8,a=b"),
            // All of it is nonsense then.
            ("a=b,a=c", "ot=th:8"),
            ("A=b,c=d", "ot=th:8"),
            ("a=b=c", "ot=th:8"),
            ("a", "ot=th:8"),
            ("a=\u{e9}", "ot=th:8"),
        ] {
            assert_eq!(told(given, Some("8")), expected, "{given}");
        }
        assert_eq!(told("a=b,ot=th:c", None), "a=b");
        assert_eq!(told("a=b,ot=th:c;p:8", None), "ot=p:8,a=b");
        assert_eq!(TraceState::parse(b"\xff").with_threshold(None), "");
    }

    #[test]
    fn there_are_32_members_at_most() {
        let members = |count: usize| {
            let all = (0..count).map(|it| format!("k{it}=v"));
            all.collect::<Vec<_>>().join(",")
        };
        let state = told(&members(32), Some("8"));
        assert_eq!(state, format!("ot=th:8,{}", members(31)));
        assert_eq!(told(&members(33), Some("8")), "ot=th:8");
    }
}
