//! Which files Mercurial reads, in which order.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use crate::environment::Environment;
use crate::expand;
use crate::installation;
use crate::posixpath;

/// The kinds of places that values come from, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// What Mercurial itself brings along.
    Bundled,
    /// The system's administrator.
    System,
    /// `EDITOR`, `VISUAL` and `PAGER`.
    Environment,
    /// The user, or what `HGRCPATH` names.
    User,
    /// The repository that this one shares its store with.
    Shared,
    /// The repository.
    Repository,
    /// The repository alone, not those that share its store.
    NotShared,
    /// `--config-file` and `--config`.
    CommandLine,
}

impl Layer {
    /// For people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bundled => "bundled",
            Self::System => "system",
            Self::Environment => "environment",
            Self::User => "user",
            Self::Shared => "shared",
            Self::Repository => "repository",
            Self::NotShared => "not-shared",
            Self::CommandLine => "command-line",
        }
    }
}

/// Something to be read before any repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Component {
    /// A file, and what hg calls it.
    File {
        layer: Layer,
        path: PathBuf,
        name: PathBuf,
    },
    /// `[section] name = value` out of an environment variable.
    Item {
        section: &'static [u8],
        name: &'static [u8],
        value: Vec<u8>,
        source: &'static str,
    },
}

/// The files that are read before any repository's, in order.
// hg: rcutil.rccomponents
pub(crate) fn components(environment: &Environment) -> Vec<Component> {
    let mut components = Vec::new();
    if let Some(paths) = environment.var(b"HGRCPATH") {
        components.extend(environment_items(environment));
        let paths = paths.split(|byte| *byte == b':');
        for path in paths.filter(|path| !path.is_empty()) {
            let files = files_at(path, environment);
            components
                .extend(files.into_iter().map(|path| file(Layer::User, path)));
        }
        return components;
    }
    let hg = environment.hg();
    components.extend(hg.into_iter().flat_map(bundled_files));
    let prefix = hg.and_then(installation::prefix);
    let prefix = prefix.map(|prefix| prefix.join("etc/mercurial"));
    for dir in prefix.into_iter().chain(["/etc/mercurial".into()]) {
        components.extend(
            system_files(&dir)
                .into_iter()
                .map(|path| file(Layer::System, posixpath::normalized(&path))),
        );
    }
    components.extend(environment_items(environment));
    components.extend(
        user_files(environment)
            .into_iter()
            .map(|path| file(Layer::User, posixpath::normalized(&path))),
    );
    components
}

fn file(layer: Layer, path: PathBuf) -> Component {
    let name = path.clone();
    Component::File { layer, path, name }
}

// hg: rcutil.envrcitems
fn environment_items(
    environment: &Environment,
) -> impl Iterator<Item = Component> + '_ {
    type Known = (&'static [u8], &'static [u8], &'static [u8], &'static str);
    const KNOWN: [Known; 3] = [
        (b"EDITOR", b"ui", b"editor", "$EDITOR"),
        (b"VISUAL", b"ui", b"editor", "$VISUAL"),
        (b"PAGER", b"pager", b"pager", "$PAGER"),
    ];
    KNOWN
        .into_iter()
        .filter_map(|(variable, section, name, source)| {
            let value = environment.var(variable)?.to_vec();
            Some(Component::Item {
                section,
                name,
                value,
                source,
            })
        })
}

/// An entry of `HGRCPATH`: a file, or the `*.rc` files of a directory.
// hg: rcutil._expandrcpath
fn files_at(path: &[u8], environment: &Environment) -> Vec<PathBuf> {
    let path = posixpath::to_path(expand::expand_path(path, environment));
    if path.is_dir() {
        rc_files(&path)
    } else {
        vec![path]
    }
}

/// A directory's files that end in `.rc`, sorted by the bytes of their names.
fn rc_files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let mut names: Vec<_> = names
        .filter(|name| name.as_bytes().ends_with(b".rc"))
        .collect();
    names.sort();
    let dir = dir.as_os_str().as_bytes();
    names
        .iter()
        .map(|name| posixpath::join(dir, name.as_bytes()))
        .collect()
}

// hg: rcutil.default_rc_resources
fn bundled_files(hg: &Path) -> Vec<Component> {
    let Some(package) = installation::package(hg) else {
        return Vec::new();
    };
    let files = rc_files(&package.join("defaultrc")).into_iter();
    files
        .map(|path| {
            let mut name = b"resource:mercurial.defaultrc.".to_vec();
            let file = path.file_name().map(OsStrExt::as_bytes);
            name.extend_from_slice(file.unwrap_or_default());
            let name = posixpath::to_path(name);
            let layer = Layer::Bundled;
            Component::File { layer, path, name }
        })
        .collect()
}

// hg: scmposix._rcfiles
fn system_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = vec![dir.join("hgrc")];
    files.extend(rc_files(&dir.join("hgrc.d")));
    files
}

// hg: scmposix.userrcpath
fn user_files(environment: &Environment) -> [PathBuf; 2] {
    let home = |path| expand::expand_user(path, environment);
    let xdg = environment.var(b"XDG_CONFIG_HOME");
    let xdg = xdg.filter(|dir| dir.starts_with(b"/")).map(<[u8]>::to_vec);
    let xdg = xdg.unwrap_or_else(|| home(b"~/.config"));
    [
        posixpath::to_path(home(b"~/.hgrc")),
        posixpath::join(&xdg, b"hg/hgrc"),
    ]
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// In hg's words, in order, but for what this machine has in a directory.
    fn names(environment: &Environment) -> Vec<String> {
        let names = components(environment).into_iter().map(|it| match it {
            Component::File { layer, name, .. } => {
                format!("{} {}", layer.name(), name.to_str().unwrap())
            }
            Component::Item { source, .. } => source.to_owned(),
        });
        names
            .filter(|it| !it.contains(" /etc/mercurial/hgrc.d"))
            .collect()
    }

    #[test]
    fn the_files_of_hg_the_system_and_the_user_in_this_order() {
        let dir = TempDir::new().unwrap();
        let root = dir.path().to_str().unwrap();
        let package = dir.path().join("lib/python3/site-packages/mercurial");
        let other = dir.path().join("etc/mercurial/hgrc.d");
        for dir in [&package.join("defaultrc"), &other] {
            fs::create_dir_all(dir).unwrap();
            for name in ["b.rc", "a.rc", "rc", "c.rc~"] {
                fs::write(dir.join(name), "").unwrap();
            }
        }
        let variables =
            [("HOME", "/home/me"), ("PAGER", "less"), ("EDITOR", "")];
        let environment = Environment::of(&variables)
            .with_hg(Some(dir.path().join("bin/hg")));
        assert_eq!(
            names(&environment),
            [
                "bundled resource:mercurial.defaultrc.a.rc".to_owned(),
                "bundled resource:mercurial.defaultrc.b.rc".to_owned(),
                format!("system {root}/etc/mercurial/hgrc"),
                format!("system {root}/etc/mercurial/hgrc.d/a.rc"),
                format!("system {root}/etc/mercurial/hgrc.d/b.rc"),
                "system /etc/mercurial/hgrc".to_owned(),
                "$EDITOR".to_owned(),
                "$PAGER".to_owned(),
                "user /home/me/.hgrc".to_owned(),
                "user /home/me/.config/hg/hgrc".to_owned(),
            ]
        );
    }

    #[test]
    fn a_program_in_the_root_adds_no_directory() {
        let hg = |path: &str| {
            let environment = Environment::of(&[("HOME", "/h")]);
            names(&environment.with_hg(Some(path.into()))).len()
        };
        assert_eq!(hg("/usr/bin/hg"), hg("/bin/hg") + 1);
    }

    #[test]
    fn what_hgrcpath_names_replaces_the_files_of_the_system() {
        let dir = TempDir::new().unwrap();
        let root = dir.path().to_str().unwrap();
        for name in ["z.rc", "y.rc", "x"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let environment = Environment::of(&[
            ("HGRCPATH", &format!("{root}/one::~/two:{root}")),
            ("HOME", "/home/me"),
            ("VISUAL", "vi"),
        ]);
        assert_eq!(
            names(&environment),
            [
                "$VISUAL".to_owned(),
                format!("user {root}/one"),
                "user /home/me/two".to_owned(),
                format!("user {root}/y.rc"),
                format!("user {root}/z.rc"),
            ]
        );
    }

    #[test]
    fn the_users_directory_is_absolute() {
        let last = |dir: &str| {
            let variables = [("HOME", "/h"), ("XDG_CONFIG_HOME", dir)];
            names(&Environment::of(&variables)).pop().unwrap()
        };
        assert_eq!(last("/c"), "user /c/hg/hgrc");
        assert_eq!(last("c"), "user /h/.config/hg/hgrc");
        assert_eq!(last(""), "user /h/.config/hg/hgrc");
    }
}
