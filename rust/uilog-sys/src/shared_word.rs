//! A word of memory that several processes change one after the other, and a
//! few bytes beside it that never change.
//!
//! It is an anonymous file, which other processes open by its path in /proc.
//! Must not know what the bits mean.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use crate::memory_file;

/// What a file of ours begins with: nothing else is taken for one.
const MAGIC: [u8; 4] = *b"uil1";
/// The file stays as long as it is, and its seals stay, too.
const SEALS: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
/// Where the word is.
const WORD_OFFSET: usize = 4;
/// Where the bytes are.
const BYTES_OFFSET: usize = 8;
/// How many bytes there are.
pub const BYTES: usize = 40;
const FILE_BYTES: usize = BYTES_OFFSET + BYTES;

/// The word, mapped into this process.
#[derive(Debug)]
pub struct SharedWord {
    /// Only in the process that has created it. The other one is in a process
    /// that others' code shares, and needs no descriptor.
    file: Option<File>,
    base: NonNull<u8>,
}

// SAFETY: the memory is only used through an atomic.
unsafe impl Send for SharedWord {}

impl SharedWord {
    /// A word with the value 0, and the constant bytes.
    ///
    /// # Errors
    ///
    /// There is no memory or no free descriptor.
    pub fn create(bytes: [u8; BYTES]) -> io::Result<Self> {
        let file = memory_file::create_sealable(c"uilog-run")?;
        let mut contents = [0; FILE_BYTES];
        contents[..WORD_OFFSET].copy_from_slice(&MAGIC);
        contents[BYTES_OFFSET..].copy_from_slice(&bytes);
        file.write_all_at(&contents, 0)?;
        // SAFETY: touches no memory.
        let sealed =
            unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, SEALS) };
        if sealed < 0 {
            return Err(io::Error::last_os_error());
        }
        let base = Self::map(&file)?;
        Ok(Self {
            file: Some(file),
            base,
        })
    }

    /// The word that another process has created; `path` names one of its
    /// descriptors.
    ///
    /// # Errors
    ///
    /// It belongs to another user, is not such a word, or does not exist.
    pub fn open(path: &Path) -> io::Result<Self> {
        // Opening a file that is not regular may have effects.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
        let metadata = file.metadata()?;
        // SAFETY: touches no memory.
        let is_own = metadata.uid() == unsafe { libc::geteuid() };
        // SAFETY: touches no memory.
        let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
        // If another process could truncate the file, the next access could
        // raise SIGBUS. An ordinary file has no seals.
        let is_sealed = seals >= 0 && seals & SEALS == SEALS;
        if !is_own || !is_sealed || metadata.len() != FILE_BYTES as u64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut magic = [0; WORD_OFFSET];
        file.read_exact_at(&mut magic, 0)?;
        if magic != MAGIC {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let base = Self::map(&file)?;
        Ok(Self { file: None, base })
    }

    fn map(file: &File) -> io::Result<NonNull<u8>> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                FILE_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(base.cast::<u8>()) {
            Some(mapped) if base != libc::MAP_FAILED => Ok(mapped),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The descriptor number by which others can open it, in its creator's
    /// process.
    pub fn raw_fd(&self) -> Option<RawFd> {
        self.file.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// The constant bytes.
    pub fn bytes(&self) -> [u8; BYTES] {
        // SAFETY: within the mapping.
        let bytes = unsafe { self.base.add(BYTES_OFFSET) };
        // SAFETY: mapped for as long as `self` lives, and written only before
        // anybody else could know of the file.
        unsafe { bytes.cast::<[u8; BYTES]>().read_unaligned() }
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: within the mapping.
        let word = unsafe { self.base.add(WORD_OFFSET) };
        // SAFETY: mapped for as long as `self` lives, aligned, and never
        // anything but an atomic. Nobody makes the file shorter: it is sealed.
        unsafe { word.cast::<AtomicU32>().as_ref() }
    }

    /// Its value.
    pub fn load(&self) -> u32 {
        self.word().load(Ordering::SeqCst)
    }

    /// Sets some bits; the value before.
    pub fn set(&self, bits: u32) -> u32 {
        self.word().fetch_or(bits, Ordering::SeqCst)
    }

    /// Sets some bits of a word that is 0; whether it was.
    pub fn set_if_zero(&self, bits: u32) -> bool {
        let word = self.word();
        word.compare_exchange(0, bits, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }
}

impl Drop for SharedWord {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` has mapped, which nobody else uses.
        unsafe { libc::munmap(self.base.as_ptr().cast(), FILE_BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(word: &SharedWord) -> std::path::PathBuf {
        let pid = std::process::id();
        format!("/proc/{pid}/fd/{}", word.raw_fd().unwrap()).into()
    }

    #[test]
    fn two_that_have_it_see_the_same() {
        let first = SharedWord::create([7; BYTES]).unwrap();
        let second = SharedWord::open(&path_of(&first)).unwrap();
        assert_eq!(second.bytes(), [7; BYTES]);
        assert_eq!(second.raw_fd(), None, "nobody can take it away");
        assert!(first.set_if_zero(1));
        assert!(!second.set_if_zero(2));
        assert_eq!(second.set(2), 1);
        assert_eq!(first.load(), 3);
    }

    #[test]
    fn nobody_makes_it_shorter() {
        let word = SharedWord::create([7; BYTES]).unwrap();
        let path = path_of(&word);
        let truncate =
            OpenOptions::new().write(true).truncate(true).open(&path);
        assert!(truncate.is_err());
        let file = word.file.as_ref().unwrap();
        assert!(file.set_len(0).is_err());
        assert_eq!(word.load(), 0);
    }

    #[test]
    fn what_could_be_made_shorter_is_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let word = SharedWord::create([7; BYTES]).unwrap();
        let mut contents = [0; FILE_BYTES];
        let file = word.file.as_ref().unwrap();
        file.read_exact_at(&mut contents, 0).unwrap();
        std::fs::write(&path, contents).unwrap();
        assert!(SharedWord::open(&path).is_err());
    }

    #[test]
    fn nothing_else_is_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let refused = |path: &Path| SharedWord::open(path).is_err();
        assert!(refused(&path));
        std::fs::write(&path, "uil1").unwrap();
        assert!(refused(&path));
        std::fs::write(&path, [0; FILE_BYTES]).unwrap();
        assert!(refused(&path));
        assert!(refused(dir.path()));
        assert!(refused(Path::new("/dev/null")));
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(refused(&fifo));
    }
}
