//! Tries to reach a sink, step by step, for `uilog check --connect`.
//!
//! Responsible for trying what a sink does before its first record, within a
//! time limit. `trail` has the results of the steps. No record is made or sent, no
//! file or spool is created or changed, and no lock is taken, so it works while
//! a sender hangs. Must not know how a step is shown.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use chrono::Utc;
use nix::libc;
use serde::Serialize;
use uilog_channel::sink_config::SinkConfig;

use crate::attempt_log::AttemptLog;
use crate::attempt_log::Step;
use crate::attempt_log::StepFailed;
use crate::attempt_log::try_tcp;
use crate::attempt_log::try_tls;
use crate::check::files;
use crate::connection;
use crate::connection::Peer;
use crate::connection::WITHOUT_TLS;
use crate::globals::Globals;
use crate::open;
use crate::otlp;
use crate::owner::Owner;
use crate::target::Target;
use crate::template::Template;

/// Time limit for a sink.
const BOUND: Duration = Duration::from_secs(10);
/// Additional time for a step without a time limit of its own: the system may
/// hang while it reads a file.
const GRACE: Duration = Duration::from_secs(2);

/// How far one came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attempt {
    /// The sink, as `sink.NAME`.
    pub sink: String,
    /// Where it leads, without secrets.
    pub url: String,
    /// The steps, in order; the last one is the one that failed, if one did.
    pub steps: Vec<Step>,
    /// Whether all steps succeeded.
    pub works: bool,
    /// How long it took, in seconds.
    pub duration: f64,
}

/// Tries each of these sinks, all at once, and waits for the slowest: some
/// seconds at most.
pub fn run(
    definitions: Vec<SinkConfig>,
    globals: &Arc<Globals>,
) -> Vec<Attempt> {
    let begin = Instant::now();
    let (sender, receiver) = mpsc::channel();
    let begun = definitions.into_iter().map(|definition| {
        let (sink, url) = (definition.item(), definition.shown_url());
        let trail = AttemptLog::new(begin + BOUND);
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
    definition: &SinkConfig,
    globals: &Globals,
    trail: &AttemptLog,
) -> Result<(), StepFailed> {
    let owner = Owner::new(definition);
    let target = Target::parse(&definition.url, globals.environment());
    // A valid URL needs no step.
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

fn try_file(template: &Template, trail: &AttemptLog) -> Result<(), StepFailed> {
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
                format!("{shown} does not exist yet, and can be created")
            }
            Err(error) => return Err(format!("{shown}: {error}")),
        };
        Ok(((), seen))
    })
}

fn try_local(
    trail: &AttemptLog,
    path: &Path,
    connect: impl FnOnce(Instant) -> io::Result<&'static str>,
) -> Result<(), StepFailed> {
    let shown = path.display();
    trail.step("socket", || match connect(trail.deadline) {
        Ok(kind) => Ok(((), format!("connected to {shown}, for {kind}"))),
        Err(error) => {
            let advice = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    ": start the program that should listen there"
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
