//! Which queues the agent has: those whose writers wake it, and those in the
//! directories.
//!
//! Responsible for claiming them, and for what is known about their writers.
//! Must not know what their records say.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use nix::unistd::Pid;
use uilog_channel::agent_address::protocol_of;
use uilog_channel::journal::FailureKind;
use uilog_channel::queue::Origin;
use uilog_channel::wire::PROTOCOL;
use uilog_channel::wire::is_readable;
use uilog_sys::own_dir::OwnDir;
use uilog_sys::pidfd;

use crate::client::Client;
use crate::directory;
use crate::directory::ClaimResult;
use crate::directory::ClaimedQueue;
use crate::doorbell::HURRY;
use crate::doorbell::Wakeup;
use crate::doorbell::Wakeups;
use crate::ids::ClientId;
use crate::server::Server;
use crate::trust::WriterTrust;

/// After a wakeup, further ones are awaited so long before sinks get records:
/// hg, which may be about to log more, has the processors.
const GATHER: Duration = Duration::from_millis(2);
/// The delay of a scan for queues that other agents serve, or for which there
/// was no descriptor.
const SCAN_AGAIN: Duration = Duration::from_secs(2);
/// The interval while a process waits, which asks repeatedly.
const SCAN_IN_A_HURRY: Duration = Duration::from_millis(50);
/// Files that are remembered because they are of no use.
const MAX_USELESS: usize = 4096;

impl Server {
    /// Receives wakeups; true if there were any.
    pub(crate) fn receive_wakeups(&mut self) -> bool {
        let Some(doorbell) = &self.doorbell else {
            return false;
        };
        let mut heard = doorbell.receive_all();
        let older = self.older.as_ref().and_then(|it| it.doorbell.as_ref());
        if let Some(older) = older {
            heard.add(older.receive_all());
        }
        self.handle_wakeups(&heard)
    }

    /// Looks after the queues of these wakeups; true if there are any.
    pub(crate) fn handle_wakeups(&mut self, heard: &Wakeups) -> bool {
        let was_at_rest = self.is_at_rest();
        for ring in &heard.wakeups {
            self.handle_wakeup(ring);
        }
        let now = Instant::now();
        if heard.may_have_missed {
            self.scan_at = now;
        }
        // Waiting processes do not prevent an agent from ending.
        let has_rung = heard.wakeups.iter().any(|it| it.name != HURRY);
        if has_rung {
            if was_at_rest {
                self.gather_until = Some(now + GATHER);
            }
            self.admission.is_final = false;
            self.idle.is_used(now);
        }
        has_rung
    }

    pub(crate) fn handle_wakeup(&mut self, ring: &Wakeup) {
        let name = &*ring.name;
        if name == HURRY {
            self.groups.press();
            // A process that was killed before it could send its wakeup is
            // found by a scan.
            return self.scan_within(SCAN_IN_A_HURRY);
        }
        if self.by_name.contains_key(name)
            && protocol_of(name).is_some_and(|it| it < PROTOCOL)
        {
            self.serve_older();
        }
        let is_from_here = || {
            let is_known = |pid| self.admission.is_from_here(pid);
            ring.is_from_here || ring.pid.is_some_and(is_known)
        };
        let known = self.by_name.get(name);
        let known = known.and_then(|id| self.clients.get_mut(id));
        if let Some(client) = known {
            client.is_rung = true;
            client.may_await = true;
            if let WriterTrust::Proven = client.trust {
                return;
            }
            if is_from_here() {
                client.trust = WriterTrust::Proven;
                client.process = ring.pid.and_then(pidfd::open);
            }
            return;
        }
        if !protocol_of(name).is_some_and(is_readable) {
            return;
        }
        if self.clients.len() >= self.max_clients {
            return self.scan_again();
        }
        // First of all, since the process may be about to end.
        let is_proven = is_from_here();
        self.admission.clear_cache();
        let dir = Arc::clone(&self.directories.own);
        self.claim(&dir, name, is_proven, ring.pid);
    }

    /// Claims a queue, if that is possible; `pid` is its writer, if known, and
    /// `is_proven` whether it is known to be from here.
    pub(crate) fn claim(
        &mut self,
        dir: &Arc<OwnDir>,
        name: &OsStr,
        is_proven: bool,
        pid: Option<Pid>,
    ) {
        match directory::claim(dir, name, &self.namespaces) {
            ClaimResult::Taken(taken) => {
                self.add(dir, name, *taken, is_proven, pid);
            }
            ClaimResult::Others | ClaimResult::Exhausted => self.scan_again(),
            ClaimResult::Gone => {}
            ClaimResult::Useless => {
                if self.useless.len() >= MAX_USELESS {
                    self.useless.clear();
                }
                self.useless
                    .insert((name.to_owned(), dir.path().to_owned()));
            }
            ClaimResult::Damaged => self.remove_damaged(dir, name),
        }
    }

    pub(crate) fn scan_again(&mut self) {
        self.scan_within(SCAN_AGAIN);
    }

    /// Scans at the latest so long after the last scan.
    fn scan_within(&mut self, time: Duration) {
        self.scan_at = self.scan_at.min(self.scanned_at + time);
    }

    pub(crate) fn add(
        &mut self,
        dir: &Arc<OwnDir>,
        name: &OsStr,
        taken: ClaimedQueue,
        is_proven: bool,
        pid: Option<Pid>,
    ) {
        let ClaimedQueue {
            queue,
            origin,
            file,
        } = taken;
        let is_starter = self.started_by.as_deref() == Some(name);
        let (is_proven, pid) = match is_proven || is_starter {
            // What a proven queue says of its writer is believed.
            true => {
                let writer = origin.and_then(|it| i32::try_from(it.pid).ok());
                (true, pid.or(writer.map(Pid::from_raw)))
            }
            false => {
                let pid = self.writer(&origin.unwrap_or_default(), file);
                (pid.is_some(), pid)
            }
        };
        let trust = match is_proven {
            true => WriterTrust::Proven,
            false => WriterTrust::Unproven(Instant::now()),
        };
        let id = self.next_id;
        let client =
            Client::new(id, dir.clone(), name.to_owned(), queue, trust);
        let Ok(mut client) = client else {
            return self.remove_damaged(dir, name);
        };
        client.process = pid.and_then(pidfd::open);
        self.next_id = id.wrapping_add(1);
        let is_older = protocol_of(name).is_some_and(|it| it < PROTOCOL);
        let is_served = is_older && client.is_alive();
        self.by_name.insert(name.to_owned(), id);
        self.clients.insert(id, client);
        if is_served {
            self.serve_older();
        }
    }

    /// The process that has a queue open, if it can be proven.
    pub(crate) fn writer(
        &mut self,
        origin: &Origin,
        file: (u64, u64),
    ) -> Option<Pid> {
        self.admission.has_file_open(origin, file)
    }

    /// A queue's file cannot be read; that is reported once.
    pub(crate) fn remove_damaged(&mut self, dir: &OwnDir, name: &OsStr) {
        let path = dir.path().join(name);
        let detail = format!("a queue is damaged: {}", path.display());
        let journal = self.journals.of(&self.environment);
        journal.report(None, FailureKind::Lost, 1, detail);
        if dir.unlink(name).is_err() {
            self.useless
                .insert((name.to_owned(), dir.path().to_owned()));
        }
    }

    /// Scans for queues, and reads known ones.
    pub(crate) fn scan(&mut self) {
        self.scanned_at = Instant::now();
        self.scan_at = self.scanned_at + self.scan_every;
        self.admission.clear_cache();
        for client in self.clients.values_mut() {
            client.is_rung = true;
            client.may_have_ended = true;
        }
        for dir in self.directories.all() {
            let is_known = |name: &OsStr| {
                self.by_name.contains_key(name) || self.is_useless(&dir, name)
            };
            let names = directory::queues_in(&dir, is_known);
            if names.len() >= directory::MAX_FOUND {
                self.scan_again();
            }
            for name in names {
                if self.clients.len() >= self.max_clients {
                    break;
                }
                self.claim(&dir, &name, false, None);
            }
        }
        if self.clients.len() >= self.max_clients {
            self.scan_again();
        }
    }

    /// Whether a file was checked in vain.
    pub(crate) fn is_useless(&self, dir: &OwnDir, name: &OsStr) -> bool {
        let of_dir = || (name.to_owned(), dir.path().to_owned());
        !self.useless.is_empty() && self.useless.contains(&of_dir())
    }

    /// Leaves a queue to others.
    pub(crate) fn decline(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        // Unless some of its records are on their way.
        if client.is_drained() && client.page.is_reported() {
            let path = client.dir.path().to_owned();
            self.useless.insert((client.name.clone(), path));
            self.forget(id);
        }
    }

    pub(crate) fn forget(&mut self, id: ClientId) {
        if let Some(client) = self.clients.remove(&id) {
            self.by_name.remove(&client.name);
        }
    }

    /// Forgets all queues: others may serve them.
    pub(crate) fn forget_all(&mut self) {
        self.clients.clear();
        self.by_name.clear();
    }
}
