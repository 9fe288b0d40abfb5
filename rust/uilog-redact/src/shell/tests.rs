//! Tests of [`super`].

use std::ops::Range;

use super::*;

fn args(text: &str) -> Vec<Vec<String>> {
    commands(text.as_bytes())
        .into_iter()
        .map(|command| {
            command
                .args
                .into_iter()
                .map(|arg| String::from_utf8(arg.bytes).unwrap())
                .collect()
        })
        .collect()
}

#[test]
fn a_shells_commands_are_taken_apart() {
    assert_eq!(
        args("a 'b c'; d \\\n  e | f 2>&1 >x g && h \"i j\""),
        [
            vec!["a", "b c"],
            vec!["d", "e"],
            vec!["f", "g"],
            vec!["h", "i j"]
        ]
    );
    assert_eq!(args("a -p'b'\"c\" x$(d e)y"), [["a", "-pbc", "x$(d e)y"]]);
    assert_eq!(args("a p&q;r)s; b"), [vec!["a", "p&q;r)s"], vec!["b"]]);
    assert_eq!(args("x finished in 0.31 seconds\n"), [["x"]]);
    assert_eq!(
        args("don't do a 'b c' it's"),
        [["don't", "do", "a", "b c", "it's"]]
    );
    assert_eq!(args("a 'b c"), [vec!["a"], vec!["b", "c"]]);
}

#[test]
fn lists_are_taken_apart() {
    for text in [
        "['a', '-p', 'b c']",
        r#"["a","-p","b c"]"#,
        r#"[\"a\", \"-p\", \"b c\"]"#,
        "[b'a', b'-p', b'b c']",
        "'['a', '-p', 'b c']' failed",
        "'('a', '-p', 'b c')' failed",
        "f(('a', '-p', 'b c'))",
    ] {
        let found = args(text);
        assert!(
            found.iter().any(|args| args == &["a", "-p", "b c"]),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn parts_are_found_again() {
    let part = |text: &str, range: Range<usize>| {
        let commands = commands(text.as_bytes());
        let arg = &commands[0].args[1];
        text[arg.in_text(&range)].to_owned()
    };
    assert_eq!(part("a 'b c'", 0..3), "b c");
    assert_eq!(part("a -u'b c'", 2..5), "b c");
    assert_eq!(part("a 'u:b c'", 2..5), "b c");
    assert_eq!(part("a u:\"b\"'c'", 2..4), "\"b\"'c'");
    assert_eq!(part(r"a 'i'\''s'", 0..3), r"i'\''s");
}
