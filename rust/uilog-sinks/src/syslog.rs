//! `syslog:`: messages to the local daemon or over the network.
//!
//! Responsible for the framing of messages: one per datagram; on a local stream
//! socket, each ends with NUL, as in the C library; by TCP (RFC 6587) and TLS
//! (RFC 5425), each begins with its length.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConfig;
use syslog_fmt::Facility;
use uilog_channel::sink_config::SinkConfig;
use uilog_config::items::Value;

use crate::connection::Peer;
use crate::datagram::Datagrams;
use crate::owner::Owner;
use crate::record::Record;
use crate::sink::LossReport;
use crate::sink::Sink;
use crate::stream::Frame;
use crate::stream::ReconnectPolicy;
use crate::stream::Stream;
use crate::syslog_message;
use crate::syslog_message::FACILITIES;
use crate::syslog_message::Style;
use crate::target::Address;

/// The sink that leads to the local daemon, at this socket.
///
/// # Errors
///
/// There is no such facility.
pub fn open_local(
    definition: &SinkConfig,
    path: PathBuf,
) -> Result<impl Sink + use<>, String> {
    let style = Style {
        facility: facility(definition)?,
        is_local: wants_local_format(definition),
    };
    let whole: Frame =
        Box::new(move |it, out| syslog_message::write(it, style, out));
    let short: Frame =
        Box::new(move |it, out| syslog_message::write_short(it, style, out));
    let with_nul: Frame = Box::new(move |it, out| {
        syslog_message::write(it, style, out);
        out.push(0);
    });
    let owner = Owner::new(definition);
    let peer = Peer::Local(path.clone(), owner.clone());
    let patience = ReconnectPolicy::new(definition, true);
    let waiting = patience.clone();
    Ok(Local {
        datagrams: Datagrams::new(path, owner, whole, Some(short), waiting),
        stream: Stream::new(peer, with_nul, patience),
        is_stream: false,
    })
}

/// A sink for a daemon on the network, with TLS if there is a configuration for
/// it.
///
/// # Errors
///
/// There is no such facility, or the format is not for networks.
pub fn open_remote(
    definition: &SinkConfig,
    address: Address,
    tls: Option<Arc<ClientConfig>>,
) -> Result<impl Sink + use<>, String> {
    if wants_local_format(definition) {
        return Err("'format = local' is for the local daemon".to_owned());
    }
    let style = Style {
        facility: facility(definition)?,
        is_local: false,
    };
    let counted: Frame = Box::new(move |record, out| {
        let mut message = Vec::new();
        syslog_message::write(record, style, &mut message);
        write!(out, "{} ", message.len()).expect("a Vec takes anything");
        out.extend_from_slice(&message);
    });
    let patience = ReconnectPolicy::new(definition, true);
    Ok(Stream::new(Peer::Remote(address, tls), counted, patience))
}

fn wants_local_format(definition: &SinkConfig) -> bool {
    definition.option("format") == Value::Choice("local")
}

fn facility(definition: &SinkConfig) -> Result<Facility, String> {
    let named = definition.text("facility").unwrap_or_default();
    let mut all = FACILITIES.iter();
    match all.find(|it| it.0.as_bytes() == named) {
        Some((_, facility)) => Ok(*facility),
        None => {
            let named = String::from_utf8_lossy(&named);
            let all: Vec<_> = FACILITIES.iter().map(|it| it.0).collect();
            Err(format!("'{named}' is not a facility: {}", all.join(", ")))
        }
    }
}

/// The local daemon, whose socket may be one for datagrams or for streams.
struct Local {
    datagrams: Datagrams,
    stream: Stream,
    is_stream: bool,
}

impl Sink for Local {
    fn deliver(
        &mut self,
        records: &[Arc<Record>],
        deadline: Instant,
    ) -> Result<(), LossReport> {
        self.is_stream |= self.datagrams.leads_to_streams(deadline);
        if self.is_stream {
            self.stream.deliver(records, deadline)
        } else {
            self.datagrams.deliver(records, deadline)
        }
    }

    fn finish(&mut self, deadline: Instant) -> Result<(), LossReport> {
        self.stream.finish(deadline)
    }
}
