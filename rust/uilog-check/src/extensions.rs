//! Whether hg can load what `[extensions]` lists.
//!
//! Responsible for finding an extension as hg's Python would, by its name or by
//! its path, for each hg that may read the configuration: the one beside this
//! program and the first on `PATH` may differ. Runs neither. Must not know what
//! an extension is for.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;
use uilog_config::Config;
use uilog_config::Entry;
use uilog_config::expand_path;
use uilog_config::extension_name;
use uilog_config::installation;
use uilog_config::installation::Role;
use uilog_finding::finding::Finding;
use uilog_finding::subject::Subject;
use uilog_sys::foreign_file;

use super::text::lossy;

/// The extensions that matter.
pub(super) const NAMES: [&str; 3] = ["uilog", "logtoprocess", "blackbox"];

/// The packages in which hg searches for extensions, before it tries the name
/// as a module.
// hg: extensions._importext
const PACKAGES: [&[u8]; 3] = [b"hgext.", b"hgext3rd.", b""];

/// The first Mercurial that uilog lets itself be loaded by.
// `minimumhgversion` in hgext/uilog/__init__.py
const FIRST_VERSION: (u32, u32) = (6, 3);

/// The most that hg's file with its version may have.
const MAX_VERSION_BYTES: u64 = 64 << 10;

/// An hg that may read the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hg {
    /// The program.
    pub path: String,
    /// Where it has been found, in words.
    pub found: Vec<&'static str>,
    /// Its version, if known.
    pub version: Option<String>,
    /// The file of uilog that it loads, or would if that were enabled.
    pub uilog: Option<String>,
    /// Its Python package, if that can be found.
    #[serde(skip)]
    package: Option<PathBuf>,
}

impl Hg {
    fn new(role: Role, path: &Path) -> Self {
        let package = installation::package(path);
        Self {
            path: path.display().to_string(),
            found: vec![role.name()],
            version: package.as_deref().and_then(version),
            uilog: None,
            package,
        }
    }
}

/// Every hg that may read the configuration, the likeliest first, each once.
fn find_hgs(subject: &Subject<'_>) -> Vec<Hg> {
    let mut hgs: Vec<(Option<PathBuf>, Hg)> = Vec::new();
    for (role, path) in installation::find_all(subject.environment) {
        let real = fs::canonicalize(&path).ok();
        let same = hgs.iter_mut().find(|it| it.0 == real && real.is_some());
        match same {
            Some((_, hg)) => hg.found.push(role.name()),
            None => hgs.push((real, Hg::new(role, &path))),
        }
    }
    hgs.into_iter().map(|(_, hg)| hg).collect()
}

/// The version that Mercurial's package names.
fn version(package: &Path) -> Option<String> {
    let file = package.join("__version__.py");
    let text = foreign_file::read(&file, MAX_VERSION_BYTES).ok()?;
    let text = String::from_utf8(text).ok()?;
    let mut lines = text.lines();
    lines.find_map(|line| {
        let (names, value) = line.split_once(" = ")?;
        // `version = b"6.3"`, `__version__ = version = '7.2'`
        let value = value.strip_prefix("version = ").unwrap_or(value);
        let value = value.strip_prefix('b').unwrap_or(value);
        let is_it = names == "version" || names == "__version__";
        let quote = value.chars().next().filter(|it| "'\"".contains(*it));
        let value = value.strip_prefix(quote?)?.strip_suffix(quote?)?;
        is_it.then(|| value.to_owned())
    })
}

/// Whether hg finds something.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Search {
    /// It loads this file.
    Found(PathBuf),
    /// It cannot, for this reason; what to do about it.
    Missing(String, String),
    /// Not known from outside.
    Unknown,
}

/// The extensions that were found.
#[derive(Debug, Default)]
pub(super) struct Extensions<'a> {
    /// What hg loads of [`NAMES`], or may load.
    loaded: Vec<(&'static str, &'a Entry)>,
    /// The extensions that it should load, but cannot.
    broken: Vec<(&'static str, &'a Entry)>,
    /// Every hg.
    pub(super) hgs: Vec<Hg>,
    /// The directories of uilog that are loaded.
    pub(super) packages: Vec<PathBuf>,
}

impl<'a> Extensions<'a> {
    /// Finds all listed extensions.
    pub(super) fn find(
        subject: &Subject<'a>,
        found: &mut Vec<Finding>,
    ) -> Self {
        let mut all = Self {
            hgs: find_hgs(subject),
            ..Self::default()
        };
        for name in NAMES {
            let mut tried = Vec::new();
            for (listed, entry) in
                subject.loaded.trusted.enabled(name.as_bytes())
            {
                // hg tries the first of several, even if that fails.
                let key = load_key(listed);
                if tried.contains(&key) {
                    continue;
                }
                tried.push(key);
                all.look_for(subject, name, (listed, entry), found);
            }
        }
        all.find_installed(subject);
        all.compare(found);
        all
    }

    /// For which hg uilog is installed, though none may load it.
    fn find_installed(&mut self, subject: &Subject<'_>) {
        let name = NAMES[0];
        for hg in &mut self.hgs {
            if let (None, Some(mercurial)) = (&hg.uilog, &hg.package)
                && let Search::Found(file) =
                    by_name(subject, mercurial, name.as_bytes(), name)
            {
                hg.uilog = Some(file.display().to_string());
            }
        }
    }

    /// The entry by which hg loads an extension.
    pub(super) fn loaded(&self, name: &str) -> Option<&'a Entry> {
        let mut loaded = self.loaded.iter();
        loaded.find(|it| it.0 == name).map(|it| it.1)
    }

    /// The entry by which it would, if it could.
    pub(super) fn broken(&self, name: &str) -> Option<&'a Entry> {
        let is_loaded = self.loaded(name).is_some();
        let mut broken = self.broken.iter().filter(|_| !is_loaded);
        broken.find(|it| it.0 == name).map(|it| it.1)
    }

    fn look_for(
        &mut self,
        subject: &Subject<'a>,
        name: &'static str,
        (listed, entry): (&[u8], &'a Entry),
        found: &mut Vec<Finding>,
    ) {
        let shown = lossy(listed);
        let mut push = |finding: Finding| found.push(finding.at(&entry.source));
        let mut searches = Vec::new();
        if !entry.value.is_empty() {
            searches.push((None, by_path(subject, &entry.value, name)));
        } else if !is_module_name(listed) {
            let why = "that is not the name of a Python module".to_owned();
            let advice = format!("write: {name} =");
            searches.push((None, Search::Missing(why, advice)));
        } else if self.hgs.is_empty() {
            push(Finding::warning(
                "hg-missing",
                format!(
                    "there is no hg on PATH: cannot check whether it can load \
                     {shown}"
                ),
            ));
            searches.push((None, Search::Unknown));
        } else {
            for (index, hg) in self.hgs.iter().enumerate() {
                let Some(mercurial) = &hg.package else {
                    push(Finding::note(
                        "hg-unknown",
                        format!(
                            "cannot find the Python package of {}: cannot \
                             check whether it can load {shown}",
                            hg.path
                        ),
                    ));
                    searches.push((Some(index), Search::Unknown));
                    continue;
                };
                let search = by_name(subject, mercurial, listed, name);
                searches.push((Some(index), search));
            }
        }
        if name == NAMES[0] {
            refuse_old(&self.hgs, &mut searches);
        }
        let mut is_loaded = false;
        for (hg, search) in searches {
            match search {
                Search::Unknown => is_loaded = true,
                Search::Found(file) => {
                    is_loaded = true;
                    if name == NAMES[0] {
                        self.note_uilog(hg, &file);
                    }
                }
                Search::Missing(why, advice) => {
                    // Which one, if there are several.
                    let hg = match hg {
                        Some(index) if self.hgs.len() > 1 => {
                            let hg = &self.hgs[index];
                            format!("{} ({})", hg.path, hg.found.join(", "))
                        }
                        _ => "hg".to_owned(),
                    };
                    let text = format!("{hg} cannot load {shown}: {why}");
                    let finding = Finding::error("extension-missing", text);
                    push(finding.advise(advice));
                }
            }
        }
        let list = if is_loaded {
            &mut self.loaded
        } else {
            &mut self.broken
        };
        list.push((name, entry));
    }

    /// Notes which uilog an hg loads; all of them, if none is named.
    fn note_uilog(&mut self, hg: Option<usize>, file: &Path) {
        for (index, it) in self.hgs.iter_mut().enumerate() {
            if hg.is_none_or(|hg| hg == index) {
                it.uilog.get_or_insert(file.display().to_string());
            }
        }
        let package = file.parent().unwrap_or(file).to_owned();
        if !self.packages.contains(&package) {
            self.packages.push(package);
        }
    }

    /// Two of them may be two worlds.
    fn compare(&self, found: &mut Vec<Finding>) {
        let [first, others @ ..] = &*self.hgs else {
            return;
        };
        for other in others {
            let told = [first, other].map(|hg| {
                let version = hg.version.as_deref().unwrap_or("unknown");
                let uilog = match hg.uilog {
                    Some(_) => "has uilog",
                    None if hg.package.is_none() => "uilog unknown",
                    None => "does not have uilog",
                };
                let found = hg.found.join(", ");
                format!("{found}: {}, version {version}, {uilog}", hg.path)
            });
            let text = format!("there are two hg; {}", told.join("; "));
            found.push(Finding::note("hg-two", text).advise(
                "the one on PATH is what `hg` runs; `$HG` names another one",
            ));
        }
    }
}

/// Notes which hg does not load uilog, though it finds it: an old one. What a
/// path leads to is for every hg; the first one is the likeliest.
fn refuse_old(hgs: &[Hg], searches: &mut [(Option<usize>, Search)]) {
    for (index, search) in searches {
        let hg = hgs.get(index.unwrap_or_default());
        let version = hg.and_then(|hg| hg.version.as_deref());
        if let (Search::Found(_), Some(version)) = (&*search, version)
            && is_too_old(version)
        {
            let (major, minor) = FIRST_VERSION;
            *search = Search::Missing(
                format!(
                    "Mercurial {version} is too old: uilog needs \
                     {major}.{minor} or newer"
                ),
                "install a newer Mercurial, or do not enable uilog".to_owned(),
            );
        }
    }
}

/// Whether a version is earlier than the first one that uilog supports; an
/// unknown one is not.
fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split(|it: char| !it.is_ascii_digit());
    let mut next = || numbers.next()?.parse::<u32>().ok();
    match (next(), next()) {
        (Some(major), minor) => (major, minor.unwrap_or(0)) < FIRST_VERSION,
        _ => false,
    }
}

/// What hg remembers an extension by that it has tried to load.
// hg: extensions.load
fn load_key(listed: &[u8]) -> &[u8] {
    let prefixes: [&[u8]; 2] = [b"hgext.", b"hgext/"];
    let mut short = prefixes.iter().filter_map(|it| listed.strip_prefix(*it));
    short.next().unwrap_or(listed)
}

/// Whether Python can look for a module of this name.
fn is_module_name(name: &[u8]) -> bool {
    name.split(|byte| *byte == b'.').all(|part| {
        !part.is_empty() && !part.iter().any(|byte| b"/\\".contains(byte))
    })
}

/// What an entry with a path leads to.
// hg: util.load_path, extensions.loadpath
fn by_path(subject: &Subject<'_>, value: &[u8], name: &str) -> Search {
    let advice = format!("correct the path, or leave it out: {name} =");
    let expanded = expand_path(value, subject.environment);
    let path = Path::new(OsStr::from_bytes(&expanded));
    let full = subject.cwd.join(path);
    let missing = |why: String| Search::Missing(why, advice.clone());
    let file = if full.is_dir() {
        let init = full.join("__init__.py");
        if !init.is_file() {
            let shown = path.display();
            return missing(format!("there is no __init__.py in {shown}"));
        }
        init
    } else {
        full
    };
    match foreign_file::open(&file) {
        Ok(_) => Search::Found(file),
        Err(error) if error.is_not_found() => {
            missing(format!("{} does not exist", path.display()))
        }
        Err(error) => missing(format!("{}: {error}", path.display())),
    }
}

/// What an entry with a name only leads to, for the hg with this package.
// hg: extensions._importext
fn by_name(
    subject: &Subject<'_>,
    mercurial: &Path,
    listed: &[u8],
    name: &str,
) -> Search {
    let dirs = python_dirs(subject, mercurial);
    for package in PACKAGES {
        let module = [package, listed].concat();
        let relative: PathBuf = module
            .split(|byte| *byte == b'.')
            .map(OsStr::from_bytes)
            .collect();
        for dir in &dirs {
            if let Some(file) = module_file(&dir.join(&relative)) {
                return Search::Found(file);
            }
        }
    }
    // Only this Python may know where stock hg's extensions are, perhaps in an
    // archive.
    let has_stock = dirs.iter().any(|dir| dir.join("hgext").is_dir());
    if name != NAMES[0] && !has_stock {
        return Search::Unknown;
    }
    let dir = dirs.first().map(|dir| dir.display().to_string());
    let dir = dir.unwrap_or_default();
    let (what, advice) = if listed != name.as_bytes() {
        let short = lossy(extension_name(listed));
        let advice = format!("write: {short} =");
        (format!("module {}", lossy(listed)), advice)
    } else if name == NAMES[0] {
        let advice = "install uilog with the Python that runs hg";
        ("hgext3rd/uilog".to_owned(), advice.to_owned())
    } else {
        let advice = "install Mercurial again: the extension is a part of it";
        (format!("hgext/{name}"), advice.to_owned())
    };
    Search::Missing(format!("there is no {what} in {dir}"), advice)
}

/// The file of a module, or of a package, that Python would load.
fn module_file(module: &Path) -> Option<PathBuf> {
    let init = module.join("__init__.py");
    let mut plain = module.as_os_str().to_owned();
    plain.push(".py");
    let mut compiled = module.as_os_str().to_owned();
    compiled.push(".pyc");
    let files = [init, plain.into(), compiled.into()];
    files.into_iter().find(|file| file.is_file())
}

/// Where this hg's Python searches for packages, as far as known from outside;
/// the most likely directory first.
fn python_dirs(subject: &Subject<'_>, mercurial: &Path) -> Vec<PathBuf> {
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let site = mercurial.parent().unwrap_or(mercurial);
    let mut dirs = vec![site.to_owned()];
    // What links lead to is where the module has come from.
    dirs.extend(
        mercurial
            .canonicalize()
            .ok()
            .and_then(|real| Some(real.parent()?.to_owned())),
    );
    let listed = subject.environment.var(b"PYTHONPATH").unwrap_or_default();
    let listed = listed.split(|byte| *byte == b':');
    dirs.extend(listed.filter(|dir| !dir.is_empty()).map(path));
    // lib/python3.11/site-packages and its like for the user and the system;
    // Debian's lib/python3 serves every version.
    let python = site.parent().and_then(Path::file_name);
    let is_its = |name: &OsStr| match python {
        Some(python) if python != "python3" => {
            name == python || name == "python3"
        }
        _ => name.as_bytes().starts_with(b"python3"),
    };
    let home = subject.environment.var(b"HOME").map(path);
    let home = home.map(|home| home.join(".local"));
    let prefixes = [home, Some("/usr/local".into()), Some("/usr".into())];
    for prefix in prefixes.into_iter().flatten() {
        let entries = fs::read_dir(prefix.join("lib"));
        for entry in entries.into_iter().flatten().flatten() {
            if is_its(&entry.file_name()) {
                let python = entry.path();
                dirs.push(python.join("site-packages"));
                dirs.push(python.join("dist-packages"));
            }
        }
    }
    dirs
}

/// Where an extension is listed, be it to disable it.
pub(super) fn listed(config: &Config, name: &str) -> Option<String> {
    let enabled = config.extension(name.as_bytes());
    let entry = enabled.or_else(|| {
        let mut all = config.items(b"extensions");
        let name = name.as_bytes();
        all.find(|(listed, _)| extension_name(listed) == name)
            .map(|(_, entry)| entry)
    });
    entry.map(|entry| entry.source.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_mercurial_writes_them() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("__version__.py");
        for (text, expected) in [
            (
                "# this file is autogenerated\nversion = b\"6.3.3\"\n",
                "6.3.3",
            ),
            (
                "version: str\n__version__ = version = '7.2.4'\n\
                 __version_tuple__ = version_tuple = (7, 2, 4)\n",
                "7.2.4",
            ),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(version(dir.path()).as_deref(), Some(expected));
        }
        fs::write(&file, "version = get()\n").unwrap();
        assert_eq!(version(dir.path()), None);
    }

    #[test]
    fn an_old_mercurial_does_not_load_uilog() {
        for old in ["5.6.1", "6.2.3+hg1.abc", "6.2rc0", "6", "4.9"] {
            assert!(is_too_old(old), "{old}");
        }
        for new in ["6.3", "6.3rc0", "6.10", "7.2.4", "10.0", "unknown", ""] {
            assert!(!is_too_old(new), "{new}");
        }
        let hg = |version: &str| Hg {
            path: "hg".to_owned(),
            found: vec!["first on PATH"],
            version: Some(version.to_owned()),
            uilog: None,
            package: None,
        };
        let file = || Search::Found("uilog.py".into());
        let mut searches =
            vec![(Some(0), file()), (Some(1), file()), (None, file())];
        refuse_old(&[hg("5.6.1"), hg("6.3.3")], &mut searches);
        let refused = Search::Missing(
            "Mercurial 5.6.1 is too old: uilog needs 6.3 or newer".to_owned(),
            "install a newer Mercurial, or do not enable uilog".to_owned(),
        );
        assert_eq!([&searches[0].1, &searches[2].1], [&refused, &refused]);
        assert_eq!(searches[1].1, file());
    }

    #[test]
    fn only_names_of_modules_are_looked_for() {
        for name in ["uilog", "hgext.uilog", "hgext3rd.uilog"] {
            assert!(is_module_name(name.as_bytes()), "{name}");
            assert_eq!(extension_name(name.as_bytes()), b"uilog");
        }
        for name in ["hgext/uilog", "hgext3rd/uilog", "a..b", ""] {
            assert!(!is_module_name(name.as_bytes()), "{name}");
        }
    }
}
