//! A file of the archive for support. Must not know what is in it.

/// A file of the archive.
pub(super) struct Entry {
    pub(super) name: &'static str,
    /// What it has, in half a sentence.
    pub(super) about: &'static str,
    pub(super) text: String,
}
