//! TLS: trusted certificates and the client certificate.
//!
//! Opens no connection. Certificates are read once, when a sink is opened.
//! `files` reads them, `verify` verifies a server by those in a `ca-file`,
//! `certificate` parses a certificate, and `explain` explains errors.

pub(crate) mod certificate;
pub(crate) mod explain;
mod files;
mod verify;

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::Error;
use rustls::InconsistentKeys;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;

use self::verify::Verifier;

/// Whether an alert or a handshake of TLS begins there.
// RFC 8446, section 5.1
pub(crate) fn is_record(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15 | 0x16, 0x03, ..])
}

/// The settings of a client that trusts the certificates in the file `ca`, or
/// those that the system trusts. With `cert` and `key` it has a client
/// certificate. All three are PEM.
///
/// # Errors
///
/// A file cannot be read or does not contain the expected kind; one of `cert`
/// and `key` is missing, or they do not match.
pub fn client_config(
    ca: Option<&Path>,
    cert: Option<&Path>,
    key: Option<&Path>,
) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let verifier = match ca {
        Some(path) => {
            let certificates = files::certificates(path, "ca-file")?;
            Verifier::new(certificates, &provider)
                .map_err(|why| format!("ca-file {}: {why}", path.display()))?
        }
        None => Verifier::of_system(system_certificates()?, &provider)
            .map_err(no_system)?,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        // Nothing is dangerous there: it trusts less than is usual but for
        // certificates that the user has named.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match (cert, key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let chain = files::certificates(cert, "cert-file")?;
            let private = files::key(key, "key-file")?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|error| {
                    let (cert, key) = (cert.display(), key.display());
                    let why = of_key(&error);
                    format!("cert-file {cert} with key-file {key}: {why}")
                })?
        }
        (Some(_), None) => return Err("cert-file needs key-file".to_owned()),
        (None, Some(_)) => return Err("key-file needs cert-file".to_owned()),
    };
    Ok(Arc::new(config))
}

fn of_key(error: &Error) -> String {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "the key is not the one of the certificate: name the two files \
             that were made together"
        }
        Error::General(_) => {
            "the key is of a kind that uilog cannot use: make one of RSA (2048 \
             bits or more), ECDSA (P-256, P-384) or Ed25519"
        }
        _ => "the certificate is damaged, or the key does not fit it",
    }
    .to_owned()
}

/// The certificates that the system trusts. Some may be unreadable, but not
/// all.
fn system_certificates() -> Result<Vec<CertificateDer<'static>>, String> {
    // The library opens the files in these variables, and would wait for a
    // FIFO's writer.
    if let Some(path) = std::env::var_os("SSL_CERT_FILE") {
        files::read(Path::new(&path), "SSL_CERT_FILE")?;
    }
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map_or_else(
            || "there are none".to_owned(),
            rustls_native_certs::Error::to_string,
        );
        return Err(no_system(why));
    }
    Ok(found.certs)
}

fn no_system(why: String) -> String {
    format!("the system's certificates: {why} (see ca-file)")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn error(
        ca: Option<&Path>,
        cert: Option<&Path>,
        key: Option<&Path>,
    ) -> String {
        client_config(ca, cert, key).unwrap_err()
    }

    #[test]
    fn files_are_read_and_what_is_wrong_with_them_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let own = || {
            let made =
                rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
            (made.cert.pem(), made.signing_key.serialize_pem())
        };
        let (cert, key) = own();
        let (cert, key) = (file("cert", &cert), file("key", &key));
        let other = file("other", &own().1);
        let none = file("none", "x\n");
        let bad = file(
            "bad",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        );
        let missing = directory.path().join("missing");

        assert!(client_config(Some(&cert), None, None).is_ok());
        assert!(client_config(Some(&cert), Some(&cert), Some(&key)).is_ok());

        let ca = Some(&*cert);
        let is = |error: String, end: &str| {
            assert!(error.ends_with(end), "{error}");
        };
        let no_pem = "/none: it is not PEM: there is no line \
                      'BEGIN CERTIFICATE'";
        is(error(Some(&none), None, None), no_pem);
        is(
            error(Some(&missing), None, None),
            "/missing: No such file or directory (os error 2)",
        );
        let fifo = directory.path().join("fifo");
        let mode = nix::sys::stat::Mode::S_IRWXU;
        nix::unistd::mkfifo(&fifo, mode).unwrap();
        let what = "/fifo: it is a named pipe, not a regular file";
        is(error(Some(&fifo), None, None), what);
        is(error(ca, ca, Some(&fifo)), what);
        is(error(ca, Some(&fifo), Some(&key)), what);
        let zero = Path::new("/dev/zero");
        is(
            error(Some(zero), None, None),
            "it is a device, not a regular file",
        );
        assert!(error(Some(&bad), None, None).contains("/bad: "));
        is(error(ca, ca, None), "cert-file needs key-file");
        is(error(ca, None, Some(&key)), "key-file needs cert-file");
        is(
            error(ca, ca, Some(&cert)),
            "/cert: it contains a certificate, not a private key",
        );
        let why = error(ca, ca, Some(&other));
        assert!(why.contains("the key is not the one"), "{why}");
        let wrong = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            "MIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8AgEAAkEAq7BFUpkGp3+L"
        );
        let wrong = file("wrong", &wrong);
        let why = error(ca, ca, Some(&wrong));
        assert!(why.contains("a kind that uilog cannot use"), "{why}");
        assert!(!why.contains("MII") && !why.contains("48, "), "{why}");
    }
}
