//! The blackbox, as Python reads it.
//!
//! Conversions only. The GIL is released while files are read, and each call is
//! short enough for Python to handle signals in between.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::types::PyDict;
use pyo3::types::PyList;
use uilog_blackbox::dates::DateFormat;
use uilog_blackbox::dates::Moment;
use uilog_blackbox::files::ReadError;
use uilog_blackbox::glob::Glob;
use uilog_blackbox::query::Filters;
use uilog_blackbox::reader::Entry;
use uilog_blackbox::reader::Options;
use uilog_blackbox::reader::Reader;
use uilog_config::date::Clock;
use uilog_config::when;
use uilog_sys::clock;

/// A blackbox that is being read.
#[pyclass(frozen, module = "hgext3rd.uilog._native")]
pub(crate) struct History {
    /// Locked only while no Python code can run.
    reader: Mutex<Reader>,
}

impl History {
    fn with<T: Send>(
        &self,
        py: Python<'_>,
        body: impl FnOnce(&mut Reader) -> Result<T, ReadError> + Send,
    ) -> PyResult<T> {
        py.detach(|| {
            let reader = self.reader.lock();
            body(&mut reader.unwrap_or_else(PoisonError::into_inner))
        })
        .map_err(|error| os_error(py, &error))
    }
}

/// The error that Python's own functions would raise.
fn os_error(py: Python<'_>, error: &ReadError) -> PyErr {
    let strerror = py
        .import("os")
        .and_then(|os| os.call_method1("strerror", (error.errno(),)))
        .map_or_else(|_| error.to_string(), |text| text.to_string());
    let path = path_bytes(py, error.path()).unbind();
    PyOSError::new_err((error.errno(), strerror, path))
}

fn path_bytes<'py>(py: Python<'py>, path: &Path) -> Bound<'py, PyBytes> {
    PyBytes::new(py, path.as_os_str().as_bytes())
}

#[pymethods]
impl History {
    /// Opens the blackbox at `path`; each argument is a filter. A date is
    /// (seconds since the epoch, the same on the local clock).
    #[new]
    #[pyo3(signature = (
        path,
        *,
        date_format,
        limit,
        as_events,
        follow,
        count_damaged,
        since=None,
        until=None,
        events=Vec::new(),
        users=Vec::new(),
        pids=Vec::new(),
        commands=Vec::new(),
        failed=false,
        slower=None,
        nodes=None,
    ))]
    #[allow(clippy::too_many_arguments, reason = "each is an option of hg's")]
    fn new(
        py: Python<'_>,
        path: Vec<u8>,
        date_format: &[u8],
        limit: usize,
        as_events: bool,
        follow: bool,
        count_damaged: bool,
        since: Option<(i64, i64)>,
        until: Option<(i64, i64)>,
        events: Vec<Vec<u8>>,
        users: Vec<Vec<u8>>,
        pids: Vec<u64>,
        commands: Vec<Vec<u8>>,
        failed: bool,
        slower: Option<f64>,
        nodes: Option<HashSet<Vec<u8>>>,
    ) -> PyResult<Self> {
        let moment = |(unix, civil)| Moment { unix, civil };
        let filters = Filters {
            since: since.map(moment),
            until: until.map(moment),
            events,
            users,
            pids,
            commands: commands.iter().map(|it| Glob::new(it)).collect(),
            failed,
            slower,
            revs: nodes,
        };
        let options = Options {
            filters,
            format: DateFormat::new(date_format),
            limit,
            as_events,
            follow,
            count_damaged,
        };
        let path = Path::new(OsStr::from_bytes(&path));
        let reader = py
            .detach(|| Reader::open(path, options))
            .map_err(|error| os_error(py, &error))?;
        Ok(Self {
            reader: Mutex::new(reader),
        })
    }

    /// The next piece of text: empty if nothing has been found yet, None at
    /// the end.
    fn next_text<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let text = self.with(py, Reader::next_text)?;
        Ok(text.map(|text| PyBytes::new(py, &text)))
    }

    /// The next events: none if nothing has been found yet, None at the end.
    fn next_events<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        let Some(entries) = self.with(py, Reader::next_events)? else {
            return Ok(None);
        };
        let list = PyList::empty(py);
        for entry in &entries {
            list.append(entry_dict(py, entry)?)?;
        }
        Ok(Some(list))
    }

    /// Checks for new events, which are then returned as usual.
    fn poll(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, Reader::poll)
    }

    /// How many incomplete writes were in the returned text.
    fn damaged(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |reader| Ok(reader.damaged()))
    }

    /// How many events were kept out because their dates cannot be read.
    fn undated(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, |reader| Ok(reader.undated()))
    }

    /// How many wanted events there were beyond the limit.
    fn left_out(&self, py: Python<'_>) -> PyResult<u64> {
        self.with(py, Reader::left_out)
    }

    /// The rotated files that cannot be read, and the system's number for why.
    fn unreadable<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Vec<(Bound<'py, PyBytes>, i32)>> {
        let unreadable = self.with(py, |reader| {
            let errors = reader.unreadable().iter();
            let pair =
                |error: &ReadError| (error.path().to_owned(), error.errno());
            Ok(errors.map(pair).collect::<Vec<_>>())
        })?;
        let pairs = unreadable.into_iter();
        Ok(pairs
            .map(|(path, errno)| (path_bytes(py, &path), errno))
            .collect())
    }
}

/// The first and the last second of a span of time that a text names by how
/// far away it is: `7d`, `last week`, `yesterday`. None if it does not.
#[pyfunction]
pub(crate) fn relative_date(text: &[u8], now: i64) -> Option<(i64, i64)> {
    let text = std::str::from_utf8(text).ok()?;
    let clock = Clock {
        now,
        local_offset: &|moment| clock::local_offset(moment).into(),
    };
    let (first, last) = when::relative(text, &clock)?;
    let last = if when::is_moment(text) { first } else { last };
    Some((first, last))
}

/// What may be written for a date besides hg's own.
pub(crate) const DATE_EXAMPLES: &str = when::EXAMPLES;

/// An event as a dict. The date is (seconds since 1970 on the clock that the
/// line shows, that clock's seconds ahead of UTC or None).
fn entry_dict<'py>(
    py: Python<'py>,
    entry: &Entry,
) -> PyResult<Bound<'py, PyDict>> {
    let bytes = |text: &Vec<u8>| PyBytes::new(py, text);
    let dict = PyDict::new(py);
    let date = entry.date.map(|date| (date.civil, date.offset));
    dict.set_item("date", date)?;
    dict.set_item("user", entry.user.as_ref().map(bytes))?;
    dict.set_item("pid", entry.pid)?;
    dict.set_item(
        "parents",
        PyList::new(py, entry.parents.iter().map(bytes))?,
    )?;
    dict.set_item("dirty", entry.is_dirty)?;
    dict.set_item("event", entry.event.as_ref().map(bytes))?;
    dict.set_item("command", entry.command.as_ref().map(bytes))?;
    dict.set_item("return_code", entry.return_code)?;
    dict.set_item("duration", entry.duration)?;
    for (name, value) in &entry.options {
        dict.set_item(name, bytes(value))?;
    }
    dict.set_item("message", bytes(&entry.message))?;
    dict.set_item("damaged", entry.is_damaged)?;
    dict.set_item("source", path_bytes(py, &entry.path))?;
    Ok(dict)
}
