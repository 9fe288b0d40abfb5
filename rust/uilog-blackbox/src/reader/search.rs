//! Searching parts of files for wanted events.
//!
//! Must not know which part comes next.

use std::io;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use super::source::Part;
use crate::files::LogFile;
use crate::query::Query;
use crate::scan;
use crate::scan::EventPosition;
use crate::scan::Findings;
use crate::scan::LeadingLines;

/// The most threads. More would wait for memory.
const MAX_THREADS: usize = 8;
/// The most text that is handed out at once.
pub(super) const MAX_TEXT: usize = 1024 * 1024;

/// Something to hand out.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) log: Arc<LogFile>,
    pub(super) found: EventPosition,
    /// Whether a newline is added if it has none.
    pub(super) ends_line: bool,
}

/// Searches a part on this thread.
pub(super) fn search(
    log: &LogFile,
    range: Range<u64>,
    len: u64,
    lead: LeadingLines,
    query: &Query,
) -> io::Result<Findings> {
    scan::scan(&log.file, range, len, lead, query, &mut Vec::new())
}

/// Searches all of these parts, on as many threads as help.
pub(super) fn search_all(
    parts: &[Part],
    query: &Query,
) -> Vec<io::Result<Findings>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(parts.len()));
    let work = || {
        let mut buffer = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(at) else { break };
            let lead = if part.range.start == 0 {
                LeadingLines::Judge
            } else {
                LeadingLines::Skip
            };
            let range = part.range.clone();
            let file = &part.log.file;
            let findings =
                scan::scan(file, range, part.len, lead, query, &mut buffer);
            let mut results =
                results.lock().unwrap_or_else(PoisonError::into_inner);
            results.push((at, findings));
        }
    };
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(MAX_THREADS).min(parts.len());
    thread::scope(|scope| {
        for _ in 1..threads {
            // This thread does what others cannot be had for.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let mut results =
        results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, findings)| findings).collect()
}
