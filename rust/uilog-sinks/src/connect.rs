//! Tries to reach a sink, step by step, for `uilog check --connect`.
//!
//! Responsible for trying what a sink does before its first record, within a
//! time limit, and for the result of each step. No record is made or sent, no
//! file or spool is created or changed, and no lock is taken, so it works while
//! a sender hangs. Must not know how a step is shown.

use std::fs::OpenOptions;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use chrono::Utc;
use nix::libc;
use rustls::ClientConfig;
use rustls::ProtocolVersion;
use serde::Serialize;
use uilog_channel::sinks::Definition;
use uilog_redact::Policy;
use uilog_redact::Redactor;

use crate::check::files;
use crate::connection;
use crate::connection::Connection;
use crate::connection::Peer;
use crate::connection::WITHOUT_TLS;
use crate::globals::Globals;
use crate::open;
use crate::otlp;
use crate::owner::Owner;
use crate::target::Address;
use crate::target::Target;
use crate::template::Template;
use crate::tls::certificate::Certificate;

/// How long a sink may take.
const BOUND: Duration = Duration::from_secs(10);
/// How long after that a step is waited for that knows no bound: the system
/// may hang over a file.
const GRACE: Duration = Duration::from_secs(2);

/// How far one came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attempt {
    /// The sink, as `sink.NAME`.
    pub sink: String,
    /// Where it leads, without secrets.
    pub url: String,
    /// What was tried, in its order; the last is what failed, if one did.
    pub steps: Vec<Step>,
    /// Whether all steps succeeded.
    pub works: bool,
    /// How long it took, in seconds.
    pub duration: f64,
}

/// Something that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// What: a stable name such as `tcp`.
    pub step: &'static str,
    /// Whether it succeeded.
    pub works: bool,
    /// What was seen, or what is wrong, without secrets.
    pub text: String,
    /// How long it took, in seconds.
    pub duration: f64,
}

/// What has been tried so far.
#[derive(Clone, Debug)]
pub(crate) struct Trail {
    steps: Arc<Mutex<Vec<Step>>>,
    /// Until when it may take.
    pub(crate) deadline: Instant,
}

/// That a step has failed, which is in the trail already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed;

impl Trail {
    fn new(deadline: Instant) -> Self {
        Self {
            steps: Arc::default(),
            deadline,
        }
    }

    /// Tries something, and keeps what was seen.
    pub(crate) fn step<T>(
        &self,
        step: &'static str,
        attempt: impl FnOnce() -> Result<(T, String), String>,
    ) -> Result<T, Failed> {
        let begin = Instant::now();
        let (result, text) = match attempt() {
            Ok((value, text)) => (Ok(value), text),
            Err(why) => (Err(Failed), why),
        };
        self.push(step, result.is_ok(), &text, begin.elapsed());
        result
    }

    fn push(
        &self,
        step: &'static str,
        works: bool,
        text: &str,
        duration: Duration,
    ) {
        let redactor = Redactor::new(&Policy::default());
        let text = redactor.redact_text(text.as_bytes()).text;
        let mut steps =
            self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.push(Step {
            step,
            works,
            text: String::from_utf8_lossy(&text).into_owned(),
            duration: duration.as_secs_f64(),
        });
    }

    fn steps(&self) -> Vec<Step> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.clone()
    }
}

/// Tries each of these sinks, all at once, and waits for the slowest: some
/// seconds at most.
pub fn run(
    definitions: Vec<Definition>,
    globals: &Arc<Globals>,
) -> Vec<Attempt> {
    let begin = Instant::now();
    let (sender, receiver) = mpsc::channel();
    let begun = definitions.into_iter().map(|definition| {
        let (sink, url) = (definition.item(), definition.shown_url());
        let trail = Trail::new(begin + BOUND);
        let (globals, sender) = (Arc::clone(globals), sender.clone());
        let in_thread = trail.clone();
        let thread = thread::Builder::new().name("connect".to_owned());
        let thread = thread.spawn(move || {
            // What failed is in the trail.
            let _ = try_sink(&definition, &globals, &in_thread);
            let _ = sender.send((definition.item(), begin.elapsed()));
        });
        if let Err(error) = thread {
            trail.push("thread", false, &error.to_string(), Duration::ZERO);
        }
        (sink, url, trail)
    });
    let begun: Vec<_> = begun.collect();
    drop(sender);
    let until = begin + BOUND + GRACE;
    let mut ended = Vec::new();
    // It ends when all threads have, at the latest.
    while let Ok(it) =
        receiver.recv_timeout(until.saturating_duration_since(Instant::now()))
    {
        ended.push(it);
    }
    let attempts = begun.into_iter().map(|(sink, url, trail)| {
        let duration = ended.iter().find(|it| it.0 == sink).map(|it| it.1);
        let mut steps = trail.steps();
        if duration.is_none() && steps.iter().all(|it| it.works) {
            let seconds = (BOUND + GRACE).as_secs();
            trail.push(
                "time",
                false,
                &format!("the next step has not ended within {seconds} s"),
                BOUND + GRACE,
            );
            steps = trail.steps();
        }
        Attempt {
            sink,
            url,
            works: steps.iter().all(|it| it.works),
            steps,
            duration: duration.unwrap_or(BOUND + GRACE).as_secs_f64(),
        }
    });
    attempts.collect()
}

fn try_sink(
    definition: &Definition,
    globals: &Globals,
    trail: &Trail,
) -> Result<(), Failed> {
    let owner = Owner::new(definition);
    let target = Target::parse(&definition.url, globals.environment());
    // That it makes sense needs no word.
    let target = match target {
        Ok(target) => target,
        Err(why) => return trail.step("url", || Err(why)),
    };
    match target {
        Target::File(template) => try_file(&template, trail),
        Target::History(dir) => try_file(&Template::of_days(&dir), trail),
        Target::UnixStream(path) => {
            try_local(trail, &path, |until| try_stream(&path, &owner, until))
        }
        Target::UnixDatagram(path) => {
            try_local(trail, &path, |until| try_datagrams(&path, &owner, until))
        }
        Target::SyslogLocal(path) => try_local(trail, &path, |until| {
            match try_datagrams(&path, &owner, until) {
                Err(error)
                    if error.raw_os_error() == Some(libc::EPROTOTYPE) =>
                {
                    try_stream(&path, &owner, until)
                }
                result => result,
            }
        }),
        Target::SyslogTcp(address) => try_tcp(trail, &address).map(drop),
        Target::SyslogTls(address) => {
            let config = trail.step("files", || {
                let config = open::tls_of(definition, globals)?;
                Ok((config, "the certificates can be read".to_owned()))
            })?;
            let connection = try_tcp(trail, &address)?;
            try_tls(trail, connection, &address, &config, WITHOUT_TLS)
        }
        Target::Otlp(_) => {
            otlp::connect::try_collector(definition, globals, trail)
        }
    }
}

fn try_file(template: &Template, trail: &Trail) -> Result<(), Failed> {
    let path = template.path(&Utc::now().fixed_offset());
    let shown = path.display();
    trail.step("file", || {
        files::writable(&path).map_err(|why| {
            format!("{shown} cannot be written: {why}: name another file")
        })?;
        let opened = OpenOptions::new()
            .append(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
            .open(&path);
        let seen = match opened {
            Ok(_) => format!("{shown} can be appended to"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                format!("{shown} is not there yet, and can be made")
            }
            Err(error) => return Err(format!("{shown}: {error}")),
        };
        Ok(((), seen))
    })
}

fn try_local(
    trail: &Trail,
    path: &Path,
    connect: impl FnOnce(Instant) -> io::Result<&'static str>,
) -> Result<(), Failed> {
    let shown = path.display();
    trail.step("socket", || match connect(trail.deadline) {
        Ok(kind) => Ok(((), format!("connected to {shown}, for {kind}"))),
        Err(error) => {
            let advice = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ": start the program that is to listen there"
                }
                _ => "",
            };
            Err(format!("{shown}: {error}{advice}"))
        }
    })
}

fn try_stream(
    path: &Path,
    owner: &Owner,
    deadline: Instant,
) -> io::Result<&'static str> {
    let peer = Peer::Local(path.to_owned(), owner.clone());
    peer.connect(deadline).map(|_| "a stream")
}

fn try_datagrams(
    path: &Path,
    owner: &Owner,
    deadline: Instant,
) -> io::Result<&'static str> {
    connection::connect_datagram(path, owner, deadline).map(|_| "datagrams")
}

/// The host's address, and a connection.
pub(crate) fn try_tcp(
    trail: &Trail,
    address: &Address,
) -> Result<Connection, Failed> {
    let Address { host, .. } = address;
    let found = trail.step("dns", || {
        let found = connection::resolve(address, trail.deadline);
        let found = found.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => format!(
                "{host}: no answer in time: check the name servers of this \
                 machine"
            ),
            _ => format!("{host}: {error}: check the name in the URL"),
        })?;
        let seen = seen(host, &found);
        Ok((found, seen))
    })?;
    trail.step("tcp", || {
        let connection = Connection::open(&found, trail.deadline);
        let connection = connection.map_err(|error| {
            let advice = match error.kind() {
                io::ErrorKind::ConnectionRefused => {
                    "start the program that is to listen there, or check the \
                     port in the URL"
                }
                _ => "does a firewall let it through?",
            };
            format!("{address}: {error}: {advice}")
        })?;
        let there = connection.remote_address();
        let there = there.map_or(address.to_string(), |it| it.to_string());
        Ok((connection, format!("connected to {there}")))
    })
}

/// Which addresses a name has.
fn seen(host: &str, found: &[SocketAddr]) -> String {
    const MAX_ADDRESSES: usize = 4;
    let mut addresses: Vec<_> =
        found.iter().map(|it| it.ip().to_string()).collect();
    addresses.dedup();
    if addresses == [host] {
        return format!("{host} is an address");
    }
    let more = addresses.len().saturating_sub(MAX_ADDRESSES);
    addresses.truncate(MAX_ADDRESSES);
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{host} is {}{more}", addresses.join(", "))
}

/// A handshake; who the other side is.
pub(crate) fn try_tls(
    trail: &Trail,
    mut connection: Connection,
    address: &Address,
    config: &Arc<ClientConfig>,
    plain: &'static str,
) -> Result<(), Failed> {
    trail.step("tls", || {
        let deadline = trail.deadline;
        connection
            .start_tls(address, config, plain, deadline)
            .map_err(|error| match error.kind() {
                io::ErrorKind::TimedOut => format!(
                    "no answer in time: if the port is one without TLS, say \
                     {plain}"
                ),
                _ => error.to_string(),
            })?;
        let tls = connection.tls();
        let version = match tls.and_then(|it| it.protocol_version()) {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        };
        let certificates = tls.and_then(|it| it.peer_certificates());
        let first = certificates.and_then(<[_]>::first);
        let seen = match first.and_then(|it| Certificate::read(it)) {
            Some(it) => format!(
                "{version}; the server's certificate is for {}, valid until {}",
                it.shown_names(),
                it.not_after.format("%Y-%m-%d")
            ),
            None => version.to_owned(),
        };
        connection.close();
        Ok(((), seen))
    })
}
