//! The blackbox as a sink for `uilog run` and `uilog emit`, which have no hg.
//!
//! Facts that the extension gets from hg are read from the repository. Whether
//! the working directory has changes (`blackbox.dirty`) is left out: only hg
//! can tell.

use std::borrow::Cow;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use uilog_blackbox::parents;
use uilog_blackbox::writer::Line;
use uilog_blackbox::writer::Log;
use uilog_blackbox::writer::NotRotated;
use uilog_blackbox::writer::Style;
use uilog_channel::loss::Loss;
use uilog_channel::settings::Fault;
use uilog_config::Config;
use uilog_config::items;
use uilog_config::items::Value;
use uilog_config::repository::MAX_SHAREDPATH_BYTES;
use uilog_event::event::Event;
use uilog_event::event::Timestamp;
use uilog_event::tracked::Tracked;
use uilog_event::user;
use uilog_sys::foreign_file;
use uilog_sys::log_file::Problems;

/// The section, and what hg calls its extension.
pub const SECTION: &str = "blackbox";
/// The file, in `.hg`.
const FILE: &str = "blackbox.log";

/// A repository's blackbox.
#[derive(Debug)]
pub struct Blackbox {
    root: PathBuf,
    log: Log,
    tracked: Tracked,
    style: Style,
    /// Each line is also written to standard error.
    is_shown: bool,
    /// Replaces the clock.
    date: Option<Timestamp>,
}

impl Blackbox {
    /// The blackbox of the repository at `root`, and what its configuration
    /// says that was not understood.
    // hg: blackbox.reposetup
    pub fn new(config: &Config, root: &Path) -> (Self, Vec<Fault>) {
        let mut settings = Settings {
            config,
            faults: Vec::new(),
        };
        let max_bytes = u64::try_from(settings.number("maxsize")).unwrap_or(0);
        let maxfiles = settings.number("maxfiles");
        let maxfiles = i64::try_from(maxfiles).unwrap_or(i64::MAX);
        let hg_dir = root.join(".hg");
        let log =
            Log::new(hg_dir.join(FILE), max_bytes, maxfiles, mode_of(&hg_dir));
        let has_source = settings.boolean("logsource");
        let blackbox = Self {
            tracked: Tracked::new(
                settings.list("track"),
                settings.list("ignore"),
            ),
            style: Style::new(&settings.text("date-format"), has_source),
            is_shown: settings.boolean("debug.to-stderr"),
            date: fixed_date(config),
            root: root.to_owned(),
            log,
        };
        (blackbox, settings.faults)
    }

    /// Checks what would prevent the rotation of its log. Changes nothing.
    pub fn rotation_problems(&self) -> Problems {
        self.log.rotation_problems()
    }

    /// Whether it wants events of this name.
    pub fn tracks(&self, event: &[u8]) -> bool {
        self.tracked.contains(event)
    }

    /// Writes the line of an event. `fault` takes what costs no line.
    ///
    /// # Errors
    ///
    /// It is not written.
    pub fn write(
        &self,
        event: &Event<'_>,
        fault: &mut dyn FnMut(String),
    ) -> Result<(), Loss> {
        let path = self.log.path().display();
        let parents = parents::read(&self.root).unwrap_or_else(|error| {
            let detail = format!("{path}: the parents cannot be read: {error}");
            fault(detail);
            Vec::new()
        });
        let parents: Vec<_> = parents.iter().map(|node| &node[..]).collect();
        let user = match &event.user {
            Some(user) => Cow::Borrowed(&*user.0),
            None => user::from_database()
                .map_or(Cow::Borrowed(user::UNKNOWN), Cow::Owned),
        };
        let line = Line {
            time: self.date.unwrap_or(event.time),
            user,
            parents: &parents,
            is_dirty: false,
            pid: event.pid.into(),
            event: &event.name,
            message: &event.message,
        };
        let mut record = Vec::new();
        line.write(&self.style, &mut record);
        match self.log.append(&record) {
            Ok(written) => {
                if let Some(NotRotated { why, .. }) = written.not_rotated {
                    let detail = format!("{path} cannot be rotated: {why}");
                    fault(detail);
                }
                if self.is_shown {
                    // If it cannot be written, no event is lost.
                    let _ = std::io::stderr().write_all(&record);
                }
                Ok(())
            }
            Err(refused) => {
                let why = String::from_utf8_lossy(&refused.why);
                let reason = format!("{path} cannot be written: {why}");
                Err(Loss { events: 1, reason })
            }
        }
    }
}

/// Who may read and write new files, if a repository says so.
// hg: store._calcmode
fn mode_of(hg_dir: &Path) -> Option<u32> {
    let shared = hg_dir.join("sharedpath");
    let store = match foreign_file::read(&shared, MAX_SHAREDPATH_BYTES) {
        Ok(path) => {
            use std::os::unix::ffi::OsStrExt;
            let path = path.trim_ascii_end();
            hg_dir.join(std::ffi::OsStr::from_bytes(path)).join("store")
        }
        Err(_) => hg_dir.join("store"),
    };
    let mode = fs::metadata(store).ok()?.permissions().mode();
    let ours = 0o777 & !umask();
    (mode & 0o777 != ours).then_some(mode & 0o7777)
}

/// This process's umask, which can only be read by changing it.
fn umask() -> u32 {
    use nix::sys::stat::Mode;
    use nix::sys::stat::umask;
    let mask = umask(Mode::from_bits_truncate(0o077));
    umask(mask);
    mask.bits()
}

/// `devel.default-date`, if it is a time.
fn fixed_date(config: &Config) -> Option<Timestamp> {
    let text = config.value(b"devel", b"default-date")?;
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, behind) = text.split_once(' ')?;
    let seconds: i64 = seconds.parse().ok()?;
    let behind: i32 = behind.parse().ok()?;
    Some(Timestamp {
        micros: seconds.checked_mul(1_000_000)?,
        offset: behind.saturating_neg(),
    })
}

/// Settings with valid values.
struct Settings<'a> {
    config: &'a Config,
    faults: Vec<Fault>,
}

impl Settings<'_> {
    fn value(&mut self, name: &str) -> Option<Value> {
        let item = items::find(SECTION.as_bytes(), name.as_bytes())?;
        let Some(text) = self.config.value(SECTION.as_bytes(), name.as_bytes())
        else {
            return item.parse(item.default.as_bytes());
        };
        item.parse(text).or_else(|| {
            let text = String::from_utf8_lossy(text);
            self.faults.push(Fault {
                section: SECTION,
                name: name.to_owned(),
                problem: format!("'{text}' is invalid, using the default"),
            });
            item.parse(item.default.as_bytes())
        })
    }

    fn number(&mut self, name: &str) -> i128 {
        match self.value(name) {
            Some(Value::Number(number)) => number,
            _ => 0,
        }
    }

    fn boolean(&mut self, name: &str) -> bool {
        self.value(name) == Some(Value::Boolean(true))
    }

    fn list(&mut self, name: &str) -> Vec<Vec<u8>> {
        match self.value(name) {
            Some(Value::List(list)) => list,
            _ => Vec::new(),
        }
    }

    fn text(&mut self, name: &str) -> Vec<u8> {
        match self.value(name) {
            Some(Value::Text(text)) => text,
            _ => Vec::new(),
        }
    }
}
