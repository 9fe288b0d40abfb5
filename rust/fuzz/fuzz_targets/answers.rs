//! A collector may answer anything: nothing panics, only an answer of 2xx
//! accepts records, and what is shown of an answer is one line without control
//! characters.
//!
//! The input is a status, the lengths of two headers, these, and the body.
#![no_main]

use std::time::Duration;
use std::time::UNIX_EPOCH;

use libfuzzer_sys::fuzz_target;
use uilog_sinks::otlp::request::SignalType;
use uilog_sinks::otlp::settings::Statuses;
use uilog_sinks::otlp::verdict::Answer;
use uilog_sinks::otlp::verdict::Verdict;

fn is_line(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?}");
}

fuzz_target!(|data: &[u8]| {
    let [status, first, second, rest @ ..] = data else {
        return;
    };
    let (first, second) = (usize::from(*first), usize::from(*second));
    let Some((retry_after, rest)) = rest.split_at_checked(first) else {
        return;
    };
    let Some((content_type, body)) = rest.split_at_checked(second) else {
        return;
    };
    let text = |it| std::str::from_utf8(it).ok().filter(|it| !it.is_empty());
    let status = 200 + 2 * u16::from(*status);
    let answer = Answer {
        status,
        retry_after: text(retry_after),
        content_type: text(content_type),
        body,
    };
    let now = UNIX_EPOCH + Duration::from_secs(1_793_620_800);
    for kind in [SignalType::Traces, SignalType::Logs] {
        let is_success = (200..300).contains(&status);
        match answer.verdict(kind, &Statuses::none(), now) {
            Verdict::Accepted => assert!(is_success),
            Verdict::Partly { rejected, reason } => {
                assert!(is_success && rejected > 0);
                is_line(&reason);
            }
            Verdict::Later { reason, .. } => is_line(&reason),
            Verdict::Refused(refusal) => {
                is_line(&refusal.reason());
                is_line(&refusal.not_accepted(true));
            }
        }
    }
});
