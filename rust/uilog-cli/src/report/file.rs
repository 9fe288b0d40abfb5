//! Files that a report is written into: for this user alone, and whole or not
//! at all. Must not know what is in them.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::io::Write;
use std::path::Path;

use nix::fcntl::OFlag;
use uilog_sys::own_dir::OwnDir;

/// Only this user may read it.
const MODE: u32 = 0o600;

/// Writes a file, or replaces one of ours.
///
/// # Errors
///
/// The system's, or what has the name is not a file of ours.
pub(super) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let (dir, name) = place(path)?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}.new", std::process::id()));
    let replaced = dir.replace(name, &temporary, MODE, text);
    if replaced.is_err() {
        // Nobody looks for half of a report.
        let _ = dir.remove(&temporary);
    }
    replaced
}

/// Writes a file that must not exist.
///
/// # Errors
///
/// The system's; [`io::ErrorKind::AlreadyExists`] if there is one.
pub(super) fn create(path: &Path, text: &[u8]) -> io::Result<()> {
    let (dir, name) = place(path)?;
    let mut file = dir.create_new(name, OFlag::O_WRONLY, MODE)?;
    let written = file.write_all(text);
    if written.is_err() {
        let _ = dir.remove(name);
    }
    written
}

fn place(path: &Path) -> io::Result<(OwnDir, &OsStr)> {
    let name = path.file_name();
    let name = name.ok_or_else(|| io::Error::other("it names no file"))?;
    let above = match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        _ => Path::new("."),
    };
    Ok((OwnDir::beside_users_file(above)?, name))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_are_whole_and_for_this_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("report.html");
        for text in ["a", "b"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, MODE);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let error = create(&path, b"c").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        // What a link leads to stays as it is.
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(replace(&link, b"c").is_err());
        assert!(create(&link, b"c").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "b");
        assert!(replace(Path::new("/"), b"c").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
