//! Which number a record has among all that a sink has been given, whichever
//! process gave it: the receiver counts by it what never came.
//!
//! A file of which only the length counts. Whoever wants a number appends one
//! byte, and where that byte ends is its number: so two processes never have
//! the same, none waits for another, and one that is killed costs at most the
//! number that it had taken. Once the file is full the next one goes on where
//! it ends, and it is removed.
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
use std::path::Path;

use nix::fcntl::OFlag;
use sha2::Digest;
use sha2::Sha256;
use uilog_sys::own_dir::OwnDir;

const PREFIX: &str = "numbers";
const FILE_MODE: u32 = 0o600;
/// Numbers, and bytes, of a file.
const FILE_NUMBERS: u64 = 1024 * 1024;
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
        let file = open(&dir, &name, &host)?;
        Ok(Self {
            dir,
            host,
            name,
            file,
            file_numbers,
        })
    }

    /// A number that nobody else has.
    ///
    /// # Errors
    ///
    /// The file takes no byte.
    pub(crate) fn next(&mut self) -> io::Result<Number> {
        loop {
            self.file.write_all(b".")?;
            // Where this process has appended, whatever others have since.
            let end = self.file.stream_position()?;
            if end <= self.file_numbers {
                return Ok(Number {
                    stream: self.name.stream.clone(),
                    number: self.name.base + end,
                });
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
        let next = latest.max(next);
        self.file = open(&self.dir, &next, &self.host)?;
        let full = std::mem::replace(&mut self.name, next);
        // If it stays, it is passed by.
        let _ = self.dir.remove(OsStr::new(&full.to_text(&self.host)));
        Ok(())
    }
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

fn open(dir: &OwnDir, name: &Name, host: &str) -> io::Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_APPEND;
    dir.open_or_create(OsStr::new(&name.to_text(host)), flags, FILE_MODE)
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
                .map(|_| {
                    scope.spawn(move || {
                        let mut numbers =
                            Numbers::open_with(path, "here", 100).unwrap();
                        let numbers = (0..EACH).map(|_| numbers.next());
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
        let numbers: Vec<_> = taken.iter().map(|it| it.1).collect();
        assert_eq!(numbers, (1..=TAKERS * EACH).collect::<Vec<_>>());
        // Of those that are full none is left.
        assert_eq!(fs::read_dir(path).unwrap().count(), 1);
    }

    #[test]
    fn another_machine_and_a_file_that_is_removed_begin_a_stream() {
        let dir = tempfile::tempdir().unwrap();
        let next = |host| Numbers::open(dir.path(), host).unwrap().next();
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
}
