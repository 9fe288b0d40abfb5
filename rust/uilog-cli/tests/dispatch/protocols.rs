//! A dispatcher that is started with something else than its own queue.

use std::io::Read;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process;

use uilog_channel::queue::Writer;
use uilog_channel::wire::PROTOCOL;

use super::Hg;
use super::PROGRAM;

#[test]
fn a_probe_tells_whether_the_program_works() {
    let probe = |program: &str| {
        let hg = &mut Hg::new(program, &[], "true");
        let settings = *hg.logger.settings();
        hg.host.dispatcher().probe(&settings, None)
    };
    assert_eq!(probe(PROGRAM), Ok(()));
    let ends = probe("/bin/true").unwrap_err();
    assert!(ends.contains("before it has done anything"), "{ends}");
    let missing = probe("/no/such/uilog").unwrap_err();
    assert!(missing.contains("cannot run /no/such/uilog"), "{missing}");
}

#[test]
fn another_protocol_is_refused_and_said_so() {
    let queue = Writer::create(1 << 20).unwrap();
    let file = queue.page().try_clone().unwrap();
    let other = PROTOCOL + 1;
    const PROTOCOL_AT: u64 = 6;
    FileExt::write_all_at(&file, &other.to_le_bytes(), PROTOCOL_AT).unwrap();
    let before = queue.progress().unwrap();
    let (status, stderr) = run_dispatch(file.into());
    assert_eq!(status.code(), Some(1));
    assert_eq!(
        stderr,
        format!(
            "uilog: dispatch: hg speaks protocol {other}, \
             this is {PROTOCOL}\n"
        )
    );
    // Of the rest of another version's page nothing is known.
    let mut expected = before;
    expected.refused_by = u64::from(PROTOCOL);
    assert_eq!(queue.progress().unwrap(), expected);
}

#[test]
fn the_page_of_another_protocol_may_be_short() {
    // Nothing has been appended yet, and the page has fewer words.
    let file = tempfile::tempfile().unwrap();
    let page = [b"uilog\0".as_slice(), &3u16.to_le_bytes(), &[0; 600]];
    FileExt::write_all_at(&file, &page.concat(), 0).unwrap();
    let (status, _) = run_dispatch(file.try_clone().unwrap().into());
    assert_eq!(status.code(), Some(1));
    // Where each version looks for it.
    let mut word = [0; 8];
    file.read_exact_at(&mut word, 568).unwrap();
    assert_eq!(u64::from_le_bytes(word), u64::from(PROTOCOL));
}

#[test]
fn what_is_no_queue_is_refused() {
    let empty = tempfile::tempfile().unwrap();
    let (status, stderr) = run_dispatch(empty.into());
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains("hg starts this"), "{stderr}");
    let garbage = tempfile::tempfile().unwrap();
    FileExt::write_all_at(&garbage, &[b'x'; 9000], 0).unwrap();
    let (status, _) = run_dispatch(garbage.into());
    assert_eq!(status.code(), Some(1));
}

#[test]
fn by_hand_it_says_what_it_is_for() {
    let output = process::Command::new(PROGRAM)
        .arg("dispatch")
        .stdin(process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("hg starts this"), "{stderr}");
}

fn run_dispatch(queue: std::os::fd::OwnedFd) -> (process::ExitStatus, String) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut child = process::Command::new(Path::new(PROGRAM))
        .arg("dispatch")
        .stdin(std::os::fd::OwnedFd::from(theirs))
        .stdout(queue)
        .stderr(process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(ours);
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    (child.wait().unwrap(), stderr)
}
