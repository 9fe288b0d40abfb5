//! The destination of a sink: parses its URL.
//!
//! Opens nothing.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;

use uilog_channel::sink_config;
use uilog_channel::sink_url;
use uilog_config::Environment;
use uilog_config::expand::expand_user;
use uilog_config::expand::expand_variables;

use crate::history;
use crate::template::Template;

/// The local daemon's socket.
const LOCAL_SYSLOG: &str = "/dev/log";
/// The customary port. RFC 6587 has none for syslog over TCP, and IANA's 514
/// for TCP is that of the remote shell.
const TCP_PORT: u16 = 514;
/// RFC 5425, section 4.1.
const TLS_PORT: u16 = 6514;

/// Where a sink leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `file:PATH`.
    File(Template),
    /// The history below the state directory: this one.
    History(PathBuf),
    /// `unix:PATH`.
    UnixStream(PathBuf),
    /// `unix-dgram:PATH`.
    UnixDatagram(PathBuf),
    /// `syslog:`, `syslog:PATH`.
    SyslogLocal(PathBuf),
    /// `syslog+tcp://HOST:PORT`.
    SyslogTcp(Address),
    /// `syslog+tls://HOST:PORT`.
    SyslogTls(Address),
    /// `otlp:URL`, or `otlp:` alone.
    Otlp(String),
}

/// A program on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name, or a number without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

impl Target {
    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// It is invalid.
    pub fn parse(
        url: &[u8],
        environment: &Environment,
    ) -> Result<Self, String> {
        let colon = url.iter().position(|byte| *byte == b':');
        let Some(colon) = colon else {
            return Err(sink_url::no_kind(url));
        };
        let (scheme, rest) = (&url[..colon], &url[colon + 1..]);
        let path = |rest| path(rest, environment);
        let parsed = match scheme {
            b"file" => without_host(rest).and_then(|path| {
                Template::parse(path, environment).map(Self::File)
            }),
            sink_config::HISTORY if rest.is_empty() => {
                history::dir(environment).map(Self::History).ok_or_else(|| {
                    "neither XDG_STATE_HOME nor HOME names a directory".into()
                })
            }
            b"unix" => path(rest).map(Self::UnixStream),
            b"unix-dgram" => path(rest).map(Self::UnixDatagram),
            b"syslog" if rest.is_empty() => {
                Ok(Self::SyslogLocal(PathBuf::from(LOCAL_SYSLOG)))
            }
            b"syslog" => path(rest).map(Self::SyslogLocal).map_err(|it| {
                format!(
                    "{it}; on the network: syslog+tcp://HOST:PORT, \
                     syslog+tls://HOST:PORT"
                )
            }),
            b"syslog+tcp" => address(rest, TCP_PORT).map(Self::SyslogTcp),
            b"syslog+tls" => address(rest, TLS_PORT).map(Self::SyslogTls),
            // With an invalid URL, records are still written to the spool.
            b"otlp" => {
                Ok(Self::Otlp(String::from_utf8_lossy(rest).into_owned()))
            }
            _ => return Err(sink_url::no_kind(url)),
        };
        parsed.map_err(|why| format!("'{}': {why}", sink_url::shown_url(url)))
    }

    /// Identifies it, independent of the environment in which its URL was
    /// parsed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (scheme, rest) = match self {
            Self::File(template) => ("file", template.to_bytes()),
            Self::History(dir) => ("history", bytes(dir)),
            Self::UnixStream(path) => ("unix", bytes(path)),
            Self::UnixDatagram(path) => ("unix-dgram", bytes(path)),
            Self::SyslogLocal(path) => ("syslog", bytes(path)),
            Self::SyslogTcp(address) => {
                ("syslog+tcp", address.to_string().into_bytes())
            }
            Self::SyslogTls(address) => {
                ("syslog+tls", address.to_string().into_bytes())
            }
            Self::Otlp(url) => ("otlp", url.clone().into_bytes()),
        };
        [scheme.as_bytes(), b":", &rest].concat()
    }

    /// The kind of sink that this is, as `items.toml` names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::History(_) => "history",
            Self::UnixStream(_) | Self::UnixDatagram(_) => "unix",
            Self::SyslogLocal(_) | Self::SyslogTcp(_) | Self::SyslogTls(_) => {
                "syslog"
            }
            Self::Otlp(_) => "otlp",
        }
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

/// A path that may be written as `///path`, as in other URLs of files.
fn without_host(path: &[u8]) -> Result<&[u8], String> {
    match path.strip_prefix(b"//") {
        None => Ok(path),
        Some(path) if path.starts_with(b"/") => Ok(path),
        Some(_) => Err("it is on another host, or lacks a '/'".to_owned()),
    }
}

fn path(text: &[u8], environment: &Environment) -> Result<PathBuf, String> {
    let path = expand_variables(without_host(text)?, environment);
    let path = expand_user(&path, environment);
    if !path.starts_with(b"/") {
        return Err("it is not an absolute path".to_owned());
    }
    Ok(PathBuf::from(OsString::from_vec(path)))
}

/// `//HOST`, `//HOST:PORT`, `//[::1]:PORT`.
fn address(text: &[u8], default_port: u16) -> Result<Address, String> {
    let wrong = || "it is not //HOST or //HOST:PORT".to_owned();
    let text = std::str::from_utf8(text).map_err(|_| wrong())?;
    let text = text.strip_prefix("//").ok_or_else(wrong)?;
    let text = text.strip_suffix('/').unwrap_or(text);
    let (host, port) = match text.strip_prefix('[') {
        Some(text) => text.split_once(']').ok_or_else(wrong)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => default_port,
        None => return Err(wrong()),
        Some(port) => port.parse().map_err(|_| wrong())?,
    };
    let is_plain = |byte: u8| byte > b' ' && !b"/@?#[]".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_plain) || port == 0 {
        return Err(wrong());
    }
    Ok(Address {
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Target, String> {
        let variables = [("HOME", "/home/me"), ("RUN", "/run/user/7")];
        let variables = variables.map(|(n, v)| (n.into(), v.into())).into();
        let environment = Environment::new(variables, PathBuf::from("/"));
        Target::parse(url.as_bytes(), &environment)
    }

    #[test]
    fn urls_are_taken_apart() {
        let local = |path: &str| Target::SyslogLocal(path.into());
        let at = |host: &str, port| Address {
            host: host.to_owned(),
            port,
        };
        let cases = [
            ("syslog:", local("/dev/log")),
            ("syslog:/run/log", local("/run/log")),
            ("syslog+tcp://a.b", Target::SyslogTcp(at("a.b", 514))),
            ("syslog+tcp://a:1/", Target::SyslogTcp(at("a", 1))),
            ("syslog+tls://a", Target::SyslogTls(at("a", 6514))),
            ("syslog+tls://[::1]", Target::SyslogTls(at("::1", 6514))),
            ("syslog+tls://[::1]:9", Target::SyslogTls(at("::1", 9))),
            ("unix:$RUN/x", Target::UnixStream("/run/user/7/x".into())),
            ("unix:///x", Target::UnixStream("/x".into())),
            ("unix-dgram:~/x", Target::UnixDatagram("/home/me/x".into())),
            ("otlp:http://a", Target::Otlp("http://a".into())),
            ("otlp:", Target::Otlp(String::new())),
        ];
        for (url, target) in cases {
            assert_eq!(parse(url), Ok(target), "{url}");
        }
        for url in ["file:/x-%Y", "file:~/x", "file:///x"] {
            assert_eq!(parse(url).unwrap().kind(), "file", "{url}");
        }
    }

    #[test]
    fn nonsense_is_named() {
        let kinds = "is not a kind of sink: file:, syslog:, unix:, otlp:";
        let host = "it is not //HOST or //HOST:PORT";
        let cases = [
            (
                "fil:/x",
                format!("'fil:/x' {kinds}; did you mean 'file:/x'?"),
            ),
            ("/x", format!("'/x' {kinds}; did you mean 'file:/x'?")),
            (
                "otlps://u:p@h",
                format!(
                    "'otlps://...@h' {kinds}; did you mean \
                     'otlp:https://...@h'?"
                ),
            ),
            ("", format!("'' {kinds}")),
            ("file:x", "'file:x': it is not an absolute path".into()),
            ("file:", "'file:': it is not an absolute path".into()),
            (
                "file://host/x",
                "'file://host/x': it is on another host, or lacks a '/'".into(),
            ),
            ("unix:", "'unix:': it is not an absolute path".into()),
            (
                "syslog://host",
                "'syslog://host': it is on another host, or lacks a '/'; on \
                 the network: syslog+tcp://HOST:PORT, syslog+tls://HOST:PORT"
                    .into(),
            ),
            ("syslog+tcp:a", format!("'syslog+tcp:a': {host}")),
            ("syslog+tcp://", format!("'syslog+tcp://': {host}")),
            ("syslog+tcp://a:b", format!("'syslog+tcp://a:b': {host}")),
            ("syslog+tcp://a:0", format!("'syslog+tcp://a:0': {host}")),
            (
                "syslog+tcp://a:65536",
                format!("'syslog+tcp://a:65536': {host}"),
            ),
            ("syslog+tcp://[::1", format!("'syslog+tcp://[::1': {host}")),
            (
                "syslog+tcp://[::1]x",
                format!("'syslog+tcp://[::1]x': {host}"),
            ),
        ];
        for (url, error) in cases {
            assert_eq!(parse(url), Err(error), "{url}");
        }
    }

    #[test]
    fn no_user_of_a_url_is_told() {
        for url in [
            "syslog+tcp://bob:hunter2@h:1",
            "syslog+tcp:bob:hunter2@h:1",
            "syslog+tls://bob:hunter2@h/x",
            "syslog://bob:hunter2@h",
            "unix://bob:hunter2@h/x",
            "unix:bob:hunter2@h",
            "unix-dgram:bob:hunter2@h",
            "file://bob:hunter2@h/x",
            "file:bob:hunter2@h",
            "fil://bob:hunter2@h",
            "bob:hunter2@h",
            "hunter2@h",
        ] {
            let error = parse(url).unwrap_err();
            let is_told =
                ["hunter2", "bob"].iter().any(|it| error.contains(it));
            assert!(!is_told, "{url}: {error}");
        }
    }
}
