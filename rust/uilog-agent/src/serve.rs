//! The agent's loop.
//!
//! Responsible for the order of things: hear who rings, find queues, look into
//! them, offer records to groups, tell the queues and the journals what has
//! become of them, and wait. Nothing in it blocks. How it ends is known in
//! `ending`.

use std::collections::HashMap;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::resource::setrlimit;
use nix::unistd::Pid;
use signal_hook::consts::SIGTERM;
use signal_hook::consts::SIGXFSZ;
use uilog_core::agent_address;
use uilog_core::agent_address::AgentNames;
use uilog_core::agent_address::protocol_of;
use uilog_core::journal::FailureKind;
use uilog_core::queue::Origin;
use uilog_core::records::Queued;
use uilog_core::records::RecordLoss;
use uilog_core::wire::Frame;
use uilog_core::wire::PROTOCOL;
use uilog_sinks::fleet::Open;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;
use uilog_sys::own_dir::OwnDir;
use uilog_sys::pidfd;
use uilog_sys::sched;

use crate::admission::Admission;
use crate::admission::Decision;
use crate::admission::Trust;
use crate::clerk;
use crate::clerk::Clerks;
use crate::client::Ahead;
use crate::client::Client;
use crate::client::ClientId;
use crate::client::WaitsFor;
use crate::configuration::Configuration;
use crate::configuration::Configurations;
use crate::configured::Configured;
use crate::directory;
use crate::directory::Directories;
use crate::directory::Elsewhere;
use crate::directory::Found;
use crate::directory::Taken;
use crate::doorbell::Doorbell;
use crate::doorbell::Ring;
use crate::ending::Idle;
use crate::group::Clients;
use crate::groups::Groups;

/// When somebody has rung, others are waited for so long before sinks get
/// anything: hg, which may be about to log more, has the processors for itself.
const GATHER: Duration = Duration::from_millis(2);
/// Frames of a queue that are looked at before others are looked after.
const MAX_LOOKED_AT: usize = 256;
/// How often it is looked whether those have ended who cannot be waited for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The same of those who can: they may have let go of their queues.
const LOOK_SELDOM: Duration = Duration::from_secs(2);
/// How soon queues are looked for again that others serve, or for which there
/// was no descriptor.
const SCAN_AGAIN: Duration = Duration::from_secs(2);
/// How long records of a queue wait for older ones of the same queue that have
/// other sinks: the order of a process holds, unless a sink hangs.
const ORDER_BOUND: Duration = Duration::from_secs(1);
/// Queues that are open at a time.
const MIN_CLIENTS: usize = 64;
const MAX_CLIENTS: usize = 4096;
/// Files that are remembered because they are of no use.
const MAX_USELESS: usize = 4096;

/// Why what an unproven queue holds is lost.
const NOT_CONFIGURED: &str = "a queue from elsewhere names this sink, and it \
                              is not configured so here";

/// What the agent is given.
#[derive(Debug)]
pub struct Options {
    /// The directory in which its socket and its lock are.
    pub directory: PathBuf,
    /// The lock, held: whoever starts an agent hands it over. If it is not
    /// that, the agent tries to take the lock itself.
    pub lock: Option<OwnedFd>,
    /// A queue in that directory whose writer is known to be from here: it has
    /// started the agent.
    pub queue: Option<OsString>,
    /// The agent's own environment, a block: whose configuration counts for
    /// queues of unknown origin, and whose journal is told of them.
    pub environment: Vec<u8>,
    /// Where there may be queues besides.
    pub elsewhere: Elsewhere,
    /// Opens the sinks.
    pub open: Open,
}

/// Why an agent could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is another agent.
    #[error("there is an agent already, or one is being started")]
    Taken,
    /// The system failed.
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
}

pub(crate) fn system<E: Into<io::Error>>(
    what: &'static str,
) -> impl Fn(E) -> Error {
    move |error| Error::System(what, error.into())
}

/// Serves until there has been nothing to do for a while, or SIGTERM.
///
/// # Errors
///
/// It could not begin, or cannot go on. Queues keep what has not been
/// delivered.
pub fn serve(options: Options) -> Result<(), Error> {
    let namespaces =
        agent_address::namespaces().map_err(system("namespaces"))?;
    let directories = Directories::new(&options.directory, options.elsewhere)
        .map_err(system("open the directory"))?;
    let names = AgentNames::new(&namespaces);
    let lock = take_lock(&directories.own, &names.lock, options.lock)?;
    // Keep no directory busy.
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
    )?;
    server.started_by = options.queue;
    server.begin()?;
    server.run()
}

/// The lock, if nobody else has it.
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

/// The agent's state.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) directories: Directories,
    pub(crate) names: AgentNames,
    pub(crate) namespaces: String,
    pub(crate) lock: File,
    /// None while it ends.
    pub(crate) doorbell: Option<Doorbell>,
    pub(crate) clients: Clients,
    by_name: HashMap<OsString, ClientId>,
    next_id: ClientId,
    max_clients: usize,
    pub(crate) groups: Groups,
    configurations: Configurations,
    pub(crate) admission: Admission,
    pub(crate) clerks: Clerks,
    /// The agent's own, a block.
    environment: Arc<[u8]>,
    started_by: Option<OsString>,
    useless: HashSet<(OsString, PathBuf)>,
    /// Becomes readable when something else than hg has news.
    wakeup: UnixStream,
    terminated: Arc<AtomicBool>,
    gather_until: Option<Instant>,
    scan_at: Option<Instant>,
    looked_at: Instant,
    /// When there is something to do for a record that waits.
    retry_at: Option<Instant>,
    pub(crate) idle: Idle,
}

impl Server {
    fn new(
        directories: Directories,
        names: AgentNames,
        namespaces: String,
        lock: File,
        environment: Arc<[u8]>,
        open: Open,
    ) -> Result<Self, Error> {
        let failed = system("create a socket");
        let (wakeup, bell) = UnixStream::pair().map_err(&failed)?;
        for socket in [&wakeup, &bell] {
            socket.set_nonblocking(true).map_err(&failed)?;
        }
        let terminated = Arc::new(AtomicBool::new(false));
        let handling = system("handle signals");
        signal_hook::flag::register(SIGTERM, Arc::clone(&terminated))
            .map_err(&handling)?;
        // A limit on files is an error of whoever writes, and not our end.
        signal_hook::flag::register(SIGXFSZ, Arc::default())
            .map_err(&handling)?;
        let signalled = bell.try_clone().map_err(&failed)?;
        signal_hook::low_level::pipe::register(SIGTERM, signalled)
            .map_err(&handling)?;
        let bell = Arc::new(bell);
        let configured =
            Configured::new(Arc::clone(&environment), Arc::clone(&bell));
        Ok(Self {
            directories,
            names,
            lock,
            doorbell: None,
            clients: Clients::new(),
            by_name: HashMap::new(),
            next_id: 0,
            max_clients: max_clients(),
            groups: Groups::new(open),
            configurations: Configurations::default(),
            admission: Admission::new(namespaces.clone(), configured),
            namespaces,
            clerks: Clerks::new(bell),
            environment,
            started_by: None,
            useless: HashSet::new(),
            wakeup,
            terminated,
            gather_until: None,
            scan_at: None,
            looked_at: Instant::now(),
            retry_at: None,
            idle: Idle::new(Instant::now()),
        })
    }

    /// From here on whoever rings is heard; what has been appended before is
    /// found.
    pub(crate) fn begin(&mut self) -> Result<(), Error> {
        let bell = Doorbell::bind(&self.directories.own, &self.names.socket);
        self.doorbell = Some(bell.map_err(system("create the socket"))?);
        self.scan();
        Ok(())
    }

    fn run(&mut self) -> Result<(), Error> {
        loop {
            self.drain_wakeup();
            if self.terminated.load(Ordering::Relaxed) {
                self.give_up();
                return Ok(());
            }
            if self.gathering().is_none() {
                self.hear();
            }
            let now = Instant::now();
            if self.scan_at.is_some_and(|it| it <= now) {
                self.scan();
            }
            let mut has_more = false;
            if self.gathering().is_none() {
                has_more = self.look_ahead();
                self.gather_until = None;
            }
            self.settle();
            self.close_ended();
            if !has_more && self.has_ended()? {
                return Ok(());
            }
            if !has_more {
                self.wait()?;
            }
        }
    }

    /// Looks at once into what is to be decided anew.
    pub(crate) fn look_again(&mut self) {
        self.retry_at = Some(Instant::now());
    }

    pub(crate) fn drain_wakeup(&self) {
        let mut bytes = [0; 512];
        while matches!((&self.wakeup).read(&mut bytes), Ok(1..)) {}
    }

    /// Until when others are waited for who may ring, too.
    fn gathering(&self) -> Option<Instant> {
        self.gather_until.filter(|it| Instant::now() < *it)
    }

    /// Hears who has rung; true if anybody has.
    pub(crate) fn hear(&mut self) -> bool {
        let Some(doorbell) = &self.doorbell else {
            return false;
        };
        let heard = doorbell.hear();
        for ring in &heard.rings {
            self.heard(ring);
        }
        let now = Instant::now();
        if heard.may_have_missed {
            self.scan_at = Some(now);
        }
        let has_rung = !heard.rings.is_empty();
        if has_rung {
            if self.is_at_rest() {
                self.gather_until = Some(now + GATHER);
            }
            self.admission.is_final = false;
            self.idle.is_used(now);
        }
        has_rung
    }

    fn heard(&mut self, ring: &Ring) {
        let name = &*ring.name;
        let is_from_here = || {
            let is_known = |pid| self.admission.is_from_here(pid);
            ring.is_from_here || ring.pid.is_some_and(is_known)
        };
        let known = self.by_name.get(name);
        let known = known.and_then(|id| self.clients.get_mut(id));
        if let Some(client) = known {
            client.is_rung = true;
            if let Trust::Proven = client.trust {
                return;
            }
            if is_from_here() {
                client.trust = Trust::Proven;
                client.process = ring.pid.and_then(pidfd::open);
            }
            return;
        }
        if protocol_of(name) != Some(PROTOCOL) {
            return;
        }
        if self.clients.len() >= self.max_clients {
            return self.scan_again();
        }
        // Before anything else: it may be about to end.
        let is_proven = is_from_here();
        self.admission.begin_looking();
        let dir = Arc::clone(&self.directories.own);
        self.take(&dir, name, is_proven, ring.pid);
    }

    /// Takes over a queue, if that is possible; `pid` is its writer, if that
    /// is known, and `is_proven` whether it is known to be from here.
    fn take(
        &mut self,
        dir: &Arc<OwnDir>,
        name: &OsStr,
        is_proven: bool,
        pid: Option<Pid>,
    ) {
        match directory::take(dir, name, &self.namespaces) {
            Found::Taken(taken) => {
                self.add(dir, name, *taken, is_proven, pid);
            }
            Found::Others | Found::Exhausted => self.scan_again(),
            Found::Gone => {}
            Found::Useless => {
                if self.useless.len() >= MAX_USELESS {
                    self.useless.clear();
                }
                self.useless
                    .insert((name.to_owned(), dir.path().to_owned()));
            }
            Found::Damaged => self.remove_damaged(dir, name),
        }
    }

    fn scan_again(&mut self) {
        self.scan_at = Some(Instant::now() + SCAN_AGAIN);
    }

    fn add(
        &mut self,
        dir: &Arc<OwnDir>,
        name: &OsStr,
        taken: Taken,
        is_proven: bool,
        pid: Option<Pid>,
    ) {
        let Taken {
            queue,
            origin,
            file,
        } = taken;
        let is_starter = self.started_by.as_deref() == Some(name);
        let (is_proven, pid) = match is_proven || is_starter {
            true => (true, pid),
            false => {
                let pid = self.writer(&origin.unwrap_or_default(), file);
                (pid.is_some(), pid)
            }
        };
        let trust = match is_proven {
            true => Trust::Proven,
            false => Trust::Unproven(Instant::now()),
        };
        let id = self.next_id;
        let client =
            Client::new(id, dir.clone(), name.to_owned(), queue, trust);
        let Ok(mut client) = client else {
            return self.remove_damaged(dir, name);
        };
        client.process = pid.and_then(pidfd::open);
        self.next_id = id.wrapping_add(1);
        self.by_name.insert(name.to_owned(), id);
        self.clients.insert(id, client);
    }

    /// The process that has a queue open, if it can be proven.
    fn writer(&mut self, origin: &Origin, file: (u64, u64)) -> Option<Pid> {
        self.admission.is_open_there(origin, file)
    }

    /// A file that has been a queue cannot be read; that is told once.
    fn remove_damaged(&mut self, dir: &OwnDir, name: &OsStr) {
        let path = dir.path().join(name);
        let detail = format!("a queue is damaged: {}", path.display());
        let clerk = self.clerks.of(&self.environment);
        clerk.report(None, FailureKind::Lost, 1, detail);
        if dir.unlink(name).is_err() {
            self.useless
                .insert((name.to_owned(), dir.path().to_owned()));
        }
    }

    /// Looks for queues, and into each that is known.
    pub(crate) fn scan(&mut self) {
        self.scan_at = None;
        self.admission.begin_looking();
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
                self.take(&dir, &name, false, None);
            }
        }
        if self.clients.len() >= self.max_clients {
            self.scan_again();
        }
    }

    /// Whether a file has been looked at in vain.
    pub(crate) fn is_useless(&self, dir: &OwnDir, name: &OsStr) -> bool {
        let of_dir = || (name.to_owned(), dir.path().to_owned());
        !self.useless.is_empty() && self.useless.contains(&of_dir())
    }

    /// Looks into the queues that may have more; whether some have been left
    /// before their ends so that others get their turn.
    pub(crate) fn look_ahead(&mut self) -> bool {
        self.retry_at = None;
        let rung = self.clients.values().filter(|it| it.is_rung);
        let mut rung: Vec<_> = rung.map(|it| it.id).collect();
        // In the order in which they came.
        rung.sort_unstable();
        let mut has_more = false;
        for id in rung {
            has_more |= self.look_into(id);
        }
        self.groups.make_places(Instant::now());
        if self.admission.has_learnt() && self.is_doubtful() {
            self.look_again();
        }
        has_more
    }

    fn look_into(&mut self, id: ClientId) -> bool {
        for _ in 0..MAX_LOOKED_AT {
            let Some(client) = self.clients.get_mut(&id) else {
                return false;
            };
            client.waits_for = None;
            match client.look(MAX_LOOKED_AT) {
                Ahead::Nothing => {
                    client.is_rung = !client.is_at_end();
                    return false;
                }
                Ahead::Later => return true,
                Ahead::Unreadable(count) => {
                    self.idle.is_used(Instant::now());
                    self.lose_unreadable(id, count);
                }
                Ahead::Record(record, next) => {
                    let waits_for = self.deliver(id, *record, next);
                    if waits_for.is_some() {
                        if let Some(client) = self.clients.get_mut(&id) {
                            client.waits_for = waits_for;
                        }
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Gives a record to whom it is for; what it waits for, if that is not
    /// possible now.
    fn deliver(
        &mut self,
        id: ClientId,
        record: Queued,
        next: u64,
    ) -> Option<WaitsFor> {
        let now = Instant::now();
        let client = self.clients.get_mut(&id)?;
        let own = match client.last.take() {
            Some(last) if is_of(&last, &record) => last,
            _ => self.configurations.of(&record.items, &record.environment),
        };
        client.last = Some(Arc::clone(&own));
        let is_proven = matches!(client.trust, Trust::Proven);
        let root = match is_proven {
            true => None,
            false => root_of(&record.frame),
        };
        let decision = self.admission.decide(
            client.trust,
            &own,
            root.as_deref(),
            &mut self.configurations,
        );
        let (chosen, refused) = match decision {
            Decision::Wait
                if !Arc::ptr_eq(&client.dir, &self.directories.own)
                    && !self.admission.is_asking(now) =>
            {
                // The agent of that directory may know more.
                self.decline(id);
                return Some(WaitsFor::Trust);
            }
            Decision::Wait => {
                self.retry_at =
                    [self.retry_at, Admission::deadline(client.trust)]
                        .into_iter()
                        .flatten()
                        .min();
                return Some(WaitsFor::Trust);
            }
            Decision::Refuse(refused) => {
                client.pass(next);
                (None, refused)
            }
            Decision::Deliver(chosen, refused) => (Some(chosen), refused),
        };
        let event = record.event.clone();
        if let Some(chosen) = chosen {
            let Some(group) = self.groups.of(&chosen, now) else {
                return Some(WaitsFor::Place);
            };
            if let Some((last, at)) = client.last_group
                && last != group.id
                && !client.is_settled()
                && now < at + ORDER_BOUND
            {
                let until = at + ORDER_BOUND;
                let before = self.retry_at.unwrap_or(until);
                self.retry_at = Some(before.min(until));
                return Some(WaitsFor::Place);
            }
            group.offer(client, record, next, now);
            self.idle.serve(&chosen);
            if is_proven {
                client.environment = Some(Arc::clone(&own.environment));
            }
            self.idle.is_used(now);
        }
        self.report_left(id);
        self.lose_refused(id, &own, &event, &refused);
        None
    }

    /// Leaves a queue to others.
    fn decline(&mut self, id: ClientId) {
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        // Unless some of its records are on their way.
        if client.is_settled() && client.page.is_told() {
            let path = client.dir.path().to_owned();
            self.useless.insert((client.name.clone(), path));
            self.forget(id);
        }
    }

    /// Records are lost for sinks that their queue may not choose.
    fn lose_refused(
        &mut self,
        id: ClientId,
        own: &Configuration,
        event: &[u8],
        refused: &[String],
    ) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let clerk = self.clerks.of(&self.environment);
        for sink in &own.sinks {
            let name = &sink.definition.name;
            if refused.contains(name) && sink.tracked.contains(event) {
                client.count_lost(1);
                let loss = RecordLoss {
                    sink: name.clone(),
                    count: 1,
                    reason: NOT_CONFIGURED.to_owned(),
                };
                clerk.lose(&client.page, loss);
            }
        }
    }

    fn lose_unreadable(&mut self, id: ClientId, count: u64) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        client.count_lost(count);
        let own = &self.environment;
        let environment = client.environment.as_ref().unwrap_or(own);
        let page = Some(&client.page);
        let detail = "unreadable record in the queue".to_owned();
        let clerk = self.clerks.of(environment);
        clerk.report(page, FailureKind::Lost, count, detail);
    }

    /// Tells what an agent before this one has lost and not told.
    fn report_left(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(&id) else {
            return;
        };
        let Some(left) = client.left.take() else {
            return;
        };
        let last = match client.trust {
            Trust::Proven => left.last_failure,
            Trust::Unproven(_) => None,
        };
        let last = last
            .map_or(String::new(), |it| format!("; its last failure: {it}"));
        let detail = format!(
            "records that sinks had lost or had in hand when the agent was \
             killed{last}"
        );
        let own = &self.environment;
        let environment = client.environment.as_ref().unwrap_or(own);
        let page = Some(&client.page);
        let clerk = self.clerks.of(environment);
        clerk.report(page, FailureKind::Lost, left.records, detail);
    }

    /// Tells queues and journals what has become of records.
    pub(crate) fn settle(&mut self) {
        let mut at_risk: HashMap<ClientId, u64> = HashMap::new();
        for group in self.groups.iter_mut() {
            // What cannot be read has been counted.
            let Ok(outcome) = group.settle(&mut self.clients) else {
                continue;
            };
            if outcome.has_moved {
                self.idle.is_used(Instant::now());
            }
            if let Some((keeper, count)) = group.at_risk() {
                *at_risk.entry(keeper).or_default() += count;
            }
            let environment = &group.configuration.environment;
            let clerk = self.clerks.of(environment);
            let client = outcome.client;
            let mut client = client.and_then(|id| self.clients.get_mut(&id));
            for loss in outcome.losses {
                let text = clerk::text(&loss);
                match &mut client {
                    Some(client) => {
                        client.count_lost(loss.count);
                        let _ = client.feed.queue.publish_failure(&text);
                        clerk.lose(&client.page, loss);
                    }
                    None => {
                        let kind = FailureKind::Lost;
                        clerk.report(None, kind, loss.count, text);
                    }
                }
            }
        }
        for client in self.clients.values_mut() {
            let count = at_risk.get(&client.id).copied().unwrap_or(0);
            client.set_at_risk(count);
            client.publish();
        }
        self.groups.remove_finished();
        self.clerks.tell();
    }

    /// Forgets queues whose writers have ended and of which all is known.
    pub(crate) fn close_ended(&mut self) {
        let now = Instant::now();
        let is_due = now >= self.looked_at + LOOK_EVERY;
        if is_due {
            self.looked_at = now;
        }
        let kept: HashSet<_> = self
            .groups
            .iter()
            .filter_map(|it| it.at_risk().map(|(keeper, _)| keeper))
            .collect();
        let mut done = Vec::new();
        for client in self.clients.values_mut() {
            let is_looked_at = client.may_have_ended || is_due;
            if client.is_rung || !client.is_settled() || !is_looked_at {
                continue;
            }
            // Before its end is looked at: it may append until it ends.
            client.may_have_ended = !client.is_alive();
            if !client.is_at_end() {
                client.is_rung = true;
                self.retry_at = Some(now);
                continue;
            }
            if !client.may_have_ended {
                continue;
            }
            done.push(client.id);
        }
        for id in done {
            self.report_left(id);
            let Some(client) = self.clients.get(&id) else {
                continue;
            };
            if client.page.is_told() && !kept.contains(&id) {
                let _ = client.remove();
                self.forget(id);
            }
        }
    }

    fn forget(&mut self, id: ClientId) {
        if let Some(client) = self.clients.remove(&id) {
            self.by_name.remove(&client.name);
        }
    }

    /// Forgets all queues: others may serve them.
    pub(crate) fn forget_all(&mut self) {
        self.clients.clear();
        self.by_name.clear();
    }

    /// Whether there is nothing to do but to wait.
    pub(crate) fn is_at_rest(&self) -> bool {
        let is_waiting = |it: &Client| it.waits_for == Some(WaitsFor::Trust);
        let mut clients = self.clients.values();
        self.groups.is_settled()
            && clients
                .all(|it| it.is_settled() && (!it.is_rung || is_waiting(it)))
    }

    /// Whether some records wait until it is known whether they may be
    /// delivered.
    pub(crate) fn is_doubtful(&self) -> bool {
        let mut clients = self.clients.values();
        clients.any(|it| it.waits_for == Some(WaitsFor::Trust))
    }

    /// When there is something to do, whatever happens.
    fn deadline(&self) -> Option<Instant> {
        let now = Instant::now();
        let look = self.clients.values().map(|it| match it.process {
            None => self.looked_at + LOOK_EVERY,
            Some(_) => self.looked_at + LOOK_SELDOM,
        });
        let idle = match self.groups.are_ending() {
            // Their sinks tell when they have ended.
            true => None,
            false => self.is_at_rest().then(|| self.idle.deadline()),
        };
        let answer = self.admission.asks_until();
        let is_awaited = self.is_doubtful() && self.admission.is_asking(now);
        let all = [
            self.groups.deadline(now),
            self.clerks.deadline(),
            self.scan_at,
            self.retry_at,
            look.min(),
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
            wanted.extend(self.groups.wakeups().map(input));
            for client in self.clients.values() {
                if let Some(process) = &client.process {
                    processes.push((client.id, wanted.len()));
                    wanted.push(input(process.as_fd()));
                }
            }
        }
        let timeout = match deadline {
            None => PollTimeout::NONE,
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                // Up to the next millisecond, or it would spin in the last.
                let left = left + Duration::from_millis(1);
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
            }
        };
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
                // It is looked at now and then if somebody else holds it yet.
                client.process = None;
                client.is_rung = true;
                client.may_have_ended = true;
            }
        }
        Ok(())
    }
}

/// As many queues are open at a time: their sinks need descriptors, too.
fn max_clients() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |it| it.0);
    let part = usize::try_from(limit / 4).unwrap_or(usize::MAX);
    part.clamp(MIN_CLIENTS, MAX_CLIENTS)
}

/// Whether a record has this configuration, as far as that is quickly told.
fn is_of(configuration: &Configuration, record: &Queued) -> bool {
    let is_same = |a: &[u8], b: &[u8]| std::ptr::eq(a, b) || a == b;
    is_same(&configuration.environment, &record.environment)
        && (Arc::ptr_eq(&configuration.items, &record.items)
            || configuration.items == record.items)
}

/// The root of the repository that a record is about.
fn root_of(frame: &[u8]) -> Option<Vec<u8>> {
    match postcard::from_bytes::<Frame<'_>>(frame) {
        Ok(Frame::Record(record)) => Some(record.event.root?.0.into_owned()),
        _ => None,
    }
}
