//! The function that redacts failures. It is set once for each process, by a
//! crate that has one.

use std::sync::OnceLock;

static REDACT: OnceLock<Redact> = OnceLock::new();

/// From now on, redacts the details of all failures of this process. Without
/// this call, as in hg's own process, which has no rules, details are uilog's
/// own texts.
pub fn redact_with(redact: Redact) {
    // The first one counts.
    let _ = REDACT.set(redact);
}

pub(super) fn redacted(detail: String) -> String {
    match REDACT.get() {
        Some(redact) => {
            String::from_utf8_lossy(&redact(detail.as_bytes())).into_owned()
        }
        None => detail,
    }
}

/// Removes secrets from a text.
pub type Redact = fn(&[u8]) -> Vec<u8>;
