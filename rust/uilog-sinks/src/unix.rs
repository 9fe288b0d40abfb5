//! `unix:` and `unix-dgram:`: one line of JSON per record, sent to a local
//! socket.

use std::path::PathBuf;

use uilog_channel::sink_config::SinkConfig;

use crate::connection::Peer;
use crate::datagram::Datagrams;
use crate::lines;
use crate::owner::Owner;
use crate::sink::Sink;
use crate::stream::ReconnectPolicy;
use crate::stream::Stream;

/// The sink that connects to the socket at `path`.
pub fn open_stream(
    definition: &SinkConfig,
    path: PathBuf,
) -> impl Sink + use<> {
    let patience = ReconnectPolicy::new(definition, false);
    let peer = Peer::Local(path, Owner::new(definition));
    Stream::new(peer, Box::new(lines::write), patience)
}

/// The sink that sends datagrams to the socket at `path`.
pub fn open_datagram(
    definition: &SinkConfig,
    path: PathBuf,
) -> impl Sink + use<> {
    let patience = ReconnectPolicy::new(definition, false);
    let owner = Owner::new(definition);
    Datagrams::new(path, owner, Box::new(lines::write), None, patience)
}
