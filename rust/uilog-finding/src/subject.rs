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

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::HashMap;

    use uilog_config::Request;

    use super::*;

    /// What hg reads of this user's file.
    pub(crate) fn config(hgrc: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hgrc");
        std::fs::write(&path, hgrc).unwrap();
        let path = path.to_str().unwrap().into();
        let variables = HashMap::from([(b"HGRCPATH".to_vec(), path)]);
        let environment = Environment::new(variables, dir.path().to_owned());
        uilog_config::load(&Request::default(), &environment)
            .unwrap()
            .trusted
    }

    #[test]
    fn settings_are_those_of_the_configuration() {
        let settings = settings(&config("[uilog]\nmax-scripts = 3\n"));
        assert_eq!(settings.max_scripts, 3);
    }
}
