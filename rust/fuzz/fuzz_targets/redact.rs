//! The redactor must take any bytes: nothing panics, redacting twice is
//! redacting once, nothing outside the places changes, and the result is not
//! much longer.
//!
//! The input's first byte chooses the event.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use uilog_redact::MAX_ADDED_BYTES;
use uilog_redact::MAX_GROWTH;
use uilog_redact::Policy;
use uilog_redact::Redactor;

const EVENTS: [&[u8]; 4] =
    [b"command", b"commandfinish", b"commandalias", b"exthook"];

fn redactor() -> &'static Redactor {
    static REDACTOR: OnceLock<Redactor> = OnceLock::new();
    REDACTOR.get_or_init(|| {
        Redactor::new(&Policy {
            config_items: vec![b"a*.x*".to_vec()],
            ..Policy::default()
        })
    })
}

fuzz_target!(|data: &[u8]| {
    let [choice, text @ ..] = data else {
        return;
    };
    let event = EVENTS[usize::from(*choice) % EVENTS.len()];
    let once = redactor().redact_message(event, text);
    assert!(once.text.len() <= text.len() * MAX_GROWTH + MAX_ADDED_BYTES);
    let twice = redactor().redact_message(event, &once.text);
    assert_eq!(twice.text, once.text);
    let mut rest = &*once.text;
    let mut at = 0;
    for place in &once.places {
        rest = rest
            .strip_prefix(&text[at..place.range.start])
            .expect("what is before a place stays");
        let marker = place.rule.marker();
        rest = rest.strip_prefix(&marker[..]).expect("a place's marker");
        at = place.range.end;
    }
    assert_eq!(rest, &text[at..]);
});
