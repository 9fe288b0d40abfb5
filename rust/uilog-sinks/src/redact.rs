//! Takes secrets out of text that is no record: what scripts say.

use std::sync::LazyLock;

use uilog_redact::Policy;
use uilog_redact::Redactor;

/// The text as a sink would get it that says nothing about privacy.
pub fn text(text: &[u8]) -> Vec<u8> {
    // Built once, and only where something has failed.
    static REDACTOR: LazyLock<Redactor> =
        LazyLock::new(|| Redactor::new(&Policy::default()));
    REDACTOR.redact_text(text).text.into_owned()
}
