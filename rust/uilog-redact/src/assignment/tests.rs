//! Tests of [`super`].

use super::find;
use crate::value::Scope;

fn found(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    find(text.as_bytes(), Scope::Text, &mut found);
    found.into_iter().map(|found| &text[found.range]).collect()
}

#[test]
fn each_form_has_its_value() {
    assert_eq!(found("PASSWORD=a b"), ["a"]);
    assert_eq!(found("x --password 'a b' c"), ["a b"]);
    assert_eq!(found("x --password=a c"), ["a"]);
    assert_eq!(found(r#"{"password": "a b"}"#), ["a b"]);
    assert_eq!(found(r#"{\"password\": \"a b\"}"#), ["a b"]);
    assert_eq!(found("password = letmein\n"), ["letmein"]);
    assert_eq!(found("<password>a b</password>"), ["a b"]);
    assert_eq!(found("['--password', 'ab']"), ["ab"]);
    assert_eq!(found("f(password='ab', user='c')"), ["ab"]);
    assert_eq!(found("'x=1 PASSWORD=ab c'"), ["ab"]);
}

#[test]
fn code_and_speech_are_harmless() {
    for text in [
        "password = getpass.getpass()",
        "  File \"x.py\", line 3, in f\n    passwd = authinfo\n",
        "f(password=password, token=self.token)",
        "unexpected token: end",
        "password: required for bob",
        "hg phase --secret 0123456789ab",
        "PASSWORD=$PASSWORD",
        "if token == x",
    ] {
        assert_eq!(found(text), [""; 0], "{text}");
    }
}
