//! Opens the sink of a configuration.

use std::sync::Arc;

use rustls::ClientConfig;
use uilog_channel::sink_config::SinkConfig;

use crate::file;
use crate::globals::Globals;
use crate::history;
use crate::otlp;
use crate::sink::Sink;
use crate::syslog;
use crate::target::Target;
use crate::tls;
use crate::unix;

/// Opens what a sink's URL names.
///
/// # Errors
///
/// The URL or an option is invalid, or a file that an option names cannot
/// be read. It is no error if no process listens at the other end.
pub fn open(
    definition: &SinkConfig,
    globals: &Globals,
) -> Result<Box<dyn Sink>, String> {
    match Target::parse(&definition.url, globals.environment())? {
        Target::File(template) => {
            Ok(Box::new(file::open(definition, template)))
        }
        Target::History(dir) => Ok(Box::new(history::open(dir, globals))),
        Target::Otlp(_) => Ok(Box::new(otlp::open(definition, globals)?)),
        Target::UnixStream(path) => {
            Ok(Box::new(unix::open_stream(definition, path)))
        }
        Target::UnixDatagram(path) => {
            Ok(Box::new(unix::open_datagram(definition, path)))
        }
        Target::SyslogLocal(path) => {
            Ok(Box::new(syslog::open_local(definition, path)?))
        }
        Target::SyslogTcp(address) => {
            Ok(Box::new(syslog::open_remote(definition, address, None)?))
        }
        Target::SyslogTls(address) => {
            let tls = tls_of(definition, globals)?;
            Ok(Box::new(syslog::open_remote(
                definition,
                address,
                Some(tls),
            )?))
        }
    }
}

/// The settings of TLS that a sink `syslog+tls:` has.
///
/// # Errors
///
/// A file cannot be used.
pub(crate) fn tls_of(
    definition: &SinkConfig,
    globals: &Globals,
) -> Result<Arc<ClientConfig>, String> {
    let file = |option| {
        let text = definition.text(option);
        let path = text.map(|text| globals.path(&text)).transpose();
        path.map_err(|why| format!("'{option}': {why}"))
    };
    let read = || {
        let (ca, cert) = (file("ca-file")?, file("cert-file")?);
        let key = file("key-file")?;
        tls::client_config(ca.as_deref(), cert.as_deref(), key.as_deref())
    };
    read().map_err(|why| format!("{}: {why}", definition.shown_url()))
}
