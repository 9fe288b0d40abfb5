//! `syslog:` with daemons of the test: local, by TCP and by TLS.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::thread::JoinHandle;

use nix::sys::socket::AddressFamily;
use nix::sys::socket::SockFlag;
use nix::sys::socket::SockType;
use nix::sys::socket::SockaddrIn;
use nix::sys::socket::bind;
use nix::sys::socket::getsockname;
use nix::sys::socket::setsockopt;
use nix::sys::socket::socket;
use nix::sys::socket::sockopt::ReuseAddr;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertifiedIssuer;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::KeyPair;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::StreamOwned;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use serde_json::json;
use uilog_sinks::record::Record;

use super::lost;
use super::record_with;
use super::records;
use super::sink;
use super::soon;
use super::try_sink;

/// The ids in messages.
fn ids<T: AsRef<str>>(messages: &[T]) -> Vec<String> {
    let id = |message: &T| {
        let (_, rest) = message.as_ref().split_once(" id=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    messages.iter().map(id).collect()
}

/// The messages in what came by TCP, and whether the last is whole.
fn counted(mut bytes: &[u8]) -> (Vec<String>, bool) {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let Some(blank) = bytes.iter().position(|byte| *byte == b' ') else {
            return (messages, false);
        };
        let length = std::str::from_utf8(&bytes[..blank]).unwrap();
        let length: usize = length.parse().unwrap();
        let Some(message) = bytes[blank + 1..].get(..length) else {
            return (messages, false);
        };
        messages.push(String::from_utf8(message.to_vec()).unwrap());
        bytes = &bytes[blank + 1 + length..];
    }
    (messages, true)
}

#[test]
fn a_facility_has_a_name() {
    let error =
        |options: &[_]| try_sink("syslog:/x", options).map(drop).unwrap_err();
    let told = error(&[("facility", "local8")]);
    assert!(told.starts_with("'local8' is not a facility: kern, user,"));
    let local = [("format", "local")];
    assert_eq!(
        try_sink("syslog+tcp://h", &local).map(drop).unwrap_err(),
        "'format = local' is for the local daemon"
    );
    let told = try_sink("syslog+tls://h", &[("ca-file", "/missing/x")]);
    assert_eq!(
        told.map(drop).unwrap_err(),
        "syslog+tls://h: ca-file /missing/x: No such file or directory (os \
         error 2)"
    );
}

#[test]
fn the_local_daemon_gets_datagrams() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    let url = format!("syslog:{}", path.display());
    let mut syslog = sink(&url, &[("facility", "local3")]);
    let receive = |socket: &UnixDatagram| {
        let mut bytes = vec![0; 1 << 20];
        let count = socket.recv(&mut bytes).unwrap();
        bytes.truncate(count);
        String::from_utf8(bytes).unwrap()
    };
    syslog.deliver(&records("a", 1), soon()).unwrap();
    assert_eq!(
        receive(&socket),
        "<158>1 2026-01-02T03:04:05.678901+01:00 h.example hg 7 \
         commandfinish [hg@32473 schema=\"1\" id=\"a-0\" \
         event=\"commandfinish\" session=\"5e5510\" seq=\"1\" \
         process.pid=\"7\" process.executable=\"/hg\" process.uid=\"3\"] \
         status exited 0"
    );
    // What is too long is cut, and arrives.
    let long = "x".repeat(1 << 20);
    let long = json!({"message": long, "options": {"a": long}});
    syslog.deliver(&[record_with("b", long)], soon()).unwrap();
    let message = receive(&socket);
    assert!(message.contains(" id=\"b\"") && !message.contains("hg-options"));
    assert!(message.ends_with("x (truncated)"));

    // The daemon is started anew.
    drop(socket);
    fs::remove_file(&path).unwrap();
    let socket = UnixDatagram::bind(&path).unwrap();
    syslog.deliver(&records("c", 2), soon()).unwrap();
    syslog.finish(soon()).unwrap();
    assert_eq!(ids(&[receive(&socket), receive(&socket)]), ["c-0", "c-1"]);
}

#[test]
fn a_local_daemon_may_want_streams() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let listener = UnixListener::bind(&path).unwrap();
    let url = format!("syslog:{}", path.display());
    let mut syslog = sink(&url, &[]);
    syslog.deliver(&records("a", 3), soon()).unwrap();
    let with_nul = json!({"message": "a\0b"});
    syslog
        .deliver(&[record_with("b", with_nul)], soon())
        .unwrap();
    syslog.finish(soon()).unwrap();
    let mut text = String::new();
    listener
        .accept()
        .unwrap()
        .0
        .read_to_string(&mut text)
        .unwrap();
    let messages: Vec<_> =
        text.strip_suffix('\0').unwrap().split('\0').collect();
    assert_eq!(ids(&messages), ["a-0", "a-1", "a-2", "b"]);
    assert!(messages[3].ends_with("] a\\0b"));
}

/// Some thousand of these are more than sockets hold.
fn long_records(prefix: &str, count: usize) -> Vec<Arc<Record>> {
    let long = |number| {
        let message = json!({"message": "x".repeat(10_000)});
        record_with(&format!("{prefix}-{number}"), message)
    };
    (0..count).map(long).collect()
}

fn tcp() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, format!("syslog+tcp://127.0.0.1:{port}"))
}

/// A listener, and what keeps its port from others when it is gone.
fn kept_tcp() -> (TcpListener, OwnedFd) {
    let (family, kind) = (AddressFamily::Inet, SockType::Stream);
    let flags = SockFlag::SOCK_CLOEXEC;
    let keeper = socket(family, kind, flags, None).unwrap();
    setsockopt(&keeper, ReuseAddr, &true).unwrap();
    let any = SockaddrIn::new(127, 0, 0, 1, 0);
    bind(keeper.as_raw_fd(), &any).unwrap();
    let address: SockaddrIn = getsockname(keeper.as_raw_fd()).unwrap();
    (TcpListener::bind(address.to_string()).unwrap(), keeper)
}

fn all_of(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn by_tcp_messages_are_counted() {
    let (listener, url) = tcp();
    let server = thread::spawn(move || {
        let first = all_of(listener.accept().unwrap().0);
        (first, all_of(listener.accept().unwrap().0))
    });
    let mut syslog = sink(&url, &[]);
    let odd = record_with("b", json!({"message": "h\u{e9} 12 x\n5 y"}));
    syslog.deliver(&records("a", 2000), soon()).unwrap();
    syslog.deliver(&[odd], soon()).unwrap();
    // After a while the connection is given back.
    syslog.rest();
    syslog.deliver(&records("c", 1), soon()).unwrap();
    syslog.finish(soon()).unwrap();
    let (first, second) = server.join().unwrap();
    let (messages, is_whole) = counted(&first);
    assert!(is_whole);
    let found = ids(&messages);
    assert_eq!((found.len(), &*found[0], &*found[2000]), (2001, "a-0", "b"));
    assert!(messages[2000].ends_with("] \u{feff}h\u{e9} 12 x\n5 y"));
    assert_eq!(ids(&counted(&second).0), ["c-0"]);
}

#[test]
fn a_server_that_closes_half_way_gets_the_rest_again() {
    let (listener, url) = tcp();
    let server = thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        let mut some = vec![0; 10_000];
        first.read_exact(&mut some).unwrap();
        // What it has not read makes this a reset.
        drop(first);
        (some, all_of(listener.accept().unwrap().0))
    });
    let mut syslog = sink(&url, &[]);
    syslog.deliver(&long_records("a", 2000), soon()).unwrap();
    syslog.finish(soon()).unwrap();
    let (first, second) = server.join().unwrap();
    let (messages, is_whole) = counted(&second);
    assert!(is_whole);
    let mut found: HashSet<_> = ids(&messages).into_iter().collect();
    found.extend(ids(&counted(&first).0));
    assert_eq!(found.len(), 2000);
}

#[test]
fn a_server_that_has_closed_between_two_gets_the_second() {
    let (listener, url) = tcp();
    let mut syslog = sink(&url, &[]);
    syslog.deliver(&records("a", 1), soon()).unwrap();
    let (mut first, _) = listener.accept().unwrap();
    let mut some = vec![0; 10_000];
    assert!(first.read(&mut some).unwrap() > 0);
    first.shutdown(Shutdown::Both).unwrap();
    drop(first);
    let server = thread::spawn(move || all_of(listener.accept().unwrap().0));
    syslog.deliver(&records("b", 1), soon()).unwrap();
    syslog.finish(soon()).unwrap();
    assert_eq!(ids(&counted(&server.join().unwrap()).0), ["b-0"]);
}

#[test]
fn a_server_that_is_not_there_or_does_not_read_is_counted() {
    let (listener, keeper) = kept_tcp();
    let port = listener.local_addr().unwrap().port();
    let url = format!("syslog+tcp://127.0.0.1:{port}");
    let mut syslog = sink(&url, &[("timeout", "0.2")]);
    let (count, reason) =
        lost(syslog.deliver(&long_records("a", 2000), soon()));
    // Nobody can know how much of it would have been read.
    assert_eq!(count, 2000);
    assert!(reason.ends_with(": timed out"), "{reason}");
    drop(listener);
    let (count, reason) = lost(syslog.deliver(&records("b", 5), soon()));
    assert_eq!(count, 5);
    assert_eq!(
        reason,
        format!(
            "syslog+tcp://127.0.0.1:{port}: Connection refused (os error 111)"
        )
    );
    drop(keeper);
    let options = [("timeout", "0.5")];
    let mut syslog = sink("syslog+tcp://nonexistent.invalid", &options);
    let (count, reason) = lost(syslog.deliver(&records("c", 5), soon()));
    assert_eq!(count, 5);
    assert!(
        reason.starts_with("syslog+tcp://nonexistent.invalid:514: "),
        "{reason}"
    );
}

/// Certificates of one authority, in files.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: PathBuf,
}

impl Authority {
    pub(crate) fn new(directory: &Path) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        fs::write(directory.join("ca.pem"), issuer.pem()).unwrap();
        let directory = directory.to_owned();
        Self { issuer, directory }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().to_owned()
    }

    /// Makes `NAME.pem` and `NAME.key`.
    pub(crate) fn certify(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        // OpenSSL takes what has the name of its issuer for self-signed.
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (pem, private) =
            (self.path(&format!("{name}.pem")), format!("{name}.key"));
        let private = self.path(&private);
        fs::write(&pem, certificate.pem()).unwrap();
        fs::write(&private, key.serialize_pem()).unwrap();
        (pem, private)
    }
}

/// A server of TLS that asks for certificates of clients, and reads what comes
/// by one connection.
fn tls_server(
    authority: &Authority,
    name: &str,
) -> (String, JoinHandle<Result<Vec<u8>, String>>) {
    let (pem, key) = authority.certify(name);
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(authority.path("ca.pem")).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        Arc::clone(&provider),
    );
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from_pem_file(pem).unwrap()],
            PrivateKeyDer::from_pem_file(key).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move |stream: TcpStream| {
        let tls = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(tls, stream);
        let mut bytes = Vec::new();
        let result = stream.read_to_end(&mut bytes);
        let _ = stream.flush();
        result.map(|_| bytes).map_err(|error| error.to_string())
    };
    let server = thread::spawn(move || serve(listener.accept().unwrap().0));
    (format!("syslog+tls://localhost:{port}"), server)
}

#[test]
fn by_tls_both_sides_are_known_to_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path());
    let (pem, key) = authority.certify("client");
    let ca = authority.path("ca.pem");
    let (url, server) = tls_server(&authority, "localhost");
    let options =
        [("ca-file", &*ca), ("cert-file", &*pem), ("key-file", &*key)];
    let mut syslog = sink(&url, &options);
    syslog.deliver(&records("a", 3000), soon()).unwrap();
    syslog.finish(soon()).unwrap();
    // The connection was ended as it should be, else this would be an error.
    let (messages, is_whole) = counted(&server.join().unwrap().unwrap());
    assert!(is_whole);
    assert_eq!(ids(&messages).len(), 3000);
}

#[test]
fn by_tls_nothing_goes_to_strangers_and_strangers_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path());
    let ca = authority.path("ca.pem");

    // No certificate, where the server wants one: it says so after what is,
    // for us, the end of the handshake.
    let (url, server) = tls_server(&authority, "localhost");
    let mut syslog = sink(&url, &[("ca-file", &ca), ("timeout", "5")]);
    let (count, reason) = lost(syslog.deliver(&records("a", 7), soon()));
    assert_eq!(count, 7, "{reason}");
    server.join().unwrap().unwrap_err();

    // Another name than that of the server.
    let (url, server) = tls_server(&authority, "elsewhere.example");
    let mut syslog = sink(&url, &[("ca-file", &ca)]);
    let (count, reason) = lost(syslog.deliver(&records("a", 7), soon()));
    assert_eq!(count, 7);
    assert!(reason.contains("not valid for name"), "{reason}");
    server.join().unwrap().unwrap_err();

    // Another authority.
    let other = tempfile::tempdir().unwrap();
    let other = Authority::new(other.path());
    let (url, server) = tls_server(&other, "localhost");
    let mut syslog = sink(&url, &[("ca-file", &ca)]);
    let (count, reason) = lost(syslog.deliver(&records("a", 7), soon()));
    assert_eq!(count, 7);
    assert!(reason.contains("certificate"), "{reason}");
    server.join().unwrap().unwrap_err();

    // A server that says nothing.
    let (listener, url) = tcp();
    let url = url.replace("tcp", "tls");
    let options = [("ca-file", &*ca), ("timeout", "0.2")];
    let mut syslog = sink(&url, &options);
    let (count, reason) = lost(syslog.deliver(&records("a", 7), soon()));
    assert_eq!(count, 7);
    assert!(reason.ends_with(": timed out"), "{reason}");
    drop(listener);
}
