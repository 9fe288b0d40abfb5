//! `syslog:` with a real rsyslogd: the parsed message, field by field.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::Value;
use serde_json::json;
use uilog_sinks::record::Record;
use uilog_sinks::sink::Sink;
use uilog_testing::until;

use super::lost;
use super::record_with;
use super::records;
use super::sink;
use super::soon;
use super::syslog::Authority;

/// What a daemon writes for each message.
const TEMPLATE: &str = r#"
template(name="fields" type="list" option.jsonf="on") {
    property(outname="input" name="inputname" format="jsonf")
    property(outname="pri" name="pri" format="jsonf")
    property(outname="time" name="timereported" dateFormat="rfc3339"
        format="jsonf")
    property(outname="host" name="hostname" format="jsonf")
    property(outname="app" name="app-name" format="jsonf")
    property(outname="pid" name="procid" format="jsonf")
    property(outname="msgid" name="msgid" format="jsonf")
    property(outname="data" name="structured-data" format="jsonf")
    property(outname="text" name="msg" format="jsonf")
}
"#;

/// A daemon of the test's own.
struct Daemon {
    child: Child,
    directory: PathBuf,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let id = i32::try_from(self.child.id()).unwrap();
        let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// Where Debian has it, which a user's PATH may not lead to.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<_> = std::env::split_paths(&path).collect();
    places.extend(["/usr/sbin".into(), "/sbin".into()]);
    let mut programs = places.into_iter().map(|it| it.join("rsyslogd"));
    programs.find(|program| program.is_file())
}

fn has_module(name: &str) -> bool {
    let directories = ["/usr/lib", "/usr/lib64"].map(fs::read_dir);
    let found =
        |directory: &Path| directory.join("rsyslog").join(name).exists();
    ["/usr/lib", "/usr/lib64"]
        .iter()
        .any(|it| found(Path::new(it)))
        || directories
            .into_iter()
            .flatten()
            .flatten()
            .flatten()
            .any(|entry| found(&entry.path()))
}

impl Daemon {
    /// Starts one with these inputs, in whose texts `DIR` stands for its
    /// directory; waits for these files of it.
    fn start(directory: &Path, inputs: &str, files: &[&str]) -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("LEFT OUT: rsyslog because there is none");
            return None;
        };
        let shown = directory.to_str().unwrap();
        let config = format!(
            "global(workDirectory=\"DIR\" maxMessageSize=\"64k\")
            {inputs}
            {TEMPLATE}
            action(type=\"omfile\" file=\"DIR/out\" template=\"fields\")
            "
        );
        let conf = directory.join("conf");
        fs::write(&conf, config.replace("DIR", shown)).unwrap();
        let child = Command::new(program)
            .arg("-n")
            .arg("-f")
            .arg(&conf)
            .arg("-i")
            .arg(directory.join("pid"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(directory.join("errors")).unwrap())
            .spawn()
            .unwrap();
        let mut daemon = Self {
            child,
            directory: directory.to_owned(),
        };
        for file in files {
            let path = directory.join(file);
            until("rsyslogd", || {
                let ended = daemon.child.try_wait().unwrap();
                assert!(ended.is_none(), "{}", daemon.errors());
                let is_there = fs::metadata(&path)
                    .is_ok_and(|it| !it.is_file() || it.len() > 0);
                is_there.then_some(())
            });
        }
        Some(daemon)
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.directory.join("errors")).unwrap()
    }

    /// The port that it has written into a file.
    fn port(&self, file: &str) -> String {
        let text = fs::read_to_string(self.directory.join(file)).unwrap();
        text.trim().to_owned()
    }

    /// The first so many messages that it has got by this input.
    fn messages(&self, input: &str, count: usize) -> Vec<Value> {
        let path = self.directory.join("out");
        until(input, || {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let whole = text.rsplit_once('\n')?.0;
            let messages: Vec<Value> = whole
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .filter(|message: &Value| message["input"] == input)
                .collect();
            (messages.len() >= count).then_some(messages)
        })
    }
}

/// One that is odd wherever it can be.
fn odd() -> Arc<Record> {
    let fields = json!({
        "message": "h\u{e9}llo \"x\" ]\\ 12 <7>1",
        "options": {"a b": "]\"\\ h\u{e9}"},
    });
    record_with("odd", fields)
}

/// What is to be found in its structured data.
const ODD_DATA: &str = "[hg@32473 schema=\"1\" id=\"odd\" \
    event=\"commandfinish\" session=\"5e5510\" seq=\"1\" process.pid=\"7\" \
    process.executable=\"/hg\" process.uid=\"3\"]\
    [hg-options@32473 a_b=\"\\]\\\"\\\\ h\u{e9}\"]";

/// Whether it has been understood, as one that came by this input.
fn assert_is_odd(message: &Value, input: &str) {
    let expected = json!({
        "input": input,
        "pri": "158",
        "time": "2026-01-02T03:04:05.678901+01:00",
        "host": "h.example",
        "app": "hg",
        "pid": "7",
        "msgid": "commandfinish",
        "data": ODD_DATA,
        "text": "\u{feff}h\u{e9}llo \"x\" ]\\ 12 <7>1",
    });
    assert_eq!(*message, expected);
}

fn syslog(url: &str, options: &[(&str, &str)]) -> Box<dyn Sink> {
    let options = [&[("facility", "local3")], options].concat();
    sink(url, &options)
}

#[test]
fn the_local_daemon_understands_each_field() {
    let directory = tempfile::tempdir().unwrap();
    let inputs = r#"
        module(load="imuxsock" SysSock.Use="off")
        input(type="imuxsock" Socket="DIR/log" UseSpecialParser="off"
            IgnoreTimestamp="off" RateLimit.Interval="0")
    "#;
    let Some(daemon) = Daemon::start(directory.path(), inputs, &["log"]) else {
        return;
    };
    let url = format!("syslog:{}", directory.path().join("log").display());
    let mut local = syslog(&url, &[]);
    local.deliver(&[odd()], soon()).unwrap();
    local.deliver(&records("b", 500), soon()).unwrap();
    daemon.messages("imuxsock", 501);
    // It is started anew.
    drop(daemon);
    let daemon = Daemon::start(directory.path(), inputs, &["log"]).unwrap();
    local.deliver(&records("a", 1000), soon()).unwrap();
    local.finish(soon()).unwrap();
    let mut messages = daemon.messages("imuxsock", 1501);
    messages.drain(1..501);
    assert_is_odd(&messages[0], "imuxsock");
    assert!(
        messages[1000]["data"]
            .as_str()
            .unwrap()
            .contains("\"a-999\"")
    );
}

#[test]
fn a_daemon_that_has_not_been_told_understands_the_local_format() {
    let directory = tempfile::tempdir().unwrap();
    let inputs = r#"
        module(load="imuxsock" SysSock.Use="off")
        input(type="imuxsock" Socket="DIR/log")
    "#;
    let Some(daemon) = Daemon::start(directory.path(), inputs, &["log"]) else {
        return;
    };
    let url = format!("syslog:{}", directory.path().join("log").display());
    let mut local = syslog(&url, &[("format", "local")]);
    local.deliver(&[odd()], soon()).unwrap();
    local.finish(soon()).unwrap();
    let message = &daemon.messages("imuxsock", 1)[0];
    assert_eq!(message["pri"], "158");
    assert_eq!(message["app"], "hg");
    assert_eq!(message["pid"], "7");
    let text = format!(" h\u{e9}llo \"x\" ]\\ 12 <7>1 {ODD_DATA}");
    assert_eq!(message["text"], text);
}

#[test]
fn by_tcp_each_field_is_understood() {
    let directory = tempfile::tempdir().unwrap();
    let inputs = r#"
        module(load="imtcp")
        input(type="imtcp" address="127.0.0.1" port="0"
            listenPortFileName="DIR/port")
    "#;
    let Some(daemon) = Daemon::start(directory.path(), inputs, &["port"])
    else {
        return;
    };
    let url = format!("syslog+tcp://127.0.0.1:{}", daemon.port("port"));
    let mut remote = syslog(&url, &[]);
    remote.deliver(&[odd()], soon()).unwrap();
    remote.deliver(&records("a", 1000), soon()).unwrap();
    remote.finish(soon()).unwrap();
    let messages = daemon.messages("imtcp", 1001);
    assert_is_odd(&messages[0], "imtcp");
    assert!(
        messages[1000]["data"]
            .as_str()
            .unwrap()
            .contains("\"a-999\"")
    );
}

fn over_tls(driver: &str, module: &str) {
    if program().is_some() && !has_module(module) {
        eprintln!("LEFT OUT: rsyslog with TLS because there is no {module}");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new(directory.path());
    let (_, key) = authority.certify("localhost");
    let (client_pem, client_key) = authority.certify("client");
    assert!(key.ends_with("localhost.key"));
    let inputs = format!(
        "global(DefaultNetstreamDriver=\"{driver}\"
            DefaultNetstreamDriverCAFile=\"DIR/ca.pem\"
            DefaultNetstreamDriverCertFile=\"DIR/localhost.pem\"
            DefaultNetstreamDriverKeyFile=\"DIR/localhost.key\")
        module(load=\"imtcp\" StreamDriver.Name=\"{driver}\"
            StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"x509/name\"
            PermittedPeer=[\"client\"])
        input(type=\"imtcp\" address=\"127.0.0.1\" port=\"0\"
            listenPortFileName=\"DIR/port\")"
    );
    let Some(daemon) = Daemon::start(directory.path(), &inputs, &["port"])
    else {
        return;
    };
    let url = format!("syslog+tls://localhost:{}", daemon.port("port"));
    let ca = authority.path("ca.pem");
    let mut remote = syslog(
        &url,
        &[
            ("ca-file", &ca),
            ("cert-file", &client_pem),
            ("key-file", &client_key),
        ],
    );
    remote.deliver(&[odd()], soon()).unwrap();
    remote.deliver(&records("a", 1000), soon()).unwrap();
    remote.finish(soon()).unwrap();
    let messages = daemon.messages("imtcp", 1001);
    assert_is_odd(&messages[0], "imtcp");
    assert!(
        messages[1000]["data"]
            .as_str()
            .unwrap()
            .contains("\"a-999\"")
    );

    // Without a certificate nobody gets in, and nothing is taken for sent.
    let mut stranger = syslog(&url, &[("ca-file", &ca)]);
    let (count, reason) = lost(stranger.deliver(&records("b", 3), soon()));
    assert_eq!(count, 3, "{reason}");
}

#[test]
fn by_gnutls_each_field_is_understood() {
    over_tls("gtls", "lmnsd_gtls.so");
}

#[test]
fn by_openssl_each_field_is_understood() {
    over_tls("ossl", "lmnsd_ossl.so");
}
