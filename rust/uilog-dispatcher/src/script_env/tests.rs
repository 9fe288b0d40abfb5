use std::borrow::Cow;
use std::collections::HashMap;

use proptest::prelude::*;
use uilog_event::event::Event;
use uilog_event::event::EventOption;
use uilog_event::event::SessionId;
use uilog_event::event::Text;
use uilog_event::event::Value;
use uilog_sys::spawn::MAX_STRING_BYTES;

use super::variable::POINTER_BYTES;
use super::variable::TRUNCATED;
use super::*;

const LIMITS: Limits = Limits {
    string: MAX_STRING_BYTES,
    total: 2 * 1024 * 1024,
};

fn event<'a>(
    message: &'a [u8],
    options: &'a [(Vec<u8>, Vec<u8>)],
) -> Event<'a> {
    let options = options.iter().map(|(key, value)| EventOption {
        key: Cow::Borrowed(key),
        value: Value::Bytes(Text(Cow::Borrowed(value))),
    });
    Event {
        session: SessionId(1),
        seq: 2,
        pid: 3,
        message: Cow::Borrowed(message),
        options: options.collect(),
        ..Event::bare(b"foo")
    }
}

fn built(
    message: &[u8],
    options: &[(Vec<u8>, Vec<u8>)],
    base: &[u8],
    limits: Limits,
) -> Vec<CString> {
    let event = event(message, options);
    let hg = b"/usr/bin/hg";
    build(
        &Input {
            event: &event,
            hg,
            depth: 0,
            base,
            traceparent: None,
            argument_bytes: 100,
        },
        limits,
    )
}

fn map(strings: &[CString]) -> HashMap<Vec<u8>, Vec<u8>> {
    let pairs = strings.iter().map(|string| {
        let bytes = string.as_bytes();
        let at = bytes.iter().position(|byte| *byte == b'=').unwrap();
        (bytes[..at].to_vec(), bytes[at + 1..].to_vec())
    });
    pairs.collect()
}

fn options(pairs: &[(&[u8], &[u8])]) -> Vec<(Vec<u8>, Vec<u8>)> {
    pairs
        .iter()
        .map(|(k, v)| (k.to_vec(), v.to_vec()))
        .collect()
}

fn get<'a>(map: &'a HashMap<Vec<u8>, Vec<u8>>, name: &str) -> &'a [u8] {
    map.get(name.as_bytes()).map_or(b"<unset>", Vec::as_slice)
}

#[test]
fn the_variables_are_those_of_stock_hg() {
    let options = options(&[(b"spam", b"eggs")]);
    let base = b"EVENT=old\0PATH=/bin\0PATH=/second\0A=b=c\0junk\0=x\0";
    let map = map(&built(b"a message\n", &options, base, LIMITS));
    assert_eq!(get(&map, "EVENT"), b"foo");
    assert_eq!(get(&map, "HGPID"), b"3");
    assert_eq!(get(&map, "MSG1"), b"a message\n");
    assert_eq!(get(&map, "OPT_SPAM"), b"eggs");
    assert_eq!(get(&map, "HG"), b"/usr/bin/hg");
    assert_eq!(get(&map, "PATH"), b"/bin");
    assert_eq!(get(&map, "A"), b"b=c");
    assert_eq!(get(&map, "UILOG_TRUNCATED"), b"<unset>");
    assert_eq!(get(&map, "UILOG_DEPTH"), b"1");
    assert_eq!(map.len(), 11);
}

#[test]
fn unusable_keys_get_a_usable_name() {
    let options = options(&[
        (b"exthook-pre-status_blocked", b"1"),
        (b"a=b", b"2"),
        (b"c\0d", b"3"),
        (b"e_f", b"4"),
        (b"e-f", b"5"),
        (b"e.f", b"6"),
    ]);
    let map = map(&built(b"", &options, b"", LIMITS));
    assert_eq!(get(&map, "OPT_EXTHOOK-PRE-STATUS_BLOCKED"), b"1");
    assert_eq!(get(&map, "OPT_EXTHOOK_PRE_STATUS_BLOCKED"), b"1");
    assert_eq!(get(&map, "OPT_A_B"), b"2");
    assert_eq!(get(&map, "OPT_A"), b"<unset>");
    assert_eq!(get(&map, "OPT_C_D"), b"3");
    assert_eq!(get(&map, "OPT_E_F"), b"4");
    assert_eq!(get(&map, "OPT_E-F"), b"5");
    assert_eq!(get(&map, "OPT_E_F_2"), b"5");
    assert_eq!(get(&map, "OPT_E_F_3"), b"6");
}

#[test]
fn nul_bytes_become_visible() {
    let options = options(&[(b"o", b"\0x\0")]);
    let map = map(&built(b"a\0b", &options, b"", LIMITS));
    assert_eq!(get(&map, "MSG1"), b"a\\0b");
    assert_eq!(get(&map, "OPT_O"), b"\\0x\\0");
}

#[test]
fn a_message_is_cut_where_stock_hg_cuts_it() {
    let whole = vec![b'm'; MAX_MESSAGE_BYTES];
    let map_of = |message: &[u8]| map(&built(message, &[], b"", LIMITS));
    assert_eq!(get(&map_of(&whole), "MSG1"), whole);
    let longer = vec![b'm'; MAX_MESSAGE_BYTES + 1];
    let map = map_of(&longer);
    assert_eq!(get(&map, "MSG1"), [&whole[..], TRUNCATED].concat());
    assert_eq!(get(&map, "UILOG_TRUNCATED"), b"MSG1");
}

#[test]
fn the_longest_options_are_cut_first() {
    let mut many = options(&[(b"short", b"kept")]);
    for number in 0..40 {
        let key = format!("long{number:02}").into_bytes();
        many.push((key, vec![b'x'; 100_000]));
    }
    many.push((b"huge".to_vec(), vec![b'y'; 4_000_000]));
    let base = [b"USER_VAR=".to_vec(), vec![b'u'; 120_000], vec![0]].concat();
    let strings = built(b"message", &many, &base, LIMITS);
    let map = map(&strings);
    assert_eq!(get(&map, "OPT_SHORT"), b"kept");
    assert_eq!(get(&map, "MSG1"), b"message");
    assert_eq!(get(&map, "USER_VAR").len(), 120_000);
    assert!(get(&map, "OPT_HUGE").ends_with(b"y (truncated)"));
    assert_eq!(get(&map, "OPT_HUGE").len(), get(&map, "OPT_LONG07").len());
    let list = get(&map, "UILOG_TRUNCATED");
    let names: Vec<_> = list.split(|byte| *byte == b' ').collect();
    assert!(names.contains(&&b"OPT_HUGE"[..]));
    assert!(names.contains(&&b"OPT_LONG39"[..]));
    assert!(!names.contains(&&b"OPT_SHORT"[..]));
}

#[test]
fn the_users_own_environment_is_cut_only_if_it_must_be() {
    let base = |bytes: usize| {
        let variable = [b"V=".to_vec(), vec![b'u'; 100_000], vec![0]].concat();
        let mut base = Vec::new();
        for number in 0..bytes / 100_000 {
            base.extend_from_slice(format!("N{number}").as_bytes());
            base.extend_from_slice(&variable);
        }
        base
    };
    let fitting = map(&built(b"m", &[], &base(1_900_000), LIMITS));
    assert_eq!(get(&fitting, "N3V").len(), 100_000);
    assert_eq!(get(&fitting, "MSG1"), b"m");
    let word = options(&[(b"word", b"a short option")]);
    let too_big = map(&built(b"m", &word, &base(7_000_000), LIMITS));
    assert!(get(&too_big, "N3V").ends_with(TRUNCATED));
    assert_eq!(get(&too_big, "OPT_WORD"), b"a short option");
    assert_eq!(get(&too_big, "HGPID"), b"3");
}

#[test]
fn where_names_alone_are_too_much_the_last_are_left_out() {
    let many: Vec<_> = (0..100_000)
        .map(|number| (format!("n{number}").into_bytes(), vec![b'1']))
        .collect();
    let strings = built(b"m", &many, b"V=user\0", LIMITS);
    let map = map(&strings);
    assert_eq!(get(&map, "OPT_N0"), b"1");
    assert_eq!(get(&map, "OPT_N99999"), b"<unset>");
    assert_eq!(get(&map, "V"), b"user");
    let list = get(&map, "UILOG_TRUNCATED");
    assert!(list.starts_with(b"OPT_N99999 OPT_N99998 "));
}

#[test]
fn a_key_beyond_the_limit_is_left_out_and_named() {
    let options = vec![(vec![b'k'; 200_000], b"v".to_vec())];
    let map = map(&built(b"m", &options, b"", LIMITS));
    assert_eq!(get(&map, "MSG1"), b"m");
    let list = get(&map, "UILOG_TRUNCATED");
    assert_eq!(list, [b"OPT_".to_vec(), vec![b'K'; 60]].concat());
}

proptest! {
    #[test]
    fn whatever_comes_the_limits_hold(
        message in proptest::collection::vec(any::<u8>(), 0..3000),
        pairs in proptest::collection::vec((
            proptest::collection::vec(any::<u8>(), 0..40),
            proptest::collection::vec(any::<u8>(), 0..5000),
        ), 0..30),
        base in proptest::collection::vec(any::<u8>(), 0..4000),
        string in 300_usize..3000,
        total in 20_000_usize..60_000,
    ) {
        let limits = Limits { string, total };
        let strings = built(&message, &pairs, &base, limits);
        let cost = |string: &CString| string.as_bytes_with_nul().len();
        prop_assert!(strings.iter().all(|s| cost(s) <= string));
        let sum: usize = strings
            .iter()
            .map(|string| cost(string) + POINTER_BYTES)
            .sum();
        prop_assert!(sum + 100 <= total, "{sum} of {total}");
        let names = map(&strings);
        prop_assert_eq!(names.len(), strings.len(), "a name twice");
        prop_assert_eq!(get(&names, "EVENT"), b"foo");
    }
}
