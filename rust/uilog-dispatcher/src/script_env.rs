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

pub use self::fitting::Limits;
pub use self::variables::Input;
pub use self::variables::MAX_MESSAGE_BYTES;

/// The environment, each string `NAME=value`, within `limits`.
pub fn build(input: &Input<'_>, limits: Limits) -> Vec<CString> {
    fitting::fitted(variables::collect(input), input.argument_bytes, limits)
}
