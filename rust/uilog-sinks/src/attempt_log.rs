//! The steps of an attempt to reach a sink, and the steps that all sinks on a
//! network have in common.
//!
//! Responsible for the result of each step. Must not know which sinks there
//! are, or how a step is shown.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use rustls::ClientConfig;
use rustls::ProtocolVersion;
use serde::Serialize;
use uilog_redact::Policy;
use uilog_redact::Redactor;

use crate::connection;
use crate::connection::Connection;
use crate::target::Address;
use crate::tls::certificate::Certificate;

/// Something that was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// What: a stable name such as `tcp`.
    pub step: &'static str,
    /// Whether it succeeded.
    pub works: bool,
    /// The result or the error, without secrets.
    pub text: String,
    /// How long it took, in seconds.
    pub duration: f64,
}

/// The attempts so far.
#[derive(Clone, Debug)]
pub(crate) struct AttemptLog {
    steps: Arc<Mutex<Vec<Step>>>,
    /// The deadline of the attempt.
    pub(crate) deadline: Instant,
}

/// That a step has failed, which is in the trail already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepFailed;

impl AttemptLog {
    pub(crate) fn new(deadline: Instant) -> Self {
        Self {
            steps: Arc::default(),
            deadline,
        }
    }

    /// Tries a step, and stores the result.
    pub(crate) fn step<T>(
        &self,
        step: &'static str,
        attempt: impl FnOnce() -> Result<(T, String), String>,
    ) -> Result<T, StepFailed> {
        let begin = Instant::now();
        let (result, text) = match attempt() {
            Ok((value, text)) => (Ok(value), text),
            Err(why) => (Err(StepFailed), why),
        };
        self.push(step, result.is_ok(), &text, begin.elapsed());
        result
    }

    pub(crate) fn push(
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

    pub(crate) fn steps(&self) -> Vec<Step> {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.clone()
    }
}

/// The host's address, and a connection.
pub(crate) fn try_tcp(
    trail: &AttemptLog,
    address: &Address,
) -> Result<Connection, StepFailed> {
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
                    "start the program that should listen there, or check the \
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
    trail: &AttemptLog,
    mut connection: Connection,
    address: &Address,
    config: &Arc<ClientConfig>,
    plain: &'static str,
) -> Result<(), StepFailed> {
    trail.step("tls", || {
        let deadline = trail.deadline;
        connection
            .start_tls(address, config, plain, deadline)
            .map_err(|error| match error.kind() {
                io::ErrorKind::TimedOut => format!(
                    "no answer in time: if the port has no TLS, use {plain}"
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
