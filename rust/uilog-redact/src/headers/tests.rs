//! Tests of [`super`].

use super::find;
use crate::value::Scope;

fn found(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    find(text.as_bytes(), Scope::Text, &mut found);
    found.into_iter().map(|found| &text[found.range]).collect()
}

#[test]
fn the_scheme_stays_and_the_token_goes() {
    for (text, token) in [
        ("-H 'Authorization: GenieKey abc'", "abc"),
        ("-H 'Authorization:Splunk a-b c'", "a-b c"),
        ("{'Authorization': 'SSWS 00ab_c'}", "00ab_c"),
        ("('authorization', 'Bot a.b.c')", "a.b.c"),
        ("x\n> Authorization: Bearer hunter2\r\n", "hunter2"),
        ("got Authorization: Basic Zm9vOmJhcg== back", "Zm9vOmJhcg=="),
        ("-H 'Authorization: hunter2'", "hunter2"),
        ("-H 'Authorization: Token token=ab12'", "ab12"),
        ("h['Authorization'] = 'Key abcdef12'", "abcdef12"),
        (r#"{\"Authorization\": \"Key abcdef12\"}"#, "abcdef12"),
    ] {
        assert_eq!(found(text), [token], "{text}");
    }
}

#[test]
fn names_tell() {
    for (text, secret) in [
        ("-H 'PRIVATE-TOKEN:abc'", "abc"),
        ("-H \"X-Api-Key: a b\"", "a b"),
        ("-H 'apikey:ab'", "ab"),
        ("-H 'X-JFrog-Art-Api: abc'", "abc"),
        ("{'X-Foo-Secret': 'abcdef'}", "abcdef"),
        ("X-Auth-Token: abcdefgh12", "abcdefgh12"),
    ] {
        assert_eq!(found(text), [secret], "{text}");
    }
}

#[test]
fn speech_is_harmless() {
    for text in [
        "Authorization: required for https://hg.example/a1b2c3",
        "authorization: see your administrator",
        "cache-key: v1-linux-0123456789",
        "-H 'Authorization: Bearer $TOKEN'",
        "{'Authorization': 'Bearer %s' % token}",
        "-H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='",
        "--api-key",
        "the api-key: required",
    ] {
        assert_eq!(found(text), [""; 0], "{text}");
    }
}
