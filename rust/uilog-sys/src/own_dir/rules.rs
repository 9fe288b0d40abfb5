//! Which files and directories are to be trusted.

use std::io;

use nix::sys::stat::FileStat;
use nix::sys::stat::SFlag;
use nix::unistd::geteuid;

/// The write permissions of other users.
pub(super) const OTHERS_WRITE: u32 = 0o022;

pub(super) const DIRECTORY: SFlag = SFlag::S_IFDIR;

pub(super) fn is_kind(status: &FileStat, kind: SFlag) -> bool {
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == kind
}

/// Whether something is a symbolic link.
pub fn is_link(status: &FileStat) -> bool {
    is_kind(status, SFlag::S_IFLNK)
}

/// Whether something is a regular file.
pub fn is_regular(status: &FileStat) -> bool {
    is_kind(status, SFlag::S_IFREG)
}

/// Whether something belongs to this user.
pub fn is_own(status: &FileStat) -> bool {
    status.st_uid == geteuid().as_raw()
}

/// Whether something belongs to this user or to root.
pub fn is_trusted_owner(status: &FileStat) -> bool {
    [geteuid().as_raw(), 0].contains(&status.st_uid)
}

/// Fails if it is not a regular file of this user or of root.
///
/// # Errors
///
/// What is wrong.
pub fn check_own(status: &FileStat) -> io::Result<()> {
    if !is_regular(status) {
        return Err(io::Error::other("it is not a regular file"));
    }
    if !is_trusted_owner(status) {
        return Err(io::Error::other("it belongs to another user"));
    }
    Ok(())
}
