//! The effects of a sink's options on records.

use std::fs;

use uilog_event::event::Value;
use uilog_sinks::compose::Composer;

use crate::events;
use crate::events::compose;
use crate::events::composer;

const COMMIT: &str =
    "-R x ci -u joe -m 'it works' a.c exited 0 after 1.25 seconds\n";

fn command_line(options: &[(&str, &str)]) -> String {
    let event = events::finished(COMMIT, "commit", "0");
    let record = compose(options, &event);
    let line = record.process.command_line.expect("a command has one");
    let message = format!("{line} exited 0 after 1.25 seconds");
    assert_eq!(record.message, message);
    // Of `command`, the message is the same without its end.
    let (begun, _) = COMMIT.split_once(" exited").expect("it has exited");
    let record = compose(options, &events::event("command", begun.as_bytes()));
    assert_eq!(record.message, line);
    assert_eq!(record.process.command_line.as_deref(), Some(&*line));
    line
}

#[test]
fn argv_says_how_much_of_a_command_is_told() {
    let line = |argv| command_line(&[("argv", argv)]);
    assert_eq!(line("none"), "<redacted:argv>");
    assert_eq!(
        line("canonical"),
        "commit --repository=<redacted:argument> \
         --user=<redacted:argument> --message=<redacted:argument>"
    );
    assert_eq!(line("redacted"), "-R x ci -u joe -m <redacted:message> a.c");
    assert_eq!(command_line(&[]), line("redacted"));
    assert_eq!(line("full"), "-R x ci -u joe -m 'it works' a.c");
}

#[test]
fn an_argument_may_look_like_an_end() {
    let text = b"x exited -m secret seconds\n";
    for argv in ["none", "canonical", "redacted"] {
        let event = events::event("command", text);
        let record = compose(&[("argv", argv)], &event);
        let line = events::line(&record);
        assert!(!line.contains("secret"), "{argv}: {line}");
    }
}

#[test]
fn without_redaction_secrets_stay() {
    let options = [("redact", "no")];
    assert_eq!(command_line(&options), "-R x ci -u joe -m 'it works' a.c");
    let event = events::event("mine", b"password=hunter2");
    assert_eq!(compose(&options, &event).message, "password=hunter2");
    let redacted = compose(&[], &event).message;
    assert_eq!(redacted, "password=<redacted:secret>");
    // What is said of command lines counts nevertheless.
    let options = [("redact", "no"), ("argv", "none")];
    assert_eq!(command_line(&options), "<redacted:argv>");
}

#[test]
fn items_are_redacted_that_the_configuration_names() {
    let event = events::event("command", b"--config corp.x=y status");
    let record = compose(&[], &event);
    assert_eq!(
        record.message,
        "--config corp.x=<redacted:config-value> status"
    );
}

#[test]
fn options_have_types_and_no_secrets() {
    let text = |text: &'static str| events::text(text.as_bytes());
    let mut event = events::event("mine", b"x");
    event.event.options = vec![
        events::option("int", Value::Int(text("-5"))),
        events::option("long", Value::Int(text("18446744073709551615"))),
        events::option("longer", Value::Int(text("18446744073709551616"))),
        events::option("float", Value::Float(text("1e-07"))),
        events::option("odd", Value::Float(text("nan"))),
        events::option("none", Value::Null),
        events::option("yes", Value::Bool(true)),
        events::option("bytes", Value::Bytes(events::text(b"a\xff"))),
        events::option("token", Value::Int(text("1234"))),
        events::option("url", Value::Str(text("https://a:b@c/d"))),
        events::option("again", Value::Str(text("1"))),
        events::option("again", Value::Str(text("2"))),
    ];
    let record = compose(&[], &event);
    let expected = serde_json::json!({
        "int": -5,
        "long": u64::MAX,
        "longer": "18446744073709551616",
        "float": 1e-7,
        "odd": "nan",
        "none": null,
        "yes": true,
        "bytes": "a\u{fffd}",
        "token": "<redacted:secret>",
        "url": "https://a:<redacted:url-password>@c/d",
        "again": "1",
        "again_2": "2",
    });
    assert_eq!(serde_json::Value::from(record.options), expected);
    let raw = serde_json::json!({"options": {"bytes": "Yf8="}});
    assert_eq!(serde_json::Value::from(record.base64), raw);
}

#[test]
fn users_are_hashed_with_a_key() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("key");
    fs::write(&path, "0123456789abcdef\n").expect("a file");
    let key = path.display().to_string();
    let options = [("user", "hash"), ("user-key-file", key.as_str())];
    // The hash of joe; docs/privacy.md says how to compute it.
    const JOE: &str = "<user:7adcb1a49d1a5e30>";
    let record = compose(&options, &events::finished(COMMIT, "commit", "0"));
    assert_eq!(record.process.user.as_deref(), Some(JOE));
    assert_eq!(record.process.uid, None);
    assert!(record.message.starts_with(&format!("-R x ci -u {JOE} ")));
    let options = [&options[..], &[("redact", "no")]].concat();
    let record = compose(&options, &events::finished(COMMIT, "commit", "0"));
    assert_eq!(record.process.user.as_deref(), Some(JOE));
    let record = compose(&[], &events::event("mine", b"x"));
    assert_eq!(record.process.user.as_deref(), Some("joe"));
    assert_eq!(record.process.uid, Some(1000));
}

/// Why there is no composer.
fn refused(options: &[(&str, &str)]) -> String {
    let definition = events::definition(options);
    let composer = Composer::new(&definition, &events::globals());
    composer.err().unwrap_or_default()
}

#[test]
fn without_a_key_nothing_is_told() {
    assert_eq!(
        refused(&[("user", "hash")]),
        "uilog.sink.fleet:user: 'hash' needs a key: \
         uilog.sink.fleet:user-key-file is not set"
    );
    let dir = tempfile::tempdir().expect("a directory");
    let with =
        |path: &str| refused(&[("user", "hash"), ("user-key-file", path)]);
    const NAME: &str = "uilog.sink.fleet:user-key-file";
    assert_eq!(
        with("/nowhere/key"),
        format!(
            "{NAME}: cannot read '/nowhere/key': No such file or directory \
             (os error 2)"
        )
    );
    assert_eq!(
        with("key"),
        format!("{NAME}: 'key' is not an absolute path")
    );
    let here = dir.path().display().to_string();
    assert_eq!(
        with(&here),
        format!(
            "{NAME}: cannot read '{here}': it is a directory, not a regular \
             file"
        )
    );
    let path = dir.path().join("key");
    let key = path.display().to_string();
    fs::write(&path, "0123456789abcde\n").expect("a file");
    assert_eq!(
        with(&key),
        format!(
            "{NAME}: '{key}': a key to hash names with has at least 16 bytes"
        )
    );
    fs::write(&path, vec![b'x'; 1 << 20]).expect("a file");
    assert_eq!(
        with(&key),
        format!("{NAME}: cannot read '{key}': it is longer than 65536 bytes")
    );
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a FIFO");
    let fifo = fifo.display().to_string();
    assert_eq!(
        with(&fifo),
        format!(
            "{NAME}: cannot read '{fifo}': it is a named pipe, not a \
             regular file"
        )
    );
}

#[test]
fn what_makes_no_sense_tells_nothing_rather_than_too_much() {
    for (option, value) in
        [("user", "hahs"), ("argv", "nome"), ("redact", "jein")]
    {
        let told = refused(&[(option, value)]);
        let expected = format!("uilog.sink.fleet:{option}: '{value}' is not ");
        assert!(told.starts_with(&expected), "{told}");
    }
    assert_eq!(refused(&[("sample", "2")]), "");
}

#[test]
fn a_sink_gets_what_it_tracks() {
    let is_told = |options: &[(&str, &str)], name| {
        let event = events::event(name, b"x");
        composer(options).compose(&event, b"").is_some()
    };
    let options = [("track", "commandfinish, exthook")];
    assert!(is_told(&options, "exthook"));
    assert!(!is_told(&options, "command"));
    assert!(!is_told(&[("ignore", "command")], "command"));
    assert!(is_told(&[("ignore", "command")], "exthook"));
}

#[test]
fn a_part_of_all_traces_is_kept_and_failures_if_wanted() {
    let kept = |options: &[(&str, &str)], trace: u128, code, command| {
        let mut event = events::finished(COMMIT, command, code);
        if let Some(place) = &mut event.event.trace {
            place.id = trace;
        }
        let record = composer(options).compose(&event, b"")?;
        Some((record.sample_rate, record.trace_state))
    };
    let sample = [("sample", "0.25")];
    let told = Some((Some(0.25), Some("ot=th:c".to_owned())));
    assert_eq!(kept(&sample, u128::MAX, "0", "log"), told);
    assert_eq!(kept(&sample, 1, "0", "log"), None);
    assert_eq!(kept(&sample, 1, "255", "log"), None);
    assert_eq!(kept(&[], 1, "255", "log"), Some((None, None)));
    let always = [("sample", "0.25"), ("sample-failures", "always")];
    let exact = Some((Some(1.0), Some("ot=th:0".to_owned())));
    assert_eq!(kept(&always, 1, "0", "log"), None);
    assert_eq!(kept(&always, 1, "255", "log"), exact);
    assert_eq!(kept(&always, u128::MAX, "255", "log"), exact);
    // Nothing has come in, which is no failure.
    assert_eq!(kept(&always, 1, "1", "incoming"), None);
    assert_eq!(kept(&always, 1, "1", "update"), exact);
    assert_eq!(kept(&always, 1, "255", "incoming"), exact);
    let mut event = events::event("commandexception", b"x");
    if let Some(place) = &mut event.event.trace {
        place.id = 1;
    }
    assert!(composer(&always).compose(&event, b"").is_some());
    assert!(composer(&sample).compose(&event, b"").is_none());
}

#[test]
fn what_vendors_say_of_a_trace_is_kept() {
    let told = |options: &[(&str, &str)], state: &'static str| {
        let mut event = events::finished(COMMIT, "log", "0");
        if let Some(place) = &mut event.event.trace {
            place.id = u128::MAX;
        }
        event.trace_state = Some(events::text(state.as_bytes()));
        composer(options).compose(&event, b"").unwrap().trace_state
    };
    let sample = [("sample", "0.25")];
    let state = "a=b;c:d,ot=th:8;p:1,e@f=g";
    let expected = Some("ot=th:c;p:1,a=b;c:d,e@f=g");
    assert_eq!(told(&sample, state).as_deref(), expected);
    let expected = Some("ot=th:0;p:1,a=b;c:d,e@f=g");
    assert_eq!(told(&[], state).as_deref(), expected);
    assert_eq!(told(&[], "nonsense"), None);
    // A secret is none of a vendor's business.
    let token = "a=b,c=ghp_0123456789abcdefghijABCDEFGHIJ012345";
    assert_eq!(told(&[], token).as_deref(), Some("a=b"));
}

#[test]
fn where_a_repository_comes_from_is_told_without_credentials() {
    let told = |url: Option<&'static str>| {
        let mut event = events::finished(COMMIT, "log", "0");
        event.repository.url = url.map(|url| events::text(url.as_bytes()));
        let record = compose(&[("argv", "structure")], &event);
        record.repository.unwrap()
    };
    let full = told(Some("https://joe:hunter2@hg.example/a/main?token=x"));
    assert_eq!(full.url.as_deref(), Some("https://hg.example/a/main"));
    assert_eq!(full.head_name.as_deref(), Some("default"));
    let revision = "00112233445566778899aabbccddeeff00112233";
    assert_eq!(full.head_revision.as_deref(), Some(revision));
    assert_eq!(full.name, "work");
    assert_eq!(told(Some("/srv/hg/main")).url, None);
    assert_eq!(told(None).url, None);
}

#[test]
fn a_ci_systems_run_is_told_without_secrets() {
    let composer = composer(&[]);
    let told = |environment: &str| {
        let event = events::event("command", b"x");
        let record = composer.compose(&event, environment.as_bytes());
        record.unwrap().cicd
    };
    let gitlab = "GITLAB_CI=true\0CI_PIPELINE_ID=7\0CI_JOB_TOKEN=secret\0\
        CI_PIPELINE_NAME=deploy glpat-0123456789abcdefghij\0\
        CI_PIPELINE_URL=https://a:b@gitlab.example/g/p/-/pipelines/7\0";
    let cicd = told(gitlab).unwrap();
    assert_eq!(cicd.run_id.as_deref(), Some("7"));
    let url = "https://gitlab.example/g/p/-/pipelines/7";
    assert_eq!(cicd.run_url.as_deref(), Some(url));
    assert_eq!(cicd.task_name, None);
    let name = cicd.pipeline_name.as_deref().unwrap();
    assert!(name.starts_with("deploy <redacted:"), "{name}");
    assert_eq!(told("CI=true\0BUILD_ID=7\0"), None);
    // Each environment tells of its own, however often it is asked.
    for _ in 0..2 {
        assert_eq!(told(gitlab).as_ref(), Some(&cicd));
    }
}

#[test]
fn what_is_too_long_is_cut_and_says_so() {
    let long = "word ".repeat(2_000_000);
    let mut event = events::event("mine", long.as_bytes());
    let options: Vec<_> = (0..40).map(|it| format!("option{it}")).collect();
    event.event.options = options
        .iter()
        .map(|key| {
            events::option(key, Value::Str(events::text(long.as_bytes())))
        })
        .collect();
    let record = compose(&[], &event);
    assert_eq!(record.truncated["message"], long.len());
    assert_eq!(record.truncated["options"]["option0"], long.len());
    assert!(record.message.starts_with("word word"));
    assert!(long.starts_with(&record.message));
    let line = events::line(&record);
    assert!(line.len() <= 512 * 1024, "{}", line.len());
    let names = record.options.len() as u64 + record.options_left_out;
    assert_eq!(names, 40);
}

#[test]
fn a_long_command_line_keeps_its_end() {
    let words = "file.c ".repeat(50_000);
    let text = format!("add {words}x exited 0 after 1.25 seconds\n");
    let record = compose(&[], &events::finished(&text, "add", "0"));
    assert!(record.message.ends_with(" exited 0 after 1.25 seconds"));
    assert_eq!(record.truncated["message"], text.len() - 1);
    assert_eq!(record.process.exit_code, Some(0));
}
