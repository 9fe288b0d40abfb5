//! The sinks of a configuration that was read without hg.

use std::path::Path;

use uilog_config::Config;
use uilog_config::brake;
use uilog_logger::logger::Logger;
use uilog_logger::sinks::blackbox;
use uilog_logger::sinks::blackbox::Blackbox;

/// The sinks that hg would have with this configuration: of the trusted part
/// of what the hgrcs say, of the repository at `root`. None, if that switches
/// uilog off.
pub(crate) fn logger(config: &Config, root: Option<&Path>) -> Logger {
    if brake::of_config(config).is_some() {
        return Logger::with_sources(&[], &[], &[]);
    }
    let items = |section: &[u8]| -> Vec<(Vec<u8>, Vec<u8>)> {
        let items = config.items(section);
        items
            .map(|(name, entry)| (name.to_vec(), entry.value.clone()))
            .collect()
    };
    let has_scripts =
        is_uilog_enabled(config) || config.extension(b"logtoprocess").is_some();
    let scripts = if has_scripts {
        items(b"logtoprocess")
    } else {
        Vec::new()
    };
    let sources = config.items(b"logtoprocess");
    let sources: Vec<_> = sources
        .map(|(name, entry)| (name.to_vec(), entry.source.to_bytes()))
        .collect();
    let mut logger = Logger::with_sources(&items(b"uilog"), &scripts, &sources);
    let has_blackbox = config.extension(blackbox::SECTION.as_bytes()).is_some();
    if let (true, Some(root)) = (has_blackbox, root) {
        let (blackbox, faults) = Blackbox::new(config, root);
        logger.add_blackbox(blackbox, faults);
    }
    logger
}

/// Whether hg loads uilog.
fn is_uilog_enabled(config: &Config) -> bool {
    config.extension(b"uilog").is_some()
}
