//! A process's environment as one block (`NAME=value`, each with a NUL), and
//! the variables that uilog's processes set for each other.
//!
//! Must not know scripts or events.

/// The names and values of an environment block.
pub fn split_environment(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    block.split(|byte| *byte == 0).filter_map(|entry| {
        let at = entry.iter().position(|byte| *byte == b'=')?;
        let (name, value) = entry.split_at(at);
        (!name.is_empty()).then(|| (name, &value[1..]))
    })
}

/// The value of `name` in an environment block.
pub fn lookup<'a>(block: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    split_environment(block)
        .find(|(key, _)| *key == name)
        .map(|(_, v)| v)
}

/// The environment variable by which a script's hg knows its parent session.
pub const SESSION_VARIABLE: &[u8] = b"UILOG_SESSION";

/// The environment variable that counts how many scripts are around us.
pub const DEPTH_VARIABLE: &[u8] = b"UILOG_DEPTH";
