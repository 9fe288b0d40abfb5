//! Sends records over local datagram sockets, one datagram each.
//!
//! Must not know formats: a [`Frame`] writes records.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use nix::libc;

use crate::connection;
use crate::owner::Owner;
use crate::record::Record;
use crate::sink::LossReport;
use crate::sink::LossSum;
use crate::sink::Sink;
use crate::stream::Frame;
use crate::stream::ReconnectPolicy;
use crate::stream::is_absence;

/// An sink that sends datagrams.
pub(crate) struct Datagrams {
    path: PathBuf,
    owner: Owner,
    frame: Frame,
    /// The shorter form of a record that is too long.
    short: Option<Frame>,
    patience: ReconnectPolicy,
    socket: Option<UnixDatagram>,
    /// Whether the reader does not read: then it is not waited for.
    is_stalled: bool,
}

impl Datagrams {
    /// One that connects when the first record comes.
    pub(crate) fn new(
        path: PathBuf,
        owner: Owner,
        frame: Frame,
        short: Option<Frame>,
        patience: ReconnectPolicy,
    ) -> Self {
        Self {
            path,
            owner,
            frame,
            short,
            patience,
            socket: None,
            is_stalled: false,
        }
    }

    /// Whether there is a socket for streams instead.
    pub(crate) fn leads_to_streams(&mut self, deadline: Instant) -> bool {
        if self.socket.is_some() {
            return false;
        }
        let (path, owner) = (&self.path, &self.owner);
        match connection::connect_datagram(path, owner, deadline) {
            Ok(socket) => {
                self.socket = Some(socket);
                false
            }
            Err(error) => error.raw_os_error() == Some(libc::EPROTOTYPE),
        }
    }

    /// Sends a datagram; connects to a new reader if the old one has ended.
    fn send(&mut self, bytes: &[u8], deadline: Instant) -> io::Result<()> {
        let mut is_new = false;
        loop {
            let socket = match &mut self.socket {
                Some(socket) => socket,
                none => {
                    is_new = true;
                    let (path, owner) = (&self.path, &self.owner);
                    let made = self.patience.connect(deadline, |until| {
                        connection::connect_datagram(path, owner, until)
                    })?;
                    none.insert(made)
                }
            };
            let error = match socket.send(bytes) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN) => {
                    connection::wait_to_send(socket, deadline)?;
                }
                Some(libc::ENOBUFS) => connection::pause(deadline)?,
                _ if is_absence(&error) => {
                    self.socket = None;
                    if is_new {
                        return Err(error);
                    }
                }
                _ => return Err(error),
            }
        }
    }

    fn send_record(
        &mut self,
        record: &Record,
        deadline: Instant,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        (self.frame)(record, &mut bytes);
        let result = self.send(&bytes, deadline);
        let is_too_long =
            |error: &io::Error| error.raw_os_error() == Some(libc::EMSGSIZE);
        match (&self.short, result) {
            (Some(short), Err(error)) if is_too_long(&error) => {
                bytes.clear();
                short(record, &mut bytes);
                self.send(&bytes, deadline)
            }
            (_, result) => result,
        }
    }
}

impl Sink for Datagrams {
    fn deliver(
        &mut self,
        records: &[Arc<Record>],
        deadline: Instant,
    ) -> Result<(), LossReport> {
        let mut lost = LossSum::default();
        for record in records {
            let until = if self.is_stalled {
                Instant::now()
            } else {
                self.patience.within(deadline)
            };
            let result = self.send_record(record, until);
            self.is_stalled = match &result {
                Err(error) => error.kind() == io::ErrorKind::TimedOut,
                Ok(()) => false,
            };
            let Err(error) = result else { continue };
            lost.add(1, || {
                let path = self.path.display();
                match error.kind() {
                    io::ErrorKind::TimedOut => {
                        format!("{path}: no process reads it")
                    }
                    _ => format!("{path}: {error}"),
                }
            });
        }
        lost.result()
    }

    fn finish(&mut self, _deadline: Instant) -> Result<(), LossReport> {
        self.socket = None;
        Ok(())
    }
}
