//! The options of a sink that say what it may receive.

use std::path::Path;

use uilog_channel::sink_config::SinkConfig;
use uilog_config::items;
use uilog_config::items::Value as Setting;
use uilog_redact::Key;
use uilog_sys::foreign_file;

use super::command::full_name;
use crate::globals::Globals;

/// Bytes of a key to hash with.
const MAX_KEY_BYTES: u64 = 64 * 1024;

/// An option's value, or its default if it is not set.
///
/// # Errors
///
/// If it is invalid, because the default may reveal more than intended.
pub(super) fn strict(
    definition: &SinkConfig,
    option: &str,
) -> Result<Setting, String> {
    let mut set = definition.options.iter().rev();
    let set = set.find(|(name, _)| name == option.as_bytes());
    let known = items::find_sink_option(option.as_bytes());
    match (set, known) {
        (Some((_, text)), Some(known)) if known.item.parse(text).is_none() => {
            Err(format!(
                "{}: '{}' is not {}, so the sink receives nothing",
                full_name(definition, option),
                String::from_utf8_lossy(text),
                known.item.kind
            ))
        }
        _ => Ok(definition.option(option)),
    }
}

pub(super) fn user_key(
    definition: &SinkConfig,
    globals: &Globals,
) -> Result<Key, String> {
    const FILE: &str = "user-key-file";
    let name = full_name(definition, FILE);
    let Some(text) = definition.text(FILE) else {
        let user = full_name(definition, "user");
        return Err(format!("{user}: 'hash' needs a key: {name} is not set"));
    };
    let path = globals
        .path(&text)
        .map_err(|problem| format!("{name}: {problem}"))?;
    let bytes = read_key(&path).map_err(|error| {
        format!("{name}: cannot read '{}': {error}", path.display())
    })?;
    Key::new(&bytes)
        .map_err(|error| format!("{name}: '{}': {error}", path.display()))
}

/// The file, as `$(cat FILE)` has it.
fn read_key(path: &Path) -> Result<Vec<u8>, foreign_file::Error> {
    let mut key = foreign_file::read(path, MAX_KEY_BYTES)?;
    while key.ends_with(b"\n") {
        key.pop();
    }
    Ok(key)
}
