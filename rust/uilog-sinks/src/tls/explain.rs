//! Explains a TLS error in one sentence: what is wrong, and what to do about
//! it.
//!
//! The caller prepends the URL. Sentences never contain bytes of a file or of a
//! message. Must not know connections.

use std::fmt;
use std::io;

use chrono::DateTime;
use rustls::AlertDescription;
use rustls::CertificateError;
use rustls::Error;
use rustls::pki_types::UnixTime;

use super::certificate::shown;

/// A server's certificate is self-signed and not listed in `ca-file`.
#[derive(Debug)]
pub(super) struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("self-signed")
    }
}

impl std::error::Error for SelfSigned {}

/// An error that is such a sentence already.
#[derive(Debug)]
pub(crate) struct ExplainedError(String);

impl fmt::Display for ExplainedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ExplainedError {}

/// An error of a connection, by its sentence if it is one of TLS. `plain` is
/// what URLs without TLS begin with.
pub(crate) fn explained(error: io::Error, plain: &str) -> io::Error {
    let inner = error.get_ref();
    let tls = inner.and_then(|it| it.downcast_ref::<Error>());
    match tls.map(|it| sentence(it, plain)) {
        Some(text) => io::Error::new(error.kind(), ExplainedError(text)),
        None => error,
    }
}

/// The same, of a handshake, which the other side may have ended.
pub(crate) fn of_handshake(error: io::Error, plain: &str) -> io::Error {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::BrokenPipe => {
            let text = format!(
                "the other side closed the connection during the TLS \
                 handshake: if the port has no TLS, use {plain}"
            );
            io::Error::new(error.kind(), ExplainedError(text))
        }
        _ => explained(error, plain),
    }
}

/// An error that says this.
pub(crate) fn error(text: &str) -> io::Error {
    io::Error::other(ExplainedError(text.to_owned()))
}

/// What a TLS error means.
fn sentence(error: &Error, plain: &str) -> String {
    match error {
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::InvalidMessage(_) => format!(
            "the other side does not speak TLS: if the port has no TLS, use \
             {plain}"
        ),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::PeerIncompatible(_) => "the server offers no TLS version and \
            cipher that uilog accepts: it must offer TLS 1.2 or 1.3"
            .to_owned(),
        Error::NoCertificatesPresented => {
            "the server has no certificate".to_owned()
        }
        error => format!("TLS: {error}"),
    }
}

fn of_certificate(error: &CertificateError) -> String {
    use CertificateError as E;
    let wrong = match error {
        E::ExpiredContext { not_after, .. } => {
            let date = date(*not_after);
            format!("expired on {date}: renew it on the server")
        }
        E::Expired => "has expired: renew it on the server".to_owned(),
        E::NotValidYetContext { not_before, .. } => format!(
            "is not valid before {}: check the clocks of both machines",
            date(*not_before)
        ),
        E::NotValidYet => {
            "is not valid yet: check the clocks of both machines".to_owned()
        }
        E::NotValidForNameContext {
            expected,
            presented,
        } => {
            let names: Vec<_> =
                presented.iter().map(|it| plain_name(it)).collect();
            format!(
                "is for {}, not valid for name {}: use a name in the URL that \
                 the certificate has, or renew it with this one",
                shown(&names),
                expected.to_str()
            )
        }
        E::NotValidForName => "is for another name: use a name in the URL \
            that the certificate has"
            .to_owned(),
        E::UnknownIssuer => "is from an authority that is not trusted: name \
            the authority's certificate in ca-file"
            .to_owned(),
        E::Other(other) if other.0.is::<SelfSigned>() => "is self-signed and \
            not trusted: if it is the right one, name it in ca-file"
            .to_owned(),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "is not one for servers: its extended key usage lacks serverAuth"
                .to_owned()
        }
        E::Revoked => "has been revoked: renew it on the server".to_owned(),
        E::BadSignature => "does not match the server's key, or is not signed \
            by the authority that it names"
            .to_owned(),
        E::BadEncoding => "cannot be read: it is damaged, or of X.509 version \
            1: make a new one"
            .to_owned(),
        error => format!("cannot be verified: {error}"),
    };
    format!("the server's certificate {wrong}")
}

fn of_alert(alert: AlertDescription) -> String {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired | A::NoCertificate => {
            "the server wants a client certificate: set cert-file and key-file"
                .to_owned()
        }
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied => format!(
            "the server does not accept our certificate ({alert:?}): check \
             cert-file and key-file"
        ),
        A::ProtocolVersion => {
            "the server does not offer TLS 1.2 or 1.3".to_owned()
        }
        A::UnrecognisedName => "the server has no certificate for this name: \
            check the host in the URL"
            .to_owned(),
        A::HandshakeFailure => "the server has ended the TLS handshake \
            (HandshakeFailure): it may want a client certificate (cert-file, \
            key-file), or other ciphers"
            .to_owned(),
        alert => {
            format!("the server has ended the TLS connection ({alert:?})")
        }
    }
}

/// `DnsName("a")` and `IpAddress("b")` as webpki has them, without that.
fn plain_name(text: &str) -> String {
    let inner = text.split_once('(').map_or(text, |it| it.1);
    let inner = inner.trim_end_matches(')').trim_matches('"');
    inner.chars().filter(|it| !it.is_control()).collect()
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    DateTime::from_timestamp(seconds, 0)
        .map_or_else(String::new, |it| it.format("%Y-%m-%d").to_string())
}
