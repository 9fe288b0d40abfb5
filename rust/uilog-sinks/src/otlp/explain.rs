//! Explains in one sentence why a request failed: what is wrong, and what to
//! do.
//!
//! Must not know connections, headers or bodies: no part of them may occur in a
//! sentence.

use std::io;
use std::time::Duration;

use ureq::Error;

use crate::otlp::settings::Endpoint;
use crate::tls::explain::ExplainedError;

/// What an error means.
pub(crate) fn sentence(error: &Error, endpoint: &Endpoint) -> String {
    match error {
        Error::Io(error) => of_io(error, is_https(endpoint)),
        Error::Timeout(_) => format!(
            "no answer within {} s: is it a collector, and does a firewall let \
             it through?",
            rounded(endpoint.timeout)
        ),
        Error::HostNotFound => "the host name is unknown: check the URL, and \
            this machine's DNS"
            .to_owned(),
        Error::ConnectionFailed => "no connection can be made".to_owned(),
        Error::ConnectProxyFailed(why) if why.contains("407") => {
            "the proxy wants a user and a password (status 407): put them \
             into the proxy's URL"
                .to_owned()
        }
        Error::ConnectProxyFailed(why) => {
            format!("the proxy refuses the connection: {why}")
        }
        Error::Protocol(_) => "the answer is not HTTP: check the port in the \
            URL (OTLP over HTTP has 4318, gRPC 4317)"
            .to_owned(),
        Error::LargeResponseHeader(..) => {
            "the head of the answer is too long: this is not a collector"
                .to_owned()
        }
        Error::Tls(why) => (*why).to_owned(),
        error => error.to_string(),
    }
}

/// Seconds, with one decimal place if they are few.
fn rounded(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 5.0 && seconds.fract() > 0.05 {
        format!("{seconds:.1}")
    } else {
        format!("{seconds:.0}")
    }
}

/// Whether requests to a collector use TLS.
pub(crate) fn is_https(endpoint: &Endpoint) -> bool {
    let scheme = endpoint.url.get(..6);
    scheme.is_some_and(|it| it.eq_ignore_ascii_case("https:"))
}

fn of_io(error: &io::Error, is_https: bool) -> String {
    use io::ErrorKind;
    let is_sentence =
        error.get_ref().is_some_and(|it| it.is::<ExplainedError>());
    let hint = if is_https {
        ": if it asks for a client certificate, set cert-file and key-file"
    } else {
        ": if the port has TLS, use https://"
    };
    match error.kind() {
        _ if is_sentence => error.to_string(),
        ErrorKind::ConnectionRefused => "connection refused: start the \
            collector, or check the port in the URL"
            .to_owned(),
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe => {
            format!(
                "the connection was closed before the answer was \
                complete{hint}"
            )
        }
        _ => error.to_string(),
    }
}

/// Recognizes an answer that shows a mismatch of protocols, whatever its status
/// means otherwise: the request has not reached a collector. The texts are
/// those of Go, nginx and Apache.
pub(crate) fn protocol_mismatch(
    status: u16,
    body: &[u8],
    endpoint: &Endpoint,
) -> Option<&'static str> {
    if status != 400 {
        return None;
    }
    let body = String::from_utf8_lossy(body);
    let says = |texts: &[&str]| texts.iter().any(|it| body.contains(it));
    if !is_https(endpoint)
        && says(&[
            "HTTP request to an HTTPS server",
            "plain HTTP request was sent to HTTPS port",
            "speaking plain HTTP to an SSL-enabled server port",
        ])
    {
        return Some("status 400: the port has TLS: use https://");
    }
    if says(&["No required SSL certificate was sent"]) {
        return Some(
            "status 400: the server wants a client certificate: set \
             cert-file and key-file",
        );
    }
    if says(&["The SSL certificate error"]) {
        return Some(
            "status 400: the server does not accept our certificate: check \
             cert-file and key-file",
        );
    }
    None
}
