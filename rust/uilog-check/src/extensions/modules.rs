//! The file that an extension's path or name leads hg's Python to.
//!
//! Must not know which extensions there are.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use uilog_config::expand_path;
use uilog_config::extension_name;
use uilog_finding::subject::Subject;
use uilog_sys::foreign_file;

use crate::text::lossy;

/// The extension that every Python with uilog has.
pub(super) const UILOG: &str = "uilog";

/// The packages in which hg searches for extensions, before it tries the name
/// as a module.
// hg: extensions._importext
const PACKAGES: [&[u8]; 3] = [b"hgext.", b"hgext3rd.", b""];

/// Whether hg finds something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// It loads this file.
    Found(PathBuf),
    /// It cannot, for this reason; what to do about it.
    Missing(String, String),
    /// Not known from outside.
    Unknown,
}

/// Whether Python can look for a module of this name.
pub(super) fn is_module_name(name: &[u8]) -> bool {
    name.split(|byte| *byte == b'.').all(|part| {
        !part.is_empty() && !part.iter().any(|byte| b"/\\".contains(byte))
    })
}

/// What an entry with a path leads to.
// hg: util.load_path, extensions.loadpath
pub(super) fn by_path(
    subject: &Subject<'_>,
    value: &[u8],
    name: &str,
) -> Search {
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
pub(super) fn by_name(
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
    if name != UILOG && !has_stock {
        return Search::Unknown;
    }
    let dir = dirs.first().map(|dir| dir.display().to_string());
    let dir = dir.unwrap_or_default();
    let (what, advice) = if listed != name.as_bytes() {
        let short = lossy(extension_name(listed));
        let advice = format!("write: {short} =");
        (format!("module {}", lossy(listed)), advice)
    } else if name == UILOG {
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

#[cfg(test)]
mod tests {
    use super::*;

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
