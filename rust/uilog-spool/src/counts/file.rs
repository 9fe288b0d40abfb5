//! The format of the files: lines with a key and its values, and a checksum.
//!
//! Must not know what the keys mean.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use crate::channel::SegmentProgress;
use crate::error::Context;
use crate::error::Error;
use crate::error::Operation;
use crate::files::Files;
use crate::files::retry;
use crate::name::Name;
use crate::spool::Spool;

const FORMAT: &str = "uilog-spool 1";
/// What the names of a file end with that is not complete.
const NEW_SUFFIX: &str = ".new";
/// The maximum size of a file of this kind: a line for each of very many
/// segments.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Replaces line ends where everything is on one line.
pub(super) const LINE_END: u8 = b';';

pub(super) struct Text(String);

impl Default for Text {
    fn default() -> Self {
        Self(format!("{FORMAT}\n"))
    }
}

impl Text {
    pub(super) fn item(&mut self, key: &str, value: impl std::fmt::Display) {
        self.0.push_str(&format!("{key} {value}\n"));
    }

    pub(super) fn place(
        &mut self,
        key: &str,
        name: Name,
        place: SegmentProgress,
    ) {
        let SegmentProgress { position, sequence } = place;
        self.item(key, format_args!("{name} {position} {sequence}"));
    }

    pub(super) fn finish(mut self) -> String {
        let sum = crc32c::crc32c(self.0.as_bytes());
        self.0.push_str(&format!("sum {sum:08x}\n"));
        self.0
    }
}

pub(super) enum Loaded {
    Absent,
    Damaged,
    Text(String),
}

pub(super) fn load<F: Files>(
    spool: &Spool<F>,
    name: &str,
) -> Result<Loaded, Error> {
    Ok(match load_file(spool, name)? {
        None => Loaded::Absent,
        Some(bytes) => checked(bytes).map_or(Loaded::Damaged, Loaded::Text),
    })
}

pub(super) fn load_file<F: Files>(
    spool: &Spool<F>,
    name: &str,
) -> Result<Option<Vec<u8>>, Error> {
    let path = spool.dir().join(name);
    match read(spool, &path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some).context(Operation::Read, path),
    }
}

fn read<F: Files>(spool: &Spool<F>, path: &Path) -> io::Result<Vec<u8>> {
    let file = retry(|| spool.files().open(path))?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while bytes.len() < MAX_BYTES {
        let position = bytes.len() as u64;
        let files = spool.files();
        match retry(|| files.read(&file, &mut buffer, position))? {
            0 => break,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(bytes)
}

/// The text before the sum, if that is right.
pub(super) fn checked(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let (before, sum) = text.strip_suffix('\n')?.rsplit_once("sum ")?;
    let is_right = format!("{:08x}", crc32c::crc32c(before.as_bytes())) == sum;
    let is_ours = before.lines().next() == Some(FORMAT);
    (is_right && is_ours).then(|| before.to_owned())
}

pub(super) fn items(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().skip(1).filter_map(|line| line.split_once(' '))
}

pub(super) fn number(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

pub(super) fn place(text: &str) -> Option<(Name, SegmentProgress)> {
    let mut words = text.split(' ');
    let name = Name::parse(OsStr::new(words.next()?))?;
    let position = words.next()?.parse().ok()?;
    let sequence = words.next()?.parse().ok()?;
    Some((name, SegmentProgress { position, sequence }))
}

/// Replaces the file by the text, atomically for readers.
pub(super) fn save<F: Files>(
    spool: &Spool<F>,
    name: &str,
    text: Text,
) -> Result<(), Error> {
    let path = spool.dir().join(name);
    let new = spool.dir().join(format!("{name}{NEW_SUFFIX}"));
    let result = write_new(spool, &new, text.finish().as_bytes())
        .and_then(|()| retry(|| spool.files().rename(&new, &path)))
        .context(Operation::Replace, &path);
    if result.is_err() {
        // On a full disk each byte counts.
        let _ = spool.files().remove(&new);
    }
    result
}

fn write_new<F: Files>(
    spool: &Spool<F>,
    path: &Path,
    bytes: &[u8],
) -> io::Result<()> {
    let files = spool.files();
    match retry(|| files.remove(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error);
        }
        _ => {}
    }
    let file = retry(|| files.create(path))?;
    append_all(files, &file, bytes)?;
    if spool.is_synced() {
        retry(|| files.sync(&file))?;
    }
    Ok(())
}

/// Appends all of the bytes, or fails half-way.
pub(crate) fn append_all<F: Files>(
    files: &F,
    file: &F::File,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        match retry(|| files.append(file, bytes))? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}
