//! Whom we trust, and who we say we are, when we speak TLS.
//!
//! Opens no connection. Certificates are read once, when a sink is opened.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem;
use rustls::pki_types::pem::PemObject;
use uilog_sys::foreign_file;

/// How many bytes a file of certificates or keys may have. All that a system
/// trusts take a quarter of a million.
const MAX_PEM_BYTES: u64 = 4 << 20;

/// The settings of a client that trusts those whose certificates are in the
/// file `ca`, or those that the system trusts if there is none. With `cert`
/// and `key` it has a certificate of its own. All three are PEM.
///
/// # Errors
///
/// A file cannot be read or holds nothing of that kind; one of `cert` and
/// `key` is missing, or they do not belong together.
pub fn client_config(
    ca: Option<&Path>,
    cert: Option<&Path>,
    key: Option<&Path>,
) -> Result<Arc<ClientConfig>, String> {
    let roots = match ca {
        Some(path) => own_roots(path)?,
        None => system_roots()?,
    };
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?
        .with_root_certificates(roots);
    let config = match (cert, key) {
        (None, None) => builder.with_no_client_auth(),
        (Some(cert), Some(key)) => {
            let chain = certificates(cert, "cert-file")?;
            let private =
                PrivateKeyDer::from_pem_slice(&read(key, "key-file")?)
                    .map_err(|error| unreadable("key-file", key, &error))?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|error| {
                    let (cert, key) = (cert.display(), key.display());
                    format!("cert-file {cert} with key-file {key}: {error}")
                })?
        }
        (Some(_), None) => return Err("cert-file needs key-file".to_owned()),
        (None, Some(_)) => return Err("key-file needs cert-file".to_owned()),
    };
    Ok(Arc::new(config))
}

fn own_roots(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, "ca-file")? {
        roots
            .add(certificate)
            .map_err(|error| format!("ca-file {}: {error}", path.display()))?;
    }
    Ok(roots)
}

/// Those that the system trusts. Some of what is installed may be unreadable
/// or too old to be understood; all of it may not.
fn system_roots() -> Result<RootCertStore, String> {
    // The library opens whatever these name, and waits for a FIFO's writer.
    if let Some(path) = std::env::var_os("SSL_CERT_FILE") {
        read(Path::new(&path), "SSL_CERT_FILE")?;
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let why = found.errors.first().map_or_else(
        || "there are none".to_owned(),
        rustls_native_certs::Error::to_string,
    );
    Err(format!("the system's certificates: {why} (see ca-file)"))
}

fn certificates(
    path: &Path,
    option: &str,
) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = |error| unreadable(option, path, &error);
    let text = read(path, option)?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    if certificates.is_empty() {
        return Err(unreadable(pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

fn read(path: &Path, option: &str) -> Result<Vec<u8>, String> {
    foreign_file::read(path, MAX_PEM_BYTES)
        .map_err(|error| format!("{option} {}: {error}", path.display()))
}

fn unreadable(option: &str, path: &Path, error: &pem::Error) -> String {
    let path = path.display();
    match error {
        pem::Error::NoItemsFound => {
            format!("{option} {path}: there is none in it")
        }
        error => format!("{option} {path}: {error}"),
    }
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
        is(error(Some(&none), None, None), "/none: there is none in it");
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
        is(error(ca, ca, Some(&cert)), "/cert: there is none in it");
        assert!(error(ca, ca, Some(&other)).contains("with key-file"));
    }
}
