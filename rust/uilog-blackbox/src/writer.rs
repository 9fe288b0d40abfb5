//! Writes lines of the blackbox, and has stock hg's messages for lines that
//! cannot be written.
//!
//! Knows the line's format and hg's messages. uilog-sys appends and rotates
//! files; the caller passes in the user and the parents.

use std::borrow::Cow;
use std::io;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use uilog_event::event::Timestamp;
use uilog_event::hgdate::DateFormat;
use uilog_sys::log_file::LogFile;
use uilog_sys::log_file::Problems;
use uilog_sys::log_file::Rotation;

use crate::settings::Settings;
use crate::style::Style;

/// The number of old files that hg keeps with this `maxfiles`.
// hg: loggingutil.openlogfile, which always keeps `.1`, and fails for 0
pub fn old_files(maxfiles: i64) -> u32 {
    match maxfiles {
        ..=0 => 0,
        1 => 1,
        _ => u32::try_from(maxfiles - 1).unwrap_or(u32::MAX),
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
    /// Appends the line in the log's format.
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
    /// Whether it could not be rotated, and that has been reported.
    is_growing: AtomicBool,
    /// Why nothing is written any more. A log that cannot be written is not
    /// tried again by this process.
    off: Mutex<Option<Refused>>,
}

/// A record that is in the log.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Written {
    /// A rotation was due and failed, for the first time since the last
    /// successful one: the log grows.
    pub not_rotated: Option<NotRotated>,
}

/// A rotation that could not be made.
#[derive(Debug, PartialEq, Eq)]
pub struct NotRotated {
    /// Why.
    pub why: String,
    /// The same in hg's words, where hg has some.
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
        let rotation = Rotation {
            max_bytes,
            old_files: old_files(maxfiles),
        };
        let mut file =
            LogFile::new(path).rotated(rotation).shared_with_mercurial();
        if let Some(mode) = mode {
            file = file.with_mode(mode);
        }
        Self {
            file,
            is_growing: AtomicBool::new(false),
            off: Mutex::new(None),
        }
    }

    /// The log of a blackbox at `path`.
    pub fn of_blackbox(
        path: PathBuf,
        settings: &Settings,
        mode: Option<u32>,
    ) -> Self {
        Self::new(path, settings.max_bytes, settings.maxfiles, mode)
    }

    /// What is told of a rotation that could not be made.
    pub fn explain_growth(&self, not_rotated: &NotRotated) -> String {
        let path = self.path().display();
        format!("{path} cannot be rotated: {}", not_rotated.why)
    }

    /// What is told of a record that is not in the log.
    pub fn explain(&self, refused: &Refused) -> String {
        let why = String::from_utf8_lossy(&refused.why);
        format!("{} cannot be written: {why}", self.path().display())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Checks what would prevent its rotation. Changes nothing.
    pub fn rotation_problems(&self) -> Problems {
        self.file.rotation_problems()
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
                let is_growing = error.is_some();
                let was_growing =
                    self.is_growing.swap(is_growing, Ordering::Relaxed);
                let error = error.filter(|_| !was_growing);
                let not_rotated = error.map(|error| NotRotated {
                    why: error.to_string(),
                    warnings: self.rotation_warnings(&error),
                });
                Ok(Written { not_rotated })
            }
            Err(error) => {
                let error = error.io_error();
                Err(Refused {
                    is_first: true,
                    code: error.raw_os_error(),
                    why: strerror(error),
                })
            }
        }
    }

    /// What hg says of the steps of a rotation that the system refuses: of
    /// each file that is there, that it cannot be replaced, and not be
    /// renamed. Of what hg does not know of, in our own words.
    // hg: loggingutil.openlogfile, which names the new name before the old
    fn rotation_warnings(&self, error: &io::Error) -> Vec<Vec<u8>> {
        let why = strerror(error);
        let path = self.path().as_os_str().as_bytes();
        if error.raw_os_error().is_none() {
            let text = [b"warning: cannot rotate '", path, b"': ", &why, b"\n"];
            return vec![text.concat()];
        }
        let name = |number: u32| match number {
            0 => path.to_vec(),
            _ => [path, format!(".{number}").as_bytes()].concat(),
        };
        let cannot_remove = |number: u32| {
            let name = name(number);
            [b"warning: cannot remove '", &name[..], b"': ", &why, b"\n"]
                .concat()
        };
        let cannot_rename = |number: u32| {
            let (old, new) = (name(number), name(number + 1));
            let start = &b"warning: cannot rename '"[..];
            [start, &new, b"' to '", &old, b"': ", &why, b"\n"].concat()
        };
        // It may exist although the directory cannot be listed.
        let there = self.file.old_numbers().unwrap_or_default();
        let last = self.file.rotation().map_or(0, |it| it.old_files);
        let mut warnings = Vec::new();
        for number in there.into_iter().rev() {
            if number < last {
                warnings.push(cannot_rename(number));
            }
            warnings.push(cannot_remove(number));
        }
        if last > 0 {
            warnings.push(cannot_rename(0));
        }
        warnings
    }
}

/// The C library's text for an error; our own if it has none.
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
        // Nobody else has any business there.
        let kept = dir.path().join(".blackbox.log.kept");
        assert_eq!(mode(&kept) & 0o777, 0o700);
        let files = fs::read_dir(&kept).unwrap();
        let lock = files
            .map(|file| file.unwrap().path())
            .find(|path| path.to_string_lossy().contains("/lock-"));
        assert_eq!(mode(&lock.unwrap()), 0o600);
    }

    #[test]
    fn what_cannot_be_rotated_grows_and_that_is_reported_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blackbox.log");
        let obstacle = dir.path().join("blackbox.log.1");
        fs::create_dir(&obstacle).unwrap();
        let log = Log::new(path.clone(), 1, 7, None);
        let mut reports = Vec::new();
        for _ in 0..3 {
            reports.push(log.append(b"a\n").unwrap().not_rotated);
        }
        assert_eq!(reports.remove(0), None);
        let NotRotated { why, warnings } = reports.remove(0).unwrap();
        let expected = "blackbox.log.1 is in the way: it is not a regular file";
        assert_eq!(why, expected);
        let path_text = path.display();
        let warning =
            format!("warning: cannot rotate '{path_text}': {expected}\n");
        assert_eq!(warnings, [warning.into_bytes()]);
        assert_eq!(reports, [None]);
        assert_eq!(fs::read(&path).unwrap(), b"a\na\na\n");
        // It has been mended, and happens once more.
        fs::remove_dir(&obstacle).unwrap();
        assert_eq!(log.append(b"b\n"), Ok(Written::default()));
        assert_eq!(fs::read(&path).unwrap(), b"b\n");
        fs::rename(&obstacle, dir.path().join("c")).unwrap();
        fs::create_dir(&obstacle).unwrap();
        assert!(log.append(b"b\n").unwrap().not_rotated.is_some());
    }

    #[test]
    fn a_great_number_of_old_files_takes_no_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blackbox.log");
        fs::create_dir(dir.path().join("blackbox.log.1")).unwrap();
        let log = Log::new(path, 1, i64::MAX, None);
        let _ = log.append(b"a\n").unwrap();
        assert!(log.append(b"b\n").unwrap().not_rotated.is_some());
        let refused = io::Error::from_raw_os_error(nix::libc::EACCES);
        assert_eq!(log.rotation_warnings(&refused).len(), 3);
    }
}
