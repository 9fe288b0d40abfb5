//! Trying to reach files, sockets and daemons, for `uilog check --connect`.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::IsCa;
use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use uilog_sinks::connect;
use uilog_sinks::globals::Globals;
use uilog_testing::until;

use super::definition;
use super::lost;
use super::records;
use super::sink;
use super::soon;

/// Whether all steps succeeded, and each with what was seen.
fn tried(url: &str, options: &[(&str, &str)]) -> (bool, Vec<String>) {
    let globals = Arc::new(Globals::new(&[], b"HOME=/nonexistent\0"));
    let attempts = connect::run(vec![definition(url, options)], &globals);
    let [attempt] = &attempts[..] else {
        panic!("{attempts:?}");
    };
    let steps = attempt.steps.iter();
    let steps = steps.map(|it| format!("{}: {}", it.step, it.text));
    (attempt.works, steps.collect())
}

fn works(url: &str, step: String) {
    assert_eq!(tried(url, &[]), (true, vec![step]), "{url}");
}

fn fails(url: &str, step: &str) {
    let (works, steps) = tried(url, &[]);
    assert!(!works, "{steps:?}");
    let last = steps.last().unwrap();
    assert!(last.starts_with(step), "{last}");
}

#[test]
fn files_are_looked_at_and_none_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let (url, shown) = (format!("file:{}", path.display()), path.display());
    works(
        &url,
        format!("file: {shown} does not exist yet, and can be created"),
    );
    assert!(!path.exists());
    fs::write(&path, "x\n").unwrap();
    works(&url, format!("file: {shown} can be appended to"));
    assert_eq!(fs::read(&path).unwrap(), b"x\n");
    fails(
        "file:/dev/null",
        "file: /dev/null cannot be written: it is not a file",
    );
    fails("file:x", "url: 'file:x': it is not an absolute path");
}

#[test]
fn a_local_socket_is_connected_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (stream, datagrams) = (path("s"), path("d"));
    let listener = UnixListener::bind(&stream).unwrap();
    let _socket = UnixDatagram::bind(&datagrams).unwrap();
    let connected = |path: &Path, kind: &str| {
        format!("socket: connected to {}, for {kind}", path.display())
    };
    let url = |kind: &str, path: &Path| format!("{kind}:{}", path.display());
    works(&url("unix", &stream), connected(&stream, "a stream"));
    works(
        &url("unix-dgram", &datagrams),
        connected(&datagrams, "datagrams"),
    );
    works(&url("syslog", &stream), connected(&stream, "a stream"));
    works(
        &url("syslog", &datagrams),
        connected(&datagrams, "datagrams"),
    );
    drop(listener);
    let refused = format!("socket: {}: Connection refused", stream.display());
    fails(&url("unix", &stream), &refused);
    let missing = format!("socket: {}: No such file", path("x").display());
    fails(&url("unix", &path("x")), &missing);
}

/// A server of TLS with a certificate of its own, for some connections.
fn tls_server(directory: &Path, last_year: i32) -> (u16, String) {
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = rcgen::date_time_ymd(2001, 2, 3);
    params.not_after = rcgen::date_time_ymd(last_year, 2, 3);
    let certificate = params.self_signed(&key).unwrap();
    let path = directory.join("ca.pem");
    fs::write(&path, certificate.pem()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let config = Arc::clone(&config);
            let mut tls = ServerConnection::new(config).unwrap();
            while tls.complete_io(&mut stream).is_ok_and(|it| it.0 > 0) {}
        }
    });
    (port, path.display().to_string())
}

#[test]
fn a_daemon_on_the_network_is_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = tried(&format!("syslog+tcp://127.0.0.1:{port}"), &[]);
    let steps = vec![
        "dns: 127.0.0.1 is an address".to_owned(),
        format!("tcp: connected to 127.0.0.1:{port}"),
    ];
    assert_eq!(plain, (true, steps));
    drop(listener);
    let refused = format!("tcp: 127.0.0.1:{port}: Connection refused");
    fails(&format!("syslog+tcp://127.0.0.1:{port}"), &refused);

    let directory = tempfile::tempdir().unwrap();
    let (port, ca) = tls_server(directory.path(), 2101);
    let url = format!("syslog+tls://localhost:{port}");
    let (works, steps) = tried(&url, &[("ca-file", &ca)]);
    assert!(works, "{steps:?}");
    assert_eq!(
        steps[3],
        "tls: TLS 1.3; the server's certificate is for localhost, valid until \
         2101-02-03"
    );
    let (works, steps) = tried(&url, &[("ca-file", "/missing/x")]);
    let missing = format!("files: {url}: ca-file /missing/x: No such file");
    assert!(!works && steps[0].starts_with(&missing), "{steps:?}");
}

#[test]
fn a_servers_own_certificate_is_trusted_where_ca_file_names_it() {
    let directory = tempfile::tempdir().unwrap();
    let (port, ca) = tls_server(directory.path(), 2101);
    let url = format!("syslog+tls://localhost:{port}");
    let mut syslog = sink(&url, &[("ca-file", &ca)]);
    syslog.deliver(&records("a", 3), soon()).unwrap();
    // Not for another name.
    let url = format!("syslog+tls://127.0.0.1:{port}");
    let mut syslog = sink(&url, &[("ca-file", &ca)]);
    let (count, why) = lost(syslog.deliver(&records("a", 3), soon()));
    assert_eq!(count, 3);
    let told = format!(
        "{url}: the server's certificate is for localhost, not valid for name \
         127.0.0.1: use"
    );
    assert!(why.starts_with(&told), "{why}");
    // Not after its time.
    let (port, ca) = tls_server(directory.path(), 2002);
    let url = format!("syslog+tls://localhost:{port}");
    let mut syslog = sink(&url, &[("ca-file", &ca)]);
    let (count, why) = lost(syslog.deliver(&records("a", 3), soon()));
    assert_eq!(count, 3);
    let told = format!("{url}: the server's certificate expired on 2002-02-03");
    assert!(why.starts_with(&told), "{why}");
}

#[test]
fn a_server_that_answers_in_tls_is_told_of() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // An alert: what came is no TLS.
            let mut stream = stream.unwrap();
            let _ = stream.write_all(b"\x15\x03\x01\0\x02\x02\x46");
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    let url = format!("syslog+tcp://127.0.0.1:{port}");
    let mut syslog = sink(&url, &[]);
    // It may answer after the first records have been taken.
    let why = until("the answer", || {
        let (count, why) = lost(syslog.deliver(&records("a", 1), soon()));
        (count > 0).then_some(why)
    });
    assert_eq!(why, format!("{url}: the answer is TLS: use syslog+tls://"));
}
