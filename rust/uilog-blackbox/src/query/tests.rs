//! Tests of [`super`].

use proptest::prelude::*;

use super::*;

#[test]
fn a_line_is_passed_over_unless_it_may_hold_another_record() {
    let date = "2026-11-02 12:00:00.000";
    for (message, may_hold_another) in [
        ("status", false),
        ("push bob@host", false),
        ("log -u @xavier", false),
        ("log -u a@bob", false),
        ("log @bob.x", true),
        ("log @???", true),
        ("update @", false),
    ] {
        let line = format!("{date} bob @0123 (5)> {message}");
        let expected = (!may_hold_another).then_some(line.len());
        for text in [line.clone(), format!("{line}\n{line}\n")] {
            let end = end_of_single(text.as_bytes(), 0);
            assert_eq!(end, expected, "{message}");
        }
    }
}

pub(crate) fn queries() -> impl Strategy<Value = Filters> {
    let bound = prop_oneof![
        3 => Just(None),
        1 => (1_793_500_000..1_793_700_000_i64).prop_map(|unix| {
            Some(Moment { unix, civil: unix + 3600 })
        }),
    ];
    let some_of = |words: &'static [&'static str]| {
        let word = proptest::sample::select(words);
        let words = proptest::collection::vec(word, 1..3);
        prop_oneof![
            3 => Just(Vec::new()),
            1 => words.prop_map(|words| {
                words.iter().map(|w| w.as_bytes().to_vec()).collect()
            }),
        ]
    };
    (
        (bound.clone(), bound),
        some_of(&["commandfinish", "command", "incoming", "mine"]),
        some_of(&["bob", "al"]),
        prop_oneof![3 => Just(vec![]), 1 => Just(vec![12, 5])],
        some_of(&["pull*", "*x*", "*", "st?tus*", "pull -r*"]),
        proptest::bool::weighted(0.2),
        prop_oneof![3 => Just(None), 1 => Just(Some(0.5))],
        prop_oneof![
            4 => Just(None),
            1 => Just(Some(HashSet::new())),
            1 => Just(Some(HashSet::from([vec![b'a'; 40]]))),
        ],
    )
        .prop_map(
            |(
                (since, until),
                events,
                users,
                pids,
                globs,
                failed,
                slower,
                revs,
            )| {
                let globs = globs.iter();
                Filters {
                    since,
                    until,
                    events,
                    users,
                    pids,
                    commands: globs.map(|g: &Vec<u8>| Glob::new(g)).collect(),
                    failed,
                    slower,
                    revs,
                }
            },
        )
}
