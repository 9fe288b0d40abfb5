//! `file:`: one line of JSON for each record.
//!
//! Responsible for which file a record goes to, and for whole lines. uilog-sys
//! appends and rotates.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use chrono::DateTime;
use nix::libc;
use uilog_channel::sink_config::SinkConfig;
use uilog_config::items::Value;
use uilog_sys::log_file;
use uilog_sys::log_file::Appended;
use uilog_sys::log_file::LogFile;
use uilog_sys::log_file::Operation;
use uilog_sys::log_file::Rotation;
use uilog_sys::own_dir::OwnDir;

use crate::lines;
use crate::record::Record;
use crate::sink::LossReport;
use crate::sink::LossSum;
use crate::sink::Sink;
use crate::template::Template;

/// Only the user can read the files, whatever the umask is. The same holds for
/// directories.
const FILE_MODE: u32 = 0o600;

/// Maximum size of one write of several lines. A file exceeds its `maxsize` by
/// at most this, or by one line.
const MAX_WRITE: usize = 64 << 10;

/// How long a file must end with the same incomplete line before that counts as
/// left behind: a process that is just writing the line may have been suspended
/// for a while.
const STEADY: Duration = Duration::from_millis(250);

/// The interval of these checks.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// The files of a sink.
#[derive(Debug)]
pub struct Files {
    template: Template,
    rotation: Rotation,
    /// The file that could not be rotated, as has been reported.
    growing: Option<PathBuf>,
    /// How many bytes were to be written so far.
    written: u64,
}

/// The sink with this URL for its files.
pub fn open(definition: &SinkConfig, template: Template) -> Files {
    let number = |option| match definition.option(option) {
        Value::Number(number) => number,
        _ => 0,
    };
    // 0 means 1: the current file always exists.
    let old_files = number("maxfiles") - 1;
    Files {
        template,
        rotation: Rotation {
            max_bytes: u64::try_from(number("maxsize")).unwrap_or(0),
            old_files: u32::try_from(old_files).unwrap_or(0),
        },
        growing: None,
        written: 0,
    }
}

impl Sink for Files {
    fn deliver(
        &mut self,
        records: &[Arc<Record>],
        _deadline: Instant,
    ) -> Result<(), LossReport> {
        let mut lost = LossSum::default();
        let mut chunk = Chunk::default();
        for record in records {
            let Ok(time) = DateTime::parse_from_rfc3339(&record.time) else {
                lost.add(1, || format!("'{}' is not a time", record.time));
                continue;
            };
            let path = self.template.path(&time);
            if chunk.text.len() >= MAX_WRITE || chunk.path != path {
                self.write(&chunk, &mut lost);
                chunk = Chunk {
                    path,
                    ..Chunk::default()
                };
            }
            lines::write(record, &mut chunk.text);
            chunk.ends.push(chunk.text.len());
        }
        self.write(&chunk, &mut lost);
        lost.result()
    }

    fn finish(&mut self, _deadline: Instant) -> Result<(), LossReport> {
        Ok(())
    }
}

/// Lines for one file.
#[derive(Debug, Default)]
struct Chunk {
    path: PathBuf,
    text: Vec<u8>,
    /// Where each line ends.
    ends: Vec<usize>,
}

impl Files {
    /// A sink whose paths follow this template, with this rotation.
    pub(crate) fn rotated(template: Template, rotation: Rotation) -> Self {
        Self {
            template,
            rotation,
            growing: None,
            written: 0,
        }
    }

    /// How many bytes were to be written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// What would prevent the rotation of a file. Changes nothing.
    pub(crate) fn rotation_problem(&self, path: &Path) -> Option<io::Error> {
        self.file(path).rotation_problems().growing
    }

    fn file(&self, path: &Path) -> LogFile {
        LogFile::new(path.to_owned())
            .rotated(self.rotation)
            .with_mode(FILE_MODE)
            .private()
    }

    fn write(&mut self, chunk: &Chunk, lost: &mut LossSum) {
        if chunk.ends.is_empty() {
            return;
        }
        self.written += chunk.text.len() as u64;
        let file = self.file(&chunk.path);
        // Otherwise this line would become a part of the incomplete one.
        let is_torn = ends_within_line(&chunk.path);
        let result = if is_torn {
            let text = [b"\n", &chunk.text[..]].concat();
            append(&file, &text)
        } else {
            append(&file, &chunk.text)
        };
        let error = match result {
            Ok(appended) => {
                let not_rotated = appended.not_rotated;
                return self.note(&chunk.path, not_rotated, lost);
            }
            Err(error) => error,
        };
        let written = error.written().saturating_sub(is_torn.into());
        let arrived = chunk.ends.partition_point(|end| *end <= written);
        lost.add(chunk.ends.len() - arrived, || error.to_string());
    }

    /// Reports once that a file cannot be rotated and grows.
    fn note(
        &mut self,
        path: &Path,
        why: Option<io::Error>,
        lost: &mut LossSum,
    ) {
        let is_known = self.growing.as_deref() == Some(path);
        match why {
            None if is_known => self.growing = None,
            Some(why) if !is_known => {
                self.growing = Some(path.to_owned());
                let path = path.display();
                lost.note(format!("{path} cannot be rotated: {why}"));
            }
            _ => {}
        }
    }
}

/// Appends to a file, and creates its directory if necessary.
fn append(file: &LogFile, text: &[u8]) -> Result<Appended, log_file::Error> {
    let error = match file.append(text) {
        Err(error) => error,
        appended => return appended,
    };
    let is_missing = error.operation() == Operation::Open
        && error.io_error().kind() == io::ErrorKind::NotFound;
    let parent = file.path().parent().filter(|_| is_missing);
    match parent.map(OwnDir::create_path) {
        Some(Ok(())) => file.append(text),
        _ => Err(error),
    }
}

/// Whether a writer has left an incomplete line at the end, by being killed or
/// on a full disk.
fn ends_within_line(path: &Path) -> bool {
    let Some(size) = torn_size(path) else {
        return false;
    };
    let end = Instant::now() + STEADY;
    while Instant::now() < end {
        thread::sleep(LOOK_AGAIN);
        if torn_size(path) != Some(size) {
            return false;
        }
    }
    true
}

/// The size of a file whose last line is incomplete. An unreadable file counts
/// as complete.
fn torn_size(path: &Path) -> Option<u64> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW)
        .open(path)
        .ok()?;
    let size = regular_size(&file).filter(|size| *size > 0)?;
    let mut last = [0];
    file.read_exact_at(&mut last, size - 1).ok()?;
    (last != *b"\n").then_some(size)
}

fn regular_size(file: &File) -> Option<u64> {
    let metadata = file.metadata().ok()?;
    metadata.is_file().then_some(metadata.len())
}
