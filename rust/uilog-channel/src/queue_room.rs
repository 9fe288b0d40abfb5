//! Limits the memory of all of a user's queues of records together.
//!
//! Responsible for one limit in each runtime directory: many processes, each
//! within its own limit, must not fill a file system that others need. The sum
//! is the size of a file: a process that needs memory first appends a byte for
//! each unit. That is atomic, does not block, and shares no memory. Processes
//! never take bytes back; from time to time an agent measures what the queues
//! really take, and truncates the file to that. Bytes that are appended during
//! the truncation are forgotten until the next measurement.
//!
//! Must not know what is in a queue.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::io::Write;

use nix::fcntl::OFlag;
use nix::sys::statvfs::fstatvfs;
use uilog_sys::own_dir::OwnDir;

use crate::agent_address;

/// The file's name. It means the same in every version.
const NAME: &str = "reserved";
/// How much memory one byte of the file represents: more than the queue of a
/// command with few events needs.
pub const UNIT_BYTES: u64 = 16 * 1024;
/// Bytes of one unit of `st_blocks`.
const BLOCK_BYTES: u64 = 512;
/// Maximum number of queues that are measured.
const MAX_QUEUES: usize = 64 * 1024;
/// Of the file system, which others use as well, this part is left to them ...
const SPARE_PART: u64 = 8;
/// ... but not more bytes than this.
const MAX_SPARE_BYTES: u64 = 64 << 20;

/// Why memory has not been reserved.
#[derive(Debug)]
pub enum Refused {
    /// The user's queues have reached their limit.
    Bound(u64),
    /// Others need what the file system still has, or it has nothing.
    System(io::Error),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bound(bytes) => write!(
                f,
                "all queues of records take {bytes} bytes already \
                 (uilog.agent-queues-size)"
            ),
            Self::System(error) => error.fmt(f),
        }
    }
}

/// Reserves memory for a queue in a runtime directory, in which all queues
/// together may have `max_bytes`. Returns the reserved size, which is at least
/// the requested one.
///
/// # Errors
///
/// Not enough memory is free.
pub fn reserve(
    dir: &OwnDir,
    bytes: u64,
    max_bytes: u64,
) -> Result<u64, Refused> {
    let units = bytes.div_ceil(UNIT_BYTES).max(1);
    let requested = units.saturating_mul(UNIT_BYTES);
    let flags = OFlag::O_WRONLY | OFlag::O_APPEND;
    let file = dir.open_or_create(OsStr::new(NAME), flags, 0o600);
    let mut file = file.map_err(Refused::System)?;
    let reserved = file.metadata().map_err(Refused::System)?.len();
    let reserved = reserved.saturating_mul(UNIT_BYTES);
    if reserved.saturating_add(requested) > max_bytes {
        return Err(Refused::Bound(reserved));
    }
    if !has_room(&file, requested) {
        let full = io::Error::from_raw_os_error(nix::libc::ENOSPC);
        return Err(Refused::System(full));
    }
    let marks = vec![0; usize::try_from(units).unwrap_or(usize::MAX)];
    file.write_all(&marks).map_err(Refused::System)?;
    Ok(requested)
}

/// Whether the file system has so much, and something for others besides.
fn has_room(file: &File, bytes: u64) -> bool {
    let Ok(status) = fstatvfs(file) else {
        return true;
    };
    let block = status.fragment_size();
    let all = status.blocks().saturating_mul(block);
    if all == 0 {
        // One without a bound says so.
        return true;
    }
    let spare = (all / SPARE_PART).min(MAX_SPARE_BYTES);
    let free = status.blocks_available().saturating_mul(block);
    free >= bytes.saturating_add(spare)
}

/// Memory that is reserved in a directory, in bytes.
pub fn reserved(dir: &OwnDir) -> u64 {
    let entry = dir.entry(OsStr::new(NAME)).ok().flatten();
    let size = entry.map_or(0, |it| it.st_size);
    u64::try_from(size).unwrap_or(0).saturating_mul(UNIT_BYTES)
}

/// Measures the queues in a directory, so that unused memory can be reserved
/// again; returns the sum.
///
/// # Errors
///
/// The directory or the file cannot be used.
pub fn recount(dir: &OwnDir) -> io::Result<u64> {
    let flags = OFlag::O_WRONLY;
    let file = match dir.open(OsStr::new(NAME), flags) {
        // Nothing was reserved.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        file => file?,
    };
    let is_queue = |name: &OsStr| agent_address::protocol_of(name).is_some();
    let names = dir.some_names(MAX_QUEUES, is_queue)?;
    let units = |name: &OsStr| {
        let entry = dir.entry(name).ok().flatten();
        let blocks = entry.map_or(0, |it| it.st_blocks);
        let bytes = u64::try_from(blocks).unwrap_or(0) * BLOCK_BYTES;
        bytes.div_ceil(UNIT_BYTES)
    };
    let units: u64 = names.iter().map(|name| units(name)).sum();
    file.set_len(units)?;
    Ok(units.saturating_mul(UNIT_BYTES))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn directory() -> (tempfile::TempDir, OwnDir) {
        let dir = tempfile::tempdir().unwrap();
        let own = OwnDir::beside_users_file(dir.path()).unwrap();
        (dir, own)
    }

    #[test]
    fn all_queues_together_are_bounded() {
        let (_dir, own) = directory();
        let max = 4 * UNIT_BYTES;
        assert_eq!(reserve(&own, 1, max).unwrap(), UNIT_BYTES);
        let two = UNIT_BYTES + 1;
        assert_eq!(reserve(&own, two, max).unwrap(), 2 * UNIT_BYTES);
        let refused = reserve(&own, two, max).unwrap_err();
        assert!(matches!(refused, Refused::Bound(_)), "{refused}");
        assert!(refused.to_string().contains("uilog.agent-queues-size"));
        assert_eq!(reserved(&own), 3 * UNIT_BYTES);
        reserve(&own, UNIT_BYTES, max).unwrap();
        reserve(&own, 1, max).unwrap_err();
    }

    #[test]
    fn whoever_counts_anew_counts_what_is_there() {
        let (dir, own) = directory();
        assert_eq!(recount(&own).unwrap(), 0);
        assert!(!dir.path().join(NAME).exists());
        for _ in 0..10 {
            reserve(&own, UNIT_BYTES, u64::MAX).unwrap();
        }
        let queue = dir.path().join("records-6-0a");
        fs::write(&queue, vec![1; 20_000]).unwrap();
        fs::write(dir.path().join("other"), vec![1; 200_000]).unwrap();
        assert_eq!(recount(&own).unwrap(), 2 * UNIT_BYTES);
        assert_eq!(reserved(&own), 2 * UNIT_BYTES);
        fs::remove_file(queue).unwrap();
        assert_eq!(recount(&own).unwrap(), 0);
    }

    #[test]
    fn what_is_planted_in_its_place_refuses_and_hurts_nobody() {
        let (dir, own) = directory();
        let victim = dir.path().join("victim");
        fs::write(&victim, b"x").unwrap();
        std::os::unix::fs::symlink("victim", dir.path().join(NAME)).unwrap();
        let refused = reserve(&own, 1, u64::MAX).unwrap_err();
        assert!(matches!(refused, Refused::System(_)), "{refused}");
        recount(&own).unwrap_err();
        assert_eq!(fs::read(victim).unwrap(), b"x");
        fs::remove_file(dir.path().join(NAME)).unwrap();
        // One that claims all there is.
        let file = File::create(dir.path().join(NAME)).unwrap();
        file.set_len(1 << 40).unwrap();
        let refused = reserve(&own, 1, 1 << 20).unwrap_err();
        assert!(matches!(refused, Refused::Bound(_)), "{refused}");
    }

    #[test]
    fn others_keep_some_of_the_file_system() {
        let file = tempfile::tempfile().unwrap();
        assert!(has_room(&file, 1));
        assert!(!has_room(&file, 1 << 60));
    }
}
