//! Which repository's files are read, and whom they are trusted for.
//!
//! Must not know what their items mean.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use super::Request;
use super::Ui;
use crate::config::Entry;
use crate::error::Error;
use crate::error::cannot_use;
use crate::repository;
use crate::repository::Requirements;
use crate::source::Source;

impl Ui {
    /// The path of the command's repository. What the repositories on the way
    /// there say does not stay, but for warnings.
    // hg: dispatch._getlocal
    pub(super) fn local_root(
        &mut self,
        request: &Request,
    ) -> Result<Option<PathBuf>, Error> {
        let cwd = self.environment.cwd();
        let found = repository::find(cwd).map(Path::to_owned);
        let mut local = self.clone();
        // hg: ui.__init__, of a copy
        local.fix_paths(None);
        let read = match &found {
            Some(root) => local.read_local(root),
            None => Ok(()),
        };
        self.warnings = std::mem::take(&mut local.warnings);
        read?;
        let given = request.repository.as_deref().unwrap_or_default();
        if given.is_empty() {
            return Ok(found);
        }
        let home = local.home();
        let path = local.paths.locate(
            &local.trusted,
            given,
            &home,
            &local.environment,
        )?;
        let mut local = self.clone();
        let read = local.read_local(&path);
        self.warnings = local.warnings;
        read?;
        Ok(Some(path))
    }

    /// A repository's files, before it is opened.
    fn read_local(&mut self, root: &Path) -> Result<(), Error> {
        let place = self.environment.cwd().join(root);
        let requirements = Requirements::read(&place).unwrap_or_default();
        let has_source =
            requirements.is_share_safe() && requirements.has(b"shared");
        let has_source = has_source && self.reads_repositories();
        let source = self.source(&place, &requirements, has_source)?;
        self.read_repository(root, source.as_deref())
    }

    /// The `.hg` of the repository that this one shares its store with, if it
    /// does.
    fn source(
        &self,
        root: &Path,
        requirements: &Requirements,
        is_shared: bool,
    ) -> Result<Option<PathBuf>, Error> {
        let environment = &self.environment;
        let find =
            || repository::shared_source(root, requirements, environment);
        is_shared.then(find).transpose()
    }

    fn reads_repositories(&self) -> bool {
        self.environment.var(b"HGRCSKIPREPO").is_none()
    }

    fn read_repository(
        &mut self,
        root: &Path,
        source: Option<&Path>,
    ) -> Result<(), Error> {
        if !self.reads_repositories() {
            return Ok(());
        }
        for (layer, path) in repository::files(root, source) {
            // Paths in a share's source are relative to the share if `-R` names
            // it. hg: main_script.paths.get_local
            self.read_file(layer, &path, &path, false, root)?;
        }
        Ok(())
    }

    // hg: localrepo.makelocalrepository
    pub(super) fn open_repository(&mut self, root: &Path) -> Result<(), Error> {
        let mut requirements = Requirements::read(root).map_err(|error| {
            cannot_use(&root.join(repository::REQUIRES), &error)
        })?;
        let is_shared = requirements.is_shared();
        let source = self.source(root, &requirements, is_shared)?;
        if requirements.is_share_safe() {
            let own = root.join(".hg");
            requirements.add_store(source.as_deref().unwrap_or(&own));
        }
        let source = source.filter(|_| requirements.is_share_safe());
        self.read_repository(root, source.as_deref())?;
        if self.reads_repositories() {
            self.add_required_extensions(&requirements)?;
        }
        let entry = Entry {
            value: root.as_os_str().as_bytes().to_vec(),
            source: Source::Named("repo"),
        };
        self.set(b"bundle", b"mainreporoot", entry)
    }

    // hg: localrepo.afterhgrcload
    fn add_required_extensions(
        &mut self,
        requirements: &Requirements,
    ) -> Result<(), Error> {
        for name in [&b"git"[..], b"largefiles", b"lfs"] {
            let is_listed = self.trusted.get(b"extensions", name).is_some();
            if requirements.has(name) && !is_listed {
                let value = Vec::new();
                let source = Source::Named("autoload");
                self.set(b"extensions", name, Entry { value, source })?;
            }
        }
        Ok(())
    }
}
