//! Takes secrets out of text that is no record: what scripts say, reasons in
//! the journal, what commands show of settings.

use std::sync::LazyLock;

use uilog_redact::Policy;
use uilog_redact::Redactor;

/// The text as a local sink would get it that says nothing about privacy.
pub fn text(text: &[u8]) -> Vec<u8> {
    // Built once, and only where there is something to show.
    static REDACTOR: LazyLock<Redactor> =
        LazyLock::new(|| Redactor::new(&Policy::default()));
    REDACTOR.redact_text(text).text.into_owned()
}

/// The same, of text that is UTF-8.
pub fn shown(text: &str) -> String {
    String::from_utf8_lossy(&self::text(text.as_bytes())).into_owned()
}
