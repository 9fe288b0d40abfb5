//! What is checked, and how its entries are looked up.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use uilog_channel::settings::Settings;
use uilog_config::Config;
use uilog_config::Entry;
use uilog_config::Environment;
use uilog_config::Loaded;

/// The input of a check.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The configuration.
    pub loaded: &'a Loaded,
    /// The environment in which it was read.
    pub environment: &'a Environment,
    /// The environment's variables as a block: `NAME=value`, each followed by
    /// NUL.
    pub block: &'a [u8],
    /// The directory that hg would run in.
    pub cwd: &'a Path,
}

/// What `[uilog]` says.
pub fn settings(config: &Config) -> Settings {
    Settings::read(values(config, b"uilog")).0
}

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
