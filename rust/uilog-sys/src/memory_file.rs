//! Files in memory without a name in any directory (`memfd_create`).

use std::ffi::CStr;
use std::fs::File;
use std::io;

/// Creates one. `name` is how /proc shows it.
///
/// # Errors
///
/// The system cannot, or has no memory or no descriptor left.
pub fn create(name: &CStr) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::memfd::MFdFlags;
        use nix::sys::memfd::memfd_create;
        Ok(memfd_create(name, MFdFlags::MFD_CLOEXEC)?.into())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = name;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The same, of a size that can be fixed with seals.
///
/// # Errors
///
/// As of [`create`].
#[cfg(target_os = "linux")]
pub(crate) fn create_sealable(name: &CStr) -> io::Result<File> {
    use nix::sys::memfd::MFdFlags;
    use nix::sys::memfd::memfd_create;
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    Ok(memfd_create(name, flags)?.into())
}
