//! How long it takes to compose a record of an event, and to write it as JSON.
//!
//! `cargo run --release -p uilog-sinks --example compose`

use std::borrow::Cow;
use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::sink_config::SinkConfig;
use uilog_channel::wire;
use uilog_event::event::Event;
use uilog_event::event::EventOption;
use uilog_event::event::SCHEMA;
use uilog_event::event::SessionId;
use uilog_event::event::Text;
use uilog_event::event::Timestamp;
use uilog_event::event::Trace;
use uilog_event::event::Usage;
use uilog_event::event::Value;
use uilog_sinks::compose::Composer;
use uilog_sinks::globals::Globals;

const RUNS: usize = 15;
const RECORDS: u32 = 2_000;

fn text(text: &str) -> Text<'_> {
    Text(Cow::Borrowed(text.as_bytes()))
}

fn option<'e>(key: &'e str, value: Value<'e>) -> EventOption<'e> {
    EventOption {
        key: Cow::Borrowed(key.as_bytes()),
        value,
    }
}

/// The end of a command, as hg logs it.
fn finished<'e>(message: &'e str, command: &'e str) -> wire::RecordFrame<'e> {
    wire::RecordFrame {
        event: Event {
            schema: SCHEMA,
            session: SessionId(0xabc),
            parent: None,
            seq: 2,
            name: Cow::Borrowed(b"commandfinish"),
            time: Timestamp {
                micros: 1_700_000_000_000_001,
                offset: 0,
            },
            duration: Some(1.25),
            pid: 42,
            user: Some(text("joe")),
            uid: 1000,
            root: Some(text("/home/joe/work")),
            message: Cow::Borrowed(message.as_bytes()),
            options: vec![
                option("return_code", Value::Int(text("0"))),
                option("duration", Value::Float(text("1.2512345678"))),
                option("canonical_command", Value::Bytes(text(command))),
            ],
            lost: 0,
            trace: Some(Trace {
                id: u128::MAX,
                span: 2,
                parent: 3,
                flags: 1,
            }),
            ends_span: true,
            usage: Some(Usage {
                peak_memory_bytes: 61_865_984,
                user_cpu_micros: 820_000,
                system_cpu_micros: 110_000,
            }),
        },
        environment_at: 0,
        items_at: 0,
        cwd: Some(text("/home/joe/work")),
        hg: Cow::Borrowed(b"/usr/bin/hg"),
        hg_version: Some(text("7.2.4")),
        program: None,
        trace_state: None,
        repository: wire::Repository::default(),
    }
}

/// The fastest of some runs: what else the machine does only adds to it.
fn time(mut work: impl FnMut()) -> Duration {
    let times = (0..RUNS).map(|_| {
        let start = Instant::now();
        for _ in 0..RECORDS {
            work();
        }
        start.elapsed() / RECORDS
    });
    times.min().unwrap_or_default()
}

fn main() {
    let globals = Globals::new(&[], b"HOME=/home/joe\0");
    let composer = |options: &[(&str, &str)]| {
        let options = options.iter().map(|(name, value)| {
            (name.as_bytes().into(), value.as_bytes().into())
        });
        let definition = SinkConfig {
            name: "fleet".to_owned(),
            url: b"file:/nowhere".to_vec(),
            options: options.collect(),
        };
        Composer::new(&definition, &globals).expect("the options are good")
    };
    let harmless =
        finished("status -mard src exited 0 after 1.25 seconds\n", "status");
    let commit = finished(
        "commit -m 'it works now' src/a.c exited 0 after 1.25 seconds\n",
        "commit",
    );
    let secret = finished(
        "pull https://ci:hunter2@hg.example/main exited 0 after 1.25 seconds\n",
        "pull",
    );
    let start = Instant::now();
    black_box(composer(&[]));
    println!("a composer: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    println!("µs for a record    compose   JSON  bytes");
    for (name, options, event) in [
        ("hg status", &[][..], &harmless),
        ("hg commit -m", &[], &commit),
        ("hg pull, a secret", &[], &secret),
        ("argv = none", &[("argv", "none")], &commit),
        ("redact = no", &[("redact", "no")], &commit),
        ("sample = 0: dropped", &[("sample", "0")], &commit),
    ] {
        let composer = composer(options);
        let composed = time(|| {
            black_box(composer.compose(black_box(event), b""));
        });
        let (written, bytes) = match composer.compose(event, b"") {
            None => (Duration::ZERO, 0),
            Some(record) => {
                let json = || serde_json::to_vec(&record).expect("it is text");
                let bytes = json().len();
                let written = time(|| {
                    black_box(json());
                });
                (written, bytes)
            }
        };
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let (composed, written) = (micros(composed), micros(written));
        println!("{name:20} {composed:5.2}  {written:5.2}  {bytes:5}");
    }
}
