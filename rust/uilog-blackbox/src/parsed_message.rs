//! What a line of a blackbox says about its event. Must not know wordings.

/// Facts in a message; `None` for missing ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParsedMessage<'a> {
    /// The event's name.
    pub event: Option<&'a [u8]>,
    /// The command as it was typed, without `hg`.
    pub command: Option<&'a [u8]>,
    /// The command's return code.
    pub return_code: Option<i64>,
    /// Seconds.
    pub duration: Option<f64>,
    /// What else an event of uilog's own says, by the names of its options.
    pub options: Vec<(&'static str, &'a [u8])>,
}
