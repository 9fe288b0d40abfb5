//! Where Mercurial is installed, as far as its configuration depends on that.

use std::env;
use std::fs;
use std::io;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;

use uilog_sys::foreign_file;
use uilog_sys::search_path;
use uilog_sys::search_path::is_program;

use crate::environment::Environment;
use crate::posixpath;

/// The program's name.
const HG: &[u8] = b"hg";

/// Bytes of a script that may name its interpreter.
const MAX_HASHBANG_BYTES: u64 = 256;

/// How a program `hg` comes into question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// `$HG` names it, as hg's hooks and scripts have it.
    Named,
    /// It is installed in the same directory as this program.
    Beside,
    /// It is the first on `PATH`.
    OnPath,
}

impl Role {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Named => "named by $HG",
            Self::Beside => "beside this uilog",
            Self::OnPath => "first on PATH",
        }
    }
}

/// This process's environment, with the program `hg` that [`find_hg`] finds.
///
/// # Errors
///
/// The working directory has been removed or cannot be looked up.
pub fn environment() -> io::Result<Environment> {
    let variables =
        env::vars_os().map(|(name, value)| (name.into_vec(), value.into_vec()));
    let bare = Environment::new(variables.collect(), env::current_dir()?);
    let hg = find_hg(&bare);
    Ok(bare.with_hg(hg))
}

/// The program `hg`: `$HG`; otherwise the one in this program's directory;
/// otherwise the first on `PATH`.
pub fn find_hg(environment: &Environment) -> Option<PathBuf> {
    named(environment)
        .or_else(beside)
        .or_else(|| on_path(environment))
}

/// Every `hg` that may read this configuration, the one of [`find_hg`] first.
/// If `$HG` names one, it is the only one: it is running.
pub fn find_all(environment: &Environment) -> Vec<(Role, PathBuf)> {
    if let Some(hg) = named(environment) {
        return vec![(Role::Named, hg)];
    }
    let beside = beside().map(|hg| (Role::Beside, hg));
    let on_path = on_path(environment).map(|hg| (Role::OnPath, hg));
    beside.into_iter().chain(on_path).collect()
}

fn named(environment: &Environment) -> Option<PathBuf> {
    let hg = posixpath::to_path(environment.var(b"HG")?.to_vec());
    (hg.is_absolute() && is_program(&hg)).then_some(hg)
}

fn beside() -> Option<PathBuf> {
    let exe = std::env::current_exe().ok()?;
    let hg = exe.parent()?.join("hg");
    is_program(&hg).then_some(hg)
}

fn on_path(environment: &Environment) -> Option<PathBuf> {
    let mut programs = search_path::candidates(HG, environment.var(b"PATH")?);
    programs.find(|hg| hg.is_absolute() && is_program(hg))
}

/// The directory above the one that contains `hg`, in which hg searches for its
/// system configuration. It follows from the path by which `hg` was called, and
/// not from a link's target.
// hg: scmposix.systemrcpath
pub(crate) fn prefix(hg: &Path) -> Option<PathBuf> {
    let prefix = hg.parent()?.parent()?;
    (prefix != Path::new("/")).then(|| prefix.to_owned())
}

/// The directory of Mercurial's Python package that `hg` runs.
pub fn package(hg: &Path) -> Option<PathBuf> {
    let linked = fs::canonicalize(hg).ok();
    // A script may be far from the Python that it names.
    let python = interpreter(hg);
    let programs = [Some(hg), linked.as_deref(), python.as_deref()];
    programs.into_iter().flatten().find_map(|program| {
        let prefix = program.parent()?.parent()?;
        package_below(&prefix.join("lib"))
    })
}

/// The Python that a script names in its first line.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let (file, _) = foreign_file::open(script).ok()?;
    let mut text = Vec::new();
    file.take(MAX_HASHBANG_BYTES).read_to_end(&mut text).ok()?;
    let line = text.split(|byte| *byte == b'\n').next()?;
    let mut words = line
        .strip_prefix(b"#!")?
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let program = posixpath::to_path(words.next()?.to_vec());
    let name = program.file_name()?.as_bytes();
    (program.is_absolute() && name.starts_with(b"python")).then_some(program)
}

/// The package below a directory such as `/usr/lib`.
fn package_below(lib: &Path) -> Option<PathBuf> {
    let mut pythons: Vec<_> = fs::read_dir(lib)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().map(OsStrExt::as_bytes);
            name.is_some_and(|name| name.starts_with(b"python3"))
        })
        .collect();
    pythons.sort();
    let packages = pythons.iter().flat_map(|python| {
        ["site-packages", "dist-packages"]
            .map(|dir| python.join(dir).join("mercurial"))
    });
    packages.into_iter().find(|package| package.is_dir())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_hg_that_runs_is_the_only_one_otherwise_the_first_on_the_path() {
        let dir = TempDir::new().unwrap();
        let path = |name: &str| dir.path().join(name);
        let text = |name: &str| path(name).to_str().unwrap().to_owned();
        write(&path("running/hg"), "", 0o755);
        write(&path("no-program/hg"), "", 0o644);
        write(&path("first/hg"), "", 0o755);
        write(&path("second/hg"), "", 0o755);
        let places = [
            "relative".to_owned(),
            text("no-program"),
            text("first"),
            text("second"),
        ];
        let places = places.join(":");
        for (hg, expected) in [
            (text("running/hg"), (Role::Named, path("running/hg"))),
            (text("no-program/hg"), (Role::OnPath, path("first/hg"))),
            ("hg".to_owned(), (Role::OnPath, path("first/hg"))),
        ] {
            let environment =
                Environment::of(&[("HG", &hg), ("PATH", &places)]);
            assert_eq!(find_hg(&environment), Some(expected.1.clone()));
            assert_eq!(find_all(&environment), [expected]);
        }
        assert_eq!(find_hg(&Environment::of(&[])), None);
        assert_eq!(Role::Named.name(), "named by $HG");
    }

    #[test]
    fn the_package_is_near_the_program_its_link_or_its_python() {
        let dir = TempDir::new().unwrap();
        let path = |name: &str| dir.path().join(name);
        let package = |root: &str, python: &str, kind: &str| {
            let package =
                path(&format!("{root}/lib/{python}/{kind}/mercurial"));
            fs::create_dir_all(&package).unwrap();
            package
        };
        let own = package("venv", "python3.11", "site-packages");
        package("venv", "python3.12", "site-packages");
        package("venv", "perl", "site-packages");
        let debian = package("usr", "python3", "dist-packages");

        write(&path("venv/bin/hg"), "#!/bin/sh\n", 0o755);
        assert_eq!(super::package(&path("venv/bin/hg")), Some(own.clone()));

        fs::create_dir_all(path("local/bin")).unwrap();
        let link = path("local/bin/hg");
        std::os::unix::fs::symlink(path("venv/bin/hg"), &link).unwrap();
        let own = own.canonicalize().unwrap();
        assert_eq!(super::package(&link), Some(own));

        let python = path("usr/bin/python3").to_str().unwrap().to_owned();
        for (line, expected) in [
            (format!("#!{python}\n"), Some(debian.clone())),
            (format!("#! {python} -E\nx"), Some(debian)),
            (format!("{python}\n"), None),
            ("#!python3\n".to_owned(), None),
            (format!("#!{python}\n").replace("python3", "perl"), None),
        ] {
            write(&path("far/bin/hg"), &line, 0o755);
            let found = super::package(&path("far/bin/hg"));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn a_named_pipe_is_no_script() {
        let dir = TempDir::new().unwrap();
        let pipe = dir.path().join("hg");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(interpreter(&pipe), None);
    }
}
