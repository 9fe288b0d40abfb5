//! Properties for any bytes: texts of parts with a meaning for the redactor,
//! and of others.

#[path = "support/lines.rs"]
mod lines;

use std::sync::OnceLock;

use proptest::collection::vec;
use proptest::prelude::*;
use uilog_redact::ArgvPolicy;
use uilog_redact::Key;
use uilog_redact::MAX_ADDED_BYTES;
use uilog_redact::MAX_GROWTH;
use uilog_redact::Policy;
use uilog_redact::Redactor;
use uilog_redact::UserPolicy;
use uilog_redact::arguments;

use crate::lines::line_of;

/// What finders look for, and what may confuse them.
const PIECES: &[&str] = &[
    "://",
    "https://",
    "@",
    ":",
    "/",
    "?",
    "&",
    "#",
    "=",
    "%3A%2F%2F",
    "%40",
    "%3a",
    ":\\/\\/",
    "token=",
    "password",
    "PASSWORD=",
    "--password ",
    "pass",
    "secret: ",
    "api_key\": \"",
    "auth.x.password=",
    "--config=",
    " --config ",
    "hostsecurity.a",
    " = ",
    "hg ",
    "$HG ",
    "commit -m ",
    "commit",
    "log -m ",
    "-m",
    "-u ",
    "-Am",
    "--message=",
    "--user ",
    "--",
    "'",
    "\"",
    "`",
    "\\",
    "'\\''",
    "\\\"",
    " ",
    "\n",
    "\r\n",
    "\t",
    "\0",
    ";",
    "|",
    "(",
    ")",
    "$(",
    "${",
    "}",
    "<",
    ">",
    "<redacted:",
    "<redacted:secret>",
    "<user:",
    "<user:0123456789abcdef>",
    "redacted",
    "a",
    "x",
    "x1",
    "FAKE0123",
    "-----BEGIN ",
    "PRIVATE KEY-----",
    "-----END ",
    "Authorization: Basic ",
    "authorization",
    "Bearer ",
    "Cookie: a=",
    "curl -u ",
    "ghp_FAKEFAKEFAKEFAKEFAKEFAKE",
    "AKIAFAKEFAKEFAKEFAKE",
    "eyJFAKEFAKE.eyJFAKE.",
    "sk-ant-",
    "machine h login u password ",
    " exited 0 after 0.10 seconds",
    "  File \"x.py\", line 1\n",
    "' expands to '",
    ",",
    ".",
    "\u{e9}",
];

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => proptest::sample::select(PIECES)
            .prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..8),
    ];
    vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn event() -> impl Strategy<Value = &'static [u8]> {
    proptest::sample::select(vec![
        &b"command"[..],
        b"commandfinish",
        b"commandalias",
        b"exthook",
    ])
}

/// Redactors of all policies: making one takes longer than using it.
fn redactors() -> &'static [(ArgvPolicy, Redactor)] {
    static REDACTORS: OnceLock<Vec<(ArgvPolicy, Redactor)>> = OnceLock::new();
    REDACTORS.get_or_init(|| {
        let key = Key::new(b"a key of the tests").expect("long enough");
        let mut redactors = Vec::new();
        for user in [UserPolicy::Keep, UserPolicy::Hash(key)] {
            for argv in [
                ArgvPolicy::Redacted,
                ArgvPolicy::None,
                ArgvPolicy::Canonical,
                ArgvPolicy::Structure,
                ArgvPolicy::Full,
            ] {
                let policy = Policy {
                    argv,
                    user: user.clone(),
                    config_items: vec![b"a*.x*".to_vec()],
                };
                redactors.push((argv, Redactor::new(&policy)));
            }
        }
        redactors
    })
}

/// Mostly those that leave the most.
fn redactor() -> impl Strategy<Value = &'static (ArgvPolicy, Redactor)> {
    prop_oneof![
        2 => (0..redactors().len()).prop_map(|at| &redactors()[at]),
        1 => Just(&redactors()[0]),
        1 => Just(&redactors()[5]),
    ]
}

fn default() -> &'static Redactor {
    static DEFAULT: OnceLock<Redactor> = OnceLock::new();
    DEFAULT.get_or_init(|| Redactor::new(&Policy::default()))
}

/// Whether all of the text's bytes outside the places are in the result, in
/// their order, with something short in between.
fn is_kept(
    text: &[u8],
    redacted: &[u8],
    places: &[uilog_redact::RedactedRange],
) -> bool {
    let mut at = 0;
    let mut rest = redacted;
    for place in places {
        let Some(after) = rest.strip_prefix(&text[at..place.range.start])
        else {
            return false;
        };
        let Some(marker) = after.iter().position(|byte| *byte == b'>') else {
            return false;
        };
        let marker = &after[..=marker];
        if !marker.starts_with(b"<redacted:") && !marker.starts_with(b"<user:")
        {
            return false;
        }
        rest = &after[marker.len()..];
        at = place.range.end;
    }
    rest == &text[at..]
}

/// The arguments of a command, each by itself.
fn redacted<A: AsRef<[u8]>>(redactor: &Redactor, words: &[A]) -> Vec<Vec<u8>> {
    arguments(&redactor.redact_arguments(&line_of(words)).text)
}

/// The password goes, and what stands behind it stays.
#[track_caller]
fn assert_password_goes(user: &str, password: &str) {
    let url = format!("https://{user}:{password}@hg.example/r");
    let told = redacted(default(), &["clone", &url]);
    let wanted = format!("https://{user}:<redacted:url-password>@hg.example/r");
    assert_eq!(told, [b"clone".to_vec(), wanted.into_bytes()], "{password}");
}

#[test]
fn a_password_goes_that_looks_like_something_else() {
    for password in [
        "pW:a0",
        "key=b1",
        "token:c2",
        "pwd=;d3",
        "x&secret=e4",
        "--password f5",
        "-p g6",
        "Authorization: h7",
        "$pw i8",
    ] {
        assert_password_goes("a", password);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn redacting_twice_is_redacting_once(
        (_, redactor) in redactor(),
        event in event(),
        text in text(),
    ) {
        let once = redactor.redact_message(event, &text);
        let twice = redactor.redact_message(event, &once.text);
        prop_assert_eq!(&twice.text, &once.text);
        prop_assert_eq!(twice.places, vec![]);
        let once = redactor.redact_url(&text).text;
        let twice = redactor.redact_url(&once).text;
        prop_assert_eq!(&twice, &once);
    }

    #[test]
    fn what_is_no_secret_stays(event in event(), text in text()) {
        let redacted = default().redact_message(event, &text);
        prop_assert!(
            is_kept(&text, &redacted.text, &redacted.places),
            "{:?}",
            redacted
        );
    }

    #[test]
    fn little_is_added(
        (_, redactor) in redactor(),
        event in event(),
        text in text(),
    ) {
        let redacted = redactor.redact_message(event, &text).text;
        prop_assert!(
            redacted.len() <= text.len() * MAX_GROWTH + MAX_ADDED_BYTES
        );
    }

    #[test]
    fn a_line_is_split_into_its_arguments(words: Vec<Vec<u8>>) {
        prop_assert_eq!(arguments(&line_of(&words)), words);
    }

    #[test]
    fn a_command_line_is_redacted_once(
        (_, redactor) in redactor(),
        words in vec(text(), 0..6),
    ) {
        let line = line_of(&words);
        let once = redactor.redact_arguments(&line).text;
        let twice = redactor.redact_arguments(&once);
        prop_assert_eq!(&twice.text, &once);
        prop_assert_eq!(twice.places, vec![]);
        let once = redactor.redact_program(&line).text;
        let twice = redactor.redact_program(&once);
        prop_assert_eq!(&twice.text, &once);
        prop_assert_eq!(twice.places, vec![]);
    }

    #[test]
    fn a_password_goes_whatever_it_is(
        // Not one character over and over, which stands for a password.
        password in "[a-zA-Z0-9!@#$%^&*()+,.:;'\"?<> -]{0,20}[a-z][0-9]",
        user in "[a-z]{1,8}",
    ) {
        assert_password_goes(&user, &password);
    }

    #[test]
    fn a_message_goes_whatever_it_is(message: Vec<u8>, glued: bool) {
        prop_assume!(!message.is_empty());
        let marker = b"<redacted:message>".to_vec();
        let (arguments, wanted) = if glued {
            (
                vec![b"ci".to_vec(), [&b"-m"[..], &message].concat()],
                vec![b"ci".to_vec(), [&b"-m"[..], &marker].concat()],
            )
        } else {
            (
                vec![b"ci".to_vec(), b"-m".to_vec(), message],
                vec![b"ci".to_vec(), b"-m".to_vec(), marker],
            )
        };
        prop_assert_eq!(redacted(default(), &arguments), wanted);
    }
}
