//! Decides to which sinks a queue's records are delivered.
//!
//! Responsible for one rule: a file that another process has put into the
//! runtime directory must not make the agent write where it is not configured
//! to write. If a process of the agent's own user and namespaces has written
//! the queue, its records go where it says, because that process could write
//! there itself. Records of any other queue go only to sinks that such a
//! process has had in this agent's life, or that the agent's own configuration
//! defines (`configured`). Must not know how records are delivered.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use nix::unistd::Pid;
use uilog_channel::agent_address::namespaces_of;
use uilog_channel::queue::Origin;

use crate::configuration::Configuration;
use crate::configuration::Configurations;
use crate::configured::Configured;
use crate::trust::WriterTrust;

/// How many configurations are remembered as those of processes from here.
const MAX_KNOWN: usize = 64;
/// How long to wait for a process with the same sinks.
const PATIENCE: Duration = Duration::from_secs(60);
/// Maximum number of a process's descriptors that are checked.
const MAX_DESCRIPTORS: usize = 4096;

/// What to do with a record.
#[derive(Debug)]
pub(crate) enum Decision {
    /// Deliver it to the sinks of this configuration; it is lost for those
    /// sinks of its own configuration that have these names.
    Deliver(Arc<Configuration>, Vec<String>),
    /// It is lost for the sinks of these names, and there are no others.
    Refuse(Vec<String>),
    /// Not known yet.
    Wait,
}

/// Decides.
#[derive(Debug)]
pub(crate) struct Admission {
    namespaces: String,
    known: VecDeque<Arc<Configuration>>,
    configured: Configured,
    /// No further process is waited for.
    pub(crate) is_final: bool,
    /// A new configuration has been read since the last check.
    has_learnt: bool,
    /// The process that was checked last, and its open files, because many
    /// queues may name the same process.
    looked_at: Option<(Pid, HashSet<(u64, u64)>)>,
}

impl Admission {
    pub(crate) fn new(namespaces: String, configured: Configured) -> Self {
        Self {
            namespaces,
            known: VecDeque::new(),
            configured,
            is_final: false,
            has_learnt: false,
            looked_at: None,
        }
    }

    /// Whether a process is one from here that has not shown it.
    pub(crate) fn is_from_here(&self, pid: Pid) -> bool {
        let process = PathBuf::from(format!("/proc/{pid}"));
        namespaces_of(&process).is_ok_and(|it| it == self.namespaces)
    }

    /// Whether a queue was made here, as far as it can be believed.
    pub(crate) fn claims_to_be_from_here(&self, origin: &Origin) -> bool {
        origin.namespaces == self.namespaces
    }

    /// Whether the process that a queue names is from here and has the file
    /// open: only a process that could write itself can make it so.
    pub(crate) fn has_file_open(
        &mut self,
        origin: &Origin,
        file: (u64, u64),
    ) -> Option<Pid> {
        let pid = i32::try_from(origin.pid).ok().filter(|pid| *pid > 0)?;
        let pid = Pid::from_raw(pid);
        if !self.claims_to_be_from_here(origin) || !self.is_from_here(pid) {
            return None;
        }
        if self.looked_at.as_ref().is_none_or(|it| it.0 != pid) {
            let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
            let entries = entries.flatten().take(MAX_DESCRIPTORS);
            let files = entries.filter_map(|entry| {
                let metadata = fs::metadata(entry.path()).ok()?;
                Some((metadata.dev(), metadata.ino()))
            });
            self.looked_at = Some((pid, files.collect()));
        }
        let files = self.looked_at.as_ref().map(|it| &it.1)?;
        files.contains(&file).then_some(pid)
    }

    /// Clears the cache of open files.
    pub(crate) fn clear_cache(&mut self) {
        self.looked_at = None;
    }

    /// A process from here has this configuration.
    fn remember(&mut self, configuration: &Arc<Configuration>) {
        let is_it = |it: &Arc<Configuration>| Arc::ptr_eq(it, configuration);
        if self.known.front().is_some_and(is_it) {
            return;
        }
        let before = self.known.len();
        self.known.retain(|it| !is_it(it));
        self.has_learnt |= self.known.len() == before;
        self.known.truncate(MAX_KNOWN - 1);
        self.known.push_front(Arc::clone(configuration));
    }

    /// Whether waiting records must be decided again.
    pub(crate) fn has_learnt(&mut self) -> bool {
        std::mem::take(&mut self.has_learnt)
    }

    /// Decides about a record of this configuration and of the repository with
    /// this root.
    pub(crate) fn decide(
        &mut self,
        trust: WriterTrust,
        configuration: &Arc<Configuration>,
        root: Option<&[u8]>,
        all: &mut Configurations,
    ) -> Decision {
        let since = match trust {
            WriterTrust::Proven => {
                self.remember(configuration);
                return Decision::Deliver(configuration.clone(), Vec::new());
            }
            WriterTrust::Unproven(since) => since,
        };
        let is_known = |it: &Arc<Configuration>| Arc::ptr_eq(it, configuration);
        if self.known.iter().any(is_known) {
            return Decision::Deliver(configuration.clone(), Vec::new());
        }
        let Some(here) = self.configured.of(root, all) else {
            return Decision::Wait;
        };
        let covered = |it: &Arc<Configuration>| {
            let sinks = configuration.sinks.iter();
            sinks.filter(|sink| it.has(&sink.definition)).count()
        };
        let candidates = self.known.iter().chain(here.as_ref());
        let best = candidates.max_by_key(|it| covered(it));
        let count = best.map_or(0, covered);
        let is_complete = count == configuration.sinks.len();
        let is_late = self.is_final || since.elapsed() >= PATIENCE;
        if !is_complete && !is_late {
            return Decision::Wait;
        }
        let is_missing =
            |definition| !best.is_some_and(|it| it.has(definition));
        let sinks = configuration.sinks.iter().map(|it| &it.definition);
        let missing = sinks.filter(|it| is_missing(it));
        let missing = missing.map(|it| it.name.clone()).collect();
        match best.filter(|_| count > 0) {
            Some(best) => {
                let items = best.items_for(|it| configuration.has(it));
                let chosen = all.of(&items, &best.environment);
                Decision::Deliver(chosen, missing)
            }
            None => Decision::Refuse(missing),
        }
    }

    /// When a decision must be made without further information.
    pub(crate) fn deadline(trust: WriterTrust) -> Option<Instant> {
        match trust {
            WriterTrust::Proven => None,
            WriterTrust::Unproven(since) => Some(since + PATIENCE),
        }
    }

    /// Whether the configuration here may soon be known.
    pub(crate) fn is_asking(&self, now: Instant) -> bool {
        self.configured.deadline().is_some_and(|it| now < it)
    }

    /// Until when that is worth to be waited for.
    pub(crate) fn asks_until(&self) -> Option<Instant> {
        self.configured.deadline()
    }
}
