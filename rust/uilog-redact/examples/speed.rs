//! How long redacting takes: the corpus of the tests, long texts, and texts
//! made to take long, each at two lengths to show that time is linear.
//!
//! `cargo run --release -p uilog-redact --example speed`

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use uilog_redact::Policy;
use uilog_redact::Redactor;

const RUNS: usize = 15;
const LONG_BYTES: usize = 1 << 20;

/// What could be quadratic, were it done carelessly.
const NASTY: [&str; 18] = [
    "hg ",
    "hg 'x ",
    "hg commit -m \"",
    "https://",
    "https://a:b",
    "x%3A%2F%2Fa%3Ab",
    "?key=",
    "cmd=?key=",
    "password=",
    "token: \"",
    "TOKEN=$(",
    "\\\"password\\\": \\\"",
    "auth.x.password=\"",
    "-----BEGIN RSA PRIVATE KEY-----",
    "curl -u ",
    "authorization: basic ",
    "eyJaaaaaaaaaa.",
    "<redacted:",
];

/// The fastest of some runs: what else the machine does only adds to it.
fn time(mut work: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[0]
}

fn corpus(name: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(name);
    fs::read_to_string(path)
        .expect("the corpus is here")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('\t'))
        .map(|(event, text)| (event.into(), text.replace("{+}", "").into()))
        .collect()
}

fn rate(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64() / 1e6
}

fn main() {
    let made = time(|| {
        black_box(Redactor::new(&Policy::default()));
    });
    println!("making a redactor: {:.0} µs", made.as_secs_f64() * 1e6);
    let redactor = Redactor::new(&Policy::default());
    for name in ["harmless.txt", "secrets.txt"] {
        let texts = corpus(name);
        let bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
        let time = time(|| {
            for (event, text) in &texts {
                black_box(redactor.redact_message(event, text));
            }
        });
        println!(
            "{name}: {} texts of {} bytes: {:.1} µs each, {:.1} MB/s",
            texts.len(),
            bytes / texts.len(),
            time.as_secs_f64() * 1e6 / texts.len() as f64,
            rate(bytes, time)
        );
    }
    let lines = corpus("harmless.txt");
    let words = "the quick brown fox jumps over the lazy dog 0123456789ab\n";
    let harmless: Vec<u8> =
        lines.iter().flat_map(|(_, text)| text.clone()).collect();
    for (name, text) in [
        ("prose", words.repeat((1 << 20) / words.len()).into_bytes()),
        ("harmless texts, joined", harmless.repeat(20)),
    ] {
        let time = time(|| {
            black_box(redactor.redact_text(&text));
        });
        println!("{name}: {:.0} MB/s", rate(text.len(), time));
    }
    for nasty in NASTY {
        let [half, whole] = [LONG_BYTES / 2, LONG_BYTES].map(|bytes| {
            let text = nasty.repeat(bytes / nasty.len()).into_bytes();
            time(|| {
                black_box(redactor.redact_text(&text));
            })
        });
        println!(
            "{nasty:?} over and over: {:.1} MB/s; twice as long takes {:.1} \
             times the time",
            rate(LONG_BYTES, whole),
            whole.as_secs_f64() / half.as_secs_f64()
        );
    }
}
