//! A sink's policy: what is redacted and what stays.
//!
//! Must not know how that is done.

use crate::user::Key;

/// What becomes of users' names.
#[derive(Clone, Debug, Default)]
pub enum UserPolicy {
    /// They stay.
    #[default]
    Keep,
    /// They are replaced by `<user:HASH>`, the same for the same name and key.
    Hash(Key),
}

/// What becomes of a command's arguments, and with [`Self::Structure`] of any
/// text that may quote them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ArgvPolicy {
    /// Nothing is kept.
    None,
    /// The command's full name and the full names of its options are kept.
    Canonical,
    /// The command, the names of its options and harmless values are kept; of
    /// other programs, their names.
    Structure,
    /// Everything except secrets and message texts is kept.
    #[default]
    Redacted,
    /// Everything is kept, including secrets.
    Full,
}

/// How to redact: `Policy::default()` is what a sink gets that says nothing.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// For the names of users.
    pub user: UserPolicy,
    /// For the arguments of commands.
    pub argv: ArgvPolicy,
    /// Further items whose values go: globs over `SECTION.NAME`, where `*` is
    /// any text and `?` any byte.
    pub config_items: Vec<Vec<u8>>,
}
