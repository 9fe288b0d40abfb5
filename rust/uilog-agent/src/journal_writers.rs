//! Writes losses into journals: one writer for each journal that users have
//! chosen.
//!
//! Responsible for reporting each loss once, at a limited rate, and without
//! waiting for a home directory. Must not know sinks, and of queues only the
//! pages that count losses.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::journal::Failure;
use uilog_channel::journal::FailureKind;
use uilog_channel::record_delivery::RecordLoss;
use uilog_channel::reporter;
use uilog_channel::reporter::Reporter;
use uilog_channel::unreported_losses::UnreportedLosses;
use uilog_event::environment_block::lookup;

use crate::ledger::Ledger;
use crate::ledger::Page;

/// Maximum number of idle writers that are kept.
const MAX_IDLE: usize = 8;

/// The variables that choose a journal.
const CHOICE: [&[u8]; 3] = [b"HOME", b"XDG_STATE_HOME", b"XDG_RUNTIME_DIR"];

type Choice = [Option<Vec<u8>>; CHOICE.len()];

/// Writes to one journal.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    choice: Choice,
    environment: Arc<[u8]>,
    reporter: Reporter,
    losses: UnreportedLosses,
    ledger: Ledger,
}

impl JournalWriter {
    fn new(
        choice: Choice,
        environment: Arc<[u8]>,
        bell: &Arc<UnixStream>,
    ) -> Self {
        let ledger = Ledger::new(Arc::clone(bell));
        let for_thread = ledger.clone();
        let told = Box::new(move |losses| for_thread.mark_reported(losses));
        Self {
            choice,
            environment,
            reporter: Reporter::new(reporter::append, told),
            losses: UnreportedLosses::default(),
            ledger,
        }
    }

    /// A sink has lost a record that is counted in this page.
    pub(crate) fn lose(&mut self, page: &Arc<Page>, loss: RecordLoss) {
        self.ledger.add(Some(page), loss.count);
        self.losses.add(loss);
    }

    /// Reports a loss, counted in this page, if any, at once.
    pub(crate) fn report(
        &mut self,
        page: Option<&Arc<Page>>,
        kind: FailureKind,
        lost: u64,
        detail: String,
    ) {
        self.ledger.add(page, lost);
        let failure = Failure::now(String::new(), b"", kind, lost, detail);
        self.reporter.report(failure, &self.environment);
    }

    /// Reports what is due; everything, if it is the last call.
    fn report_due(&mut self, is_last: bool) {
        for loss in self.losses.due(Instant::now(), false, is_last) {
            let (kind, count) = (loss.kind(), loss.count);
            let detail = loss.explain();
            let failure = Failure::now(String::new(), b"", kind, count, detail);
            self.reporter.report(failure, &self.environment);
        }
    }

    fn is_idle(&self) -> bool {
        self.losses.deadline(false).is_none() && self.reporter.is_idle()
    }
}

/// All writers.
#[derive(Debug)]
pub(crate) struct JournalWriters {
    all: Vec<JournalWriter>,
    bell: Arc<UnixStream>,
}

impl JournalWriters {
    pub(crate) fn new(bell: Arc<UnixStream>) -> Self {
        Self {
            all: Vec::new(),
            bell,
        }
    }

    /// The one of the journal that this environment chooses.
    pub(crate) fn of(&mut self, environment: &Arc<[u8]>) -> &mut JournalWriter {
        let value = |name| lookup(environment, name).map(<[u8]>::to_vec);
        let choice = CHOICE.map(value);
        let known = self.all.iter().position(|it| it.choice == choice);
        let index = known.unwrap_or_else(|| {
            if self.all.len() >= MAX_IDLE {
                self.all.retain(|it| !it.is_idle());
            }
            let environment = Arc::clone(environment);
            self.all
                .push(JournalWriter::new(choice, environment, &self.bell));
            self.all.len() - 1
        });
        &mut self.all[index]
    }

    /// Reports what is due.
    pub(crate) fn report_due(&mut self) {
        for writer in &mut self.all {
            writer.report_due(false);
        }
    }

    /// When the next report is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let deadlines = self.all.iter();
        deadlines.filter_map(|it| it.losses.deadline(false)).min()
    }

    /// Reports everything, and waits for the journals, but not longer than
    /// `bound`.
    pub(crate) fn finish(&mut self, bound: Duration) {
        let deadline = Instant::now() + bound;
        for writer in &mut self.all {
            writer.report_due(true);
        }
        for writer in &mut self.all {
            writer.reporter.finish(deadline);
        }
    }
}
