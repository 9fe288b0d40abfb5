//! Reads everything that Mercurial would, in its order, and decides what is
//! trusted.

mod conclusions;
mod repositories;
mod system;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use crate::config::Config;
use crate::config::Entry;
use crate::environment::Environment;
use crate::error::Error;
use crate::error::cannot_use;
use crate::expand;
use crate::layers::Layer;
use crate::location;
use crate::paths::Paths;
use crate::plain::Plain;
use crate::posixpath;
use crate::read;
use crate::read::Reader;
use crate::repository;
use crate::source::Source;
use crate::trust::Trust;
use crate::value;

/// What a command line says about configuration.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `--cwd`.
    pub cwd: Option<PathBuf>,
    /// `-R`: a path, or a name in `[paths]`.
    pub repository: Option<Vec<u8>>,
    /// Each `--config SECTION.NAME=VALUE`.
    pub config: Vec<Vec<u8>>,
    /// Each `--config-file`.
    pub config_files: Vec<PathBuf>,
}

/// A configuration and how it came about.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What counts.
    pub trusted: Config,
    /// The same with what untrusted files say; it must not run anything.
    pub untrusted: Config,
    /// The repository's root, without links.
    pub root: Option<PathBuf>,
    /// What Mercurial would warn of, each without its newline.
    pub warnings: Vec<Vec<u8>>,
    /// The files, each once, in the order in which they were searched for.
    pub files: Vec<FileReport>,
}

/// How a file was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// The file.
    pub path: PathBuf,
    /// Why it was searched for.
    pub layer: Layer,
    /// How that went.
    pub state: FileState,
}

/// How reading a file went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It counts.
    Read,
    /// It does not exist.
    Missing,
    /// It cannot be read, for this reason.
    Unreadable(String),
    /// It belongs to an untrusted user.
    Untrusted {
        /// The owner's name or number.
        user: String,
        /// The group's name or number.
        group: String,
    },
    /// It is not trusted, and cannot be read to its end either.
    Broken(Error),
}

/// Reads the configuration of a command in this environment.
///
/// # Errors
///
/// Why Mercurial would not run the command: a trusted file that cannot be read
/// completely, a value of the wrong type, an invalid `--config`, a repository
/// that does not exist.
// hg: dispatch._dispatch
pub fn load(
    request: &Request,
    environment: &Environment,
) -> Result<Loaded, Error> {
    let mut ui = Ui::new(environment);
    match ui.load(request) {
        Ok(root) => Ok(Loaded {
            trusted: ui.trusted,
            untrusted: ui.untrusted,
            root,
            warnings: ui.warnings,
            files: ui.files,
        }),
        Err(error) => Err(error.after(ui.warnings, ui.has_detailed_status)),
    }
}

/// The environment after a change of the working directory.
fn moved(environment: &Environment, dir: &Path) -> Result<Environment, Error> {
    let failed = |error: io::Error| cannot_use(dir, &error);
    let cwd = environment.cwd().join(dir).canonicalize();
    let cwd = cwd.map_err(failed)?;
    if !cwd.is_dir() {
        return Err(failed(nix::errno::Errno::ENOTDIR.into()));
    }
    Ok(environment.clone().with_cwd(cwd))
}

/// A configuration that grows, as Mercurial's `ui` does.
// hg: ui.ui
#[derive(Clone, Debug)]
struct Ui {
    environment: Environment,
    plain: Plain,
    /// What overrides every file, read before or after.
    overlay: Config,
    trusted: Config,
    untrusted: Config,
    trust: Trust,
    reports_untrusted: bool,
    is_tweaked: bool,
    paths: Paths,
    warnings: Vec<Vec<u8>>,
    files: Vec<FileReport>,
    reported: HashSet<(Layer, PathBuf)>,
    /// `ui.detailed-exit-code`, as no repository says it.
    has_detailed_status: bool,
}

impl Ui {
    fn new(environment: &Environment) -> Self {
        Self {
            environment: environment.clone(),
            plain: Plain::new(environment),
            overlay: Config::default(),
            trusted: Config::default(),
            untrusted: Config::default(),
            trust: Trust::default(),
            reports_untrusted: true,
            is_tweaked: false,
            paths: Paths::default(),
            warnings: Vec::new(),
            files: Vec::new(),
            reported: HashSet::new(),
            has_detailed_status: false,
        }
    }

    /// Reads everything; returns the root of the repository.
    fn load(&mut self, request: &Request) -> Result<Option<PathBuf>, Error> {
        self.load_user()?;
        self.note_detailed_status();
        for path in &request.config_files {
            self.read_command_line_file(path)?;
            self.note_detailed_status();
        }
        for option in &request.config {
            self.set_option(option)?;
            self.note_detailed_status();
        }
        if let Some(dir) = &request.cwd {
            self.environment = moved(&self.environment, dir)?;
        }
        let Some(path) = self.local_root(request)? else {
            return Ok(None);
        };
        let is_given =
            request.repository.as_ref().is_some_and(|r| !r.is_empty());
        match self.open_at(&path) {
            // hg: dispatch._dispatch, for commands with optionalrepo
            Err(error) if error.is_about_repository() && !is_given => Ok(None),
            root => root.map(Some),
        }
    }

    fn note_detailed_status(&mut self) {
        let wanted = self.trusted.bool(b"ui", b"detailed-exit-code");
        self.has_detailed_status = wanted.is_ok_and(|on| on == Some(true));
    }

    /// Opens the repository at a path as `-R` takes it; returns its root.
    // hg: repo.factory.repository
    fn open_at(&mut self, path: &Path) -> Result<PathBuf, Error> {
        let place = path.as_os_str().as_bytes();
        if location::is_remote(place) {
            let parts: [&[u8]; 3] = [b"repository '", place, b"' is not local"];
            return Err(Error::abort(parts.concat()));
        }
        let place = location::local_path(place);
        let place = expand::expand_path(&place, &self.environment);
        let root = posixpath::to_path(place.clone());
        let root = repository::real_path(&root, &self.environment);
        let hg_dir = root.join(".hg");
        match fs::metadata(&hg_dir) {
            Ok(metadata) if metadata.is_dir() => {}
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(cannot_use(&hg_dir, &error));
            }
            Ok(_) | Err(_) => {
                let parts: [&[u8]; 3] = [b"repository ", &place, b" not found"];
                return Err(Error::repository(parts.concat()));
            }
        }
        self.open_repository(&root)?;
        Ok(root)
    }

    /// Sets an item over all files.
    // hg: ui.setconfig
    fn set(
        &mut self,
        section: &[u8],
        name: &[u8],
        entry: Entry,
    ) -> Result<(), Error> {
        self.overlay.set(section, name, entry.clone());
        self.trusted.set(section, name, entry.clone());
        self.untrusted.set(section, name, entry);
        self.fix(Some(section), None)?;
        self.tweak()
    }

    // hg: dispatch._parseconfig
    fn set_option(&mut self, option: &[u8]) -> Result<(), Error> {
        let malformed = || {
            let parts: [&[u8]; 3] = [
                b"malformed --config option: ",
                &value::quoted(option),
                b" (use --config section.name=value)",
            ];
            Error::input(parts.concat(), None)
        };
        let (item, value) = cut(option, b'=').ok_or_else(malformed)?;
        let item = value::trimmed(item);
        let (section, name) = cut(item, b'.').ok_or_else(malformed)?;
        if section.is_empty() || name.is_empty() {
            return Err(malformed());
        }
        let value = value::trimmed(value).to_vec();
        let source = Source::Named("--config");
        self.set(section, name, Entry { value, source })
    }

    // hg: dispatch._parse_config_files
    fn read_command_line_file(&mut self, path: &Path) -> Result<(), Error> {
        let place = path.as_os_str().as_bytes();
        let opened = read::open(&self.environment.cwd().join(path));
        let opened = opened.map_err(|_| {
            let parts: [&[u8]; 3] =
                [b"missing file \"", place, b"\" for --config-file"];
            Error::input(parts.concat(), None)
        })?;
        let mut config = Config::default();
        let mut reader = Reader::new(&self.environment);
        reader.read(path, opened, &mut config).map_err(|error| {
            let location = error.location().unwrap_or(place);
            let message: [&[u8]; 2] =
                [b"invalid --config-file content at ", location];
            Error::input(message.concat(), Some(error.message()))
        })?;
        self.report(path, Layer::CommandLine, FileState::Read);
        for section in config.sections() {
            for (name, entry) in config.items(section) {
                self.set(section, name, entry.clone())?;
            }
        }
        Ok(())
    }
}

/// The text before and after the first `sign`.
fn cut(text: &[u8], sign: u8) -> Option<(&[u8], &[u8])> {
    let position = text.iter().position(|byte| *byte == sign)?;
    Some((&text[..position], &text[position + 1..]))
}
