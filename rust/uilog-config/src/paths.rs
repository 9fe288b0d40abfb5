//! The section `[paths]`: what its relative paths are relative to, and what its
//! names mean.
//!
//! Reads no file: the caller passes in the configurations.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;

use crate::config::Config;
use crate::environment::Environment;
use crate::error::Error;
use crate::expand;
use crate::location;
use crate::posixpath;

const SECTION: &[u8] = b"paths";

/// Name, value and source of an item.
type Key = (Vec<u8>, Vec<u8>, Vec<u8>);

/// The directory to which each path is relative: the one that was valid when it
/// was first seen. hg: ui._path_to_root
#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    roots: HashMap<Key, PathBuf>,
}

impl Paths {
    /// Applies changes; from now on paths are relative to `root`. Replaces two
    /// percent signs by one. The first configuration shows where a path comes
    /// from; returns warnings. hg: ui.fixconfig
    pub(crate) fn fix(
        &mut self,
        configs: [&mut Config; 3],
        root: &Path,
    ) -> Vec<Vec<u8>> {
        let mut warnings = Vec::new();
        let sources: HashMap<Vec<u8>, Vec<u8>> = configs[0]
            .items(SECTION)
            .map(|(name, entry)| (name.to_vec(), entry.source.to_bytes()))
            .collect();
        for config in configs {
            let items: Vec<(Vec<u8>, Vec<u8>)> = config
                .items(SECTION)
                .map(|(name, entry)| (name.to_vec(), entry.value.clone()))
                .collect();
            for (name, value) in items {
                let source = sources.get(&name).cloned();
                let source = source.filter(|source| !source.is_empty());
                let source = source.unwrap_or_else(|| b"none".to_vec());
                let key = (name.clone(), value.clone(), source.clone());
                self.roots.entry(key).or_insert_with(|| root.to_owned());
                if name.contains(&b':') || !has_double_percent(&value) {
                    continue;
                }
                let parts: [&[u8]; 7] = [
                    b"(deprecated '%' in path ",
                    &name,
                    b"=",
                    &value,
                    b" from ",
                    &source,
                    b")",
                ];
                warnings.push(parts.concat());
                config.alter(SECTION, &name, single_percents(&value));
            }
        }
        warnings
    }

    /// What `-R` means: a name of the section, or a path. Paths of which it is
    /// not known what they are relative to are relative to `home`.
    // hg: urlutil.get_clone_path, urlutil.paths
    pub(crate) fn locate(
        &self,
        config: &Config,
        given: &[u8],
        home: &Path,
        environment: &Environment,
    ) -> Result<PathBuf, Error> {
        let mut locations = BTreeMap::new();
        for (name, entry) in config.items(SECTION) {
            if name.contains(&b':') || entry.value.is_empty() {
                continue;
            }
            let source = entry.source.to_bytes();
            let key = (name.to_vec(), entry.value.clone(), source);
            let root = self.roots.get(&key).map_or(home, PathBuf::as_path);
            let mut path = expand::expand_path(&entry.value, environment);
            if location::scheme(&path).is_none() && !path.starts_with(b"/") {
                let joined =
                    posixpath::join(root.as_os_str().as_bytes(), &path);
                let normal = posixpath::normalized(&joined);
                path = normal.into_os_string().into_vec();
            }
            locations.insert(name, path);
        }
        let mut resolved = location::follow(&locations)?;
        let path = resolved.remove(given).unwrap_or_else(|| given.to_vec());
        Ok(posixpath::to_path(path))
    }
}

fn has_double_percent(text: &[u8]) -> bool {
    text.windows(2).any(|pair| pair == b"%%")
}

/// `%` for each `%%`.
fn single_percents(text: &[u8]) -> Vec<u8> {
    let mut single = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        single.push(*first);
        let is_pair = *first == b'%' && tail.first() == Some(&b'%');
        rest = if is_pair { &tail[1..] } else { tail };
    }
    single
}
