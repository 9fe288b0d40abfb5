//! Where events and failures are stored: the blackbox with its old files, the
//! journal, and memory for the queue.

use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::sys::statvfs::statvfs;
use nix::unistd::AccessFlags;
use nix::unistd::access;
use nix::unistd::geteuid;
use uilog_channel::journal::Journal;
use uilog_channel::queue;
use uilog_channel::queue::Memory;
use uilog_finding::finding::Finding;
use uilog_finding::subject::Subject;
use uilog_logger::sinks::blackbox::Blackbox;

use super::extensions::Extensions;

/// The permissions by which others could read or write.
const OTHERS: u32 = 0o077;

pub(super) fn check(
    subject: &Subject<'_>,
    extensions: &Extensions<'_>,
    found: &mut Vec<Finding>,
) {
    let has_uilog = extensions.loaded("uilog").is_some();
    if let Some(entry) = extensions.loaded("blackbox") {
        match &subject.loaded.root {
            Some(root) => check_blackbox(subject, root, has_uilog, found),
            None => found.push(
                Finding::note(
                    "no-repository",
                    "there is no repository here, so no blackbox was checked"
                        .to_owned(),
                )
                .at(&entry.source)
                .advise("name one: uilog check -R REPO"),
            ),
        }
    }
    if has_uilog {
        check_queue(found);
        check_journal(subject, found);
    }
}

fn check_blackbox(
    subject: &Subject<'_>,
    root: &Path,
    has_uilog: bool,
    found: &mut Vec<Finding>,
) {
    let config = &subject.loaded.trusted;
    let dir = root.join(".hg");
    let log = dir.join("blackbox.log");
    let unwritable = unwritable(&log, &dir);
    let is_writable = unwritable.is_none();
    if let Some((text, advice)) = unwritable {
        found.push(
            Finding::error("blackbox-unwritable", text)
                .at(log.display())
                .advise(advice),
        );
    }
    if let Some(text) = full(&dir) {
        found.push(
            Finding::error("disk-full", text)
                .at(dir.display())
                .advise("make room: nothing can be logged there"),
        );
    }
    if !has_uilog {
        return;
    }
    let (blackbox, _) = Blackbox::new(config, root);
    let problems = blackbox.rotation_problems();
    if let Some(why) = problems.growing.filter(|_| is_writable) {
        let text = format!("the blackbox cannot be rotated: {why}");
        found.push(
            Finding::error("rotation-impossible", text)
                .at(log.display())
                .advise("correct that: until then the log grows without limit"),
        );
    }
    if let Some(why) = problems.unprotected {
        let text = format!("this directory is not used for old files: {why}");
        found.push(
            Finding::warning("rotation-unprotected", text)
                .at(dir.join(".blackbox.log.kept").display())
                .advise(
                    "remove it: its user's uilog creates it again; until then \
                     a stock hg that rotates at the same time may destroy old \
                     files",
                ),
        );
    }
}

/// Why a log cannot be written, and what to do about it.
fn unwritable(log: &Path, dir: &Path) -> Option<(String, &'static str)> {
    let remove = "remove it: hg creates a file instead";
    let metadata = match fs::metadata(log) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let flags = AccessFlags::W_OK | AccessFlags::X_OK;
            let errno = access(dir, flags).err()?;
            let text =
                format!("the blackbox cannot be created: {}", errno.desc());
            return Some((text, "make the directory .hg writable"));
        }
        Err(error) => {
            let text = format!("the blackbox cannot be opened: {error}");
            return Some((
                text,
                "check the permissions of the directories \
                above",
            ));
        }
    };
    let kind = metadata.file_type();
    let what = if kind.is_dir() {
        Some("a directory")
    } else if kind.is_fifo() {
        Some("a FIFO")
    } else if kind.is_socket() {
        Some("a socket")
    } else if !kind.is_file() {
        Some("a device")
    } else {
        None
    };
    if let Some(what) = what {
        return Some((format!("the blackbox is {what}"), remove));
    }
    // Opening a regular file to append to it changes nothing.
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    let opened = OpenOptions::new()
        .append(true)
        .custom_flags(flags)
        .open(log);
    let error = opened.err()?;
    let is_foreign = metadata.uid() != geteuid().as_raw();
    let owner = if is_foreign {
        format!(" (it belongs to user {})", metadata.uid())
    } else {
        String::new()
    };
    let text = format!("the blackbox cannot be written: {error}{owner}");
    Some((text, "make it writable: chmod u+w, or chown"))
}

/// Whether the file system of a directory has no room left.
fn full(dir: &Path) -> Option<String> {
    let room = statvfs(dir).ok()?;
    let is_root = geteuid().is_root();
    let blocks = if is_root {
        room.blocks_free()
    } else {
        room.blocks_available()
    };
    // Some file systems do not count their files.
    if blocks == 0 && room.blocks() > 0 {
        Some("the disk is full".to_owned())
    } else if room.files_free() == 0 && room.files() > 0 {
        Some("the disk has no inodes left".to_owned())
    } else {
        None
    }
}

/// Whether there is memory for events that wait.
fn check_queue(found: &mut Vec<Finding>) {
    match queue::probe() {
        Ok(Memory::Anonymous) => {}
        Ok(Memory::Temporary) => found.push(
            Finding::warning(
                "queue-on-disk",
                "the system refuses anonymous memory (memfd_create): events \
                 are queued in a file in the directory for temporary files"
                    .to_owned(),
            )
            .advise("allow memfd_create in this sandbox"),
        ),
        Err(error) => found.push(
            Finding::error(
                "queue-refused",
                format!(
                    "neither anonymous memory nor a temporary file is \
                     available for queued events: {error}"
                ),
            )
            .advise("allow memfd_create, or set TMPDIR"),
        ),
    }
}

/// Whether failures can be stored, and who can read them.
fn check_journal(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let Some(journal) = Journal::for_environment(subject.block) else {
        return;
    };
    if let Some(problem) = journal.problem() {
        let text = match journal.fallback() {
            Some(fallback) => format!(
                "failures are recorded in {} instead: {problem}",
                fallback.display()
            ),
            None => format!("failures are not recorded: {problem}"),
        };
        found.push(
            Finding::warning("journal-unwritable", text)
                .at(journal.path().display())
                .advise(
                    "set HOME or XDG_STATE_HOME to a directory that only you \
                     can write to",
                ),
        );
        return;
    }
    let file = journal.path();
    // One that others may write to has not been used.
    let Ok(metadata) = fs::metadata(file) else {
        return;
    };
    if metadata.mode() & OTHERS != 0 {
        let text = "other users may read or write the journal of failures";
        found.push(
            Finding::warning("journal-open", text.to_owned())
                .at(file.display())
                .advise("chmod go-rwx"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(make: impl FnOnce(&Path)) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("blackbox.log");
        make(&log);
        unwritable(&log, dir.path()).map(|(text, _)| text)
    }

    #[test]
    fn only_a_file_can_be_a_blackbox() {
        assert_eq!(problem(|_| ()), None);
        assert_eq!(problem(|log| fs::write(log, "").unwrap()), None);
        let text = problem(|log| fs::create_dir(log).unwrap());
        assert_eq!(text.unwrap(), "the blackbox is a directory");
        let fifo = |log: &Path| {
            let mode = nix::sys::stat::Mode::S_IRWXU;
            nix::unistd::mkfifo(log, mode).unwrap();
        };
        assert_eq!(problem(fifo).unwrap(), "the blackbox is a FIFO");
        let device = |log: &Path| {
            std::os::unix::fs::symlink("/dev/null", log).unwrap();
        };
        assert_eq!(problem(device).unwrap(), "the blackbox is a device");
    }
}
