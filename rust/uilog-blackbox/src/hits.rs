//! Finds places in a text that mean a failed command, or one that took long.
//!
//! Responsible for skipping other text fast. Failures are rare, but their
//! wording is in every other line, so a search for the wording alone would stop
//! at each of these. Instead, whole windows of the text are tested at once, by
//! conditions on single bytes without a branch, which the compiler turns into
//! vector instructions. Must not know how a hit is used: it may be a false one.

use memchr::memmem;
use uilog_sys::vector;

use super::message;

/// How much of a text is judged at once, and then of what may hold a hit.
const WINDOW: usize = 256;
const PANE: usize = 32;
/// How many bytes a condition reads after its position.
const REACH: usize = 8;

/// The bytes of a window, and the following bytes that conditions read.
type Window = [u8; WINDOW + REACH];

/// Every text about an exception contains this: hg's wording, and the event's
/// name.
const EXCEPTION: &[u8] = b"exception";

/// Appends the places that may mean a failure to `hits`.
pub(super) fn failures(text: &[u8], hits: &mut Vec<usize>) {
    let first = hits.len();
    let before = message::EXITED.len() - b"ited ".len();
    for at in search(text, NotZero) {
        let exited = at.saturating_sub(before);
        if text[exited..].starts_with(message::EXITED) {
            hits.push(at);
        }
    }
    add(hits, first, memmem::find_iter(text, EXCEPTION));
}

/// Appends the places that may mean a duration of at least `seconds` to `hits`.
pub(super) fn durations(text: &[u8], seconds: f64, hits: &mut Vec<usize>) {
    let first = hits.len();
    for at in search(text, LongDuration::new(seconds)) {
        let end = at + LongDuration::SECONDS_AT;
        if text[end..].starts_with(message::SECONDS)
            && is_number_before(text, end, seconds)
        {
            hits.push(end);
        }
    }
    // Discovery is logged as `0.0012s`.
    add(hits, first, memmem::find_iter(text, message::HEADS));
}

/// Adds rare places to those from `first` on, which are in order and stay so.
fn add(hits: &mut Vec<usize>, first: usize, more: impl Iterator<Item = usize>) {
    let len = hits.len();
    hits.extend(more);
    if first < len && len < hits.len() {
        hits[first..].sort_unstable();
    }
}

/// A condition on each place in a text.
trait Condition {
    /// Not 0 if it is true at this position of the window. It reads less than
    /// [`REACH`] bytes from there on, and has no branches. Implementations are
    /// `#[inline(always)]`.
    fn holds(&self, window: &Window, at: usize) -> u8;
}

/// The `ited 1` of ` exited 1 `, not the one of ` exited 0 `.
struct NotZero;

impl Condition for NotZero {
    #[inline(always)]
    fn holds(&self, window: &Window, at: usize) -> u8 {
        u8::from(window[at] == b'i')
            & u8::from(window[at + 3] == b'd')
            & u8::from(window[at + 4] == b' ')
            & (u8::from(window[at + 5] != b'0')
                | u8::from(window[at + 6] != b' '))
    }
}

/// The ` se` of ` seconds`, unless the text before it is like ` 0.12`: nearly
/// all durations are like that, and too short.
struct LongDuration {
    /// The first digit before the point that is large enough; the byte after
    /// `9` if none is.
    least: u8,
}

impl LongDuration {
    /// The distance from the tested position to ` se`.
    const SECONDS_AT: usize = 5;

    fn new(seconds: f64) -> Self {
        let is_enough = |digit: &u8| f64::from(digit - b'0') + 1.0 > seconds;
        let least = (b'0'..=b'9').find(is_enough).unwrap_or(b'9' + 1);
        Self { least }
    }
}

impl Condition for LongDuration {
    #[inline(always)]
    fn holds(&self, window: &Window, at: usize) -> u8 {
        let is_short = u8::from(window[at] == b' ')
            & u8::from(window[at + 1] < self.least)
            & u8::from(window[at + 2] == b'.');
        u8::from(window[at + Self::SECONDS_AT] == b' ')
            & u8::from(window[at + Self::SECONDS_AT + 1] == b's')
            & u8::from(window[at + Self::SECONDS_AT + 2] == b'e')
            & (is_short ^ 1)
    }
}

/// The places at which a condition holds, in order.
fn search(text: &[u8], condition: impl Condition) -> Vec<usize> {
    vector::run(Search { text, condition })
}

struct Search<'a, C> {
    text: &'a [u8],
    condition: C,
}

impl<C: Condition> vector::Loop for Search<'_, C> {
    type Output = Vec<usize>;

    #[inline(always)]
    fn run(self) -> Vec<usize> {
        let mut places = Vec::new();
        let mut start = 0;
        let mut end_of_text;
        while start < self.text.len() {
            let rest = &self.text[start..];
            let window = match rest.first_chunk() {
                Some(window) => window,
                None => {
                    end_of_text = [0; WINDOW + REACH];
                    end_of_text[..rest.len()].copy_from_slice(rest);
                    &end_of_text
                }
            };
            if self.is_any(window, 0, WINDOW) {
                for pane in (0..WINDOW).step_by(PANE) {
                    if self.is_any(window, pane, PANE) {
                        let all = pane..(pane + PANE).min(rest.len());
                        places.extend(
                            all.filter(|at| self.holds(window, *at))
                                .map(|at| start + at),
                        );
                    }
                }
            }
            start += WINDOW;
        }
        places
    }
}

impl<C: Condition> Search<'_, C> {
    #[inline(always)]
    fn is_any(&self, window: &Window, start: usize, len: usize) -> bool {
        let mut any = 0;
        for at in start..start + len {
            any |= self.condition.holds(window, at);
        }
        any != 0
    }

    fn holds(&self, window: &Window, at: usize) -> bool {
        self.condition.holds(window, at) != 0
    }
}

/// Whether a number of at least this ends before `at`.
fn is_number_before(text: &[u8], at: usize, least: f64) -> bool {
    let digits = text[..at]
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_digit() || **b == b'.')
        .count();
    let number = &text[at - digits..at];
    std::str::from_utf8(number)
        .ok()
        .and_then(|number| number.parse().ok())
        .is_some_and(|number: f64| number >= least)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether one of these is hit inside of the text, wherever in it and in
    /// a window it stands.
    fn is_hit(find: impl Fn(&[u8], &mut Vec<usize>), message: &str) -> bool {
        let hits: Vec<bool> = (0..2 * WINDOW)
            .map(|place| {
                let line = [".".repeat(place).as_str(), message].concat();
                let text = format!("{line}\n");
                let mut hits = Vec::new();
                find(text.as_bytes(), &mut hits);
                assert!(hits.iter().all(|hit| *hit < text.len()), "{hits:?}");
                !hits.is_empty()
            })
            .collect();
        assert!(
            hits.iter().all(|hit| *hit == hits[0]),
            "{message}: {hits:?}"
        );
        hits[0]
    }

    #[test]
    fn failures_are_hit() {
        for message in [
            "pull exited 1 after 0.01 seconds",
            "pull exited 255 after 0.01 seconds",
            "pull exited -1 after 0.01 seconds",
            "pull exited None after 0.01 seconds",
            "pull exited 01 after 0.01 seconds",
            "** Unknown exception encountered",
            "** unknown exception encountered",
            "[commandexception]> x",
            "exception",
        ] {
            assert!(is_hit(failures, message), "{message}");
        }
        for message in [
            "pull exited 0 after 0.01 seconds",
            "expected",
            "edited 1 file",
            "visited 1 file",
            "",
        ] {
            assert!(!is_hit(failures, message), "{message}");
        }
    }

    #[test]
    fn long_durations_are_hit() {
        let texts = ["0.00", "0.99", "1.00", "9.99", "10.00", "123.45", "7"];
        for least in [-1.0, 0.0, 0.5, 1.0, 2.5, 9.0, 9.99, 10.0, 99.0, 1e9] {
            let find = |text: &[u8], hits: &mut Vec<usize>| {
                durations(text, least, hits);
            };
            for number in texts {
                let message = format!("pull exited 0 after {number} seconds");
                let seconds: f64 = number.parse().unwrap();
                assert_eq!(
                    is_hit(find, &message),
                    seconds >= least,
                    "{number} {least}"
                );
            }
            let discovery = "found 1 common and 2 unknown server heads, 3 \
                             roundtrips in 0.0012s";
            assert!(is_hit(find, discovery));
            assert!(!is_hit(find, "clear heads in a second"));
        }
    }

    #[test]
    fn each_place_is_hit_once_and_in_order() {
        let line = "pull exited 1 after 12.34 seconds\n";
        let text = line.repeat(100);
        let of = |first: usize| -> Vec<usize> {
            (0..100).map(|number| number * line.len() + first).collect()
        };
        let mut hits = Vec::new();
        failures(text.as_bytes(), &mut hits);
        assert_eq!(hits, of(7));
        hits.clear();
        durations(text.as_bytes(), 10.0, &mut hits);
        assert_eq!(hits, of(25));
    }
}
