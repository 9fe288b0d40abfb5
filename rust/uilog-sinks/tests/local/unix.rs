//! `unix:` and `unix-dgram:` with readers that stop, close and come back.

use std::collections::HashSet;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::json;

use super::ids;
use super::lost;
use super::record;
use super::record_with;
use super::records;
use super::sink;
use super::soon;

fn url(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// A deadline that a test can afford to see passed.
fn very_soon() -> Instant {
    Instant::now() + Duration::from_secs(1)
}

/// All that comes over the next connection.
fn received(listener: &UnixListener) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_reader_gets_whole_lines() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_to_string(&mut text).unwrap();
        ids(&text)
    });
    let mut unix = sink(&url(&path), &[]);
    unix.deliver(&records("a", 3000), soon()).unwrap();
    unix.rest();
    unix.deliver(&records("b", 2), soon()).unwrap();
    unix.finish(soon()).unwrap();
    let found = reader.join().unwrap();
    assert_eq!(found.len(), 3002);
    assert_eq!(found[2999..], ["a-2999", "b-0", "b-1"]);
}

#[test]
fn a_path_that_no_socket_can_have_is_named() {
    let directory = tempfile::tempdir().unwrap();
    // The system itself refuses the second one.
    for length in [120, 300] {
        let path = directory.path().join("s".repeat(length));
        let whole = path.as_os_str().len();
        let why = format!(
            "{}: the path of a socket has at most 107 bytes, this one has \
             {whole}: choose a shorter one",
            path.display()
        );
        for scheme in ["unix", "unix-dgram", "syslog"] {
            let url = format!("{scheme}:{}", path.display());
            let mut sink = sink(&url, &[]);
            let reason = lost(sink.deliver(&records("a", 2), soon()));
            assert_eq!(reason, (2, why.clone()), "{scheme}");
        }
    }
}

#[test]
fn a_socket_that_was_made_from_near_it_is_used_whatever_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("d".repeat(120));
    fs::create_dir(&deep).unwrap();
    // By a short path to the same directory.
    let short = directory.path().join("s");
    std::os::unix::fs::symlink(&deep, &short).unwrap();
    let listener = UnixListener::bind(short.join("s")).unwrap();
    let reader = thread::spawn(move || ids(&received(&listener)));
    let mut unix = sink(&url(&deep.join("s")), &[]);
    unix.deliver(&records("a", 1), soon()).unwrap();
    unix.finish(soon()).unwrap();
    assert_eq!(reader.join().unwrap(), ["a-0"]);
}

#[test]
fn where_nobody_is_everything_is_lost_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let mut unix = sink(&url(&path), &[]);
    let told = |reason: &str| format!("{}: {reason}", path.display());
    assert_eq!(
        lost(unix.deliver(&records("a", 3), soon())),
        (3, told("No such file or directory (os error 2)"))
    );
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(
        lost(unix.deliver(&records("b", 3), soon())),
        (3, told("Connection refused (os error 111)"))
    );
    fs::remove_file(&path).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    unix.deliver(&records("c", 1), soon()).unwrap();
    unix.finish(soon()).unwrap();
    let text = received(&listener);
    assert_eq!(ids(&text), ["c-0"]);
}

#[test]
fn a_reader_that_does_not_read_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let mut unix = sink(&url(&path), &[]);
    let (count, reason) = lost(unix.deliver(&records("a", 5000), very_soon()));
    assert_eq!(reason, format!("{}: no process reads it", path.display()));
    assert!(0 < count && count < 5000, "{count}");
    // The next ones are not waited for at all, however late the deadline is.
    let (more, _) = lost(unix.deliver(&records("b", 10), soon()));
    assert_eq!(more, 10);

    // It reads again: what was on its way arrives, and what comes now, too.
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream);
    let mut text = String::new();
    let before = 5000 - count;
    let mut found = 0;
    let mut number = 0;
    while found < before {
        // What had not been written is, once there is room.
        number += 1;
        let _ = unix.deliver(&[], soon());
        let more = reader.read_line(&mut text).unwrap();
        assert!(more > 0 && number < 6000);
        found += 1;
    }
    unix.deliver(&records("c", 3), soon()).unwrap();
    unix.finish(soon()).unwrap();
    reader.read_to_string(&mut text).unwrap();
    let found = ids(&text);
    let expected = (0..before).map(|it| format!("a-{it}"));
    let expected = expected.chain((0..3).map(|it| format!("c-{it}")));
    assert_eq!(found, expected.collect::<Vec<_>>());
}

#[test]
fn what_a_reader_leaves_unread_goes_to_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let mut unix = sink(&url(&path), &[]);
    unix.deliver(&records("a", 100), soon()).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut some = vec![0; 1000];
    stream.read_exact(&mut some).unwrap();
    drop(stream);
    unix.deliver(&records("b", 5), soon()).unwrap();
    unix.finish(soon()).unwrap();
    let text = received(&listener);
    let found: HashSet<_> = ids(&text).into_iter().collect();
    let expected = records("a", 100).into_iter().chain(records("b", 5));
    let expected = expected.map(|it| it.id.clone()).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_a_reader_has_read_is_not_sent_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let mut unix = sink(&url(&path), &[]);
    unix.deliver(&records("a", 10), soon()).unwrap();
    let mut reader = BufReader::new(listener.accept().unwrap().0);
    let mut text = String::new();
    for _ in 0..10 {
        reader.read_line(&mut text).unwrap();
    }
    drop(reader);
    unix.deliver(&records("b", 5), soon()).unwrap();
    unix.finish(soon()).unwrap();
    text.clear();
    listener
        .accept()
        .unwrap()
        .0
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(ids(&text), ["b-0", "b-1", "b-2", "b-3", "b-4"]);
}

#[test]
fn at_the_end_what_nobody_will_read_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let mut unix = sink(&url(&path), &[]);
    let (count, _) = lost(unix.deliver(&records("a", 5000), very_soon()));
    let (more, reason) = lost(unix.finish(very_soon()));
    assert!(reason.ends_with(": no process reads it"), "{reason}");
    let text = received(&listener);
    // Of the line that it ends with there is a part.
    let (whole, _torn) = text.rsplit_once('\n').unwrap();
    assert_eq!(ids(whole).len() as u64 + count + more, 5000);

    let mut unix = sink(&url(&path), &[]);
    unix.deliver(&records("b", 7), soon()).unwrap();
    drop(listener);
    fs::remove_file(&path).unwrap();
    let (count, reason) = lost(unix.finish(soon()));
    assert_eq!(count, 7);
    assert!(reason.ends_with("No such file or directory (os error 2)"));
}

#[test]
fn each_datagram_is_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let url = format!("unix-dgram:{}", path.display());
    let mut unix = sink(&url, &[]);
    assert_eq!(lost(unix.deliver(&records("a", 3), soon())).0, 3);
    let socket = UnixDatagram::bind(&path).unwrap();
    let receive = |socket: &UnixDatagram| {
        let mut bytes = vec![0; 1 << 20];
        let count = socket.recv(&mut bytes).unwrap();
        ids(std::str::from_utf8(&bytes[..count]).unwrap()).join(" ")
    };
    unix.deliver(&records("b", 2), soon()).unwrap();
    assert_eq!(receive(&socket), "b-0");
    assert_eq!(receive(&socket), "b-1");

    // Too long for a datagram.
    let long = record_with("c", json!({"message": "x".repeat(1 << 20)}));
    let (count, reason) = lost(unix.deliver(&[long, record("d")], soon()));
    assert_eq!(count, 1);
    assert!(
        reason.ends_with("Message too long (os error 90)"),
        "{reason}"
    );
    assert_eq!(receive(&socket), "d");

    // A reader that does not read.
    let (count, reason) = lost(unix.deliver(&records("e", 5000), very_soon()));
    assert!(reason.ends_with(": no process reads it"), "{reason}");
    assert_eq!(lost(unix.deliver(&records("f", 3), soon())).0, 3);
    for number in 0..5000 - count {
        assert_eq!(receive(&socket), format!("e-{number}"));
    }

    // Another one in its place.
    drop(socket);
    fs::remove_file(&path).unwrap();
    let socket = UnixDatagram::bind(&path).unwrap();
    unix.deliver(&records("g", 1), soon()).unwrap();
    assert_eq!(receive(&socket), "g-0");
    unix.finish(soon()).unwrap();
}

/// Some user who is neither root nor the one that runs this.
const OTHER: u32 = 12345;

/// Whether this process can be another user for a while.
fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("only root can make a socket of another user");
    }
    is_root
}

/// A directory in which everybody may make sockets.
fn public_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mode = fs::Permissions::from_mode(0o777);
    fs::set_permissions(directory.path(), mode).unwrap();
    directory
}

/// A process of another user that listens at `path`, until it is dropped.
struct Listener(Child);

impl Listener {
    fn at(path: &Path) -> Self {
        const PROGRAM: &str = "import socket, sys\n\
            listener = socket.socket(socket.AF_UNIX)\n\
            listener.bind(sys.argv[1])\n\
            listener.listen()\n\
            print('ready', flush=True)\n\
            sys.stdin.read()\n";
        let mut child = Command::new("python3")
            .args(["-I", "-c", PROGRAM])
            .arg(path)
            .uid(OTHER)
            .gid(OTHER)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is said of a socket of this user.
fn refusal(path: &Path, what: &str, user: &str) -> (u64, String) {
    let path = path.display();
    let reason = format!(
        "{path}: {what} user {user}, neither to root nor to you; to allow \
         that user: [uilog] sink.x:owner = {user}"
    );
    (1, reason)
}

#[test]
fn a_stream_socket_of_another_user_gets_nothing() {
    if !is_root() {
        return;
    }
    let directory = public_directory();
    let path = directory.path().join("s");
    let _listener = Listener::at(&path);
    let number = OTHER.to_string();
    for url in [url(&path), format!("syslog:{}", path.display())] {
        let refused = lost(sink(&url, &[]).deliver(&records("a", 1), soon()));
        let what = "the socket belongs to";
        assert_eq!(refused, refusal(&path, what, &number), "{url}");
        // It is not enough that somebody is named.
        let mut named = sink(&url, &[("owner", "12346")]);
        assert_eq!(lost(named.deliver(&records("b", 1), soon())), refused);
        let mut allowed = sink(&url, &[("owner", &number)]);
        assert_eq!(lost(allowed.deliver(&records("c", 1), soon())).0, 0);
    }
    // Whoever listens counts, even where the file has been given away, and by
    // whatever way it is found.
    chown(&path, Some(0), Some(0)).unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let (count, reason) =
        lost(sink(&url(&link), &[]).deliver(&records("d", 1), soon()));
    let what = "the process that listens there belongs to";
    assert_eq!((count, reason), refusal(&link, what, &number));
}

#[test]
fn a_socket_file_of_another_user_gets_nothing() {
    if !is_root() {
        return;
    }
    let directory = public_directory();
    let stream = directory.path().join("stream");
    let listener = UnixListener::bind(&stream).unwrap();
    let datagram = directory.path().join("datagram");
    let socket = UnixDatagram::bind(&datagram).unwrap();
    for path in [&stream, &datagram] {
        chown(path, Some(65534), None).unwrap();
    }
    socket.set_nonblocking(true).unwrap();
    listener.set_nonblocking(true).unwrap();
    let urls = [
        (&stream, url(&stream)),
        (&datagram, format!("unix-dgram:{}", datagram.display())),
        (&datagram, format!("syslog:{}", datagram.display())),
    ];
    for (path, url) in &urls {
        let mut refused = sink(url, &[]);
        let (count, reason) = lost(refused.deliver(&records("a", 1), soon()));
        assert_eq!(count, 1, "{url}");
        let path = path.display().to_string();
        // Nobody is also who stands for users of other containers.
        let said = "the socket belongs to user 65534 (nobody, or a user of \
                    another container), neither to root nor to you; to allow \
                    that user: [uilog] sink.x:owner = 65534";
        assert_eq!(reason, format!("{path}: {said}"));
    }
    let mut bytes = [0; 16];
    let kind = |error: std::io::Error| error.kind();
    let nothing = std::io::ErrorKind::WouldBlock;
    assert_eq!(socket.recv(&mut bytes).map_err(kind), Err(nothing));
    assert_eq!(listener.accept().map(|_| ()).map_err(kind), Err(nothing));
    for (_, url) in &urls {
        let mut allowed = sink(url, &[("owner", "nobody")]);
        assert_eq!(lost(allowed.deliver(&records("b", 1), soon())).0, 0);
    }
    assert!(socket.recv(&mut bytes).is_ok());
    assert!(listener.accept().is_ok());
    // Who has been replaced is looked at again.
    let mut allowed = sink(&urls[1].1, &[("owner", "65534")]);
    assert_eq!(lost(allowed.deliver(&records("c", 1), soon())).0, 0);
    drop(socket);
    fs::remove_file(&datagram).unwrap();
    let socket = UnixDatagram::bind(&datagram).unwrap();
    chown(&datagram, Some(OTHER), None).unwrap();
    let refused = lost(allowed.deliver(&records("d", 1), soon()));
    let what = "the socket belongs to";
    assert_eq!(refused, refusal(&datagram, what, &OTHER.to_string()));
    drop(socket);
}

#[test]
fn a_user_that_does_not_exist_owns_nothing() {
    if !is_root() {
        return;
    }
    let directory = public_directory();
    let path = directory.path().join("s");
    let _listener = UnixListener::bind(&path).unwrap();
    let options = [("owner", "no-such-user")];
    // Nobody is looked up for a socket of one's own.
    let result = sink(&url(&path), &options).deliver(&records("a", 1), soon());
    assert_eq!(lost(result).0, 0);
    chown(&path, Some(OTHER), None).unwrap();
    let result = sink(&url(&path), &options).deliver(&records("b", 1), soon());
    let said = "uilog.sink.x:owner: there is no user 'no-such-user'";
    let path = path.display();
    assert_eq!(lost(result), (1, format!("{path}: {said}")));
}

#[test]
fn only_a_path_names_a_socket() {
    // Anybody may have an abstract name, and nobody owns it.
    for name in ["@name", "\0name", "name"] {
        for kind in ["unix", "unix-dgram", "syslog"] {
            let result = super::try_sink(&format!("{kind}:{name}"), &[]);
            let reason = result.map(|_| ()).unwrap_err();
            assert!(reason.contains("is not an absolute path"), "{reason}");
        }
    }
}
