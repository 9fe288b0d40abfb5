//! Proxies: for which hosts they are used, and what they get.

use std::env;
use std::io::BufReader;
use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::StreamOwned;
use uilog_sinks::otlp::sender::SendResult;

use crate::security::AWAY;
use crate::security::Certificates;
use crate::security::https;
use crate::security::reason;
use crate::support::*;

/// What the process below is to do: a sink's URL, its options and its
/// environment, each in a line.
const CASE: &str = "UILOG_TEST_PROXIED";

/// A proxy.
struct Proxy {
    port: u16,
    /// The first line of each request.
    seen: Arc<Mutex<Vec<String>>>,
    /// How many connections have shown a certificate.
    certificates: Arc<AtomicUsize>,
}

impl Proxy {
    /// Whatever it is asked for, it connects to `target`.
    fn start(target: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            seen: Arc::default(),
            certificates: Arc::default(),
        };
        let seen = Arc::clone(&proxy.seen);
        let certificates = Arc::clone(&proxy.certificates);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                match &tls {
                    None => tunnel(stream, target, &seen),
                    Some(config) => {
                        let tls =
                            ServerConnection::new(Arc::clone(config)).unwrap();
                        let mut stream = StreamOwned::new(tls, stream);
                        let done = stream.conn.complete_io(&mut stream.sock);
                        if done.is_err() {
                            continue;
                        }
                        let shown = stream.conn.peer_certificates().is_some();
                        certificates
                            .fetch_add(usize::from(shown), Ordering::SeqCst);
                        let plain = decrypted(stream);
                        tunnel(plain, target, &seen);
                    }
                }
            }
        });
        proxy
    }

    fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// The other end of what goes through a connection in TLS.
fn decrypted(mut tls: StreamOwned<ServerConnection, TcpStream>) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let outer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut inner, _) = listener.accept().unwrap();
    let poll = Some(Duration::from_millis(1));
    tls.sock.set_read_timeout(poll).unwrap();
    inner.set_read_timeout(poll).unwrap();
    thread::spawn(move || {
        let is_over = |from: &mut dyn Read, to: &mut dyn Write| {
            let mut buffer = [0; 4096];
            match from.read(&mut buffer) {
                Ok(0) => true,
                Ok(count) => {
                    to.write_all(&buffer[..count]).is_err()
                        || to.flush().is_err()
                }
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            }
        };
        while !is_over(&mut tls, &mut inner) && !is_over(&mut inner, &mut tls) {
        }
    });
    outer
}

fn tunnel(
    mut stream: TcpStream,
    target: SocketAddr,
    seen: &Mutex<Vec<String>>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let Ok(Some(request)) = read_request(&mut reader) else {
        return;
    };
    let line = format!("{} {}", request.method, request.target);
    seen.lock().unwrap().push(line);
    let mut there = TcpStream::connect(target).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let mut back = (there.try_clone().unwrap(), stream.try_clone().unwrap());
    thread::spawn(move || std::io::copy(&mut back.0, &mut back.1));
    thread::spawn(move || std::io::copy(&mut stream, &mut there));
}

#[test]
fn proxies_are_used_where_the_environment_says_so() {
    let certificates = Certificates::new(false);
    let server = certificates.server();
    let ca = certificates.path("ca").display().to_string();
    let proxy = Proxy::start(server.address, None);
    let flush = |url: &str, environment: &str| {
        let options = [("ca-file", &*ca)];
        let sink = TestSink::with_environment(url, &options, environment);
        sink.append(&[numbered(0, 1)]);
        let end = sink.flush().end;
        (end, proxy.seen())
    };
    let port = proxy.port;
    let away = format!("otlp:https://{AWAY}:4318");
    for value in [
        format!("http://127.0.0.1:{port}"),
        format!("127.0.0.1:{port}"),
        format!("http://me:s%40cret@localhost:{port}/"),
    ] {
        let environment = format!("HTTPS_PROXY={value}\0");
        let (end, seen) = flush(&away, &environment);
        assert_eq!(end, SendResult::Drained, "{value}");
        assert_eq!(seen, [format!("CONNECT {AWAY}:4318")]);
    }
    // This machine is asked itself.
    let here = https(&server);
    let socks = "ALL_PROXY=socks5h://x\0";
    for environment in [&*format!("HTTPS_PROXY=127.0.0.1:{port}\0"), socks] {
        let (end, seen) = flush(&here, environment);
        assert_eq!(
            (end, seen),
            (SendResult::Drained, Vec::new()),
            "{environment}"
        );
    }
    // So is whom NO_PROXY names, whatever the proxy is. (This address leads
    // here as well, and is no loopback.)
    let plain = Server::start(|_| accepted());
    let named = format!("otlp:http://0.0.0.0:{}", plain.address.port());
    for except in [
        "*".to_owned(),
        "a.example, 0.0.0.0".to_owned(),
        "a.example 0.0.0.0/8".to_owned(),
        format!("0.0.0.0:{}", plain.address.port()),
    ] {
        for proxy in [socks, &*format!("http_proxy=127.0.0.1:{port}\0")] {
            let (end, seen) =
                flush(&named, &format!("{proxy}NO_PROXY={except}\0"));
            assert_eq!(
                (end, seen),
                (SendResult::Drained, Vec::new()),
                "{except}"
            );
        }
    }
    // Else it is, by the name of its variable.
    let why = reason(flush(&away, socks).0);
    assert!(why.contains("ALL_PROXY: SOCKS"), "{why}");
    // A port that is none is not replaced by another one.
    let why = reason(flush(&away, "https_proxy=127.0.0.1:70000\0").0);
    assert!(why.contains("port 70000"), "{why}");
    // One that is not there is a reason to try later.
    reason(flush(&away, "https_proxy=http://127.0.0.1:1\0").0);
}

/// What a process does whose system trusts somebody else; nothing, unless it is
/// one.
#[test]
fn child() {
    let Ok(case) = env::var(CASE) else {
        return;
    };
    let mut lines = case.lines();
    let mut next = || lines.next().unwrap();
    let (url, environment) = (next(), format!("{}\0", next()));
    let files = ["ca-file", "cert-file", "key-file"];
    let options = files.map(|name| (name, next()));
    let sink = TestSink::with_environment(url, &options, &environment);
    sink.append(&[numbered(0, 1)]);
    let end = sink.flush().end;
    println!("{end:?}");
}

/// Sends a record through a proxy for `https:`, in a process whose system
/// trusts that proxy and nobody else. Returns how it went.
fn send_through(
    proxy: &Proxy,
    trusted: &Certificates,
    url: &str,
    collector: &Certificates,
) -> String {
    let path = |name| collector.path(name).display().to_string();
    let case = [
        url.to_owned(),
        format!("ALL_PROXY=https://localhost:{}", proxy.port),
        path("ca"),
        path("client"),
        path("client-key"),
    ];
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "proxies::child", "--nocapture"])
        .env(CASE, case.join("\n"))
        .env("SSL_CERT_FILE", trusted.path("ca"))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_proxy_is_no_collector() {
    let certificates = Certificates::new(true);
    let of_proxy = Certificates::curious();
    let server = certificates.server();
    let proxy = Proxy::start(server.address, Some(of_proxy.config.clone()));
    let url = format!("otlp:https://{AWAY}");
    // Neither the collector's CA nor our certificate is for the proxy, and the
    // collector gets both.
    let sent = send_through(&proxy, &of_proxy, &url, &certificates);
    assert!(sent.contains("Drained"), "{sent}");
    assert_eq!(proxy.seen(), [format!("CONNECT {AWAY}:443")]);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(proxy.certificates.load(Ordering::SeqCst), 0);
    // Whom the system does not trust is no proxy, whatever `ca-file` says.
    let failed = send_through(&proxy, &certificates, &url, &of_proxy);
    assert!(failed.contains("proxy"), "{failed}");
    assert!(failed.contains("certificate"), "{failed}");
    assert_eq!(proxy.seen(), [""; 0]);
    // A collector without TLS behind a proxy with it.
    let server = Server::start(|_| accepted());
    let proxy = Proxy::start(server.address, Some(of_proxy.config.clone()));
    let url = format!("otlp:http://{AWAY}:4318");
    let sent = send_through(&proxy, &of_proxy, &url, &certificates);
    assert!(sent.contains("Drained"), "{sent}");
    assert_eq!(proxy.seen(), [format!("CONNECT {AWAY}:4318")]);
    assert_eq!(server.requests().len(), 1);
    assert_eq!(proxy.certificates.load(Ordering::SeqCst), 0);
}
