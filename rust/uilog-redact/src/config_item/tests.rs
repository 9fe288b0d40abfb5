//! Tests of [`super`].

use super::*;

fn found(text: &str, scope: Scope) -> Vec<&str> {
    let mut found = Vec::new();
    ConfigItems::new(&[b"corp.*-code".to_vec()]).find(
        text.as_bytes(),
        scope,
        &mut found,
    );
    found.into_iter().map(|found| &text[found.range]).collect()
}

#[test]
fn globs_match_wholly() {
    assert!(matches(b"auth.*", b"auth.x.password"));
    assert!(matches(b"*.pass?ord", b"a.b.password"));
    assert!(matches(b"a*b*c", b"aXbXbXc"));
    assert!(!matches(b"auth.*", b"xauth.x"));
    assert!(!matches(b"a*b", b"abc"));
    assert!(matches(b"*", b""));
}

#[test]
fn values_end_where_their_item_ends() {
    let text = Scope::Text;
    assert_eq!(found("x --config auth.a.password=b c", text), ["b"]);
    assert_eq!(found("x '--config=auth.a.password=b c' d", text), ["b c"]);
    assert_eq!(found("'auth.a.username=b c'", text), ["b c"]);
    assert_eq!(found("auth.a.key = b c\nd", text), ["b c"]);
    assert_eq!(found("auth.a.password='b c' d", Scope::Word), ["'b c' d"]);
    assert_eq!(found("corp.door-code=4711", text), ["4711"]);
    assert_eq!(found("auth.a.prefix=b auth.a.schemes=c", text), [""; 0]);
    assert_eq!(found("ui.username=b web.auth.x=c", text), [""; 0]);
}

#[test]
fn items_of_any_extension_tell() {
    let word = Scope::Word;
    assert_eq!(found("jira.auth=bob:X", word), ["X"]);
    assert_eq!(found("--config=x.y.auth=bob:X y", word), ["X y"]);
    assert_eq!(found("tokens.hg=abc123def", word), ["abc123def"]);
    assert_eq!(found("x.sqlhost=db:3306:hg:bob:X", word), ["X"]);
    for harmless in [
        "x.auth=yes",
        "x.auth=basic",
        "x.auth-type=a:b",
        "x.token=/run/token",
        "phases.secret=no",
    ] {
        assert_eq!(found(harmless, word), [""; 0], "{harmless}");
    }
}

#[test]
fn what_programs_set_is_found() {
    let found = |text: &'static str| {
        let mut found = Vec::new();
        find_settings(text.as_bytes(), &ConfigItems::new(&[]), &mut found);
        found
            .into_iter()
            .map(|found| &text[found.range])
            .collect::<Vec<_>>()
    };
    for text in [
        "ui.setconfig(b'auth', b'x.password', b'a b')",
        "setconfig(\"http_proxy\", \"passwd\", \"a b\", 'x')",
        "{(b'auth', b'x.password'): b'a b'}",
        "cfg.set('db', 'password', 'a b')",
    ] {
        assert_eq!(found(text), ["a b"], "{text}");
    }
    for text in [
        "ui.setconfig(b'ui', b'username', b'bob')",
        "ui.config(b'auth', b'x.password')",
        "setconfig(b'auth', b'x.password', b'%s' % pw)",
    ] {
        assert_eq!(found(text), [""; 0], "{text}");
    }
}

#[test]
fn sections_of_a_file_are_read() {
    let text = "[ui]\na = b\n[auth]\nx.prefix = h\nx.password = a b\n\
                [web]\nx.password2 = c\n";
    let mut found = Vec::new();
    find_in_sections(text.as_bytes(), &mut found);
    let found: Vec<_> =
        found.into_iter().map(|found| &text[found.range]).collect();
    assert_eq!(found, ["a b"]);
}
