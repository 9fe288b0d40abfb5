//! What sinks that leave the machine receive.

use uilog_channel::wire;
use uilog_channel::wire::Program;
use uilog_event::event::Value;
use uilog_event::events::KNOWN;
use uilog_sinks::compose::Composer;
use uilog_sinks::record::Record;

use crate::events;

const REMOTE: [&str; 3] =
    ["otlp:http://h:4318", "syslog+tcp://h", "syslog+tls://h"];
const LOCAL: [&str; 4] = ["file:/x", "unix:/x", "unix-dgram:/x", "syslog:"];

fn composed(
    url: &str,
    options: &[(&str, &str)],
    event: &wire::RecordFrame<'_>,
) -> Record {
    let mut definition = events::definition(options);
    definition.url = url.as_bytes().to_vec();
    let composer = Composer::new(&definition, &events::globals());
    let composer = composer.expect("options are good");
    composer.compose(event, b"").expect("all is wanted")
}

fn remote(event: &wire::RecordFrame<'_>) -> Record {
    composed(REMOTE[0], &[], event)
}

#[test]
fn the_default_depends_on_where_a_sink_leads() {
    let line = "ci -u joe -m 'it works' a.c";
    let event = events::event("command", line.as_bytes());
    for url in REMOTE {
        let record = composed(url, &[], &event);
        let told = "commit --user=<user> --message=<message> a.c";
        assert_eq!(record.message, told, "{url}");
        assert_eq!(record.process.command_line.as_deref(), Some(told));
        let record = composed(url, &[("argv", "redacted")], &event);
        assert_eq!(record.message, "ci -u joe -m <redacted:message> a.c");
        let record = composed(url, &[("redact", "no")], &event);
        assert_eq!(record.message, line);
        let options = [("redact", "no"), ("argv", "structure")];
        assert_eq!(composed(url, &options, &event).message, told);
    }
    for url in LOCAL {
        let record = composed(url, &[], &event);
        assert_eq!(record.message, "ci -u joe -m <redacted:message> a.c");
        let record = composed(url, &[("argv", "structure")], &event);
        assert!(record.message.contains("--message=<message>"), "{url}");
    }
}

#[test]
fn a_foreign_program_is_counted() {
    let line = "mysql -uroot -phunter2 exited 1 after 0.10 seconds\n";
    let mut event = events::finished(line, "./bin/mysql", "1");
    event.program = Some(Program {
        path: events::text(b"/usr/bin/mysql"),
        is_mercurial: false,
    });
    let record = remote(&event);
    assert_eq!(
        record.message,
        "mysql <arguments:2> exited 1 after 0.10 seconds"
    );
    assert_eq!(
        record.process.command_line.as_deref(),
        Some("mysql <arguments:2>")
    );
    assert_eq!(record.process.command.as_deref(), Some("./bin/mysql"));
    assert_eq!(record.process.program.as_deref(), Some("mysql"));
}

#[test]
fn a_hook_is_counted() {
    let text = b"exthook-commit.x: curl -u a:hunter2 h finished in 0.50 \
        seconds\n";
    let record = remote(&events::event("exthook", text));
    let hook = record.hook.expect("it is one");
    assert_eq!(hook.name, "commit.x");
    assert_eq!(hook.command, "curl <arguments:3>");
    assert_eq!(
        record.message,
        "exthook-commit.x: curl <arguments:3> finished in 0.50 seconds"
    );
}

#[test]
fn each_known_event_keeps_its_message() {
    for known in KNOWN {
        let event = events::known(known);
        let mut told = remote(&event);
        let mut local = composed(LOCAL[0], &[], &event);
        for free in ["exception_message", "exception_stacktrace"] {
            let both = [told.options.remove(free), local.options.remove(free)];
            assert_eq!(both[0].is_some(), both[1].is_some(), "{free}");
        }
        assert_eq!(told.options, local.options, "{}", known.name);
        assert_eq!(told.duration, local.duration, "{}", known.name);
        assert_eq!(told.counts, local.counts, "{}", known.name);
        assert_eq!(told.blocked, local.blocked, "{}", known.name);
        // These are free text, or have some of it.
        let is_free = [
            "chgserver",
            "cmdserver",
            "commandexception",
            "debug",
            "develwarn",
            "fsmonitor",
            "lockbroken",
            "lockwait",
            "peerclose",
            "profile",
        ];
        if !is_free.contains(&known.name) {
            assert_eq!(told.message, local.message, "{}", known.name);
        }
    }
}

/// Whatever an event of Mercurial's is made to say.
#[test]
fn no_event_tells_what_is_not_harmless() {
    const SECRET: &str = "Tr0ub4dor&3 hunter2!";
    for known in KNOWN {
        let beginning = known.message.trim_end();
        for message in [
            SECRET.to_owned(),
            format!("{beginning}{SECRET}"),
            format!("{SECRET}{beginning}"),
            format!("{beginning} '{SECRET}'"),
            known.message.replace("sample", SECRET),
            known
                .message
                .replace("status", &format!("ci -m '{SECRET}'")),
            known.message.replace("true", &format!("true '{SECRET}'")),
        ] {
            let mut event = events::known(known);
            event.event.message = message.clone().into_bytes().into();
            let text = || Value::Bytes(events::text(SECRET.as_bytes()));
            event.event.options.extend([
                events::option("canonical_command", text()),
                events::option("arguments", text()),
                events::option("url", text()),
                events::option("detail", text()),
                events::option(SECRET, Value::Bool(true)),
                events::option(
                    "exthook-Tr0ub4dor&3 hunter2!_blocked",
                    Value::Float(events::text(b"1")),
                ),
            ]);
            let record = remote(&event);
            let line = serde_json::to_string(&record).expect("it is one");
            for part in ["Tr0ub4dor", "hunter2"] {
                assert!(!line.contains(part), "{message}: {line}");
            }
        }
    }
}

#[test]
fn what_others_log_is_redacted() {
    let mut event = events::event("deploy", b"to https://u:hunter2@h/ by me");
    event.event.options = vec![
        events::option("argv", Value::Bytes(events::text(b"curl -u a:b"))),
        events::option("host", Value::Bytes(events::text(b"web 1"))),
    ];
    let record = remote(&event);
    let told = "to https://u:<redacted:url-password>@h/ by me";
    assert_eq!(record.message, told);
    let options = serde_json::json!({
        "argv": "curl <arguments:2>", "host": "web 1",
    });
    assert_eq!(serde_json::Value::from(record.options), options);
}

#[test]
fn half_a_word_does_not_stay() {
    // The end of what is looked at lies in any part of the last word.
    for (last, part) in [
        ("https://joe:hunter2@host/", "joe"),
        ("'https://joe:hun ter2@host/'", "joe"),
        ("'first second'", "first"),
    ] {
        for len in (131_030..131_075).step_by(2) {
            let before = "x".repeat(len);
            let line = format!("add {before} {last} {before}");
            let event = events::event("command", line.as_bytes());
            let record = remote(&event);
            let message = &record.message;
            assert!(!message.contains(part), "{message}");
            assert!(message.starts_with("add"), "{message}");
            assert_eq!(record.truncated["message"], line.len());
        }
    }
}
