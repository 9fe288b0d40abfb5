//! Counts the bytes that finders examine, in tests only: the time of a finder
//! is linear if this number is.
//!
//! All code that examines more than a few bytes of a text reports that here.

#[cfg(test)]
use std::cell::Cell;

#[cfg(test)]
thread_local! {
    static STEPS: Cell<usize> = const { Cell::new(0) };
}

/// So many bytes have been looked at.
#[cfg(test)]
pub(crate) fn add(bytes: usize) {
    STEPS.with(|steps| steps.set(steps.get() + bytes));
}

/// So many bytes have been looked at.
#[cfg(not(test))]
pub(crate) fn add(_bytes: usize) {}

/// How many bytes have been looked at since the last call.
#[cfg(test)]
pub(crate) fn take() -> usize {
    STEPS.with(Cell::take)
}
