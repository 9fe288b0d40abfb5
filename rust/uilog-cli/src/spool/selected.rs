//! The spools of a configuration, or those that the user has named.
//!
//! Responsible for finding them, and for how long a command waits for a process
//! that sends from one. Must not know the commands.

use std::process::ExitCode;
use std::time::Duration;
use std::time::SystemTime;

use uilog_config::Config;
use uilog_sinks::globals::Globals;
use uilog_sinks::spools;
use uilog_sinks::spools::Owned;
use uilog_sinks::spools::SpoolFacts;

use crate::native;
use crate::output;
use crate::place::ConfigArguments;

/// The status if the arguments are invalid, the same as clap's.
pub(super) const EXIT_USAGE: u8 = 2;

/// How long to wait for another process that is sending.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Interval between checks whether it still is.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// All spools of a configuration, and those that are left of others.
pub(crate) struct Spools {
    pub(super) globals: Globals,
    pub(super) all: Vec<Owned>,
}

impl Spools {
    /// Those of the configuration that counts at this place; the status to
    /// end with, if hg would not go on.
    pub(crate) fn load(
        place: &ConfigArguments,
    ) -> anyhow::Result<Result<Self, ExitCode>> {
        Ok(match place.load()? {
            Ok(loaded) => Ok(Self::of(&loaded.trusted)?),
            Err(error) => Err(ExitCode::from(error.exit_status())),
        })
    }

    /// Those of a configuration.
    pub(crate) fn of(config: &Config) -> anyhow::Result<Self> {
        let (definitions, globals) = native::sinks(config);
        let all = spools::find(&definitions, &globals);
        let all = all.map_err(anyhow::Error::msg)?;
        Ok(Self { globals, all })
    }

    /// What there is to know of each.
    pub(crate) fn facts(&self) -> Vec<SpoolFacts> {
        let now = SystemTime::now();
        let all = self.all.iter();
        all.map(|it| it.facts(&self.globals, now)).collect()
    }

    /// Of those, the ones of the sinks that are named, all if none is; the
    /// status to end with, also if there is no such.
    pub(super) fn named(
        place: &ConfigArguments,
        names: &[String],
    ) -> anyhow::Result<Result<Self, ExitCode>> {
        let mut spools = match Self::load(place)? {
            Ok(spools) => spools,
            Err(status) => return Ok(Err(status)),
        };
        let all = &spools.all;
        let has = |name: &String| all.iter().any(|it| it.sink == *name);
        if let Some(name) = names.iter().find(|name| !has(name)) {
            let all = all.iter().map(|it| it.sink.as_str());
            let all = all.collect::<Vec<_>>().join(", ");
            let all = if all.is_empty() { "none" } else { &all };
            output::say(&format!(
                "uilog: no sink '{name}' has a spool; those that do: {all}"
            ));
            return Ok(Err(ExitCode::from(EXIT_USAGE)));
        }
        let is_meant =
            |it: &Owned| names.is_empty() || names.contains(&it.sink);
        spools.all.retain(is_meant);
        Ok(Ok(spools))
    }
}
