//! `unix:` and `unix-dgram:`: one line of JSON for each record, to whoever
//! reads a local socket.

use std::path::PathBuf;

use crate::connection::Peer;
use crate::datagram::Datagrams;
use crate::lines;
use crate::outlet::Outlet;
use crate::stream::Stream;

/// The sink that connects to the socket at `path`.
pub fn open_stream(path: PathBuf) -> impl Outlet {
    Stream::new(Peer::Local(path), Box::new(lines::write), false)
}

/// The sink that sends datagrams to the socket at `path`.
pub fn open_datagram(path: PathBuf) -> impl Outlet {
    Datagrams::new(path, Box::new(lines::write), None, false)
}
