//! How the agent ends: after some time without work, or by SIGTERM.
//!
//! Responsible for one promise: if a client wakes the agent, the agent either
//! receives that, or the client finds no agent and can start one, or its queue
//! is found before this process ends. So the agent closes its socket first and
//! reads the last wakeups, then scans for queues, then releases its lock, and
//! scans again. A client that found no agent, but found the lock held, has
//! appended before the last scan.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::time::Duration;
use std::time::Instant;

use uilog_sys::living_file;
use uilog_sys::living_file::Holder;

use crate::client::Client;
use crate::client::WaitsFor;
use crate::directory;
use crate::doorbell::Wakeups;
use crate::error::Error;
use crate::error::system;
use crate::server::Server;

/// How long an agent stays at least while the writers of its queues live: when
/// they end, it removes the queues.
pub const WRITERS_GRACE: Duration = Duration::from_secs(1);
/// How long an idle agent stays, without sinks, while a command runs: if that
/// is killed, it can be logged at once.
const COMMAND_BOUND: Duration = Duration::from_secs(3600);
/// The time limit for closing sinks.
const SINKS_BOUND: Duration = Duration::from_secs(60);
/// The limit after SIGTERM: a system that shuts down waits longer.
const TERMINATED_BOUND: Duration = Duration::from_secs(2);
/// The time limit for journals at the end.
const JOURNAL_BOUND: Duration = Duration::from_secs(5);

impl Server {
    /// Lets the agent end if it is time; whether it has.
    pub(crate) fn has_ended(&mut self) -> Result<bool, Error> {
        let now = Instant::now();
        if !self.is_at_rest() || now < self.idle_until() {
            return Ok(false);
        }
        if self.is_doubtful() && !self.admission.is_final {
            // No process will come any more that could prove anything.
            self.admission.is_final = true;
            self.look_again();
            return Ok(false);
        }
        if self.is_doubtful() && self.admission.is_asking(now) {
            return Ok(false);
        }
        if !self.groups.is_empty() {
            // A client that wakes the agent meanwhile gets new sinks.
            self.groups.finish(now + SINKS_BOUND);
            self.store_results();
            if !self.groups.is_empty() {
                return Ok(false);
            }
        }
        if now < self.leaves_at() {
            return Ok(false);
        }
        self.journals.finish(JOURNAL_BOUND);
        self.close_ended();
        self.leave()
    }

    /// Until when there must be nothing to do for the sinks to end, and the
    /// agent.
    pub(crate) fn idle_until(&self) -> Instant {
        let mut clients = self.clients.values();
        let has_writers = clients.any(|it| !it.has_ended && it.is_alive());
        self.idle.deadline(has_writers)
    }

    /// Until when it stays after that, without sinks.
    pub(crate) fn leaves_at(&self) -> Instant {
        let mut clients = self.clients.values();
        let has_open = clients.any(|it| it.has_open_command() && it.is_alive());
        let idle_until = self.idle_until();
        match has_open {
            true => idle_until.max(self.idle.used_at() + COMMAND_BOUND),
            false => idle_until,
        }
    }

    /// Ends, unless something has come in the last moment.
    fn leave(&mut self) -> Result<bool, Error> {
        self.close_doorbell();
        let is_there = self.directories.is_there();
        if is_there {
            self.scan();
            if self.clients.values().any(has_more) {
                return self.go_on();
            }
        }
        self.close_all();
        self.count_room();
        if self.has_more_when_released() {
            return self.go_on();
        }
        // The position up to which each was read here, whatever its page says.
        let ends = self.clients.values().filter(|it| !it.is_rung);
        let ends = ends.map(|it| (it.name.clone(), it.end()));
        let ends: HashMap<_, _> = ends.collect();
        self.forget_all();
        let unlock = living_file::unlock(&self.lock, Holder::Maker);
        unlock.map_err(system("release the lock"))?;
        if let Some(older) = self.older.take() {
            older.leave();
        }
        if is_there && self.is_anything_waiting(&ends) {
            let is_free = living_file::hold(&self.lock, Holder::Maker);
            if is_free.map_err(system("take the lock"))? {
                return self.go_on();
            }
            // There is another agent, which scans at its start.
        }
        Ok(true)
    }

    fn go_on(&mut self) -> Result<bool, Error> {
        let now = Instant::now();
        self.idle.is_used(now);
        // Without waiting for anything: there is something to read.
        self.retry_at = Some(now);
        if self.directories.is_there()
            && let Err(error) = self.begin()
            // It may have been removed just now.
            && self.directories.is_there()
        {
            return Err(error);
        }
        Ok(false)
    }

    /// Releases all queues and checks whether there is more in any of them; if
    /// so, claims them again.
    ///
    /// A queue without a name, as after a logout, is found by no other agent.
    /// Its writer appends, and then checks whether it has a reader; so a queue
    /// is released before this checks. That goes for all of them, because a
    /// queue can lose its name at any moment.
    fn has_more_when_released(&mut self) -> bool {
        self.release_queues();
        let mut clients = self.clients.values();
        if !clients.any(|it| has_more(it) || !it.is_at_end() && !it.has_name())
        {
            return false;
        }
        let mut others = Vec::new();
        for client in self.clients.values_mut() {
            let file = client.feed.queue.page_file();
            match living_file::hold(file, Holder::Reader) {
                Ok(false) => others.push(client.id),
                Ok(true) | Err(_) => client.is_rung = true,
            }
        }
        for id in others {
            self.forget(id);
        }
        true
    }

    fn release_queues(&self) {
        for client in self.clients.values() {
            let file = client.feed.queue.page_file();
            let _ = living_file::unlock(file, Holder::Reader);
        }
    }

    fn close_doorbell(&mut self) {
        let own = &self.directories.own;
        let mut last = Wakeups::default();
        if let Some(older) = &mut self.older
            && let Some(doorbell) = older.doorbell.take()
        {
            let _ = own.unlink(&older.names.socket);
            last.add(doorbell.close());
        }
        if let Some(doorbell) = self.doorbell.take() {
            let _ = own.unlink(&self.names.socket);
            last.add(doorbell.close());
        }
        self.handle_wakeups(&last);
    }

    /// Removes queues that are not needed any more.
    fn close_all(&mut self) {
        for client in self.clients.values_mut() {
            client.is_rung = false;
            client.may_have_ended = true;
        }
        self.close_ended();
    }

    fn is_anything_waiting(&self, ends: &HashMap<OsString, u64>) -> bool {
        self.directories.all().iter().any(|dir| {
            let is_useless = |name: &OsStr| self.is_useless(dir, name);
            let names = directory::queues_in(dir, is_useless);
            let mut names = names.iter();
            names.any(|name| {
                let end = ends.get(name).copied().unwrap_or(0);
                directory::is_waiting(dir, name, &self.namespaces, end)
            })
        })
    }

    /// On SIGTERM: records in progress get a moment to arrive. The others stay
    /// in their queues, and the next agent delivers them, or their writers, if
    /// the queue has no name any more.
    pub(crate) fn shut_down(&mut self) {
        let deadline = Instant::now() + TERMINATED_BOUND;
        self.receive_wakeups();
        self.close_doorbell();
        // From now on no writer relies on this process.
        self.release_queues();
        while self.look_ahead() && Instant::now() < deadline {
            self.store_results();
        }
        self.groups.finish(deadline);
        self.store_results();
        // Not to the very end: what sinks have not done by then stays in the
        // queues, and is not lost.
        while !self.groups.is_empty() && Instant::now() < deadline {
            if self.wait_until(Some(deadline)).is_err() {
                break;
            }
            self.drain_wakeup();
            self.store_results();
        }
        self.close_ended();
        self.lose_nameless();
        self.journals.finish(TERMINATED_BOUND);
        self.close_all();
        self.count_room();
    }

    /// Counts what is left in queues that nobody can find any more, and whose
    /// writers have ended.
    fn lose_nameless(&mut self) {
        let is_lost = |it: &&Client| !it.has_name() && !it.is_alive();
        let lost = self.clients.values().filter(is_lost);
        let lost = lost.map(|it| (it.id, it.undone()));
        let lost: Vec<_> = lost.filter(|(_, count)| *count > 0).collect();
        for (id, count) in lost {
            let detail = "the agent was ended, and the queue's file removed";
            self.lose_of_client(id, count, detail.to_owned());
        }
    }
}

/// Whether there is something in a queue that can be delivered now.
fn has_more(client: &Client) -> bool {
    client.waits_for != Some(WaitsFor::Trust) && !client.is_at_end()
}
