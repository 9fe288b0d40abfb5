//! The redactor's work must be linear: what the input repeats, at two lengths,
//! must not take much more time per byte.
//!
//! libFuzzer counts no instructions, so this looks for what is grossly more
//! than linear: a text 16 times as long that takes more than 64 times as long,
//! each at its fastest of three. rust/uilog-redact/src/linear.rs counts steps.
#![no_main]

use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use uilog_redact::Policy;
use uilog_redact::Redactor;

const MAX_PIECE_BYTES: usize = 32;
const BYTES: usize = 4 << 10;
const TIMES: usize = 16;
const MAX_TIMES: u32 = 64;

/// What is faster than this is not worth measuring.
const MIN_TIME: Duration = Duration::from_micros(200);

fn redactor() -> &'static Redactor {
    static REDACTOR: OnceLock<Redactor> = OnceLock::new();
    REDACTOR.get_or_init(|| Redactor::new(&Policy::default()))
}

fn fastest(text: &[u8]) -> Duration {
    (0..3)
        .map(|_| {
            let start = Instant::now();
            redactor().redact_message(b"command", text);
            redactor().redact_text(text);
            start.elapsed()
        })
        .min()
        .unwrap_or_default()
}

fuzz_target!(|data: &[u8]| {
    let piece = &data[..data.len().min(MAX_PIECE_BYTES)];
    if piece.is_empty() {
        return;
    }
    let pieces = BYTES / piece.len() + 1;
    let short = fastest(&piece.repeat(pieces)).max(MIN_TIME);
    let long = fastest(&piece.repeat(TIMES * pieces));
    assert!(long <= short * MAX_TIMES, "{short:?}, then {long:?}");
});
