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
pub use uilog_blackbox::settings::SECTION;
use uilog_blackbox::settings::Settings;
use uilog_blackbox::writer::Line;
use uilog_blackbox::writer::Log;
use uilog_channel::loss::Loss;
use uilog_channel::settings::Fault;
use uilog_config::Config;
use uilog_config::repository::MAX_SHAREDPATH_BYTES;
use uilog_event::event::Event;
use uilog_event::user;
use uilog_sys::foreign_file;
use uilog_sys::log_file::Problems;

/// The file, in `.hg`.
const FILE: &str = "blackbox.log";

/// A repository's blackbox.
#[derive(Debug)]
pub struct Blackbox {
    root: PathBuf,
    log: Log,
    settings: Settings,
}

impl Blackbox {
    /// The blackbox of the repository at `root`, and what its configuration
    /// says that was not understood.
    // hg: blackbox.reposetup
    pub fn new(config: &Config, root: &Path) -> (Self, Vec<Fault>) {
        let section = SECTION.as_bytes();
        let value_of = |name: &str| config.value(section, name.as_bytes());
        let date = config.value(b"devel", b"default-date");
        let mut settings = Settings::read(value_of, date);
        let problems = std::mem::take(&mut settings.problems).into_iter();
        let faults = problems.map(|(name, problem)| Fault {
            section: SECTION,
            name: name.to_owned(),
            problem,
        });
        let hg_dir = root.join(".hg");
        let mode = mode_of(&hg_dir);
        let blackbox = Self {
            log: Log::of_blackbox(hg_dir.join(FILE), &settings, mode),
            root: root.to_owned(),
            settings,
        };
        (blackbox, faults.collect())
    }

    /// Checks what would prevent the rotation of its log. Changes nothing.
    pub fn rotation_problems(&self) -> Problems {
        self.log.rotation_problems()
    }

    /// Whether it receives events of this name.
    pub fn tracks(&self, event: &[u8]) -> bool {
        self.settings.tracked.contains(event)
    }

    /// Writes the line of an event. Faults that do not prevent the line are
    /// passed to `fault`.
    ///
    /// # Errors
    ///
    /// The line is not written.
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
            time: self.settings.date.unwrap_or(event.time),
            user,
            parents: &parents,
            is_dirty: false,
            pid: event.pid.into(),
            event: &event.name,
            message: &event.message,
        };
        let mut record = Vec::new();
        line.write(&self.settings.style, &mut record);
        match self.log.append(&record) {
            Ok(written) => {
                if let Some(not_rotated) = written.not_rotated {
                    fault(self.log.explain_growth(&not_rotated));
                }
                if self.settings.is_shown {
                    // If it cannot be written, no event is lost.
                    let _ = std::io::stderr().write_all(&record);
                }
                Ok(())
            }
            Err(refused) => Err(Loss {
                events: 1,
                reason: self.log.explain(&refused),
            }),
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
