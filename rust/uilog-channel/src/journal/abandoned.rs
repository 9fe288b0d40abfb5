//! Counter pages whose hg and dispatcher have both ended: the events that were
//! not done are lost, and are counted once.
//!
//! Responsible for finding them, and for the lines about them in the journal.
//! Every dispatcher looks for them at its end and moves what it finds to the
//! journal; until then, commands that read the journal read them, too. hg never
//! looks. [`crate::page`] has the locks, and who removes a page.
//!
//! Any process of this user may have written a page, so all numbers are
//! checked, and a page only leads to a line in the journal.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use nix::fcntl::OFlag;
use uilog_event::event::Timestamp;
use uilog_sys::living_file;
use uilog_sys::living_file::Holder;
use uilog_sys::own_dir::OwnDir;

use super::failure::Failure;
use super::failure::FailureKind;
use crate::commandlost;
use crate::page;
use crate::page::Holders;
use crate::places::Choice;
use crate::queue;
use crate::queue::Page;

/// Maximum number of names of a directory that are read.
const MAX_NAMES: usize = 1 << 16;
/// A directory of this size is scanned by every dispatcher, one of twice the
/// size by every second, and so on: each command pays the same, however many
/// run at once or have left pages.
const LOOKED_THROUGH_BYTES: i64 = 16 * 1024;
/// Every dispatcher scans the directory in which pages are created. One in this
/// many also scans the other directories, where other environments create
/// theirs: opening and listing these takes a third of the run time of a
/// dispatcher that has run one script. Commands that read the journal scan all
/// of them.
const EVERYWHERE_ONE_OF: u32 = 16;
/// For so long a dispatcher is not expected to have begun.
const PATIENCE: Duration = Duration::from_secs(2);
/// The time of a page's last write is shown if it is longer ago.
const LONG_AGO: Duration = Duration::from_secs(60);

/// A page, and who holds it.
pub struct FoundPage {
    dir: Arc<OwnDir>,
    name: OsString,
    file: File,
    holders: Holders,
    /// When it was last written.
    modified: SystemTime,
    /// `None` if it is damaged.
    page: Option<Page>,
}

/// Failures for pages with losses, or with events that wait for a dispatcher
/// that does not begin.
pub fn failures(choice: &Choice) -> Vec<Failure> {
    let mut failures = Vec::new();
    let visit = |found: FoundPage| failures.extend(found.failure());
    each(choice, usize::MAX, true, |_| true, visit);
    failures
}

/// The dead pages among at most `max_pages` that are read. Not every directory
/// is scanned: the number of this `process` determines which.
pub(crate) fn dead(
    choice: &Choice,
    max_pages: usize,
    process: u32,
) -> Vec<FoundPage> {
    let mut dead = Vec::new();
    let is_everywhere = process.is_multiple_of(EVERYWHERE_ONE_OF);
    let is_due = |dir: &OwnDir| {
        let bytes = dir.status().map_or(0, |it| it.st_size);
        i64::from(process) % (1 + bytes / LOOKED_THROUGH_BYTES) == 0
    };
    each(choice, max_pages, is_everywhere, is_due, |found| {
        if found.holders.is_dead() {
            dead.push(found);
        }
    });
    dead
}

/// Passes the losses of dead pages to `append`, and removes the pages.
pub(crate) fn claim_all(
    choice: &Choice,
    mut append: impl FnMut(&Failure) -> io::Result<()>,
) {
    let visit = |found: FoundPage| {
        if found.holders.is_dead() {
            // A page that cannot be claimed is left to other processes.
            let _ = found.claim(&mut append);
        }
    };
    each(choice, usize::MAX, true, |_| true, visit);
}

/// Reads up to so many pages in each directory that is due, beginning with
/// another one each time; unless `is_everywhere`, only in the first existing
/// directory, in which pages are created.
fn each(
    choice: &Choice,
    max_pages: usize,
    is_everywhere: bool,
    is_due: impl Fn(&OwnDir) -> bool,
    mut visit: impl FnMut(FoundPage),
) {
    let prefix = format!("{}{}-", page::PREFIX, choice.key());
    let mut remaining = max_pages;
    let places = choice.near("page");
    let dirs = places.filter_map(|it| it.open(false).ok());
    let max_dirs = if is_everywhere { usize::MAX } else { 1 };
    for dir in dirs.take(max_dirs).map(Arc::new) {
        if !is_due(&dir) {
            continue;
        }
        let names = dir.names(MAX_NAMES).ok().flatten();
        let mut names = names.unwrap_or_default();
        names.retain(|it| {
            let name = it.as_encoded_bytes();
            name.starts_with(prefix.as_bytes()) || is_unfinished(it)
        });
        if !names.is_empty() {
            let first = std::process::id() as usize % names.len();
            names.rotate_left(first);
        }
        for name in names.into_iter().take(remaining) {
            remaining -= 1;
            // Foreign files are ignored; another process may remove one.
            if let Ok(found) = look(Arc::clone(&dir), name) {
                visit(found);
            }
        }
    }
}

/// Whether it is a file that was not complete when it was read.
fn is_unfinished(name: &OsStr) -> bool {
    let begin = living_file::UNFINISHED.as_bytes();
    name.as_encoded_bytes().starts_with(begin)
}

fn look(dir: Arc<OwnDir>, name: OsString) -> io::Result<FoundPage> {
    let file = dir.open(&name, OFlag::O_RDWR)?;
    if is_unfinished(&name) {
        let age = file.metadata()?.modified()?.elapsed().unwrap_or_default();
        if age < LONG_AGO {
            return Err(io::ErrorKind::WouldBlock.into());
        }
    }
    let holders = page::holders(&file)?;
    let page = match Page::read(&file) {
        Ok(page) => Some(page),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    Ok(FoundPage {
        dir,
        name,
        holders,
        modified: metadata.modified().unwrap_or(UNIX_EPOCH),
        page: page.filter(Page::has_words),
        file,
    })
}

impl FoundPage {
    /// Passes the losses of a dead page to `append`, and then removes the page;
    /// only one of several concurrent processes does. Returns whether there was
    /// a loss.
    pub fn claim(
        mut self,
        append: impl FnOnce(&Failure) -> io::Result<()>,
    ) -> io::Result<bool> {
        if !living_file::hold(&self.file, Holder::Reader)? {
            return Ok(false);
        }
        self.holders = page::holders(&self.file)?;
        let is_it = living_file::has_name(&self.file, &self.dir, &self.name)?;
        if !is_it || !self.holders.is_dead() {
            return Ok(false);
        }
        if self.page.is_some() {
            queue::claim(&self.file)?;
            // What its reader has written last.
            self.page = Page::read(&self.file).ok();
        }
        let failure = self.failure();
        if let Some(failure) = &failure {
            append(&Failure {
                time: Timestamp::now().to_rfc3339(),
                ..failure.clone()
            })?;
        }
        self.dir.unlink(&self.name)?;
        Ok(failure.is_some())
    }

    fn age(&self) -> Duration {
        self.modified.elapsed().unwrap_or_default()
    }

    fn failure(&self) -> Option<Failure> {
        if is_unfinished(&self.name) {
            // Its creator had not committed any event.
            return None;
        }
        let told = match &self.page {
            None if self.holders.is_dead() => Some((
                FailureKind::Lost,
                0,
                "a damaged counter page: the number of lost events is unknown"
                    .to_owned(),
            )),
            None => None,
            Some(page) if self.holders.is_dead() => {
                let lost = page.lost();
                (lost > 0).then(|| (FailureKind::Lost, lost, loss(page)))
            }
            Some(page) => self.waiting(page).map(|detail| {
                (FailureKind::NotStarted, page.pending(), detail)
            }),
        };
        let (kind, lost, mut detail) = told?;
        if self.holders.is_dead() && self.age() > LONG_AGO {
            let at = rfc3339(self.modified);
            detail = format!("{detail}; last seen at {at}");
        }
        let session = self.page.as_ref().map(|page| page.session.to_string());
        let session = session.unwrap_or_default();
        let name = self.name.to_str().unwrap_or_default();
        Some(Failure {
            time: rfc3339(self.modified),
            page: name.strip_prefix(page::PREFIX).map(str::to_owned),
            ..Failure::now(session, b"", kind, lost, detail)
        })
    }

    /// The failure for a page whose events have waited for too long.
    fn waiting(&self, page: &Page) -> Option<String> {
        if page.pending() == 0 || page.is_claimed || self.age() < PATIENCE {
            return None;
        }
        let has_begun = page.progress.readers > page.begun_before;
        if self.holders.reader {
            let (pid, program) = (page.reader_pid, &page.program);
            let waits = format!(
                "the events are queued: process {pid}, {program} dispatch, \
                 has not begun"
            );
            return (!has_begun).then_some(waits);
        }
        Some(format!(
            "the events are queued: their dispatcher has ended; hg, process \
             {}, starts another one with its next event",
            page.maker_pid
        ))
    }
}

/// The number of events lost with a page, and why.
fn loss(page: &Page) -> String {
    let progress = &page.progress;
    let program = &page.program;
    let cause = if progress.refused_by != 0 {
        format!(
            "{program} speaks protocol {}, this hg {}",
            progress.refused_by, page.protocol
        )
    } else if progress.readers == page.begun_before && page.pending() > 0 {
        format!("{program} dispatch has ended before it has done anything")
    } else {
        "hg and its dispatcher were killed (by the end of a container, a \
         cgroup or the machine)"
            .to_owned()
    };
    let records = progress.taken.saturating_sub(progress.scripts);
    let records = records.saturating_sub(progress.records);
    let uncertain = progress.uncertain().saturating_add(progress.running());
    let claimed = progress.uncertain().saturating_add(records);
    let parts = [
        (page.pending().saturating_sub(claimed), "not begun"),
        (uncertain, "started, and perhaps completed"),
        (records, "perhaps not delivered to all sinks"),
        (
            page.unreported(),
            "lost earlier, and not in the journal yet",
        ),
        (page.open.into(), commandlost::CANNOT_TELL),
    ];
    let parts: Vec<_> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    let last = page.last_failure.as_ref().filter(|_| page.unreported() > 0);
    let last =
        last.map_or(String::new(), |it| format!("; the last failure: {it}"));
    format!("{cause}: {}{last}", parts.join(", "))
}

fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    let offset = Timestamp::now().offset;
    Timestamp { micros, offset }.to_rfc3339()
}

#[cfg(test)]
mod tests;
