//! What redacting costs a short command, for `valgrind --tool=callgrind`:
//! a redactor is made, and redacts the events of `hg log` as often as the
//! argument says. With 0, 1 and 101 the differences are what the first
//! time and any other take.

use std::env;
use std::hint::black_box;

use uilog_redact::Policy;
use uilog_redact::Redactor;

const EVENTS: [(&[u8], &[u8]); 2] = [
    (b"command", b"log -r 'draft()' -l 5\n"),
    (
        b"commandfinish",
        b"log -r 'draft()' -l 5 exited 0 after 0.11 seconds\n",
    ),
];

fn main() {
    let times = env::args().nth(1).and_then(|times| times.parse().ok());
    let redactor = Redactor::new(&Policy::default());
    for _ in 0..times.unwrap_or(1) {
        for (event, message) in EVENTS {
            black_box(redactor.redact_message(event, message));
        }
        black_box(redactor.redact_option(b"return_code", b"0"));
    }
}
