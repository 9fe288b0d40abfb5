//! hg's log files: the interface for Python.
//!
//! uilog-blackbox composes the line; the extension passes in the user and other
//! facts that hg knows.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyBytes;
use uilog_blackbox::settings::SECTION;
use uilog_blackbox::settings::Settings;
use uilog_blackbox::writer;
use uilog_blackbox::writer::Line;
use uilog_blackbox::writer::Log;
use uilog_blackbox::writer::Refused;
use uilog_blackbox::writer::Written;
use uilog_channel::loss::Loss;
use uilog_event::event::Timestamp;
use uilog_event::tracked::Tracked;
use uilog_event::user;
use uilog_logger::account::FaultKind;

use crate::convert;
use crate::convert::Items;
use crate::host;

/// Room for a line without its message: a date, a user, two hashes.
const LINE_BYTES: usize = 192;

const NULL_NODE: [u8; 20] = [0; 20];

/// A time as hg stores it: seconds, and the seconds that local time is west of
/// UTC.
type HgDate = (f64, i32);

/// What a line says of hg that the system is not asked for.
type Given = (bool, Option<Vec<u8>>, Option<i64>, Option<HgDate>);

/// What to report: that the record was refused (the system's error number, and
/// a text, unless it was reported before), warnings about a rotation, and a
/// record to show.
type Told = (
    Option<(Option<i32>, Option<Py<PyBytes>>)>,
    Vec<Py<PyBytes>>,
    Option<Py<PyBytes>>,
);

/// What `[blackbox]` says in a ui.
#[pyclass(frozen, module = "hgext3rd.uilog._native")]
pub(crate) struct BlackboxSettings {
    inner: Settings,
}

#[pymethods]
impl BlackboxSettings {
    /// Of the section's names and values, and of `devel.default-date`.
    #[new]
    #[pyo3(signature = (items, default_date=None))]
    fn new(items: Items<'_>, default_date: Option<Vec<u8>>) -> Self {
        let items = convert::items(&items);
        let value_of = |name: &str| {
            let mut named = items.iter();
            let found = named.find(|(known, _)| *known == name.as_bytes());
            found.map(|(_, value)| &value[..])
        };
        Self {
            inner: Settings::read(value_of, default_date.as_deref()),
        }
    }

    /// Whether a line says that the working directory has changes.
    #[getter]
    fn tells_dirty(&self) -> bool {
        self.inner.tells_dirty
    }

    /// Whether a fixed time stands in for the clock.
    #[getter]
    fn has_date(&self) -> bool {
        self.inner.date.is_some()
    }

    /// What makes no sense, as (section, name, problem).
    fn faults(&self) -> Vec<(&'static str, &'static str, String)> {
        let problems = self.inner.problems.iter();
        problems
            .map(|(name, problem)| (SECTION, *name, problem.clone()))
            .collect()
    }
}

/// A log file that hg writes.
#[pyclass(frozen, module = "hgext3rd.uilog._native")]
pub(crate) struct LogFile {
    log: Log,
    tracked: Tracked,
}

#[pymethods]
impl LogFile {
    /// A log of Mercurial's. `maxsize` is in bytes, with 0 for no rotation;
    /// `mode`, if given, says who may read and write new files, whatever the
    /// umask.
    #[new]
    #[pyo3(signature = (path, maxsize, maxfiles, mode=None))]
    fn new(
        path: Vec<u8>,
        maxsize: i64,
        maxfiles: i64,
        mode: Option<u32>,
    ) -> Self {
        let path = PathBuf::from(OsString::from_vec(path));
        let max_bytes = u64::try_from(maxsize).unwrap_or(0);
        Self {
            log: Log::new(path, max_bytes, maxfiles, mode),
            tracked: Tracked::default(),
        }
    }

    /// The log of a blackbox.
    #[staticmethod]
    #[pyo3(signature = (path, settings, mode=None))]
    fn of_blackbox(
        path: Vec<u8>,
        settings: &BlackboxSettings,
        mode: Option<u32>,
    ) -> Self {
        let path = PathBuf::from(OsString::from_vec(path));
        let settings = &settings.inner;
        Self {
            log: Log::of_blackbox(path, settings, mode),
            tracked: settings.tracked.clone(),
        }
    }

    /// Where it is.
    #[getter]
    fn path(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.log.path().as_os_str().as_bytes())
    }

    /// Why nothing is written any more, if so.
    #[getter]
    fn off(&self) -> Option<Cow<'static, [u8]>> {
        self.log.off().map(Cow::Owned)
    }

    /// Whether it is about events of this name.
    fn __contains__(&self, event: &Bound<'_, PyAny>) -> bool {
        let bytes = event.cast::<PyBytes>();
        bytes.is_ok_and(|event| self.tracked.contains(event.as_bytes()))
    }

    /// Appends a line to a blackbox. Returns `None` if there is nothing to
    /// report.
    ///
    /// `parents` are two nodes, or `None` if they could not be read. `given`
    /// overrides what would be queried from the system: whether the working
    /// directory has changes, the user, the process ID and the time. If one of
    /// the last three is `None`, the system is queried.
    #[pyo3(signature = (event, message, settings, parents, given=None))]
    fn write_line(
        &self,
        py: Python<'_>,
        event: &Bound<'_, PyAny>,
        message: &Bound<'_, PyAny>,
        settings: &BlackboxSettings,
        parents: Option<(Bound<'_, PyBytes>, Bound<'_, PyBytes>)>,
        given: Option<Given>,
    ) -> Option<Told> {
        let settings = &settings.inner;
        let (is_dirty, user, pid, date) = given.unwrap_or_default();
        let event = bytes_of(event);
        let message = bytes_of(message);
        let both = parents.as_ref().map(|(p1, p2)| [p1, p2]);
        let both = both.map(|both| both.map(|it| it.as_bytes()));
        let parents = match &both {
            None => &[][..],
            Some(both) if *both[1] == NULL_NODE => &both[..1],
            Some(both) => both,
        };
        let line = Line {
            time: date.map(timestamp).or(settings.date).unwrap_or_else(now),
            user: user.map_or_else(|| current_user(py), Cow::Owned),
            parents,
            is_dirty,
            pid: pid.unwrap_or_else(own_pid),
            event: &event,
            message: &message,
        };
        let mut record = Vec::new();
        let problems = self.tell(py, &event, || {
            record.reserve(LINE_BYTES + message.len());
            line.write(&settings.style, &mut record);
            self.log.append(&record)
        });
        if !settings.is_shown {
            return problems;
        }
        let (refused, warnings, _) = problems.unwrap_or_default();
        let shown = refused.is_none().then(|| PyBytes::new(py, &record));
        Some((refused, warnings, shown.map(Bound::unbind)))
    }

    /// Appends a line of Mercurial's other logs; `None` if there is nothing to
    /// report.
    fn write_file_line(
        &self,
        py: Python<'_>,
        event: &Bound<'_, PyAny>,
        message: &Bound<'_, PyAny>,
        pid: Option<i64>,
        date: Option<HgDate>,
    ) -> Option<Told> {
        let event = bytes_of(event);
        let message = bytes_of(message);
        let time = date.map(timestamp).unwrap_or_else(now);
        let pid = pid.unwrap_or_else(own_pid);
        self.tell(py, &event, || {
            let mut record = Vec::with_capacity(LINE_BYTES + message.len());
            writer::write_file_line(time, pid, &message, &mut record);
            self.log.try_append(&record)
        })
    }
}

impl LogFile {
    /// Writes a line and counts it; returns what to report.
    fn tell(
        &self,
        py: Python<'_>,
        event: &[u8],
        write: impl FnOnce() -> Result<Written, Refused>,
    ) -> Option<Told> {
        let mut result = None;
        host::guarded(|| result = Some(write()));
        let as_bytes = |warnings: Vec<Vec<u8>>| -> Vec<Py<PyBytes>> {
            let bytes = |it: &Vec<u8>| PyBytes::new(py, it).unbind();
            warnings.iter().map(bytes).collect()
        };
        match result {
            // It has panicked, which is counted.
            None => Some((Some((None, None)), Vec::new(), None)),
            Some(Ok(written)) => {
                host::account(event, Ok(()));
                let not_rotated = written.not_rotated?;
                let detail = self.log.explain_growth(&not_rotated);
                host::reported_fault(FaultKind::LogFile, detail);
                Some((None, as_bytes(not_rotated.warnings), None))
            }
            Some(Err(refused)) => {
                let reason = self.log.explain(&refused);
                host::account(event, Err(Loss { events: 1, reason }));
                let why = PyBytes::new(py, &refused.why).unbind();
                let why = refused.is_first.then_some(why);
                let refusal = Some((refused.code, why));
                Some((refusal, Vec::new(), None))
            }
        }
    }
}

/// The text of the object, without a copy where it is bytes.
fn bytes_of<'a>(object: &'a Bound<'_, PyAny>) -> Cow<'a, [u8]> {
    match object.cast::<PyBytes>() {
        Ok(bytes) => Cow::Borrowed(bytes.as_bytes()),
        Err(_) => Cow::Owned(convert::text(object)),
    }
}

fn timestamp((seconds, behind): HgDate) -> Timestamp {
    let micros = (seconds * 1e6).round();
    Timestamp {
        // Saturates, and shows larger values as hg does.
        micros: micros as i64,
        offset: behind.saturating_neg(),
    }
}

fn now() -> Timestamp {
    Timestamp::now()
}

fn own_pid() -> i64 {
    i64::from(uilog_sys::fork::process_id())
}

/// The login name in the environment; otherwise the user database is read once,
/// which may take long.
// Python: getpass.getuser
fn current_user(py: Python<'_>) -> Cow<'static, [u8]> {
    static DATABASE: PyOnceLock<Vec<u8>> = PyOnceLock::new();
    let value_of = |name| Some(std::env::var_os(name)?.into_vec());
    if let Some(name) = user::from_environment(value_of) {
        return Cow::Owned(name);
    }
    let asked = DATABASE.get_or_init(py, || {
        user::from_database().unwrap_or_else(|| user::UNKNOWN.to_vec())
    });
    Cow::Borrowed(asked)
}
