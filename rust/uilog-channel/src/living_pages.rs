//! The counter pages of a user's running commands, for commands that wait until
//! dispatchers are done.
//!
//! Read-only. A page is kept open, so that its last counters can be read after
//! its dispatcher has removed it. Jobs in a dead page are lost;
//! [`crate::journal::Journal::claim_abandoned`] reports them to the journal.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use nix::fcntl::OFlag;
use uilog_event::environment_block::DEPTH_VARIABLE;
use uilog_event::environment_block::SESSION_VARIABLE;
use uilog_event::environment_block::lookup;
use uilog_sys::own_dir::OwnDir;

use crate::page;
use crate::places::Choice;
use crate::queue::Page;

/// Maximum number of names read from a directory.
const MAX_NAMES: usize = 1 << 16;

/// The page of a command's dispatcher.
#[derive(Debug)]
pub struct LivingPage {
    file: File,
    /// How many jobs there were when it was found.
    jobs: u64,
    /// What had been done by then.
    before: Counts,
}

/// The counts of a page's jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Jobs that are done.
    pub done: u64,
    /// Jobs that have not begun, scripts that run, and records that some sink
    /// is not done with.
    pub left: u64,
    /// Those of them that are scripts that run.
    pub running: u64,
    /// Events and records that are lost.
    pub lost: u64,
    /// hg's process.
    pub maker_pid: u64,
    /// The dispatcher's.
    pub reader_pid: u64,
    /// The page is dead: remaining jobs are lost.
    pub is_dead: bool,
}

/// The pages that report lost events of commands whose journal is that of this
/// environment, which is a block; with `is_all`, also of other commands with
/// the same runtime directory. In the environment of a script, the page of the
/// dispatcher that runs the script is left out, since that dispatcher cannot
/// end before the script.
pub fn find(environment: &[u8], is_all: bool) -> Vec<LivingPage> {
    let choice = Choice::of(environment);
    let prefix = format!("{}{}-", page::PREFIX, choice.key());
    // Losses elsewhere are reported to the journal there.
    let is_own =
        |name: &OsStr| name.as_encoded_bytes().starts_with(prefix.as_bytes());
    let is_meant =
        |name: &OsStr, it: &LivingPage| is_own(name) || !it.before.is_dead;
    let own_session = lookup(environment, DEPTH_VARIABLE)
        .and_then(|_| lookup(environment, SESSION_VARIABLE));
    let mut found = Vec::new();
    let places = choice.near("page");
    let directories = places.filter_map(|it| it.open(false).ok());
    for (index, dir) in directories.enumerate() {
        let is_all = is_all && index == 0;
        let names = dir.names(MAX_NAMES).ok().flatten().unwrap_or_default();
        let is_page = |name: &&OsString| {
            let is_page =
                name.as_encoded_bytes().starts_with(page::PREFIX.as_bytes());
            is_page && (is_all || is_own(name))
        };
        for name in names.iter().filter(is_page) {
            // Other processes may remove a page, or plant another file.
            let page = LivingPage::open(&dir, name, own_session).ok().flatten();
            found.extend(page.filter(|it| is_meant(name, it)));
        }
    }
    found
}

impl LivingPage {
    fn open(
        dir: &OwnDir,
        name: &OsStr,
        own: Option<&[u8]>,
    ) -> io::Result<Option<Self>> {
        let file = dir.open(name, OFlag::O_RDWR)?;
        let page = Page::read(&file)?;
        let is_own =
            |session: &[u8]| page.session.to_string().as_bytes() == session;
        if !page.has_words() || own.is_some_and(is_own) {
            return Ok(None);
        }
        let mut found = Self {
            file,
            jobs: page.committed.jobs,
            before: Counts::default(),
        };
        found.before = found.counts()?;
        Ok((found.before.left + found.before.lost > 0).then_some(found))
    }

    /// Whether it was removed, as by its dispatcher when all was done.
    pub fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|it| it.nlink() == 0)
    }

    /// What there was when it was found.
    pub fn before(&self) -> Counts {
        self.before
    }

    /// The counts of the jobs that existed when it was found.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn counts(&self) -> io::Result<Counts> {
        let page = Page::read(&self.file)?;
        let progress = page.progress;
        let is_dead = page::holders(&self.file)?.is_dead();
        let begun = progress.done().min(self.jobs);
        let undone = self.jobs - begun;
        let running = progress.running();
        let lost = progress.not_started.saturating_add(progress.records_lost);
        let left = match self.is_removed() {
            true => 0,
            false => undone.saturating_add(running),
        };
        Ok(Counts {
            done: begun.saturating_sub(running),
            left: if is_dead { 0 } else { left },
            running,
            lost: match is_dead && !self.is_removed() {
                true => page.lost(),
                false => lost,
            },
            maker_pid: page.maker_pid,
            reader_pid: page.reader_pid,
            is_dead,
        })
    }
}
