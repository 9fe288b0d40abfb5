//! How the lines of a blackbox look.

use uilog_event::hgdate::DateFormat;

/// How lines look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// How times are written.
    pub date: DateFormat,
    /// Whether the event's name is written, too.
    pub has_source: bool,
}

impl Style {
    /// `format` is `blackbox.date-format`.
    pub fn new(format: &[u8], has_source: bool) -> Self {
        let date = if format.is_empty() {
            DateFormat::Millis
        } else {
            DateFormat::Custom(format.to_vec())
        };
        Self { date, has_source }
    }
}
