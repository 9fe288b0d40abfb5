//! The number of a record among all of a sink's records, over all processes, by
//! which a receiver can count missing ones.
//!
//! Each number is eight bytes in a file: a hash of the record's ID. To get
//! numbers, a process appends hashes; their positions are the numbers. So two
//! processes never have the same number, none waits for another, and a killed
//! process costs at most the numbers that it had taken. If its successor
//! delivers a record again, it finds the hash among the last ones, and uses the
//! same number. When the file is full, the next one continues the sequence, and
//! it is removed.
//!
//! A file's name is `numbers-KEY-STREAM-BASE`: a hash of the sequence's
//! purpose, which includes the machine's name, because not every network file
//! system supports appending from two machines; a random number that identifies
//! the sequence for the receiver; and the number of earlier numbers. If the
//! file is removed, a new sequence begins.
//!
//! Must not know records, or what happens to them.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::io::Seek;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

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
/// How many of the last numbers are read: more than a process has in delivery.
const KNOWN_NUMBERS: u64 = 8 * 1024;
/// Maximum number of names read from a directory: many times those of a full
/// spool.
const MAX_NAMES: usize = 64 * 1024;
/// Maximum number of numbers taken at a time.
const MAX_TAKEN: usize = 1024;

/// The hash of an ID.
pub(crate) type Hash = [u8; HASH_BYTES];
/// What no id has: of a record that is lost before it has one.
const NO_HASH: Hash = [0; HASH_BYTES];

/// Numbers records.
#[derive(Debug)]
pub(crate) struct Numbers {
    dir: OwnDir,
    key: String,
    name: Name,
    file: File,
    file_numbers: u64,
    known: RecentHashes,
}

/// The last hashes of a file when this process began.
#[derive(Debug)]
struct RecentHashes {
    /// The hashes, concatenated.
    hashes: Vec<u8>,
    /// The number of the first one.
    first: u64,
    /// A bit for each value of a hash's first two bytes: most IDs are not
    /// known, and need no search then.
    beginnings: Vec<u64>,
}

impl RecentHashes {
    fn new(hashes: Vec<u8>, first: u64) -> Self {
        let mut beginnings = vec![0; (1 << 16) / 64];
        for hash in hashes.chunks_exact(HASH_BYTES) {
            let (word, bit) = beginning(hash);
            beginnings[word] |= bit;
        }
        Self {
            hashes,
            first,
            beginnings,
        }
    }

    fn number_of(&self, hash: &Hash) -> Option<u64> {
        let (word, bit) = beginning(hash);
        if self.beginnings[word] & bit == 0 {
            return None;
        }
        let at = self
            .hashes
            .chunks_exact(HASH_BYTES)
            .position(|it| it == hash)?;
        Some(self.first + at as u64)
    }
}

/// The bit for the first two bytes of a hash, and its word.
fn beginning(hash: &[u8]) -> (usize, u64) {
    let value = usize::from(u16::from_le_bytes([hash[0], hash[1]]));
    (value / 64, 1 << (value % 64))
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
    fn parse(name: &OsStr, key: &str) -> Option<Self> {
        let mut words = name.to_str()?.split('-');
        let is_ours = words.next() == Some(PREFIX) && words.next() == Some(key);
        let stream = words.next().filter(|_| is_ours)?;
        let base = u64::from_str_radix(words.next()?, 16).ok()?;
        let is_stream = stream.len() == 16
            && stream.bytes().all(|it| it.is_ascii_hexdigit());
        let is_all = is_stream && words.next().is_none();
        let stream = stream.to_owned();
        is_all.then_some(Self { stream, base })
    }

    fn to_text(&self, key: &str) -> String {
        format!("{PREFIX}-{key}-{}-{:x}", self.stream, self.base)
    }
}

/// The hash of an ID.
pub(crate) fn hash(id: &[u8]) -> Hash {
    let sum = Sha256::digest(id);
    std::array::from_fn(|at| sum[at])
}

/// Represents a text in a file's name: so many bytes of its hash.
pub(crate) fn key(text: &[u8], bytes: usize) -> String {
    let sum = Sha256::digest(text);
    let bytes = sum.iter().take(bytes);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

impl Numbers {
    /// Continues the numbers of other processes with the same key, in a
    /// directory of this user.
    ///
    /// # Errors
    ///
    /// No file can be created in the directory.
    pub(crate) fn open(dir: &Path, key: &str) -> io::Result<Self> {
        Self::open_with(dir, key, FILE_NUMBERS)
    }

    fn open_with(dir: &Path, key: &str, file_numbers: u64) -> io::Result<Self> {
        let dir = OwnDir::beside_users_file(dir)?;
        let names = names(&dir, key)?;
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
        let (name, file) = open(&dir, name, key)?;
        let count = file.metadata()?.len() / HASH_BYTES as u64;
        let first = count.saturating_sub(KNOWN_NUMBERS);
        // What cannot be read is not known.
        let known = read(&file, first, count).unwrap_or_default();
        Ok(Self {
            dir,
            key: key.to_owned(),
            known: RecentHashes::new(known, name.base + first + 1),
            name,
            file,
            file_numbers,
        })
    }

    /// Whether no number of this stream has been used yet.
    pub(crate) fn is_new(&self) -> bool {
        self.known.first == 1 && self.known.hashes.is_empty()
    }

    /// Removes files that were not used for so long: if a sequence is needed
    /// after all, a new one begins.
    pub(crate) fn remove_unused(&self, age: Duration, now: SystemTime) {
        let names = self.dir.names(MAX_NAMES);
        let begins = format!("{PREFIX}-");
        for name in names.ok().flatten().unwrap_or_default() {
            let is_one =
                name.to_str().is_some_and(|it| it.starts_with(&begins));
            let status = self.dir.entry(&name).ok().flatten();
            let Some(status) = status.filter(|_| is_one) else {
                continue;
            };
            let modified = u64::try_from(status.st_mtime).unwrap_or(0);
            let modified = UNIX_EPOCH + Duration::from_secs(modified);
            if now.duration_since(modified).is_ok_and(|it| it > age) {
                // Other files stay.
                let _ = self.dir.remove(&name);
            }
        }
    }

    /// The number of each ID, by its hash: the number that it had before, or a
    /// new one; and why some have none.
    pub(crate) fn number(
        &mut self,
        hashes: &[Hash],
    ) -> (Vec<Option<Number>>, io::Result<()>) {
        let known = |hash: &Hash| {
            let number = self.known.number_of(hash)?;
            Some(self.numbered(number))
        };
        let mut numbers: Vec<_> = hashes.iter().map(known).collect();
        let result = self.fill(hashes, &mut numbers);
        (numbers, result)
    }

    /// Reserves numbers that no record will have.
    ///
    /// # Errors
    ///
    /// The file does not have room for all of them.
    pub(crate) fn skip(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let some = count.min(MAX_TAKEN as u64);
            let mut taken = vec![None; some as usize];
            self.fill(&vec![NO_HASH; taken.len()], &mut taken)?;
            count -= some;
        }
        Ok(())
    }

    /// Assigns a number to each one without.
    fn fill(
        &mut self,
        hashes: &[Hash],
        numbers: &mut [Option<Number>],
    ) -> io::Result<()> {
        loop {
            let unnumbered = numbers.iter().enumerate();
            let unnumbered: Vec<_> = unnumbered
                .filter(|(_, number)| number.is_none())
                .map(|(at, _)| at)
                .take(MAX_TAKEN)
                .collect();
            if unnumbered.is_empty() {
                return Ok(());
            }
            let bytes: Vec<_> =
                unnumbered.iter().flat_map(|at| hashes[*at]).collect();
            let written = self.file.write(&bytes)? as u64;
            // The position at which this process has appended, even if others
            // have appended since.
            let begin = self.file.stream_position()? - written;
            let size = HASH_BYTES as u64;
            if written < size {
                return Err(io::ErrorKind::WriteZero.into());
            }
            // Half a hash, where the disk was full, is as good as one.
            let first = begin.div_ceil(size) + 1;
            let last = first + written / size - 1;
            for (number, at) in (first..=last).zip(unnumbered) {
                if number <= self.file_numbers {
                    let number = self.numbered(self.name.base + number);
                    numbers[at] = Some(number);
                }
            }
            if last > self.file_numbers {
                self.go_on()?;
            }
        }
    }

    fn numbered(&self, number: u64) -> Number {
        let stream = self.name.stream.clone();
        Number { stream, number }
    }

    /// The file is full: to the next, which another may have begun long ago.
    fn go_on(&mut self) -> io::Result<()> {
        let names = names(&self.dir, &self.key)?;
        let next = Name {
            stream: self.name.stream.clone(),
            base: self.name.base + self.file_numbers,
        };
        let latest = latest(&names, &next.stream).unwrap_or(next.clone());
        let (next, file) = open(&self.dir, latest.max(next), &self.key)?;
        self.file = file;
        let full = std::mem::replace(&mut self.name, next);
        // If it stays, it is passed by.
        let _ = self.dir.remove(OsStr::new(&full.to_text(&self.key)));
        Ok(())
    }
}

/// At most `count` hashes, from the number after `first`.
fn read(file: &File, first: u64, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (count - first) as usize * HASH_BYTES];
    file.read_exact_at(&mut bytes, first * HASH_BYTES as u64)?;
    Ok(bytes)
}

fn names(dir: &OwnDir, key: &str) -> io::Result<Vec<Name>> {
    let names = dir.names(MAX_NAMES)?.unwrap_or_default();
    Ok(names.iter().filter_map(|it| Name::parse(it, key)).collect())
}

fn latest(names: &[Name], stream: &str) -> Option<Name> {
    names.iter().filter(|it| it.stream == stream).max().cloned()
}

/// A file, or a later one of its stream: before this process has opened it,
/// others may have filled it, begun the next one and removed it. This process
/// would otherwise create it anew, and assign numbers twice.
fn open(dir: &OwnDir, mut name: Name, key: &str) -> io::Result<(Name, File)> {
    let flags = OFlag::O_RDWR | OFlag::O_APPEND;
    loop {
        let text = name.to_text(key);
        let text = OsStr::new(&text);
        let file = dir.open_or_create(text, flags, FILE_MODE)?;
        // No process appends to a file that has been replaced.
        if file.metadata()?.len() > 0 {
            return Ok((name, file));
        }
        match latest(&names(dir, key)?, &name.stream) {
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

    fn one(numbers: &mut Numbers, id: &[u8]) -> Number {
        let (mut taken, result) = numbers.number(&[hash(id)]);
        result.unwrap();
        taken.remove(0).unwrap()
    }

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
                        let mut taken = Vec::new();
                        // As many at a time as a batch may have.
                        let ids: Vec<_> = (0..EACH)
                            .map(|it| (taker * EACH + it).to_le_bytes())
                            .collect();
                        for some in ids.chunks(1 + 9 * taker as usize) {
                            let some: Vec<_> =
                                some.iter().map(|id| hash(id)).collect();
                            let (some, result) = numbers.number(&some);
                            result.unwrap();
                            taken.extend(some);
                        }
                        let taken = taken.into_iter().map(Option::unwrap);
                        taken
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
            one(&mut Numbers::open(dir.path(), host).unwrap(), &id)
        };
        let first = next("here");
        assert_eq!(first.number, 1);
        let second = next("here");
        assert_eq!((second.number, &second.stream), (2, &first.stream));
        let there = next("there");
        assert_eq!(there.number, 1);
        assert_ne!(there.stream, first.stream);
        for entry in fs::read_dir(dir.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        let anew = next("here");
        assert_eq!(anew.number, 1);
        assert_ne!(anew.stream, first.stream);
    }

    #[test]
    fn what_is_delivered_again_has_its_number_again() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Numbers::open_with(dir.path(), "here", 5).unwrap();
        let mut killed = open();
        let numbers: Vec<_> =
            (1..=8_u8).map(|it| one(&mut killed, &[it])).collect();
        let mut successor = open();
        for id in [7_u8, 8, 9, 6] {
            let again = one(&mut successor, &[id]);
            assert_eq!(again.number, u64::from(id));
            assert!(id == 9 || again == numbers[usize::from(id) - 1]);
        }
        // Behind half a hash there are numbers that nobody has.
        let path = fs::read_dir(dir.path()).unwrap().next().unwrap();
        let path = path.unwrap().path();
        let mut file = File::options().append(true).open(path).unwrap();
        file.write_all(b"xyz").unwrap();
        assert!(one(&mut successor, b"x").number > 9);
    }

    #[test]
    fn numbers_that_are_skipped_are_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Numbers::open_with(dir.path(), "here", 1000).unwrap();
        let mut numbers = open();
        assert_eq!(one(&mut numbers, b"a").number, 1);
        numbers.skip(2500).unwrap();
        assert_eq!(one(&mut numbers, b"b").number, 2502);
        assert_eq!(one(&mut open(), b"c").number, 2503);
    }

    #[test]
    fn what_has_not_been_used_for_long_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let open = |key| Numbers::open(dir.path(), key).unwrap();
        let age = Duration::from_secs(100);
        let mut used = open("used");
        assert!(used.is_new());
        one(&mut used, b"a");
        assert!(!open("used").is_new());
        let others = dir.path().join("numbers");
        fs::write(&others, "").unwrap();
        fs::create_dir(dir.path().join("numbers-x")).unwrap();
        let names = || fs::read_dir(dir.path()).unwrap().count();
        let now = SystemTime::now();
        used.remove_unused(age, now - 9 * age);
        used.remove_unused(age, now + age / 2);
        assert_eq!(names(), 3);
        used.remove_unused(age, now + 2 * age);
        assert_eq!(names(), 2);
        assert!(others.exists());
    }
}
