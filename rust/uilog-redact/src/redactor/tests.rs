//! Tests of [`super`].

use super::Redactor;
use crate::policy::ArgvPolicy;
use crate::policy::Policy;
use crate::policy::UserPolicy;
use crate::rule::user_marker;
use crate::user::Key;
use crate::user::hash_user;

fn redactor(argv: ArgvPolicy) -> Redactor {
    Redactor::new(&Policy {
        argv,
        ..Policy::default()
    })
}

fn command(argv: ArgvPolicy, line: &str) -> String {
    let told = redactor(argv).redact_command(line.as_bytes());
    String::from_utf8(told.text.into_owned()).unwrap()
}

const LINE: &str =
    "-R x ci -Am 'it'\\''s secret' file exited 0 after 0.11 seconds\n";

#[test]
fn arguments_are_told_as_the_policy_says() {
    assert_eq!(command(ArgvPolicy::Full, LINE), LINE);
    assert_eq!(
        command(ArgvPolicy::Redacted, LINE),
        "-R x ci -Am <redacted:message> file exited 0 after 0.11 \
         seconds\n"
    );
    assert_eq!(
        command(ArgvPolicy::Canonical, LINE),
        "commit --repository=<redacted:argument> --addremove \
         --message=<redacted:argument> exited 0 after 0.11 seconds\n"
    );
    assert_eq!(
        command(ArgvPolicy::None, LINE),
        "<redacted:argv> exited 0 after 0.11 seconds\n"
    );
    assert_eq!(
        command(ArgvPolicy::Canonical, "my-alias x\n"),
        "<redacted:argument>\n"
    );
}

#[test]
fn quotes_inside_a_word_hide_nothing() {
    for line in [
        "push gh''p_0123456789abcdefghijABCDEFGHIJ012345\n",
        "push g\"hp_\"0123456789abcdefghijABCDEFGHIJ012345\n",
        "push gh\\p_0123456789abcdefghijABCDEFGHIJ012345\n",
    ] {
        let told = command(ArgvPolicy::Redacted, line);
        assert!(told.starts_with("push <redacted:"), "{told}");
    }
}

#[test]
fn arguments_stay_arguments() {
    let line =
        br#"commit '-mit'\''s' '--config=auth.x.password='\''"' '' 'a b'"#;
    let told = redactor(ArgvPolicy::Redacted).redact_arguments(line);
    assert_eq!(
        crate::arguments(&told.text),
        [
            &b"commit"[..],
            b"-m<redacted:message>",
            b"--config=auth.x.password=<redacted:config-value>",
            b"",
            b"a b"
        ]
    );
}

#[test]
fn places_are_in_the_text_as_it_was() {
    let text = b"a https://bob:pw@host TOKEN=x1 b";
    let told = redactor(ArgvPolicy::Redacted).redact_text(text);
    let places: Vec<_> = told
        .places
        .into_iter()
        .map(|place| (&text[place.range], place.rule.name()))
        .collect();
    assert_eq!(places, [(&b"pw"[..], "url-password"), (b"x1", "secret")]);
}

#[test]
fn users_are_hashed_where_they_are_known_as_such() {
    let key = Key::new(b"0123456789abcdef").unwrap();
    let redactor = Redactor::new(&Policy {
        user: UserPolicy::Hash(key.clone()),
        ..Policy::default()
    });
    let hash = hash_user(&key, b"bob");
    for line in ["commit -u bob", "clone ssh://bob@host/x"] {
        let told = redactor.redact_command(line.as_bytes()).text;
        let told = String::from_utf8(told.into_owned()).unwrap();
        assert_eq!(told, line.replace("bob", &format!("<user:{hash}>")));
        let again = redactor.redact_command(told.as_bytes());
        assert_eq!(again.text, told.as_bytes());
    }
    let user = redactor.redact_user(b"bob");
    assert_eq!(*user, user_marker(&hash));
    assert_eq!(*redactor.redact_user(&user), *user);
    assert_eq!(redactor.redact_command(b"clone -u bob x").places, []);
}

#[test]
fn options_go_by_their_names() {
    let redactor = redactor(ArgvPolicy::Redacted);
    let told = |key: &[u8], value| redactor.redact_option(key, value).text;
    assert_eq!(*told(b"token", b"abc"), *b"<redacted:secret>");
    for name in [&b"authorization"[..], b"cookie", b"x_api_key"] {
        assert_eq!(*told(name, b"abc"), *b"<redacted:secret>");
    }
    assert_eq!(*told(b"token", b"<redacted:secret>"), *b"<redacted:secret>");
    assert_eq!(
        *told(b"url", b"ssh://a:b@c"),
        *b"ssh://a:<redacted:url-password>@c"
    );
    assert_eq!(*told(b"return_code", b"0"), *b"0");
}
