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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_tilde_is_the_home_directory() {
        let home = HashMap::from([(b"HOME".to_vec(), b"/home/me".to_vec())]);
        let environment = Environment::new(home, PathBuf::from("/"));
        let of = |path: &str| expanded(path.as_bytes(), &environment);
        assert_eq!(of("~/x"), PathBuf::from("/home/me/x"));
        assert_eq!(of("~you/x"), PathBuf::from("~you/x"));
        assert_eq!(of("/x"), PathBuf::from("/x"));
        let homeless = Environment::new(HashMap::new(), PathBuf::from("/"));
        assert_eq!(expanded(b"~/x", &homeless), PathBuf::from("~/x"));
    }
}
