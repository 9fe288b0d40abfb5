//! Tests of [`super`].

use super::answer::blot;
use super::token::token;

#[test]
fn what_editors_and_people_add_is_no_part_of_a_token() {
    for text in [
        "tok",
        "tok\n",
        "  tok",
        "\t tok \r\n",
        "\n\ntok\n\n",
        "\u{feff}tok",
        "\u{feff}  tok",
        "Bearer tok",
        " bearer   tok\n",
        "BEARER\ttok",
    ] {
        assert_eq!(token(text), "tok", "{text:?}");
    }
    for text in ["", " \n", "\u{feff}", "Bearer", "bearer \n"] {
        assert_eq!(token(text), "", "{text:?}");
    }
    for text in ["bearertok", "éééééé", "a b"] {
        assert_eq!(token(text), text);
    }
}

#[test]
fn what_was_sent_as_a_header_is_not_shown_again() {
    let mut text = b"you sent Bearer s3cret, and s3cret again".to_vec();
    blot(&mut text, b"Bearer s3cret");
    let shown = String::from_utf8_lossy(&text);
    assert_eq!(shown, "you sent Bearer ******, and ****** again");
    let mut text = b"a b 1".to_vec();
    blot(&mut text, b"1");
    assert_eq!(text, b"a b 1");
}
