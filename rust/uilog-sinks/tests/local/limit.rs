//! A limit on the size of files, in whose place the kernel sends a signal that
//! ends a process.

use std::borrow::Cow;
use std::env;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use nix::libc;
use nix::sys::resource::Resource;
use nix::sys::resource::setrlimit;
use uilog_core::event::Event;
use uilog_core::event::SCHEMA;
use uilog_core::event::SessionId;
use uilog_core::event::Timestamp;
use uilog_core::records::Records;
use uilog_core::wire::Frame;
use uilog_core::wire::Record as WireRecord;
use uilog_sinks::fleet::Fleet;
use uilog_sinks::open::open;

use super::file::must_pass;
use super::ids;
use super::soon;
use super::wait_for;

/// An event as it comes out of the queue.
fn frame() -> Arc<[u8]> {
    let frame = Frame::Record(WireRecord {
        event: Event {
            schema: SCHEMA,
            session: SessionId(7),
            parent: None,
            seq: 1,
            name: Cow::Borrowed(b"commandfinish"),
            time: Timestamp::now(),
            duration: None,
            pid: 1,
            user: None,
            uid: 0,
            root: None,
            message: Cow::Borrowed(b"m\n"),
            options: Vec::new(),
            lost: 0,
            trace: None,
            usage: None,
        },
        environment_at: 1,
        items_at: 2,
        cwd: None,
        hg: Cow::Borrowed(b"hg"),
        hg_version: None,
    });
    postcard::to_stdvec(&frame).unwrap().into()
}

#[test]
fn a_limit_on_files_costs_records_and_no_dispatcher() {
    const DIRECTORY: &str = "UILOG_TEST_LIMITED_DISPATCHER";
    let test = "limit::a_limit_on_files_costs_records_and_no_dispatcher";
    let Some(directory) = env::var_os(DIRECTORY) else {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]);
        must_pass(command.env(DIRECTORY, directory.path()));
        return;
    };
    let directory = Path::new(&directory);
    let full = directory.join("full");
    std::fs::write(&full, [b'\n'; 100_000]).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 50_000, libc::RLIM_INFINITY).unwrap();

    let mut fleet = Fleet::new(open);
    let item = |name: &str| {
        let url = format!("file:{}", directory.join(name).display());
        (format!("sink.{name}").into_bytes(), url.into_bytes())
    };
    let environment: Arc<[u8]> = Arc::from(&b"HOME=/nonexistent\0"[..]);
    fleet.configure(&[item("full"), item("other")], &environment);
    assert!(fleet.offer(&frame(), &environment));
    fleet.finish(soon());
    let mut losses = Vec::new();
    wait_for("the end", || {
        losses.extend(fleet.settle().losses);
        fleet.is_finished().then_some(())
    });
    losses.extend(fleet.settle().losses);
    let told: Vec<_> = losses
        .iter()
        .map(|it| (it.sink.as_str(), it.count, it.reason.as_str()))
        .collect();
    let reason = format!("{}: File too large (os error 27)", full.display());
    assert_eq!(told, [("full", 1, &*reason)]);
    let other = std::fs::read_to_string(directory.join("other")).unwrap();
    assert_eq!(ids(&other).len(), 1);
}
