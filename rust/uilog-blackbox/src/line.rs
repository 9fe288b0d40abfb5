//! One line of the blackbox, taken apart.
//!
//! `DATE USER @PARENTS[+] (PID)[ [EVENT]]> MESSAGE`, where DATE may have any
//! format and PARENTS may be `???` (rhg's); and the older forms that stock's
//! `hg blackbox` counts, or that Mercurial's other loggers write: `DATE USER>`,
//! `DATE USER (PID)>`, `DATE (PID)>`.
//!
//! Responsible for telling lines that begin an event from those that continue
//! one, and for finding a whole record behind the rest of a torn one. Must not
//! know where lines come from, nor what a message means.

use memchr::memmem;

use super::anchor::Anchor;
use super::anchor::HASH_LEN;
use super::anchor::HEAD_LEN;
use super::anchor::anchor_after;
use super::anchor::find_pair;
use super::anchor::parenthesized_pid;
use super::dates;
use super::dates::DateFormat;

/// Maximum length of DATE and USER together, if nothing separates them.
const MAX_PREFIX: usize = 256;

/// The least length of two dates in one of hg's fixed layouts, the first of
/// which is torn where it has no more than `2026-11-02 12:00:` in common with
/// what a date looks like.
const TWO_DATES: usize = dates::DEFAULT_LEN - 2 + dates::DEFAULT_LEN;

/// What a line says before its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The date, in any format.
    pub date: &'a [u8],
    /// Who ran hg.
    pub user: Option<&'a [u8]>,
    /// The working directory's parents: full hashes with `+` between.
    pub parents: &'a [u8],
    /// Whether the working directory had changes (`blackbox.dirty`).
    pub is_dirty: bool,
    /// hg's process.
    pub pid: Option<u64>,
    /// The event's name (`blackbox.logsource`).
    pub event: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// The hashes of the parents; none if they are not known.
    pub fn parents(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let parents = self.parents.split(|byte| *byte == b'+');
        parents.filter(|parent| parent.len() == HASH_LEN)
    }
}

/// Where a record is in its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The beginning, including the rest of an incomplete record before it.
    pub start: usize,
    /// Where its own first byte is.
    pub own: usize,
    /// Where its message begins.
    pub message: usize,
    /// Where the next record or the line ends.
    pub end: usize,
    /// Whether it is incomplete, or follows the rest of an incomplete one.
    pub is_damaged: bool,
    /// The fields before its message.
    pub header: Header<'a>,
}

impl Record<'_> {
    /// The same record in a line that has `len` bytes more before it.
    fn behind(self, len: usize) -> Self {
        Self {
            start: self.start + len,
            own: self.own + len,
            message: self.message + len,
            end: self.end + len,
            ..self
        }
    }
}

/// Whether stock's `hg blackbox` counts this line as an event's.
// hg: blackbox.blackbox:
// ^\d{4}[-/]\d{2}[-/]\d{2} \d{2}:\d{2}:\d{2}(.\d*)? .*> .*
pub fn is_counted_by_stock(line: &[u8]) -> bool {
    if !dates::has_default_shape(line) {
        return false;
    }
    let line = &line[..line.len().min(HEAD_LEN)];
    let rest = &line[dates::DEFAULT_LEN..];
    let closes = |rest: &[u8]| find_pair(rest, *b"> ").is_some();
    let Some((first, after)) = rest.split_first() else {
        return false;
    };
    let digits = after.iter().take_while(|b| b.is_ascii_digit()).count();
    let after_fraction = &after[digits..];
    (after_fraction.first() == Some(&b' ') && closes(&after_fraction[1..]))
        || (*first == b' ' && closes(after))
}

/// Whether `hg blackbox` without new options counts this line: like stock hg,
/// and if it begins an event with another date format.
pub fn is_counted(line: &[u8], format: &DateFormat) -> bool {
    is_counted_by_stock(line)
        || anchored(line)
            .is_some_and(|anchor| torn_len(&line[..anchor.at], format) == 0)
}

/// Whether this line begins an event, possibly after the rest of an incomplete
/// one. Any other line continues the event before it.
pub fn is_beginning(line: &[u8]) -> bool {
    is_counted_by_stock(line) || anchored(line).is_some()
}

/// The records of a line, which are more than one if a write was torn. None
/// if the line does not begin an event.
///
/// Where one begins, the rest of the line is what the same line without
/// everything before it would be.
pub fn records<'a>(line: &'a [u8], format: &DateFormat) -> Vec<Record<'a>> {
    let mut records: Vec<Record<'a>> = Vec::with_capacity(1);
    let mut base = 0;
    while let Some(record) = first_record(&line[base..], format) {
        let end = base + record.end;
        records.push(record.behind(base));
        if end == line.len() {
            break;
        }
        base = end;
    }
    records
}

/// The first record of a line; it ends where another one is glued to it.
fn first_record<'a>(line: &'a [u8], format: &DateFormat) -> Option<Record<'a>> {
    let anchor = anchor_after(line, 0);
    let before = anchor.as_ref().map_or(line, |anchor| &line[..anchor.at]);
    let mut record = match (old_form(line, before), anchor) {
        (Some(old), _) => old,
        (None, Some(anchor)) if is_plausible(before) => {
            let own = torn_len(before, format);
            let rest = &line[own..];
            let mut record = old_form(rest, &before[own..]).map_or_else(
                || anchored_record(line, own, &anchor, format),
                |old| old.behind(own),
            );
            record.start = 0;
            record.is_damaged = own > 0;
            record
        }
        _ => return old_form(line, line),
    };
    let mut from = record.message;
    while let Some(next) = anchor_after(line, from) {
        // In a message an anchor is just text, unless a date leads to it.
        if let Some(at) = last_default_date(&line[from..next.at]) {
            record.end = from + at;
            record.is_damaged = true;
            break;
        }
        from = next.end;
    }
    Some(record)
}

/// The record that has this anchor and begins at `own`.
fn anchored_record<'a>(
    line: &'a [u8],
    own: usize,
    anchor: &Anchor,
    format: &DateFormat,
) -> Record<'a> {
    let (date, user) = date_and_user(&line[own..anchor.at], format);
    Record {
        start: own,
        own,
        message: anchor.end,
        end: line.len(),
        is_damaged: false,
        header: Header {
            date,
            user,
            parents: &line[anchor.parents.clone()],
            is_dirty: anchor.is_dirty,
            pid: anchor.pid,
            event: anchor.event.clone().map(|event| &line[event]),
        },
    }
}

/// The first anchor of a line, if the text before it may be a date and a user.
fn anchored(line: &[u8]) -> Option<Anchor> {
    let anchor = anchor_after(line, 0)?;
    is_plausible(&line[..anchor.at]).then_some(anchor)
}

/// Whether this may be a date and a user, possibly after an incomplete record.
fn is_plausible(prefix: &[u8]) -> bool {
    let tail = &prefix[prefix.len().saturating_sub(MAX_PREFIX)..];
    tail.contains(&b' ')
        && tail.iter().any(u8::is_ascii_digit)
        && (prefix.len() <= MAX_PREFIX || last_default_date(prefix).is_some())
}

/// How much of this is left of a torn record, before a date and a user.
fn torn_len(prefix: &[u8], format: &DateFormat) -> usize {
    if prefix.len() < TWO_DATES && dates::has_default_shape(prefix) {
        return 0;
    }
    if let Some((date, _)) = split_user(prefix)
        && format.read_custom(date).is_some()
    {
        return 0;
    }
    if let Some(at) = last_default_date(prefix) {
        return at;
    }
    let control = prefix.iter().rposition(|b| *b < b' ' && *b != b'\t');
    control.map_or(0, |at| at + 1)
}

/// Where the last date in one of hg's fixed layouts begins.
fn last_default_date(prefix: &[u8]) -> Option<usize> {
    let last = prefix.len().checked_sub(dates::DEFAULT_LEN)?;
    let first = prefix.len().saturating_sub(MAX_PREFIX);
    (first..=last)
        .rev()
        .find(|at| dates::has_default_shape(&prefix[*at..]))
}

fn date_and_user<'a>(
    prefix: &'a [u8],
    format: &DateFormat,
) -> (&'a [u8], Option<&'a [u8]>) {
    let by_last_word = split_user(prefix);
    if let Some((date, user)) = by_last_word
        && format.read_custom(date).is_some()
    {
        return (date, Some(user));
    }
    if let Some((_, len)) = dates::read_default(prefix)
        && prefix.get(len) == Some(&b' ')
    {
        return (&prefix[..len], Some(&prefix[len + 1..]));
    }
    match by_last_word {
        Some((date, user)) => (date, Some(user)),
        None => (prefix, None),
    }
}

fn split_user(prefix: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memrchr(b' ', prefix)?;
    Some((&prefix[..at], &prefix[at + 1..]))
}

/// A line that stock hg counts, without parents; its message begins in or
/// directly after `head`.
fn old_form<'a>(line: &'a [u8], head: &'a [u8]) -> Option<Record<'a>> {
    if !is_counted_by_stock(head) {
        return None;
    }
    let date_len =
        dates::read_default(line).map_or(dates::DEFAULT_LEN, |(_, len)| len);
    let head = &head[..head.len().min(HEAD_LEN)];
    let close = date_len + find_pair(head.get(date_len..)?, *b"> ")?;
    let mut between = &line[date_len..close];
    let mut event = None;
    if let Some(named) = between.strip_suffix(b"]")
        && let Some(at) = memmem::rfind(named, b" [")
    {
        event = Some(&named[at + 2..]);
        between = &named[..at];
    }
    let mut pid = None;
    if let Some(at) = memmem::rfind(between, b" (")
        && let Some((number, len)) = parenthesized_pid(&between[at..])
        && at + len == between.len()
    {
        pid = number;
        between = &between[..at];
    }
    let user = between.strip_prefix(b" ").filter(|user| !user.is_empty());
    Some(Record {
        start: 0,
        own: 0,
        message: close + 2,
        end: line.len(),
        is_damaged: false,
        header: Header {
            date: &line[..date_len],
            user,
            parents: b"",
            is_dirty: false,
            pid,
            event,
        },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NULL: &str = "0000000000000000000000000000000000000000";
    const DATE: &str = "2026-11-02 12:00:00.000";

    fn records_of(line: &str) -> Vec<Record<'_>> {
        records(line.as_bytes(), &DateFormat::default())
    }

    fn only(line: &str) -> Record<'_> {
        let mut records = records_of(line);
        assert_eq!(records.len(), 1, "{line}");
        records.remove(0)
    }

    #[test]
    fn a_line_is_taken_apart() {
        let hash = "d02f48003e62c24e2659d97d30f2a83abe5d5d51";
        let line =
            format!("{DATE} bob @{NULL}+{hash}+ (50) [exthook]> a @ b> c");
        let record = only(&line);
        assert_eq!(&line[record.message..], "a @ b> c");
        assert!(!record.is_damaged);
        let header = record.header;
        assert_eq!(header.date, DATE.as_bytes());
        assert_eq!(header.user, Some(&b"bob"[..]));
        assert_eq!(header.pid, Some(50));
        assert_eq!(header.event, Some(&b"exthook"[..]));
        assert!(header.is_dirty);
        let parents: Vec<_> = header.parents().collect();
        assert_eq!(parents, [NULL.as_bytes(), hash.as_bytes()]);
    }

    #[test]
    fn dates_may_have_any_format_and_users_spaces() {
        for (prefix, date, user) in [
            ("Mon Nov  2 2026 bob", "Mon Nov  2 2026", "bob"),
            ("2026-11-02 @ 12:00 bob", "2026-11-02 @ 12:00", "bob"),
            (
                "2026/11/02 12:00:00 J. Doe",
                "2026/11/02 12:00:00",
                "J. Doe",
            ),
            (
                "2026-11-02 12:00:00 +0100 bob",
                "2026-11-02 12:00:00 +0100",
                "bob",
            ),
        ] {
            let line = format!("{prefix} @{NULL} (1)> x");
            let record = only(&line);
            assert_eq!(record.header.date, date.as_bytes());
            assert_eq!(record.header.user, Some(user.as_bytes()));
            assert!(!record.is_damaged, "{line}");
            assert!(is_counted(line.as_bytes(), &DateFormat::default()));
        }
        let unknown = format!("{DATE} bob @??? (1)> (rust) files");
        assert_eq!(only(&unknown).header.parents().count(), 0);
    }

    #[test]
    fn older_forms_are_known() {
        for (line, user, pid, message) in [
            ("2013/01/23 19:13:36 root> x> y", Some("root"), None, "x> y"),
            (
                "2013/01/23 19:13:36 root (12)> x",
                Some("root"),
                Some(12),
                "x",
            ),
            ("2013/01/23 19:13:36 (12)> x", None, Some(12), "x"),
            ("2013/01/23 19:13:36.123 root> ", Some("root"), None, ""),
            ("2013/01/23 19:13:36 a -> b", Some("a -"), None, "b"),
        ] {
            let record = only(line);
            let text = |bytes| std::str::from_utf8(bytes).unwrap();
            assert_eq!(record.header.user.map(text), user);
            assert_eq!(record.header.pid, pid);
            assert_eq!(&line[record.message..], message);
        }
    }

    #[test]
    fn other_lines_continue_an_event() {
        for line in [
            "",
            "Traceback (most recent call last):",
            "2013/01/23 19:13:36 root",
            "2013/01/23 19:13 root> x",
            "2013/01/23 19:13:36> x",
            &format!("bob @{NULL} (1)> x"),
            &format!("Nov 2 bob @{} (1)> x", &NULL[1..]),
            &format!("Nov 2 bob @{NULL} ()> x"),
            &format!("Nov 2 bob @{NULL} (1) x"),
        ] {
            assert!(!is_beginning(line.as_bytes()), "{line}");
            assert_eq!(records_of(line), []);
        }
    }

    #[test]
    fn a_record_behind_the_rest_of_a_torn_one_is_found() {
        let whole = format!("{DATE} bob @{NULL} (2)> status");
        for torn in [
            "seconds",
            "2026-11-0",
            "2026-11-02 11:00:00.000 al",
            "2026-11-02 11:00:00.000 alice @00000000",
            "\0\0\0",
        ] {
            let line = format!("{torn}{whole}");
            let record = only(&line);
            assert!(record.is_damaged);
            assert_eq!((record.start, record.own), (0, torn.len()));
            assert_eq!(record.header.user, Some(&b"bob"[..]));
        }
        let first = format!("{DATE} al @{NULL} (1)> pull exited 0 af");
        for first in [first.as_str(), "2013/01/23 19:13:36 (12)> got"] {
            let line = format!("{first}{whole}");
            let records = records_of(&line);
            assert_eq!(records.len(), 2);
            assert!(records[0].is_damaged);
            assert_eq!(records[0].end, first.len());
            assert_eq!(records[1].start, first.len());
            assert!(!records[1].is_damaged);
            assert_eq!(records[1].header.pid, Some(2));
        }
    }

    #[test]
    fn what_only_quotes_a_record_is_one_record() {
        let line = format!("{DATE} bob @{NULL} (2)> log -k 'al @{NULL} (1)> '");
        assert_eq!(only(&line).end, line.len());
        let line = format!("2013/01/23 19:13:36 (2)> al @{NULL} (1)> x");
        assert_eq!(only(&line).header.pid, Some(2));
    }

    #[test]
    fn a_known_format_is_not_mistaken_for_a_torn_record() {
        let line = format!("Mon 2026-11-02 12:00:00 bob @{NULL} (1)> x");
        assert!(only(&line).is_damaged);
        let format = DateFormat::new(b"%a %Y-%m-%d %H:%M:%S");
        let records = records(line.as_bytes(), &format);
        assert!(!records[0].is_damaged);
        assert!(is_counted(line.as_bytes(), &format));
    }

    /// Lines out of the pieces that matter.
    fn lines() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(DATE.as_bytes().to_vec()),
            Just(b"2013/01/23 19:13:36".to_vec()),
            Just(format!(" @{NULL}").into_bytes()),
            Just(format!("+{NULL}").into_bytes()),
            Just(b" @???".to_vec()),
            Just(b" (12)".to_vec()),
            Just(b" [exthook]".to_vec()),
            Just(b"> ".to_vec()),
            Just(b"+".to_vec()),
            Just(b" bob".to_vec()),
            Just(b"\0".to_vec()),
            proptest::collection::vec(
                any::<u8>().prop_filter("a line", |b| *b != b'\n'),
                0..4
            ),
        ];
        proptest::collection::vec(piece, 0..16).prop_map(|all| all.concat())
    }

    proptest! {
        #[test]
        fn records_make_up_the_line_that_begins_an_event(line in lines()) {
            let records = records(&line, &DateFormat::default());
            prop_assert_eq!(records.is_empty(), !is_beginning(&line));
            let mut at = 0;
            for record in &records {
                prop_assert_eq!(record.start, at);
                prop_assert!(record.start <= record.own);
                prop_assert!(record.own < record.message);
                prop_assert!(record.message <= record.end);
                at = record.end;
            }
            prop_assert!(records.is_empty() || at == line.len());
        }

        #[test]
        fn a_record_is_the_same_without_what_is_before_it(line in lines()) {
            let format = DateFormat::default();
            for record in records(&line, &format) {
                let own = &line[record.start..record.end];
                let alone = records(own, &format);
                prop_assert_eq!(alone.len(), 1);
                prop_assert_eq!(&alone[0].header, &record.header);
                let message = record.message - record.start;
                prop_assert_eq!(alone[0].message, message);
            }
        }

        #[test]
        fn a_line_that_counts_begins_an_event(line in lines()) {
            let format = DateFormat::default();
            if is_counted(&line, &format) {
                prop_assert!(is_beginning(&line));
            }
        }
    }
}
