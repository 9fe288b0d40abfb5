//! Where Mercurial is installed, as far as its configuration depends on that.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use crate::environment::Environment;
use crate::expand;

/// The program's name.
const HG: &[u8] = b"hg";

/// The program `hg`: what `$HG` names (as hg's hooks and scripts have it);
/// else what is installed beside this program; else the first on `PATH`.
pub fn find_hg(environment: &Environment) -> Option<PathBuf> {
    if let Some(hg) = environment.var(b"HG") {
        let hg = expand::to_path(hg.to_vec());
        if hg.is_absolute() && is_program(&hg) {
            return Some(hg);
        }
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.join("hg")));
    if let Some(hg) = beside.filter(|hg| is_program(hg)) {
        return Some(hg);
    }
    let dirs = environment.var(b"PATH")?.split(|byte| *byte == b':');
    let mut programs = dirs.map(|dir| expand::join(dir, HG));
    programs.find(|hg| hg.is_absolute() && is_program(hg))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| {
        metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
    })
}

/// The directory above the one that `hg` is in, under which it looks for its
/// system's configuration. It is what the program is called by, not what a
/// link leads to.
// hg: scmposix.systemrcpath
pub(crate) fn prefix(hg: &Path) -> Option<PathBuf> {
    let prefix = hg.parent()?.parent()?;
    (prefix != Path::new("/")).then(|| prefix.to_owned())
}

/// The directory of Mercurial's Python package that `hg` runs.
pub fn package(hg: &Path) -> Option<PathBuf> {
    let linked = fs::canonicalize(hg).ok();
    let programs = [Some(hg), linked.as_deref()];
    programs.into_iter().flatten().find_map(|hg| {
        let prefix = hg.parent()?.parent()?;
        package_below(&prefix.join("lib"))
    })
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
