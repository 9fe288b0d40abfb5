//! Tests of [`super`].

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
    let line = format!("{DATE} bob @{NULL}+{hash}+ (50) [exthook]> a @ b> c");
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
