//! Writing: what becomes a line of the blackbox, and what stock hg says when
//! one cannot be written.
//!
//! Knows the line's format and hg's messages. Files and their rotation are
//! uilog-sys's affair; who was the user, and which changesets are the parents,
//! is the caller's.

use std::borrow::Cow;
use std::collections::HashSet;
use std::io;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use uilog_sys::log_file;
use uilog_sys::log_file::LogFile;
use uilog_sys::log_file::Operation;
use uilog_sys::log_file::Rotation;

use crate::event::Timestamp;
use crate::hgdate::DateFormat;

/// How many old files hg keeps of a log with this `maxfiles`.
// hg: loggingutil.openlogfile, which always keeps `.1`, and fails for none
pub fn old_files(maxfiles: i64) -> u32 {
    match maxfiles {
        ..=0 => 0,
        1 => 1,
        _ => u32::try_from(maxfiles - 1).unwrap_or(u32::MAX),
    }
}

/// How lines look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// How times are written.
    pub date: DateFormat,
    /// Whether the event's name is written, too.
    pub has_source: bool,
}

impl Style {
    /// `format` is `blackbox.date-format`.
    pub fn new(format: &[u8], has_source: bool) -> Self {
        let date = if format.is_empty() {
            DateFormat::Millis
        } else {
            DateFormat::Custom(format.to_vec())
        };
        Self { date, has_source }
    }
}

/// What one line says.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// When.
    pub time: Timestamp,
    /// The user.
    pub user: Cow<'a, [u8]>,
    /// The changesets of the working directory as binary hashes, one or two;
    /// none, if they could not be read.
    pub parents: &'a [&'a [u8]],
    /// Whether files have been changed since.
    pub is_dirty: bool,
    /// hg's process.
    pub pid: i64,
    /// The event's name.
    pub event: &'a [u8],
    /// The message, its newline included.
    pub message: &'a [u8],
}

impl Line<'_> {
    /// Appends the line as it stands in the log.
    // hg: blackboxlogger._log
    pub fn write(&self, style: &Style, out: &mut Vec<u8>) {
        style.date.write(self.time, out);
        out.push(b' ');
        out.extend_from_slice(&self.user);
        out.extend_from_slice(b" @");
        if self.parents.is_empty() {
            // rhg writes the same.
            out.extend_from_slice(b"???");
        }
        for (index, parent) in self.parents.iter().enumerate() {
            if index > 0 {
                out.push(b'+');
            }
            write_hex(parent, out);
        }
        if self.is_dirty {
            out.push(b'+');
        }
        out.extend_from_slice(b" (");
        write_number(self.pid, out);
        out.push(b')');
        if style.has_source {
            out.extend_from_slice(b" [");
            out.extend_from_slice(self.event);
            out.push(b']');
        }
        out.extend_from_slice(b"> ");
        out.extend_from_slice(self.message);
    }
}

/// Appends a line as `loggingutil.filelogger` and `fileobjectlogger` write it.
// hg: loggingutil._formatlogline
pub fn write_file_line(
    time: Timestamp,
    pid: i64,
    message: &[u8],
    out: &mut Vec<u8>,
) {
    DateFormat::Seconds.write(time, out);
    out.extend_from_slice(b" (");
    write_number(pid, out);
    out.extend_from_slice(b")> ");
    out.extend_from_slice(message);
}

fn write_number(number: i64, out: &mut Vec<u8>) {
    write!(out, "{number}").expect("a Vec takes anything");
}

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    out.extend(digits.map(|digit| DIGITS[usize::from(digit)]));
}

/// A log that hg writes.
#[derive(Debug)]
pub struct Log {
    file: LogFile,
    maxfiles: i64,
    /// Why nothing is written any more. A log that cannot be written is not
    /// tried again by this process.
    off: Mutex<Option<Refused>>,
}

/// A record that is in the log.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Written {
    /// What has gone wrong with a rotation, in hg's words.
    pub warnings: Vec<Vec<u8>>,
}

/// A record that is not in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Whether this is the first that is refused, and worth a word.
    pub is_first: bool,
    /// The system's number for the reason, if it has one.
    pub code: Option<i32>,
    /// The reason, as the C library words it.
    pub why: Vec<u8>,
    /// What has gone wrong with a rotation, in hg's words.
    pub warnings: Vec<Vec<u8>>,
}

impl Log {
    /// The log at `path` with hg's `maxsize` (in bytes; 0 for no rotation) and
    /// `maxfiles`. `mode` is what new files get, where the repository says so.
    pub fn new(
        path: PathBuf,
        max_bytes: u64,
        maxfiles: i64,
        mode: Option<u32>,
    ) -> Self {
        let mut file = LogFile::new(path).rotated(Rotation {
            max_bytes,
            old_files: old_files(maxfiles),
        });
        if let Some(mode) = mode {
            file = file.with_mode(mode);
        }
        Self {
            file,
            maxfiles,
            off: Mutex::new(None),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Why it is off, if it is.
    pub fn off(&self) -> Option<Vec<u8>> {
        self.lock().as_ref().map(|refused| refused.why.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Refused>> {
        self.off.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a record. A log whose record could not be appended is off from
    /// then on.
    ///
    /// # Errors
    ///
    /// The record is not in the log.
    pub fn append(&self, record: &[u8]) -> Result<Written, Refused> {
        let mut off = self.lock();
        if let Some(refused) = &*off {
            return Err(refused.clone());
        }
        self.try_append(record).inspect_err(|refused| {
            *off = Some(Refused {
                is_first: false,
                warnings: Vec::new(),
                ..refused.clone()
            });
        })
    }

    /// Appends a record, however the last one went.
    ///
    /// # Errors
    ///
    /// The record is not in the log.
    pub fn try_append(&self, record: &[u8]) -> Result<Written, Refused> {
        match self.file.append(record) {
            Ok(appended) => {
                let error = appended.not_rotated;
                let warnings = error.map(|it| self.rotation_warnings(&it));
                let warnings = warnings.unwrap_or_default();
                Ok(Written { warnings })
            }
            Err(error) => {
                let is_rotation = error.operation() == Operation::Rotate;
                let error = error.io_error();
                let warnings = if is_rotation {
                    self.rotation_warnings(error)
                } else {
                    Vec::new()
                };
                Err(Refused {
                    is_first: true,
                    code: error.raw_os_error(),
                    why: strerror(error),
                    warnings,
                })
            }
        }
    }

    /// What hg says of the steps of a rotation that nobody may make: of each
    /// file that is there, that it cannot be replaced, and not be renamed.
    // hg: loggingutil.openlogfile, which names the new name before the old
    fn rotation_warnings(&self, error: &io::Error) -> Vec<Vec<u8>> {
        let why = strerror(error);
        let name = |number: i64| {
            let path = self.path().as_os_str().as_bytes();
            match number {
                0 => path.to_vec(),
                _ => [path, format!(".{number}").as_bytes()].concat(),
            }
        };
        let there = self.numbers_there();
        let mut warnings = Vec::new();
        for number in (1..=i64::from(old_files(self.maxfiles))).rev() {
            let (new, old) = (name(number), name(number - 1));
            if there.contains(&number) {
                let of = [&b"warning: cannot remove '"[..], &new, b"': ", &why];
                warnings.push([&of.concat()[..], b"\n"].concat());
            }
            if number == 1 || there.contains(&(number - 1)) {
                let of = [
                    &b"warning: cannot rename '"[..],
                    &new,
                    b"' to '",
                    &old,
                    b"': ",
                    &why,
                ];
                warnings.push([&of.concat()[..], b"\n"].concat());
            }
        }
        warnings
    }

    /// The numbers of the old files.
    fn numbers_there(&self) -> HashSet<i64> {
        let path = self.path();
        let prefix = [path.as_os_str().as_bytes(), b"."].concat();
        let number = |old: PathBuf| {
            let number =
                old.as_os_str().as_bytes().strip_prefix(&prefix[..])?;
            std::str::from_utf8(number).ok()?.parse().ok()
        };
        let there = log_file::old_files(path).unwrap_or_default();
        there.into_iter().filter_map(number).collect()
    }
}

/// What the C library says of an error; our own words, if it is none of its.
fn strerror(error: &io::Error) -> Vec<u8> {
    let mut text = error.to_string();
    if error.raw_os_error().is_some() {
        // std: "TEXT (os error CODE)"
        text.truncate(text.rfind(" (os error").unwrap_or(text.len()));
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn as_many_old_files_are_kept_as_by_hg() {
        let kept = [i64::MIN, 0, 1, 2, 7, i64::MAX].map(old_files);
        assert_eq!(kept, [0, 0, 1, 1, 6, u32::MAX]);
    }

    #[test]
    fn a_line_is_what_hg_writes() {
        let mut line = Line {
            time: Timestamp {
                micros: 1_334_347_993_006_999,
                offset: 0,
            },
            user: b"bob"[..].into(),
            parents: &[&[0xab; 20]],
            is_dirty: false,
            pid: 5000,
            event: b"command",
            message: b"status\n",
        };
        let written = |line: &Line<'_>, format: &str, has_source| {
            let mut out = Vec::new();
            line.write(&Style::new(format.as_bytes(), has_source), &mut out);
            String::from_utf8(out).unwrap()
        };
        let one = "ab".repeat(20);
        assert_eq!(
            written(&line, "", false),
            format!("2012-04-13 20:13:13.006 bob @{one} (5000)> status\n")
        );
        line.parents = &[&[0xab; 20], &[0; 20]];
        line.is_dirty = true;
        let two = "00".repeat(20);
        assert_eq!(
            written(&line, "%H", true),
            format!("20 bob @{one}+{two}+ (5000) [command]> status\n")
        );
        line.parents = &[];
        line.is_dirty = false;
        assert_eq!(written(&line, "%H", false), "20 bob @??? (5000)> status\n");
        let mut out = Vec::new();
        write_file_line(line.time, -1, b"a\n", &mut out);
        assert_eq!(out, b"2012/04/13 20:13:13 (-1)> a\n");
    }

    #[test]
    fn a_log_that_cannot_be_written_is_off_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing/blackbox.log");
        let log = Log::new(path.clone(), 0, 7, None);
        let refused = log.append(b"a\n").unwrap_err();
        assert!(refused.is_first);
        assert_eq!(refused.why, b"No such file or directory");
        fs::create_dir(path.parent().unwrap()).unwrap();
        let refused = log.append(b"b\n").unwrap_err();
        assert!(!refused.is_first);
        assert_eq!(log.off(), Some(b"No such file or directory".to_vec()));
        assert_eq!(log.try_append(b"c\n"), Ok(Written::default()));
        assert_eq!(fs::read(&path).unwrap(), b"c\n");
    }

    #[test]
    fn new_files_have_the_mode_that_the_repository_asks_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blackbox.log");
        let log = Log::new(path.clone(), 1, 2, Some(0o2770));
        let _ = log.append(b"a\n").unwrap();
        let _ = log.append(b"b\n").unwrap();
        let mode = |path: &Path| {
            fs::metadata(path).unwrap().permissions().mode() & 0o7777
        };
        assert_eq!(mode(&path), 0o660);
        let kept = dir.path().join(".blackbox.log.kept");
        assert_eq!(mode(&kept), 0o2770);
        let files = fs::read_dir(&kept).unwrap();
        let lock = files
            .map(|file| file.unwrap().path())
            .find(|path| path.to_string_lossy().contains("/lock-"));
        assert_eq!(mode(&lock.unwrap()), 0o660);
    }
}
