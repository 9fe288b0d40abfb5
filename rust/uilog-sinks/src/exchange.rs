//! Whether another user can replace a file.
//!
//! Checks owners and modes of the file and of every directory above it. Must
//! not know what the file is for.

use std::fs;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use nix::unistd::getegid;
use nix::unistd::geteuid;

/// The permissions by which others could make, rename and remove files.
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
/// Only a file's owner can rename or remove it.
const STICKY: u32 = 0o1000;

/// What allows another user to replace this file: the file, or a directory
/// above it, and why.
pub(crate) fn exchangeable(path: &Path) -> Option<(PathBuf, &'static str)> {
    let belongs = "belongs to another user";
    let is_foreign = |metadata: &Metadata| {
        ![0, geteuid().as_raw()].contains(&metadata.uid())
    };
    if fs::metadata(path).is_ok_and(|it| it.is_file() && is_foreign(&it)) {
        return Some((path.to_owned(), belongs));
    }
    // If it does not exist, its directory decides.
    let mut above = path.ancestors().skip(1);
    let dir = above.find_map(|dir| fs::canonicalize(dir).ok())?;
    dir.ancestors().find_map(|dir| {
        let metadata = fs::metadata(dir).ok()?;
        let mode = metadata.mode();
        let why = if is_foreign(&metadata) {
            belongs
        } else if mode & STICKY != 0 {
            return None;
        } else if mode & OTHERS_WRITE != 0 {
            "can be written by others"
        } else if mode & GROUP_WRITES != 0 && !is_private(metadata.gid()) {
            "can be written by its group"
        } else {
            return None;
        };
        Some((dir.to_owned(), why))
    })
}

/// Whether a group is an ordinary user's own: where users have such, it has the
/// user's number, and the umask lets it write.
fn is_private(group: u32) -> bool {
    let user = geteuid();
    !user.is_root() && group == user.as_raw() && group == getegid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn where_others_can_rename_a_file_can_be_exchanged() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        let inner = root.join("a/b");
        fs::create_dir_all(&inner).unwrap();
        let file = inner.join("log");
        let set = |path: &Path, mode| {
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(path, mode).unwrap();
        };
        for (path, mode) in [(&inner, 0o755), (&root.join("a"), 0o755)] {
            set(path, mode);
        }
        assert_eq!(exchangeable(&file), None);
        let outer = root.join("a");
        for path in [&inner, &outer] {
            set(path, 0o777);
            let why = "can be written by others";
            assert_eq!(exchangeable(&file), Some((path.clone(), why)));
            // What is missing would be made there.
            let missing = path.join("x/y/log");
            assert_eq!(exchangeable(&missing), Some((path.clone(), why)));
            set(path, 0o1777);
            assert_eq!(exchangeable(&file), None);
            set(path, 0o755);
        }
        if !geteuid().is_root() {
            eprintln!("only root can give a file away");
            return;
        }
        set(&inner, 0o770);
        let why = "can be written by its group";
        assert_eq!(exchangeable(&file), Some((inner.clone(), why)));
        set(&inner, 0o755);
        fs::write(&file, "").unwrap();
        assert_eq!(exchangeable(&file), None);
        let why = "belongs to another user";
        for path in [&file, &inner, &outer] {
            std::os::unix::fs::chown(path, Some(12345), None).unwrap();
            assert_eq!(exchangeable(&file), Some((path.clone(), why)));
            std::os::unix::fs::chown(path, Some(0), None).unwrap();
        }
        // A link leads to where it leads.
        set(&outer, 0o777);
        let link = root.join("link");
        std::os::unix::fs::symlink(&inner, &link).unwrap();
        let found = exchangeable(&link.join("log"));
        assert_eq!(found, Some((outer, "can be written by others")));
    }
}
