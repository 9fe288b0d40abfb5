use std::borrow::Cow;
use std::fs;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;

use uilog_channel::agent_address::AgentNames;
use uilog_channel::queue::Reader;
use uilog_channel::queue_room::UNIT_BYTES;
use uilog_channel::wire::Frame;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;

use super::*;
use crate::host::Draft;
use crate::host::Host;
use crate::logger::Logger;

/// An environment whose runtime directory is its own.
fn environment() -> (tempfile::TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(dir.path(), private).unwrap();
    let path = dir.path().display();
    let block = format!("HOME={path}\0XDG_RUNTIME_DIR={path}\0TOKEN=secret\0");
    (dir, block.into_bytes())
}

fn log(host: &mut Host, name: &[u8]) {
    let item = |name: &str, value: &str| {
        (name.as_bytes().to_vec(), value.as_bytes().to_vec())
    };
    let items = [item("agent", "yes"), item("sink.a", "file:/x")];
    let draft = Draft {
        name,
        message: Cow::Borrowed(b"said"),
        options: Vec::new(),
        hg: b"hg",
        root: None,
        time: None,
        pid: None,
    };
    Logger::new(&items, &[]).log(host, draft);
}

fn host(block: &[u8], program: &str) -> Host {
    let mut host = Host::new(PathBuf::from(program));
    host.enter(&mut block.to_vec());
    host
}

/// The records in a queue, and all bytes of it.
fn read(path: &Path) -> (Vec<Vec<u8>>, Vec<u8>) {
    let file = fs::File::options().read(true).write(true).open(path);
    let file = file.unwrap();
    assert!(living_file::is_held(&file, Holder::Maker).unwrap());
    let mut reader = Reader::open(file.into()).unwrap();
    let origin = reader.origin().unwrap();
    assert_eq!(origin.pid, std::process::id());
    let mut names = Vec::new();
    let mut at = reader.low();
    while let Some((frame, next)) = reader.frame(at).unwrap() {
        if let Ok(Frame::Record(record)) = postcard::from_bytes(&frame) {
            names.push(record.event.name.to_vec());
        }
        at = next;
    }
    (names, fs::read(path).unwrap())
}

#[test]
fn records_lie_in_a_file_without_what_no_sink_needs() {
    let (dir, block) = environment();
    let mut host = host(&block, "/bin/true");
    log(&mut host, b"one");
    log(&mut host, b"two");
    let status = host.records().status().unwrap();
    assert_eq!((status.records, status.starts), (2, 1));
    assert!(status.name.starts_with(dir.path().join("uilog")));
    let (names, bytes) = read(&status.name);
    assert_eq!(names, [&b"one"[..], b"two"]);
    assert!(bytes.windows(5).any(|it| it == b"HOME="));
    assert!(!bytes.windows(6).any(|it| it == b"secret"));
    assert_eq!(host.counters().lost, 0);
    assert_eq!(host.dispatcher().starts(), 0);
    // It stays when its maker has gone.
    drop(host);
    let file = fs::File::open(&status.name).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    // Another test's child may have a copy until its exec.
    while living_file::is_held(&file, Holder::Maker).unwrap() {
        assert!(Instant::now() < deadline, "somebody holds it");
        std::thread::sleep(VERDICT_STEP);
    }
}

#[test]
fn an_agent_that_listens_is_woken_and_no_other_started() {
    let (dir, block) = environment();
    let mut host = host(&block, "/bin/true");
    let names = AgentNames::new(&agent_address::namespaces().unwrap());
    let own = dir.path().join("uilog");
    fs::create_dir(&own).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
    let agent = UnixDatagram::bind(own.join(&names.socket)).unwrap();
    log(&mut host, b"one");
    let status = host.records().status().unwrap();
    assert_eq!(status.starts, 0);
    let mut told = [0; 128];
    let length = agent.recv(&mut told).unwrap();
    let name = status.name.file_name().unwrap();
    assert_eq!(&told[..length], name.as_bytes());
    // One that does not listen holds up nobody.
    for _ in 0..10_000 {
        log(&mut host, b"more");
    }
    assert_eq!(host.counters().lost, 0);
    assert_eq!(host.records().status().unwrap().starts, 0);
}

#[test]
fn whoever_has_the_lock_starts_the_agent() {
    let (dir, block) = environment();
    let names = AgentNames::new(&agent_address::namespaces().unwrap());
    let own = dir.path().join("uilog");
    fs::create_dir(&own).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
    let lock = fs::File::create(own.join(&names.lock)).unwrap();
    assert!(living_file::hold(&lock, Holder::Maker).unwrap());
    let mut host = host(&block, "/bin/true");
    log(&mut host, b"one");
    assert_eq!(host.records().status().unwrap().starts, 0);
    drop(lock);
    log(&mut host, b"two");
    assert_eq!(host.records().status().unwrap().starts, 1);
}

fn log_message(host: &mut Host, name: &[u8], message: &[u8]) {
    let item = |name: &str, value: &str| {
        (name.as_bytes().to_vec(), value.as_bytes().to_vec())
    };
    let items = [
        item("agent", "yes"),
        item("agent-queues-size", "1 MB"),
        item("sink.a", "file:/x"),
    ];
    let draft = Draft {
        name,
        message: Cow::Borrowed(message),
        options: Vec::new(),
        hg: b"hg",
        root: None,
        time: None,
        pid: None,
    };
    Logger::new(&items, &[]).log(host, draft);
}

#[test]
fn all_queues_of_a_user_have_one_bound() {
    let (dir, block) = environment();
    let long = [b'x'; 200_000];
    let mut hosts: Vec<_> = (0..8).map(|_| host(&block, "/bin/true")).collect();
    for host in &mut hosts {
        log_message(host, b"one", &long);
    }
    let own = dir.path().join("uilog");
    let reserved = fs::metadata(own.join("reserved")).unwrap().len();
    assert!(reserved * UNIT_BYTES <= 1 << 20);
    let has_queue =
        |it: &&mut Host| it.records().status().is_some_and(|it| it.records > 0);
    let served = hosts.iter_mut().filter(has_queue).count();
    assert!((2..8).contains(&served), "{served}");
    // The others' go another way, and that is told.
    let last = hosts.last_mut().unwrap();
    assert_eq!(last.dispatcher().starts(), 1);
    let told: Vec<_> = last.recent().collect();
    assert!(told[0].contains("uilog.agent-queues-size"), "{told:?}");
    // It need not stay so: an agent counts what is there.
    let first = &mut hosts[0];
    log_message(first, b"two", &long);
    assert_eq!(first.records().status().unwrap().records, 1);
    fs::write(own.join("reserved"), b"").unwrap();
    log_message(first, b"three", &long);
    let status = first.records().status().unwrap();
    let (names, _) = read(&status.name);
    assert_eq!(names, [&b"one"[..], b"three"]);
}

/// As after a logout.
#[test]
fn what_nobody_has_read_goes_into_a_new_file_when_the_old_one_is_gone() {
    let (dir, block) = environment();
    let mut host = host(&block, "/bin/true");
    log(&mut host, b"one");
    let first = host.records().status().unwrap().name;
    fs::remove_dir_all(dir.path().join("uilog")).unwrap();
    log(&mut host, b"two");
    let second = host.records().status().unwrap().name;
    assert_ne!(first, second);
    assert_eq!(read(&second).0, [&b"one"[..], b"two"]);
    // What an agent reads, it delivers.
    let reader = File::options().read(true).write(true).open(&second);
    let reader = reader.unwrap();
    assert!(living_file::hold(&reader, Holder::Reader).unwrap());
    fs::remove_file(&second).unwrap();
    log(&mut host, b"three");
    let third = host.records().status().unwrap().name;
    assert_eq!(read(&third).0, [b"three"]);
    // At the latest when hg ends.
    fs::remove_file(&third).unwrap();
    host.finish();
    let fourth = host.records().status().unwrap().name;
    assert_ne!(third, fourth);
    assert_eq!(read(&fourth).0, [b"three"]);
    assert_eq!(host.counters().lost, 0);
}

/// A file system of so many bytes for what this test does in a process of
/// its own; whether it is that.
fn on_a_small_file_system(test: &str, size: &str) -> bool {
    if std::env::var_os("UILOG_SMALL").is_some() {
        return true;
    }
    let script = "mount -t tmpfs -o size=$1,mode=0700 tmpfs \"$2\" || \
                  exit 77; UILOG_SMALL=\"$2\" exec \"$3\" --exact \"$4\"";
    let dir = tempfile::tempdir().unwrap();
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .args(["sh", size])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .arg(format!("record_queue::tests::{test}"))
        .output();
    uilog_testing::judge_inside(test, output);
    false
}

#[test]
fn a_full_file_system_ends_and_stops_nobody() {
    let test = "a_full_file_system_ends_and_stops_nobody";
    if !on_a_small_file_system(test, "1m") {
        return;
    }
    let small = PathBuf::from(std::env::var_os("UILOG_SMALL").unwrap());
    let path = small.display();
    let block = format!("HOME=/nowhere\0XDG_RUNTIME_DIR={path}\0");
    let mut early = host(block.as_bytes(), "/bin/true");
    log(&mut early, b"one");
    let status = early.records().status().unwrap();
    assert!(status.name.starts_with(&small));
    // To the brim.
    let filler = File::create(small.join("filler")).unwrap();
    let mut at = 0;
    while let Ok(count) = filler.write_at(&[1; 4096], at) {
        at += count as u64;
    }
    // What is there can be read and written, what is new goes elsewhere.
    log_message(&mut early, b"two", &[b'x'; 100_000]);
    assert_eq!(early.dispatcher().starts(), 1);
    let told: Vec<_> = early.recent().collect();
    assert!(told[0].contains("No space left"), "{told:?}");
    log(&mut early, b"three");
    assert_eq!(read(&status.name).0, [&b"one"[..], b"three"]);
    let mut late = host(block.as_bytes(), "/bin/true");
    log(&mut late, b"one");
    match late.records().status() {
        Some(status) => {
            assert!(!status.name.starts_with(&small));
            assert_eq!(status.records, 1);
            fs::remove_file(&status.name).unwrap();
        }
        None => assert_eq!(late.dispatcher().starts(), 1),
    }
}

#[test]
fn without_a_program_records_wait_and_it_is_told() {
    let (_dir, block) = environment();
    let mut host = host(&block, "/nowhere/uilog");
    log(&mut host, b"one");
    log(&mut host, b"two");
    assert_eq!(host.counters().lost, 0);
    let told: Vec<_> = host.recent().map(str::to_owned).collect();
    assert!(!told.is_empty());
    assert!(told[0].contains("records stay in the queue"), "{told:?}");
    assert!(told[0].contains("/nowhere/uilog"), "{told:?}");
    assert_eq!(host.records().status().unwrap().records, 2);
}
