//! Which servers a sink trusts by TLS, and how it explains a refusal.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls::SupportedProtocolVersion;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS12;
use rustls::version::TLS13;
use uilog_sinks::otlp;
use uilog_sinks::otlp::sender::SendResult;

use crate::support::*;

/// What `openssl req -new`, `openssl x509 -req -signkey` make: X.509 version 1,
/// for the common name `localhost`.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBEjCBuAIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwIBcN
MDAwMTAxMDAwMDAwWhgPMjEyNjAxMDEwMDAwMDBaMBQxEjAQBgNVBAMMCWxvY2Fs
aG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJ9+vQk6XYcZLa3QalYcxw8k
0WAh5uJob4pIqLzuAkc9J/jvALQlm27CDn1W1LJR5q5KxYpwWiQOA50dw6N2Y70w
CgYIKoZIzj0EAwIDSQAwRgIhAMtTllV78InWWmekoTObiFetepmcVtc/BZyLYd6f
5aecAiEAqykl0ZHRALKQr1Axzu5++2top3uyi7QMDeA0231u7E8=
-----END CERTIFICATE-----
";
const VERSION_1_KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgmtcTUWX44oauaPno
YnLZb8cDHM9nKjOWCp9oS2VLG/ahRANCAASffr0JOl2HGS2t0GpWHMcPJNFgIebi
aG+KSKi87gJHPSf47wC0JZtuwg59VtSyUeauSsWKcFokDgOdHcOjdmO9
-----END PRIVATE KEY-----
";

/// A certificate and its key, both in PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// As `openssl req -x509` makes it: an authority's certificate and a server's
/// in one.
pub(crate) fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let key = KeyPair::generate().unwrap();
    let mut params =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    Pair {
        certificate: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

/// A server's certificate of an authority that nobody has heard of.
fn of_authority() -> Pair {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, "authority");
    let issuer = Issuer::new(authority, KeyPair::generate().unwrap());
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let params = CertificateParams::new(names).unwrap();
    Pair {
        certificate: params.signed_by(&key, &issuer).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

impl Pair {
    fn config(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let provider = ring::default_provider();
        let certificate =
            CertificateDer::from_pem_slice(self.certificate.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let key = provider.key_provider.load_private_key(key).unwrap();
        let certified = CertifiedKey::new(vec![certificate.unwrap()], key);
        let builder = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap();
        Arc::new(
            builder.with_no_client_auth().with_cert_resolver(Arc::new(
                SingleCertAndKey::from(certified),
            )),
        )
    }

    pub(crate) fn server(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Server {
        let config = Some(self.config(versions));
        Server::start_at("127.0.0.1:0", config, |_| accepted())
    }
}

fn https(server: &Server) -> String {
    format!("https://localhost:{}", server.address.port())
}

/// What becomes of a record that is sent to this URL with this `ca-file`.
fn sent(url: &str, ca: &Path) -> SendResult {
    let ca = ca.display().to_string();
    let sink = TestSink::new(&format!("otlp:{url}"), &[("ca-file", &*ca)]);
    sink.append(&[numbered(0, 1)]);
    sink.flush().end
}

fn why(end: SendResult) -> String {
    match end {
        SendResult::Later { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_servers_own_certificate_is_trusted_where_ca_file_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let common_name = |it: &mut CertificateParams| {
        it.subject_alt_names.clear();
        it.distinguished_name.push(DnType::CommonName, "localhost");
    };
    let version_1 = Pair {
        certificate: VERSION_1.to_owned(),
        key: VERSION_1_KEY.to_owned(),
    };
    let pairs = [
        ("of openssl req -x509", self_signed(|_| {})),
        ("with a common name only", self_signed(common_name)),
        (
            "of no authority",
            self_signed(|it| it.is_ca = IsCa::ExplicitNoCa),
        ),
        ("of an authority that is not named", of_authority()),
        ("of version 1", version_1),
    ];
    for (what, pair) in &pairs {
        fs::write(&ca, &pair.certificate).unwrap();
        for version in [&TLS12, &TLS13] {
            let server = pair.server(&[version]);
            let end = sent(&https(&server), &ca);
            assert_eq!(end, SendResult::Drained, "{what}, {version:?}");
        }
    }
    // Named together with others, in any order.
    let all: Vec<_> = pairs.iter().map(|it| it.1.certificate.clone()).collect();
    fs::write(&ca, all.join("\n")).unwrap();
    let server = pairs[0].1.server(&[&TLS13]);
    assert_eq!(sent(&https(&server), &ca), SendResult::Drained);
}

#[test]
fn what_is_wrong_with_a_certificate_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let year = |year| rcgen::date_time_ymd(year, 2, 3);
    let expired = self_signed(|it| {
        it.not_before = year(2001);
        it.not_after = year(2002);
    });
    let early = self_signed(|it| {
        it.not_before = year(2101);
        it.not_after = year(2102);
    });
    let elsewhere = self_signed(|it| {
        it.subject_alt_names.clear();
        let name = "elsewhere.example".try_into().unwrap();
        it.subject_alt_names.push(rcgen::SanType::DnsName(name));
        it.distinguished_name.push(DnType::CommonName, "localhost");
    });
    let client = self_signed(|it| {
        it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let stranger = self_signed(|_| {});
    let of_authority = of_authority();
    let own = |pair: &Pair| pair.certificate.clone();
    let cases = [
        (&expired, own(&expired), "expired on 2002-02-03: renew it"),
        (&expired, own(&stranger), "expired on 2002-02-03: renew it"),
        (
            &early,
            own(&early),
            "is not valid before 2101-02-03: check the",
        ),
        (
            &elsewhere,
            own(&elsewhere),
            "is for elsewhere.example, not valid for name localhost: use",
        ),
        (&client, own(&client), "is not one for servers"),
        (
            &stranger,
            own(&of_authority),
            "is self-signed and not trusted: if it is the right one, name it \
             in ca-file",
        ),
        (
            &of_authority,
            own(&stranger),
            "is from an authority that is not trusted: name the",
        ),
    ];
    for (pair, trusted, told) in cases {
        fs::write(&ca, trusted).unwrap();
        let server = pair.server(&[&TLS13, &TLS12]);
        let why = why(sent(&https(&server), &ca));
        let url = format!("{}/v1/logs: ", https(&server));
        let told = format!("{url}the server's certificate {told}");
        assert!(why.starts_with(&told), "{told}: {why}");
        assert!(server.requests().is_empty());
    }
}

/// A server that answers with these bytes whatever it reads.
fn answering(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1 << 16]);
            let _ = stream.write_all(bytes);
        }
    });
    port
}

#[test]
fn who_speaks_something_else_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let pair = self_signed(|_| {});
    fs::write(&ca, &pair.certificate).unwrap();
    // https:// to a port without TLS
    let plain = Server::start(|_| accepted());
    let told = why(sent(&https(&plain), &ca));
    let say = "if the port has no TLS, use http://";
    assert!(told.ends_with(say), "{told}");
    let http = |port: u16| format!("http://127.0.0.1:{port}");
    // http:// to one with TLS, which answers with an alert, in words, or not
    let alert = why(sent(&http(answering(b"\x15\x03\x01\0\x02\x02\x32")), &ca));
    let say = "the answer is TLS, and the URL says http://: use https://";
    assert!(alert.ends_with(say), "{alert}");
    let rustls = why(sent(&http(pair.server(&[&TLS13]).address.port()), &ca));
    assert!(rustls.ends_with("use https://"), "{rustls}");
    let go = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to \
               an HTTPS server.\n";
    let told = why(sent(&http(answering(go)), &ca));
    assert!(told.ends_with("the port has TLS: use https://"), "{told}");
    let silent = why(sent(&http(answering(b"")), &ca));
    let say = "if the port has TLS, use https://";
    assert!(silent.ends_with(say), "{silent}");
    let ssh = why(sent(&http(answering(b"SSH-2.0-OpenSSH_9.9\r\n")), &ca));
    assert!(
        ssh.contains("the answer is not HTTP: check the port"),
        "{ssh}"
    );
}

#[test]
fn what_is_wrong_with_a_file_is_told_and_no_byte_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let pair = self_signed(|_| {});
    let cert = put("cert", pair.certificate.as_bytes());
    let key = put("key", pair.key.as_bytes());
    let secret = pair.key.lines().nth(1).unwrap().to_owned();
    let in_one_line = put("line", pair.key.replace('\n', " ").as_bytes());
    let escaped = put("escaped", pair.key.replace('\n', "\\n").as_bytes());
    let other = put("other", self_signed(|_| {}).key.as_bytes());
    let label = pair.key.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let encrypted = put("encrypted", label.as_bytes());
    let der = CertificateDer::from_pem_slice(pair.certificate.as_bytes());
    let der = put("der", &der.unwrap());
    let empty = put("empty", b"");
    let missing = dir.path().join("missing").display().to_string();
    let fifo = dir.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let fifo = fifo.display().to_string();
    let server = pair.server(&[&TLS13]);
    let with = |ca: &str, cert: &str, key: &str, token: &str| {
        let mut options = vec![("ca-file", ca)];
        if !key.is_empty() {
            options.extend([("cert-file", cert), ("key-file", key)]);
        }
        if !token.is_empty() {
            options.push(("token-file", token));
        }
        let sink = TestSink::new(&format!("otlp:{}", https(&server)), &options);
        sink.append(&[numbered(0, 1)]);
        let sent = why(sink.flush().end);
        let checked = otlp::check(&sink.definition, &sink.globals);
        let checked = checked.unwrap_err();
        (sent, checked)
    };
    let regular = "not a regular file";
    for (ca, key, token, told) in [
        (&*missing, "", "", "/missing: No such file or directory"),
        (
            &*empty,
            "",
            "",
            "/empty: it is empty: put a certificate in PEM",
        ),
        (&*der, "", "", "/der: it is DER, not PEM: convert it with"),
        (
            &*key,
            "",
            "",
            "/key: it contains a private key, not a certificate",
        ),
        ("/dev/zero", "", "", regular),
        (&*fifo, "", "", regular),
        (&*cert, &*in_one_line, "", "/line: its lines are joined"),
        (&*cert, &*escaped, "", "/escaped: its lines are joined"),
        (
            &*cert,
            &*other,
            "",
            "the key is not the one of the certificate",
        ),
        (
            &*cert,
            &*encrypted,
            "",
            "/encrypted: the key is encrypted, and",
        ),
        (&*cert, &*fifo, "", regular),
        (&*cert, "", &*fifo, regular),
        (&*cert, "", "/dev/zero", regular),
        (&*cert, "", &*empty, "it is empty"),
    ] {
        let (sent, checked) = with(ca, &cert, key, token);
        for why in [sent, checked] {
            assert!(why.contains(told), "{told}: {why}");
            assert!(why.starts_with("https://localhost:"), "{why}");
            let bytes = ["MI", "48, 13", "77, 73", secret.as_str()];
            let is_shown = bytes.iter().any(|it| why.contains(it));
            assert!(!is_shown, "{why}");
        }
    }
    assert!(server.requests().is_empty());
}

#[test]
fn what_is_sent_as_a_header_is_not_told_again() {
    let server = Server::start(|request| Reply::Answer {
        status: 400,
        headers: vec![("Content-Type", "text/plain".to_owned())],
        body: format!("{:?}", request.headers).into_bytes(),
    });
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "s3cr3t-token\n").unwrap();
    let token = token.display().to_string();
    let options = [("headers", "x-team=team-s3cr3t"), ("token-file", &*token)];
    let sink = TestSink::new(&server.url(), &options);
    sink.append(&[numbered(0, 1)]);
    let told = format!("{:?}", sink.flush());
    assert!(!server.requests().is_empty());
    assert!(!told.contains("s3cr3t"), "{told}");
}
