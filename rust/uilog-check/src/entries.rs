//! How the entries of a configuration are looked up.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use uilog_config::Config;
use uilog_config::Entry;
use uilog_config::Environment;

pub(super) fn values<'a>(
    config: &'a Config,
    section: &[u8],
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let items = config.items(section);
    items.map(|(name, entry)| (name, entry.value.as_slice()))
}

/// Whether two entries are the same line of the same file.
pub(super) fn is_same(a: Option<&Entry>, b: &Entry) -> bool {
    a.is_some_and(|a| a.source == b.source)
}

/// The home directory instead of the tilde.
pub(super) fn expanded(path: &[u8], environment: &Environment) -> PathBuf {
    let own = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    match (path.strip_prefix(b"~/"), environment.var(b"HOME")) {
        (Some(rest), Some(home)) => own(home).join(own(rest)),
        _ => own(path),
    }
}
