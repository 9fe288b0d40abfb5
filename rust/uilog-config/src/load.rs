//! Reads everything that Mercurial would, in its order, and decides what is
//! trusted.

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
use crate::layers;
use crate::layers::Component;
use crate::layers::Layer;
use crate::location;
use crate::paths::Paths;
use crate::plain::Plain;
use crate::posixpath;
use crate::read;
use crate::read::Reader;
use crate::repository;
use crate::repository::Requirements;
use crate::source::Source;
use crate::trust::Trust;
use crate::trust::UntrustedOwner;
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

    /// Everything but the command line's and a repository's configuration.
    // hg: ui.load
    fn load_user(&mut self) -> Result<(), Error> {
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

    fn home(&self) -> PathBuf {
        posixpath::to_path(expand::expand_user(b"~", &self.environment))
    }

    /// Reads a file, if it is there. Relative `[paths]` in it are relative to
    /// `root`.
    // hg: ui.readconfig
    fn read_file(
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
            self.trust.check(&opened.metadata).err()
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

    fn report(&mut self, path: &Path, layer: Layer, state: FileState) {
        let path = path.to_owned();
        // A repository's files are read twice.
        if self.reported.insert((layer, path.clone())) {
            self.files.push(FileReport { path, layer, state });
        }
    }

    // hg: ui._applyconfig
    fn apply(
        &mut self,
        mut config: Config,
        is_trusted: bool,
        root: &Path,
    ) -> Result<(), Error> {
        self.plain.apply(&mut config);
        if is_trusted {
            self.trusted.update(&config);
            self.trusted.update(&self.overlay);
        }
        self.untrusted.update(&config);
        self.untrusted.update(&self.overlay);
        self.fix(None, Some(root))
    }

    /// Applies the effects of changes in one section, or anywhere.
    // hg: ui.fixconfig
    fn fix(
        &mut self,
        section: Option<&[u8]>,
        root: Option<&Path>,
    ) -> Result<(), Error> {
        let concerns =
            |name: &[u8]| section.is_none_or(|section| section == name);
        if concerns(b"paths") {
            self.fix_paths(root);
        }
        if concerns(b"ui") {
            self.fix_ui()?;
        }
        if concerns(b"trusted") {
            self.trust.learn(&self.trusted);
        }
        let is_debugging = self
            .trusted
            .bool(b"ui", b"debug")
            .is_ok_and(|on| on == Some(true));
        if (concerns(b"ui") || concerns(b"devel")) && is_debugging {
            self.trusted.bool(b"devel", b"debug.extensions")?;
        }
        Ok(())
    }

    fn fix_paths(&mut self, root: Option<&Path>) {
        let root = root.unwrap_or(self.environment.cwd());
        let configs =
            [&mut self.trusted, &mut self.untrusted, &mut self.overlay];
        self.warnings.extend(self.paths.fix(configs, root));
    }

    fn fix_ui(&mut self) -> Result<(), Error> {
        let output = self.trusted.value(b"ui", b"message-output");
        let output = output.unwrap_or(b"stdio");
        if !matches!(output, b"channel" | b"stdio" | b"stderr") {
            let message = b"invalid ui.message-output destination: ";
            return Err(Error::abort([message, output].concat()));
        }
        let is_on = |name| {
            let value = self.trusted.bool(b"ui", name)?;
            Ok::<_, Error>(value.unwrap_or(false))
        };
        let is_debugging = is_on(b"debug")?;
        if !is_debugging {
            is_on(b"verbose")?;
            is_on(b"quiet")?;
        }
        let reports = is_debugging || {
            let value = self.trusted.bool(b"ui", b"report_untrusted")?;
            value.unwrap_or(true)
        };
        for name in [&b"timestamp-output"[..], b"traceback", b"logblockedtimes"]
        {
            is_on(name)?;
        }
        self.reports_untrusted = reports;
        Ok(())
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

    /// The settings of `ui.tweakdefaults`.
    // hg: ui._maybetweakdefaults, ui.tweakrc
    fn tweak(&mut self) -> Result<(), Error> {
        const TWEAKS: [(&[u8], &[u8], &[u8]); 11] = [
            (b"commands", b"grep.all-files", b"True"),
            (b"commands", b"update.check", b"noconflict"),
            (b"commands", b"status.verbose", b"True"),
            (b"commands", b"resolve.explicit-re-merge", b"True"),
            (b"diff", b"git", b"1"),
            (b"diff", b"showfunc", b"1"),
            (b"diff", b"word-diff", b"1"),
            (b"ui", b"rollback", b"False"),
            (b"ui", b"statuscopies", b"yes"),
            (b"ui", b"interface", b"curses"),
            (b"ui", b"relative-paths", b"yes"),
        ];
        let wants = self.trusted.bool(b"ui", b"tweakdefaults")?;
        if wants != Some(true)
            || self.is_tweaked
            || self.plain.is_on_for(b"tweakdefaults")
        {
            return Ok(());
        }
        self.is_tweaked = true;
        for (section, name, value) in TWEAKS {
            if self.trusted.get(section, name).is_none() {
                let value = value.to_vec();
                let source = Source::Named("<tweakdefaults>");
                self.set(section, name, Entry { value, source })?;
            }
        }
        Ok(())
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

    /// The path of the command's repository. What the repositories on the way
    /// there say does not stay, but for warnings.
    // hg: dispatch._getlocal
    fn local_root(
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
    fn open_repository(&mut self, root: &Path) -> Result<(), Error> {
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

/// The text before and after the first `sign`.
fn cut(text: &[u8], sign: u8) -> Option<(&[u8], &[u8])> {
    let position = text.iter().position(|byte| *byte == sign)?;
    Some((&text[..position], &text[position + 1..]))
}
