//! The session and the command of another running hg.
//!
//! Reads /proc, and the queue that the process has open, so it costs that hg
//! nothing. Finds only processes of this user that log through uilog, on this
//! machine and in this PID namespace. The queue's content is not trusted: any
//! process of this user may have written it. Must not know how the result is
//! used.

use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use uilog_sys::foreign_file;

use crate::agent_address;
use crate::page;
use crate::phase::Phase;
use crate::queue::FRAMES_LINK;
use crate::queue::Page;
use crate::queue::Reader;
use crate::wire::Open;
use crate::wire::is_readable;

/// Maximum number of a process's descriptors that are examined.
const MAX_DESCRIPTORS: usize = 4096;
/// Bytes of a command's name at most.
const MAX_NAME_BYTES: usize = 256;

/// An hg that runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunningHg {
    /// Its session.
    pub session: Option<String>,
    /// The full name of the innermost command that it runs.
    pub command: Option<String>,
    /// When that began, in microseconds since 1970.
    pub began: Option<i64>,
    /// What the command is doing now, if that may take long.
    pub phase: Option<Phase<'static>>,
}

/// What is known about the process; `None` if it is not an hg that logs.
pub fn of(pid: u32) -> Option<RunningHg> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let mut page = None;
    let mut queue = None;
    let mut frames = None;
    for entry in entries.flatten().take(MAX_DESCRIPTORS) {
        let path = entry.path();
        // Not opened before its kind is known.
        let Ok(link) = fs::read_link(&path) else {
            continue;
        };
        let link = link.as_os_str().as_bytes();
        let name = link.rsplit(|it| *it == b'/').next().unwrap_or_default();
        if link.starts_with(FRAMES_LINK) {
            frames = Some(path);
        } else if name.starts_with(page::PREFIX.as_bytes()) {
            page = Some(path);
        } else if agent_address::protocol_of(OsStr::from_bytes(name)).is_some()
        {
            queue = Some(path);
        }
    }
    let running = queue.and_then(|it| of_queue(&it));
    running.or_else(|| of_page(&page?, frames))
}

fn open(path: &Path) -> Option<File> {
    foreign_file::open(path).ok().map(|it| it.0)
}

/// An hg whose records the agent delivers.
fn of_queue(path: &Path) -> Option<RunningHg> {
    let reader = Reader::open(OwnedFd::from(open(path)?)).ok()?;
    let session = reader.origin().ok()?.session;
    let phase = reader.phase().ok();
    let phase = phase.and_then(|it| Phase::parse(&it));
    let (command, began) = command(&reader).unzip();
    Some(RunningHg {
        session: Some(session).filter(|it| is_session(it)),
        command,
        began,
        phase,
    })
}

/// An hg that has a dispatcher.
fn of_page(path: &Path, frames: Option<PathBuf>) -> Option<RunningHg> {
    let file = open(path)?;
    let page = Page::read(&file).ok().filter(Page::has_words)?;
    let frames = frames.and_then(|it| open(&it)).map(OwnedFd::from);
    let reader = Reader::open_apart(OwnedFd::from(file), frames).ok();
    let (command, began) = reader.and_then(|it| command(&it)).unzip();
    Some(RunningHg {
        session: Some(page.session.to_string()).filter(|it| is_session(it)),
        command,
        began,
        phase: None,
    })
}

/// The innermost command, and when it began.
fn command(reader: &Reader) -> Option<(String, i64)> {
    if !is_readable(reader.protocol()) {
        return None;
    }
    let open = reader.open_command().ok()??;
    let bytes = reader.frame_at(open.at).ok()?;
    let begun = Open::parse(&bytes)?;
    let event = &begun.record.event;
    let name = event.canonical_command()?;
    is_name(name).then(|| {
        let text = String::from_utf8_lossy(name).into_owned();
        (text, event.time.micros)
    })
}

/// Whether this may be the name of a command, and can be shown on a terminal.
fn is_name(name: &[u8]) -> bool {
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && !name.iter().any(u8::is_ascii_control)
}

fn is_session(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|it| it.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use uilog_event::event::Event;
    use uilog_event::event::Text;

    use super::*;
    use crate::commandlost;
    use crate::queue;
    use crate::queue::Origin;
    use crate::queue::Writer;
    use crate::wire::Frame;
    use crate::wire::RecordFrame;

    #[test]
    fn what_any_process_may_have_written_is_not_believed() {
        assert!(is_name(b"commit") && is_name(&[b'x'; MAX_NAME_BYTES]));
        for name in [&b""[..], b"a\x1b[2J", &[b'x'; MAX_NAME_BYTES + 1]] {
            assert!(!is_name(name), "{}", name.escape_ascii());
        }
        assert!(is_session(&"0a".repeat(16)));
        for session in ["", &"0a".repeat(15), &"0g".repeat(16)] {
            assert!(!is_session(session), "{session}");
        }
    }

    /// This process, with the queue of an hg.
    #[test]
    fn session_and_command_of_a_process_are_found() {
        let session = "0123456789abcdef0123456789abcdef";
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("records-7-0a");
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        let file = options.open(path).unwrap();
        let origin = Origin {
            session: session.to_owned(),
            ..Origin::default()
        };
        queue::lay_out_for_records(&file, 1 << 20, &origin).unwrap();
        let mut writer = Writer::over(file, 1 << 20);
        let this = || of(std::process::id()).unwrap();
        assert_eq!(this().session.as_deref(), Some(session));
        assert_eq!(this().command, None);
        let record = RecordFrame::bare(Event {
            options: vec![commandlost::canonical(b"commit")],
            ..Event::bare(commandlost::NAME)
        });
        let open = Open {
            has_ended: false,
            outer: 0,
            began: 0,
            record,
        };
        let mut frame = Vec::new();
        let begin = queue::begin_frame(&mut frame).unwrap();
        let bytes = postcard::to_stdvec(&Frame::Open(open)).unwrap();
        frame.extend_from_slice(&bytes);
        queue::end_frame(&mut frame, begin).unwrap();
        let at = writer.committed().end;
        writer.append_beginning(&frame, at, 1).unwrap();
        assert_eq!(this().command.as_deref(), Some("commit"));
        assert!(this().began.is_some());
        assert_eq!(this().phase, None);
        let phase = Phase {
            kind: Text(b"editor".into()),
            options: Vec::new(),
        };
        writer.set_phase(&phase.to_bytes()).unwrap();
        assert_eq!(this().phase, Some(phase));
        writer.end(1).unwrap();
        assert_eq!(this().command, None);
        drop(writer);
        assert_eq!(of(std::process::id()), None);
    }
}
