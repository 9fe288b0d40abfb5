//! The files that a name on `PATH` may mean.
//!
//! Must not know whose `PATH` it is, or in which directory it applies.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use nix::unistd::AccessFlags;
use nix::unistd::access;

/// The files that a program of this name may be, in the order of `path`, a value
/// of `PATH`. An empty entry is the working directory, as for execvp(3).
pub fn candidates<'a>(
    name: &'a [u8],
    path: &'a [u8],
) -> impl Iterator<Item = PathBuf> + use<'a> {
    path.split(|byte| *byte == b':').map(move |dir| {
        Path::new(OsStr::from_bytes(dir)).join(OsStr::from_bytes(name))
    })
}

/// Whether it is a file that this process may execute.
pub fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn entries_are_tried_in_order() {
        let found: Vec<_> = candidates(b"hg", b"/a::b").collect();
        let expected: Vec<_> =
            ["/a/hg", "hg", "b/hg"].iter().map(PathBuf::from).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_program_is_a_file_that_can_be_executed() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_program(directory.path()));
        let file = directory.path().join("hg");
        assert!(!is_program(&file));
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(!is_program(&file));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(is_program(&file));
    }
}
