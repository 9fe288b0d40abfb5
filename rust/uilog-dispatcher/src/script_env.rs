//! The environment of a script: stock logtoprocess's variables, corrected.
//!
//! Pure: takes the event, the user's environment and the limits, and returns
//! the strings. Decides what is truncated, and how variables are named.

mod fitting;
#[cfg(test)]
mod tests;
mod variable;
mod variables;

use std::ffi::CString;

use uilog_event::event::Event;

pub use self::fitting::Limits;

/// Bytes of the message that a script gets at most.
// hg: logtoprocess.processlogger.log
pub const MAX_MESSAGE_BYTES: usize = 100_000;

/// The input of a script.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The event.
    pub event: &'a Event<'a>,
    /// hg's executable.
    pub hg: &'a [u8],
    /// How many scripts are around hg.
    pub depth: u32,
    /// hg's environment: `NAME=value`, each followed by NUL.
    pub base: &'a [u8],
    /// What hg's environment says in `TRACEPARENT`, unless `base` does.
    pub traceparent: Option<&'a [u8]>,
    /// Bytes that the arguments take, with their pointers.
    pub argument_bytes: usize,
}

/// The environment, each string `NAME=value`, within `limits`.
pub fn build(input: &Input<'_>, limits: Limits) -> Vec<CString> {
    fitting::fitted(variables::collect(input), input.argument_bytes, limits)
}
