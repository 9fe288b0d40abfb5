//! Facts about a repository that its configuration depends on: its root, its
//! requirements, and the repository that it shares its store with.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use uilog_sys::foreign_file;

use crate::environment::Environment;
use crate::error::Error;
use crate::error::cannot_use;
use crate::expand;
use crate::layers::Layer;
use crate::posixpath;

/// Where a working copy says what reading it requires.
pub(crate) const REQUIRES: &str = ".hg/requires";

/// The maximum size of a list of requirements: Mercurial knows some thirty of
/// them.
const MAX_REQUIRES_BYTES: u64 = 64 << 10;

/// How many bytes `.hg/sharedpath` may have: a path has 4096 at most.
pub const MAX_SHAREDPATH_BYTES: u64 = 64 << 10;

/// The repository that a directory belongs to.
// hg: repo.find_repo, cmdutil.findrepo
pub fn find(dir: &Path) -> Option<&Path> {
    dir.ancestors().find(|dir| dir.join(".hg").is_dir())
}

/// A repository's requirements.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requirements(BTreeSet<Vec<u8>>);

impl Requirements {
    /// Those of a working copy; none if there is no such file.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        Self::read_file(&root.join(REQUIRES))
    }

    fn read_file(path: &Path) -> io::Result<Self> {
        match foreign_file::read(path, MAX_REQUIRES_BYTES) {
            Ok(text) => {
                let lines = text.split(|byte| matches!(byte, b'\n' | b'\r'));
                let names = lines.filter(|name| !name.is_empty());
                Ok(Self(names.map(<[u8]>::to_vec).collect()))
            }
            Err(error) if error.is_not_found() => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.0.contains(name)
    }

    /// Whether the store is another repository's.
    pub(crate) fn is_shared(&self) -> bool {
        self.has(b"shared") || self.has(b"relshared")
    }

    /// Whether that other repository's configuration counts, too.
    pub(crate) fn is_share_safe(&self) -> bool {
        self.has(b"share-safe")
    }

    /// Adds those of the store.
    pub(crate) fn add_store(&mut self, hg_dir: &Path) {
        if let Ok(store) = Self::read_file(&hg_dir.join("store/requires")) {
            self.0.extend(store.0);
        }
    }
}

/// The `.hg` directory of the repository that this one shares its store with.
// hg: rcutil.get_shared_vfs
pub(crate) fn shared_source(
    root: &Path,
    requirements: &Requirements,
    environment: &Environment,
) -> Result<PathBuf, Error> {
    let hg_dir = root.join(".hg");
    let file = hg_dir.join("sharedpath");
    let path = foreign_file::read(&file, MAX_SHAREDPATH_BYTES)
        .map_err(|error| cannot_use(&file, &error.into()))?;
    let end = path.iter().rposition(|byte| *byte != b'\n');
    let path = &path[..end.map_or(0, |end| end + 1)];
    let path = if requirements.has(b"relshared") {
        let joined = posixpath::join(hg_dir.as_os_str().as_bytes(), path);
        posixpath::normalized(&joined).into_os_string()
    } else {
        posixpath::to_path(path.to_vec()).into_os_string()
    };
    let path = expand::expand_path(path.as_bytes(), environment);
    let path = real_path(&posixpath::to_path(path), environment);
    if fs::metadata(&path).is_err() {
        let mut message =
            b".hg/sharedpath points to nonexistent directory ".to_vec();
        message.extend_from_slice(path.as_os_str().as_bytes());
        return Err(Error::repository(message));
    }
    Ok(path)
}

/// A path without links, as far as it exists.
// Python: os.path.realpath
pub(crate) fn real_path(path: &Path, environment: &Environment) -> PathBuf {
    let cwd = environment.cwd().as_os_str().as_bytes();
    let path = posixpath::join(cwd, path.as_os_str().as_bytes());
    let mut rest = PathBuf::new();
    for dir in path.ancestors() {
        if let Ok(real) = fs::canonicalize(dir) {
            let real = if rest.as_os_str().is_empty() {
                real
            } else {
                real.join(rest)
            };
            return posixpath::normalized(&real);
        }
        if let Some(name) = dir.file_name() {
            rest = if rest.as_os_str().is_empty() {
                PathBuf::from(name)
            } else {
                Path::new(name).join(rest)
            };
        }
    }
    posixpath::normalized(&path)
}

/// A repository's files, those that exist and those that do not.
// hg: rcutil.repo_components, localrepo.loadhgrc
pub(crate) fn files(
    root: &Path,
    source: Option<&Path>,
) -> Vec<(Layer, PathBuf)> {
    let mut files = Vec::new();
    if let Some(source) = source {
        files.push((Layer::Shared, source.join("hgrc")));
    }
    files.push((Layer::Repository, root.join(".hg/hgrc")));
    files.push((Layer::NotShared, root.join(".hg/hgrc-not-shared")));
    files
}
