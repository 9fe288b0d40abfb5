//! Which number a record has among all that a sink has been given, whichever
//! process gave it: the receiver counts by it what never came.
//!
//! A file of eight bytes for each number: a hash of the id that has it. Whoever
//! wants a number appends, and where that ends is the number: so two processes
//! never have the same, none waits for another, and one that is killed costs at
//! most the number that it had taken. What it has appended may be delivered
//! once more by its successor, and has its number again: that looks at the last
//! hashes. Once the file is full the next one goes on where it ends, and it is
//! removed.
//!
//! A file's name is `numbers-HOST-STREAM-BASE`: a hash of the machine's name,
//! since not every network file system appends for two machines at a time;
//! a random number, by which the receiver knows which numbers belong together;
//! and how many numbers there were before. If it is removed, another stream
//! begins.
//!
//! Knows nothing of records, and not what becomes of them.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::io::Seek;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::OFlag;
use sha2::Digest;
use sha2::Sha256;
use uilog_sys::own_dir::OwnDir;

const PREFIX: &str = "numbers";
const FILE_MODE: u32 = 0o600;
/// Bytes for each number.
const HASH_BYTES: usize = 8;
/// Numbers of a file: 1 MB.
const FILE_NUMBERS: u64 = 128 * 1024;
/// Numbers at the end that are looked at: more than a process has on its way.
const KNOWN_NUMBERS: u64 = 8 * 1024;
/// Names of a spool's directory that are looked at: many times what a full one
/// has.
const MAX_NAMES: usize = 64 * 1024;

/// Whoever numbers records.
#[derive(Debug)]
pub(crate) struct Numbers {
    dir: OwnDir,
    host: String,
    name: Name,
    file: File,
    file_numbers: u64,
    /// The last hashes when this process began, and the number of the first.
    known: Vec<[u8; HASH_BYTES]>,
    first_known: u64,
}

/// A number, and among which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    /// Those of one stream are counted from 1, without gaps.
    pub(crate) stream: String,
    /// The number.
    pub(crate) number: u64,
}

/// A file's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    stream: String,
    base: u64,
}

impl Name {
    fn parse(name: &OsStr, host: &str) -> Option<Self> {
        let mut words = name.to_str()?.split('-');
        let is_ours =
            words.next() == Some(PREFIX) && words.next() == Some(host);
        let stream = words.next().filter(|_| is_ours)?;
        let base = u64::from_str_radix(words.next()?, 16).ok()?;
        let is_stream = stream.len() == 16
            && stream.bytes().all(|it| it.is_ascii_hexdigit());
        let is_all = is_stream && words.next().is_none();
        let stream = stream.to_owned();
        is_all.then_some(Self { stream, base })
    }

    fn to_text(&self, host: &str) -> String {
        format!("{PREFIX}-{host}-{}-{:x}", self.stream, self.base)
    }
}

impl Numbers {
    /// Goes on where others have stopped, in the directory of a spool of this
    /// machine.
    ///
    /// # Errors
    ///
    /// The directory takes no file.
    pub(crate) fn open(spool: &Path, host: &str) -> io::Result<Self> {
        Self::open_with(spool, host, FILE_NUMBERS)
    }

    fn open_with(
        spool: &Path,
        host: &str,
        file_numbers: u64,
    ) -> io::Result<Self> {
        let dir = OwnDir::beside_users_file(spool)?;
        let sum = Sha256::digest(host);
        let host: String =
            sum[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let names = names(&dir, &host)?;
        // Two that begin at the same time may begin two. All agree on one.
        let first = names.iter().map(|it| &it.stream).min();
        let name = match first {
            Some(stream) => latest(&names, stream),
            None => None,
        };
        let name = match name {
            Some(name) => name,
            None => Name {
                stream: format!(
                    "{:016x}",
                    getrandom::u64().map_err(io::Error::other)?
                ),
                base: 0,
            },
        };
        let (name, file) = open(&dir, name, &host)?;
        let count = file.metadata()?.len() / HASH_BYTES as u64;
        let first = count.saturating_sub(KNOWN_NUMBERS);
        // What cannot be read is not known.
        let known = read(&file, first).unwrap_or_default();
        Ok(Self {
            dir,
            host,
            first_known: name.base + first + 1,
            name,
            file,
            file_numbers,
            known,
        })
    }

    /// The number of this id: that which it had a while ago, or one that nobody
    /// else has.
    ///
    /// # Errors
    ///
    /// The file does not take it.
    pub(crate) fn number(&mut self, id: &[u8]) -> io::Result<Number> {
        let sum = Sha256::digest(id);
        let hash: [u8; HASH_BYTES] = std::array::from_fn(|at| sum[at]);
        let number = |stream: &str, number| Number {
            stream: stream.to_owned(),
            number,
        };
        if let Some(at) = self.known.iter().position(|it| *it == hash) {
            let known = self.first_known + at as u64;
            return Ok(number(&self.name.stream, known));
        }
        loop {
            if self.file.write(&hash)? != HASH_BYTES {
                return Err(io::ErrorKind::WriteZero.into());
            }
            // Where this process has appended, whatever others have since.
            // Half a hash, where the disk was full, is as good as one.
            let end = self.file.stream_position()?.div_ceil(HASH_BYTES as u64);
            if end <= self.file_numbers {
                return Ok(number(&self.name.stream, self.name.base + end));
            }
            self.go_on()?;
        }
    }

    /// The file is full: to the next, which another may have begun long ago.
    fn go_on(&mut self) -> io::Result<()> {
        let names = names(&self.dir, &self.host)?;
        let next = Name {
            stream: self.name.stream.clone(),
            base: self.name.base + self.file_numbers,
        };
        let latest = latest(&names, &next.stream).unwrap_or(next.clone());
        let (next, file) = open(&self.dir, latest.max(next), &self.host)?;
        self.file = file;
        let full = std::mem::replace(&mut self.name, next);
        // If it stays, it is passed by.
        let _ = self.dir.remove(OsStr::new(&full.to_text(&self.host)));
        Ok(())
    }
}

/// The hashes from the number behind `first` of them on.
fn read(file: &File, first: u64) -> io::Result<Vec<[u8; HASH_BYTES]>> {
    let mut bytes = vec![0; KNOWN_NUMBERS as usize * HASH_BYTES];
    let position = first * HASH_BYTES as u64;
    let mut count = 0;
    while count < bytes.len() {
        match file.read_at(&mut bytes[count..], position + count as u64)? {
            0 => break,
            more => count += more,
        }
    }
    let hashes = bytes[..count].chunks_exact(HASH_BYTES);
    Ok(hashes.filter_map(|it| it.try_into().ok()).collect())
}

fn names(dir: &OwnDir, host: &str) -> io::Result<Vec<Name>> {
    let names = dir.names(MAX_NAMES)?.unwrap_or_default();
    Ok(names
        .iter()
        .filter_map(|it| Name::parse(it, host))
        .collect())
}

fn latest(names: &[Name], stream: &str) -> Option<Name> {
    names.iter().filter(|it| it.stream == stream).max().cloned()
}

/// A file, or a later one of its stream: while this process came to open it,
/// others may have filled it, begun the next one and removed it. It would begin
/// again then, with numbers that have been given.
fn open(dir: &OwnDir, mut name: Name, host: &str) -> io::Result<(Name, File)> {
    let flags = OFlag::O_RDWR | OFlag::O_APPEND;
    loop {
        let text = name.to_text(host);
        let text = OsStr::new(&text);
        let file = dir.open_or_create(text, flags, FILE_MODE)?;
        match latest(&names(dir, host)?, &name.stream) {
            Some(later) if later > name => {
                let _ = dir.remove(text);
                name = later;
            }
            _ => return Ok((name, file)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::thread;

    use super::*;

    /// Threads that have opened the file each for itself are as processes.
    #[test]
    fn numbers_have_no_gaps_whoever_takes_them() {
        const TAKERS: u64 = 8;
        const EACH: u64 = 200;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let taken: BTreeSet<(String, u64)> = thread::scope(|scope| {
            // So that there is one stream.
            Numbers::open_with(path, "here", 100).unwrap();
            let takers: Vec<_> = (0..TAKERS)
                .map(|taker| {
                    scope.spawn(move || {
                        let mut numbers =
                            Numbers::open_with(path, "here", 100).unwrap();
                        let numbers = (0..EACH).map(|it| {
                            numbers.number(&(taker * EACH + it).to_le_bytes())
                        });
                        numbers
                            .map(|it| it.unwrap())
                            .map(|it| (it.stream, it.number))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            let taken = takers.into_iter();
            taken.flat_map(|it| it.join().unwrap()).collect()
        });
        let streams: BTreeSet<_> = taken.iter().map(|it| &it.0).collect();
        assert_eq!(streams.len(), 1);
        let numbers = taken.iter().map(|it| it.1);
        assert!(numbers.eq(1..=TAKERS * EACH), "{} of them", taken.len());
        // Of those that are full none is left.
        assert_eq!(fs::read_dir(path).unwrap().count(), 1);
    }

    #[test]
    fn another_machine_and_a_file_that_is_removed_begin_a_stream() {
        let dir = tempfile::tempdir().unwrap();
        let next = |host| {
            let id = getrandom::u64().unwrap().to_le_bytes();
            Numbers::open(dir.path(), host).unwrap().number(&id)
        };
        let first = next("here").unwrap();
        assert_eq!(first.number, 1);
        let second = next("here").unwrap();
        assert_eq!((second.number, &second.stream), (2, &first.stream));
        let there = next("there").unwrap();
        assert_eq!(there.number, 1);
        assert_ne!(there.stream, first.stream);
        for entry in fs::read_dir(dir.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let anew = next("here").unwrap();
        assert_eq!(anew.number, 1);
        assert_ne!(anew.stream, first.stream);
    }

    #[test]
    fn what_is_delivered_again_has_its_number_again() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Numbers::open_with(dir.path(), "here", 5).unwrap();
        let mut killed = open();
        let numbers: Vec<_> =
            (1..=8_u8).map(|it| killed.number(&[it]).unwrap()).collect();
        let mut successor = open();
        for id in [7_u8, 8, 9, 6] {
            let again = successor.number(&[id]).unwrap();
            assert_eq!(again.number, u64::from(id));
            assert!(id == 9 || again == numbers[usize::from(id) - 1]);
        }
        // Behind half a hash there are numbers that nobody has.
        let path = fs::read_dir(dir.path()).unwrap().next().unwrap();
        let path = path.unwrap().path();
        let mut file = File::options().append(true).open(path).unwrap();
        file.write_all(b"xyz").unwrap();
        assert!(successor.number(b"x").unwrap().number > 9);
    }
}
