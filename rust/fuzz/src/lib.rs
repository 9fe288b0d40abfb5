//! What several fuzz targets share.

use std::path::Path;

use tempfile::TempDir;

/// A file system in memory, where no execution waits for a disk.
const MEMORY: &str = "/dev/shm";

/// A directory for one execution, in memory if there is such a file system.
///
/// # Panics
///
/// No directory can be made.
pub fn directory() -> TempDir {
    let memory = Path::new(MEMORY);
    let made = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.expect("a directory")
}
