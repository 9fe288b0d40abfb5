//! The input of a check.

use std::path::Path;

use uilog_channel::settings::Settings;
use uilog_config::Config;
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
    let items = config.items(b"uilog");
    Settings::read(items.map(|(name, entry)| (name, &*entry.value))).0
}
