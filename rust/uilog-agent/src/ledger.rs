//! The queues whose losses are not in the journal yet.
//!
//! Responsible for one thing: a loss stays in the page of a queue until it is
//! in the journal, so that after a kill, the next reader of that queue reports
//! it. Several losses are reported together, so they are removed from the pages
//! in the order in which they were counted. Must not know why records were
//! lost.

use std::collections::VecDeque;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use uilog_channel::queue::ReportedLosses;

/// The unreported losses of a queue's page.
#[derive(Debug)]
pub(crate) struct Page {
    told: Mutex<ReportedLosses>,
    unreported: AtomicU64,
}

impl Page {
    pub(crate) fn new(told: ReportedLosses) -> Self {
        Self {
            told: Mutex::new(told),
            unreported: AtomicU64::new(0),
        }
    }

    /// So many more are lost.
    pub(crate) fn add(&self, count: u64) {
        self.unreported.fetch_add(count, Ordering::Relaxed);
    }

    /// Whether all are in the journal.
    pub(crate) fn is_reported(&self) -> bool {
        self.unreported.load(Ordering::Relaxed) == 0
    }

    /// So many are in the journal.
    fn mark_reported(&self, count: u64) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.add(count);
        drop(told);
        self.unreported.fetch_sub(count, Ordering::Relaxed);
    }
}

/// The numbers of losses to report, in order, and the pages that count them, if
/// any.
type Waiting = VecDeque<(Option<Arc<Page>>, u64)>;

/// The losses that are not in one journal yet.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    waiting: Arc<Mutex<Waiting>>,
    /// Wakes the loop: a queue may have no unreported losses any more.
    bell: Arc<UnixStream>,
}

impl Ledger {
    pub(crate) fn new(bell: Arc<UnixStream>) -> Self {
        Self {
            waiting: Arc::default(),
            bell,
        }
    }

    /// Adds losses to report, which are counted in this page, if any.
    pub(crate) fn add(&self, page: Option<&Arc<Page>>, count: u64) {
        if count > 0 {
            let mut waiting =
                self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push_back((page.cloned(), count));
        }
    }

    /// So many have been reported.
    pub(crate) fn mark_reported(&self, mut count: u64) {
        let mut waiting =
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while count > 0
            && let Some((page, left)) = waiting.front_mut()
        {
            let now = count.min(*left);
            if let Some(page) = page {
                page.mark_reported(now);
            }
            count -= now;
            *left -= now;
            if *left == 0 {
                waiting.pop_front();
            }
        }
        drop(waiting);
        // A full socket means that there is enough to wake up from.
        let _ = (&*self.bell).write(b"!");
    }
}
