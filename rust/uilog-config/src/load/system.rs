//! The files of the system and of the user, and reading any file.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use super::FileReport;
use super::FileState;
use super::Ui;
use crate::config::Config;
use crate::config::Entry;
use crate::error::Error;
use crate::expand;
use crate::layers;
use crate::layers::Component;
use crate::layers::Layer;
use crate::posixpath;
use crate::read;
use crate::read::Reader;
use crate::source::Source;
use crate::trust::UntrustedOwner;

impl Ui {
    /// Everything but the command line's and a repository's configuration.
    // hg: ui.load
    pub(super) fn load_user(&mut self) -> Result<(), Error> {
        let home = self.home();
        for component in layers::components(&self.environment) {
            match component {
                Component::File { layer, path, name } => {
                    self.read_file(layer, &path, &name, true, &home)?;
                }
                Component::Item {
                    section,
                    name,
                    value,
                    source,
                } => {
                    let source = Source::Named(source);
                    let entry = Entry { value, source };
                    self.trusted.set(section, name, entry.clone());
                    self.untrusted.set(section, name, entry);
                    self.fix(Some(section), None)?;
                }
            }
        }
        self.tweak()
    }

    pub(super) fn home(&self) -> PathBuf {
        posixpath::to_path(expand::expand_user(b"~", &self.environment))
    }

    /// Reads a file, if it is there. Relative `[paths]` in it are relative to
    /// `root`.
    // hg: ui.readconfig
    pub(super) fn read_file(
        &mut self,
        layer: Layer,
        path: &Path,
        name: &Path,
        is_trusted: bool,
        root: &Path,
    ) -> Result<(), Error> {
        let cwd = self.environment.cwd();
        let opened = match read::open(&cwd.join(path)) {
            Ok(opened) => opened,
            Err(error) => {
                let state = state_of(&error);
                self.report(path, layer, state);
                return Ok(());
            }
        };
        let stranger = if is_trusted {
            None
        } else {
            self.trust
                .check(&opened.metadata, self.environment.user())
                .err()
        };
        let place = name.as_os_str().as_bytes();
        if let (Some(stranger), true) = (&stranger, self.reports_untrusted) {
            let parts: [&[u8]; 6] = [
                b"not trusting file ",
                place,
                b" from untrusted user ",
                &stranger.user,
                b", group ",
                &stranger.group,
            ];
            self.warnings.push(parts.concat());
        }
        let mut config = Config::default();
        let mut reader = Reader::new(&self.environment);
        let result = reader.read(name, opened, &mut config);
        let included = std::mem::take(&mut reader.included);
        let state = match (&stranger, &result) {
            (Some(_), Err(error)) => FileState::Broken(error.clone()),
            (Some(stranger), Ok(())) => untrusted(stranger),
            (None, _) => FileState::Read,
        };
        self.report(path, layer, state.clone());
        for (path, result) in included {
            // As trusted as the file that names it.
            let read = stranger.as_ref().map_or(FileState::Read, untrusted);
            let state = result.map_or_else(|e| state_of(&e), |()| read);
            self.report(&path, layer, state);
        }
        match (result, &stranger) {
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) => {
                let location = error.location().unwrap_or(place);
                let parts: [&[u8]; 4] =
                    [b"ignored ", location, b": ", &error.message()];
                self.warnings.push(parts.concat());
            }
            (Ok(()), _) => {}
        }
        self.apply(config, stranger.is_none(), root)
    }

    pub(super) fn report(
        &mut self,
        path: &Path,
        layer: Layer,
        state: FileState,
    ) {
        let path = path.to_owned();
        // A repository's files are read twice.
        if self.reported.insert((layer, path.clone())) {
            self.files.push(FileReport { path, layer, state });
        }
    }
}

fn state_of(error: &io::Error) -> FileState {
    if error.kind() == io::ErrorKind::NotFound {
        FileState::Missing
    } else {
        FileState::Unreadable(error.to_string())
    }
}

fn untrusted(stranger: &UntrustedOwner) -> FileState {
    FileState::Untrusted {
        user: String::from_utf8_lossy(&stranger.user).into_owned(),
        group: String::from_utf8_lossy(&stranger.group).into_owned(),
    }
}
