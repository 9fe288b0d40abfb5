//! The agent's loop.
//!
//! Responsible for the order of the steps: receive wakeups, find queues, read
//! them, offer records to groups, store progress and losses, wait. Nothing in
//! it blocks. `ending` has the end.

use std::collections::HashMap;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::resource::setrlimit;
use uilog_channel::agent_address;
use uilog_channel::agent_address::AgentNames;
use uilog_channel::commandlost;
use uilog_channel::journal::FailureKind;
use uilog_channel::poll::timeout_until;
use uilog_channel::queue::Delivery;
use uilog_channel::queue_room;
use uilog_sinks::sink::Open;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;
use uilog_sys::own_dir::OwnDir;
use uilog_sys::sched;
use uilog_sys::wakeup;

use crate::client::Client;
use crate::client::Conclusion;
use crate::client::WaitsFor;
use crate::directory::Directories;
use crate::directory::OtherDirectories;
use crate::doorbell;
use crate::doorbell::Doorbell;
use crate::error::Error;
use crate::error::system;
use crate::ids::ClientId;
use crate::older_version;
use crate::older_version::OlderVersion;
use crate::server::Server;

/// How often to check whether processes without a pidfd have ended.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The same for processes with a pidfd: they may have released their queues.
const LOOK_SELDOM: Duration = Duration::from_secs(2);
/// Queues that together have no more than this are not measured again: there is
/// enough room. Half of the minimum of `agent-queues-size`.
const LITTLE_ROOM: u64 = 512 << 10;
/// Which part of the queues that may be open may wait for rollups to be sent.
const MAX_PART_HELD: usize = 2;

/// The agent's options.
#[derive(Debug)]
pub struct Options {
    /// The directory in which its socket and its lock are.
    pub directory: PathBuf,
    /// The lock, held: a process that starts an agent passes it on. If it is
    /// another one, the agent tries to take the lock itself.
    pub lock: Option<OwnedFd>,
    /// A queue in that directory whose writer is known to be in these
    /// namespaces, because it has started the agent.
    pub queue: Option<OsString>,
    /// The agent's own environment, a block: its configuration is used for
    /// queues of unknown origin, and its journal gets their losses.
    pub environment: Vec<u8>,
    /// Where there may be queues besides.
    pub elsewhere: OtherDirectories,
    /// How long it stays at least while the writers of its queues live.
    pub writers_grace: Duration,
    /// How often it scans for queues whose writers have not woken it.
    pub scan_every: Duration,
    /// Opens the sinks.
    pub open: Open,
}

/// Serves until there was no work for a while, or SIGTERM.
///
/// # Errors
///
/// It could not begin, or cannot continue. Undelivered records stay in the
/// queues.
pub fn serve(options: Options) -> Result<(), Error> {
    let namespaces =
        agent_address::namespaces().map_err(system("namespaces"))?;
    let directories = Directories::new(&options.directory, options.elsewhere)
        .map_err(system("open the directory"))?;
    let names = AgentNames::new(&namespaces);
    let (given, older_lock) =
        older_version::lock_of(&directories.own, &namespaces, options.lock);
    let lock = take_lock(&directories.own, &names.lock, given);
    let lock = lock.inspect_err(|_| {
        // The process that has started this one relies on it.
        if let Some(queue) = &options.queue {
            older_lock.iter().for_each(older_version::unlock);
            doorbell::send_wakeup(&directories.own, &names.socket, queue);
        }
    })?;
    // Leaves the current directory, so that its file system can be unmounted.
    std::env::set_current_dir("/").map_err(system("chdir /"))?;
    // hg wakes us with each event, and must not lose its processor to us.
    sched::enter_batch();
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let environment = Arc::from(options.environment);
    let mut server = Server::new(
        directories,
        names,
        namespaces,
        lock,
        environment,
        options.open,
        options.writers_grace,
    )?;
    server.started_by = options.queue;
    server.older_lock = older_lock;
    server.scan_every = options.scan_every;
    server.begin()?;
    server.run()
}

/// The lock, if no other process has it.
fn take_lock(
    dir: &OwnDir,
    name: &OsStr,
    given: Option<OwnedFd>,
) -> Result<File, Error> {
    let failed = system("take the lock");
    if let Some(given) = given {
        let given = File::from(given);
        let is_it = living_file::has_name(&given, dir, name).unwrap_or(false);
        if is_it && living_file::hold(&given, Holder::Maker).unwrap_or(false) {
            return Ok(given);
        }
    }
    let flags = OFlag::O_RDWR;
    let file = dir.open_or_create(name, flags, 0o600).map_err(&failed)?;
    match living_file::hold(&file, Holder::Maker).map_err(&failed)? {
        true => Ok(file),
        false => Err(Error::Taken),
    }
}

impl Server {
    /// From here on wakeups are received; earlier records are found by the
    /// scan.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        let bell = Doorbell::bind(&self.directories.own, &self.names.socket);
        self.doorbell = Some(bell.map_err(system("create the socket"))?);
        if self.older_lock.is_some() {
            self.serve_older();
        }
        self.scan();
        self.count_room();
        Ok(())
    }

    /// Listens for processes of the version before, unless another agent does.
    pub(crate) fn serve_older(&mut self) {
        if self.older.is_some() || self.doorbell.is_none() {
            return;
        }
        let dir = &self.directories.own;
        self.older =
            OlderVersion::listen(dir, &self.namespaces, &mut self.older_lock);
    }

    /// Measures the queues in its own directory, so that writers can use
    /// released memory again.
    pub(crate) fn count_room(&mut self) {
        let own = &self.directories.own;
        let reserved = queue_room::reserved(own);
        // Measuring all of them takes longer than most of an agent's work.
        let is_little = reserved <= LITTLE_ROOM;
        if is_little {
            self.counted = Some(reserved);
        } else if self.counted != Some(reserved) {
            let counted = queue_room::recount(own);
            // Without it they go another way.
            self.counted = counted.ok().or(Some(queue_room::reserved(own)));
        }
    }

    fn run(&mut self) -> Result<(), Error> {
        loop {
            self.drain_wakeup();
            if self.terminated.load(Ordering::Relaxed) {
                self.shut_down();
                return Ok(());
            }
            if self.gathering().is_none() {
                self.receive_wakeups();
            }
            let now = Instant::now();
            if self.scan_at <= now {
                self.scan();
            }
            let mut has_more = false;
            if self.gathering().is_none() {
                has_more = self.look_ahead();
                self.gather_until = None;
            }
            self.store_results();
            self.close_ended();
            self.report_slow_commands();
            if !has_more && self.has_ended()? {
                return Ok(());
            }
            if !has_more {
                self.wait()?;
            }
        }
    }

    pub(crate) fn drain_wakeup(&self) {
        wakeup::drain(&self.wakeup);
    }

    /// Until when further wakeups are awaited.
    fn gathering(&self) -> Option<Instant> {
        self.gather_until.filter(|it| Instant::now() < *it)
    }

    /// Stores the results of records in queues and journals.
    pub(crate) fn store_results(&mut self) {
        let mut at_risk: HashMap<ClientId, u64> = HashMap::new();
        for group in self.groups.iter_mut() {
            // What cannot be read has been counted.
            let Ok(outcome) = group.collect_results(&mut self.clients) else {
                continue;
            };
            if outcome.has_moved {
                self.idle.is_used(Instant::now());
            }
            if let Some((keeper, count)) = group.at_risk() {
                *at_risk.entry(keeper).or_default() += count;
            }
            let environment = &group.configuration.environment;
            let journal = self.journals.of(environment);
            let client = outcome.client;
            let mut client = client.and_then(|id| self.clients.get_mut(&id));
            for loss in outcome.losses {
                let text = loss.explain();
                match &mut client {
                    Some(client) => {
                        client.count_lost(loss.count);
                        let _ = client.feed.queue.publish_failure(&text);
                        journal.lose(&client.page, loss);
                    }
                    None => {
                        let kind = FailureKind::Lost;
                        journal.report(None, kind, loss.count, text);
                    }
                }
            }
        }
        for client in self.clients.values_mut() {
            let count = at_risk.get(&client.id).copied().unwrap_or(0);
            client.set_at_risk(count);
            client.publish();
        }
        self.answer();
        self.groups.remove_finished();
        if self.clients.len() >= self.max_clients / MAX_PART_HELD {
            self.groups.press();
        }
        self.journals.report_due();
    }

    /// Answers waiting processes: their records are delivered, or will not be
    /// now.
    fn answer(&mut self) {
        for client in self.clients.values_mut() {
            if !client.is_awaited() {
                continue;
            }
            match self.groups.hurry(&client.groups) {
                Delivery::Pending => self.idle.is_used(Instant::now()),
                delivery => client.answer(delivery),
            }
        }
    }

    /// Drops queues whose writers have ended and whose records are all
    /// finished.
    pub(crate) fn close_ended(&mut self) {
        let now = Instant::now();
        let is_due = now >= self.looked_at + LOOK_EVERY;
        if is_due {
            self.looked_at = now;
            self.count_room();
        }
        let kept: HashSet<_> = self
            .groups
            .iter()
            .filter_map(|it| it.at_risk().map(|(keeper, _)| keeper))
            .collect();
        let (mut done, mut unreported) = (Vec::new(), Vec::new());
        for client in self.clients.values_mut() {
            let is_looked_at = client.may_have_ended || is_due;
            if client.is_rung || !client.is_at_rest() || !is_looked_at {
                continue;
            }
            if client.waits_for_rollup_only() {
                continue;
            }
            // Before its end is handled, because it may append until it ends.
            client.may_have_ended = !client.is_alive();
            if !client.is_at_end() {
                client.is_rung = true;
                self.retry_at = Some(now);
                continue;
            }
            if !client.may_have_ended {
                client.was_alive = true;
                continue;
            }
            match client.conclude() {
                Conclusion::Nothing => {
                    client.has_ended = true;
                    if client.is_drained() {
                        done.push(client.id);
                    }
                }
                Conclusion::Unknown => {
                    let again = now + commandlost::LOOK_AGAIN;
                    let before = self.retry_at.unwrap_or(again);
                    self.retry_at = Some(before.min(again));
                }
                Conclusion::Told(error) => {
                    client.is_rung = true;
                    self.retry_at = Some(now);
                    unreported.extend(error.map(|error| (client.id, error)));
                }
            }
        }
        for (id, (count, error)) in unreported {
            let detail = format!("{}: {error}", commandlost::CANNOT_TELL);
            self.lose_of_client(id, count, detail);
        }
        for id in done {
            self.report_inherited_losses(id);
            let Some(client) = self.clients.get(&id) else {
                continue;
            };
            if client.page.is_reported() && !kept.contains(&id) {
                let _ = client.remove();
                self.counted = self.counted.filter(|it| *it <= LITTLE_ROOM);
                self.forget(id);
            }
        }
    }

    /// Whether there is nothing to do but to wait.
    pub(crate) fn is_at_rest(&self) -> bool {
        let is_waiting = |it: &Client| it.waits_for == Some(WaitsFor::Trust);
        let mut clients = self.clients.values();
        let is_resting = |it: &Client| {
            let is_looked_at = !it.is_rung || is_waiting(it);
            it.is_at_rest() && is_looked_at && !it.is_inquiring
        };
        self.groups.is_drained() && clients.all(is_resting)
    }

    /// Whether some records wait until it is known whether they may be
    /// delivered.
    pub(crate) fn is_doubtful(&self) -> bool {
        let mut clients = self.clients.values();
        clients.any(|it| it.waits_for == Some(WaitsFor::Trust))
    }

    /// When there is something to do, even if nothing happens.
    fn deadline(&self) -> Option<Instant> {
        let now = Instant::now();
        let looked_at = self
            .clients
            .values()
            .filter(|it| !it.waits_for_rollup_only());
        let look = looked_at.map(|it| match it.process {
            None => self.looked_at + LOOK_EVERY,
            Some(_) => self.looked_at + LOOK_SELDOM,
        });
        let idle = match self.is_at_rest() {
            // Their sinks wake the loop when they have ended.
            true if self.groups.are_ending() => None,
            true if self.groups.is_empty() => Some(self.leaves_at()),
            true => Some(self.idle_until()),
            false => None,
        };
        let count = self.counted.is_none().then(|| self.looked_at + LOOK_EVERY);
        let answer = self.admission.asks_until();
        let is_awaited = self.is_doubtful() && self.admission.is_asking(now);
        let all = [
            self.groups.deadline(now),
            self.journals.deadline(),
            Some(self.scan_at),
            self.retry_at,
            look.min(),
            count,
            self.slow_at(),
            idle.filter(|_| !is_awaited),
            answer.filter(|_| is_awaited),
            self.gathering(),
        ];
        all.into_iter().flatten().min()
    }

    /// Waits until there may be something to do.
    fn wait(&mut self) -> Result<(), Error> {
        self.wait_until(self.deadline())
    }

    /// The same, but no longer than so.
    pub(crate) fn wait_until(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let is_gathering = self.gathering().is_some();
        let input = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut wanted = vec![input(self.wakeup.as_fd())];
        let mut processes = Vec::new();
        if !is_gathering {
            wanted.extend(self.doorbell.iter().map(|it| input(it.as_fd())));
            let older = self.older.iter().flat_map(|it| &it.doorbell);
            wanted.extend(older.map(|it| input(it.as_fd())));
            wanted.extend(self.groups.wakeups().map(input));
            for client in self.clients.values() {
                if let Some(process) = &client.process {
                    processes.push((client.id, wanted.len()));
                    wanted.push(input(process.as_fd()));
                }
            }
        }
        let timeout = timeout_until(deadline);
        match nix::poll::poll(&mut wanted, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::System("wait", errno.into())),
        }
        let ended = processes.into_iter().filter(|(_, index)| {
            wanted.get(*index).and_then(PollFd::any).unwrap_or(false)
        });
        let ended: Vec<_> = ended.map(|(id, _)| id).collect();
        drop(wanted);
        for id in ended {
            if let Some(client) = self.clients.get_mut(&id) {
                // It is checked from time to time if another process still has
                // the lock.
                client.ended_process = client.process.take();
                client.is_rung = true;
                client.may_have_ended = true;
            }
        }
        Ok(())
    }
}
