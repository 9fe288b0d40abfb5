//! Redacts text outside of records: output of scripts, reasons in the journal,
//! settings that commands show.

/// The text as a local sink would get it that says nothing about privacy.
pub fn text(text: &[u8]) -> Vec<u8> {
    uilog_redact::redact_text(text)
}

/// The same, of text that is UTF-8.
pub fn shown(text: &str) -> String {
    String::from_utf8_lossy(&self::text(text.as_bytes())).into_owned()
}
