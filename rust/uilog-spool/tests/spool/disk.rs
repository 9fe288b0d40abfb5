//! A simulated disk, and processes that use it. Any call can fail, any write
//! can be truncated, any process can be killed, and the power can fail.
//!
//! A power cut leaves the worst that is allowed: of a file's unsynced data any
//! part, with the rest missing or zeros; of a directory's unsynced names any
//! selection.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;

use nix::libc;
use uilog_spool::Error;
use uilog_spool::files::Files;
use uilog_spool::files::Now;
use uilog_spool::files::Status;

/// A small generator, so that a seed gives the same disk again.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// What a power cut leaves of what has not been synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Left {
    Nothing,
    Everything,
    Some(u64),
}

#[derive(Debug, Default)]
struct Inode {
    data: Vec<u8>,
    synced: Vec<u8>,
    /// Where each write has ended.
    ends: Vec<usize>,
    names: usize,
}

#[derive(Debug)]
enum Change {
    Set(PathBuf, usize),
    Take(PathBuf),
}

#[derive(Debug)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    /// Each group is one call: a rename is done as a whole or not.
    changes: Vec<Vec<Change>>,
    locks: HashMap<usize, (usize, u64)>,
    tokens: u64,
    now: Now,
    random: Random,
    processes: usize,
    unseen: Option<Unseen>,
}

/// The end of a file that is just being written: whoever reads does not see it
/// for a while.
#[derive(Clone, Copy, Debug)]
struct Unseen {
    inode: usize,
    length: usize,
    reads: usize,
}

/// The disk.
#[derive(Clone, Debug)]
pub(crate) struct Disk(Rc<RefCell<State>>);

impl Disk {
    pub(crate) fn new() -> Self {
        let now = Now {
            wall_ms: 1_800_000_000_000,
            boot_ms: 5_000,
            boot: [1; 16],
        };
        Self(Rc::new(RefCell::new(State {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            changes: Vec::new(),
            locks: HashMap::new(),
            tokens: 0,
            now,
            random: Random::new(42),
            processes: 0,
            unseen: None,
        })))
    }

    pub(crate) fn process(&self) -> Process {
        let mut state = self.0.borrow_mut();
        state.processes += 1;
        Process(Rc::new(Inner {
            disk: self.clone(),
            number: state.processes,
            is_dead: Cell::new(false),
            calls: RefCell::new(Vec::new()),
            plan: Cell::new(Plan::Work),
        }))
    }

    pub(crate) fn advance(&self, ms: u64) {
        let mut state = self.0.borrow_mut();
        state.now.wall_ms += ms;
        state.now.boot_ms += ms;
    }

    pub(crate) fn set_wall(&self, change: impl FnOnce(u64) -> u64) {
        let mut state = self.0.borrow_mut();
        state.now.wall_ms = change(state.now.wall_ms);
    }

    pub(crate) fn power_cut(&self, left: Left) {
        let mut state = self.0.borrow_mut();
        let mut random = Random::new(match left {
            Left::Some(seed) => seed,
            _ => 0,
        });
        let keeps = |random: &mut Random| match left {
            Left::Nothing => false,
            Left::Everything => true,
            Left::Some(_) => random.below(2) == 0,
        };
        let mut names = state.synced_names.clone();
        for change in std::mem::take(&mut state.changes) {
            if !keeps(&mut random) {
                continue;
            }
            for step in change {
                match step {
                    Change::Set(path, inode) => names.insert(path, inode),
                    Change::Take(path) => names.remove(&path),
                };
            }
        }
        for inode in &mut state.inodes {
            inode.names = 0;
            if !inode.data.starts_with(&inode.synced) {
                // It has been cut off, or not.
                if keeps(&mut random) {
                    inode.synced.clone_from(&inode.data);
                }
                inode.data.clone_from(&inode.synced);
                continue;
            }
            let start = inode.synced.len();
            let unsynced = inode.data.len() - start;
            let (kept, is_zeros) = match left {
                Left::Nothing => (0, false),
                Left::Everything => (unsynced, false),
                // Often at the end of a write, where nobody sees it.
                Left::Some(_) if random.below(2) == 0 => {
                    let ends = inode.ends.iter();
                    let ends = ends.filter_map(|it| it.checked_sub(start));
                    let mut ends: Vec<_> =
                        ends.filter(|it| *it <= unsynced).collect();
                    ends.push(0);
                    (ends[random.below(ends.len())], false)
                }
                Left::Some(_) => {
                    (random.below(unsynced + 1), random.below(3) == 0)
                }
            };
            if is_zeros {
                inode.data[start + kept..].fill(0);
            } else {
                inode.data.truncate(start + kept);
            }
            inode.synced.clone_from(&inode.data);
        }
        for inode in names.values() {
            state.inodes[*inode].names += 1;
        }
        state.names.clone_from(&names);
        state.synced_names = names;
        state.locks.clear();
        state.now.boot_ms = 5_000;
        let boot = state.now.boot[0].wrapping_add(1).max(1);
        state.now.boot = [boot; 16];
    }

    /// The names and contents of the files whose names end so.
    pub(crate) fn files(&self, suffix: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.0.borrow();
        let is_wanted = |path: &Path| path.to_str().unwrap().ends_with(suffix);
        state
            .names
            .iter()
            .filter(|(path, _)| is_wanted(path))
            .map(|(path, inode)| {
                (path.clone(), state.inodes[*inode].data.clone())
            })
            .collect()
    }

    /// Lets the next so many reads of a file see only its first bytes.
    pub(crate) fn hide(&self, path: &Path, length: usize, reads: usize) {
        let mut state = self.0.borrow_mut();
        let inode = state.names[path];
        state.unseen = Some(Unseen {
            inode,
            length,
            reads,
        });
    }

    /// Changes what a file holds behind everybody's back.
    pub(crate) fn damage(&self, path: &Path, change: impl FnOnce(&mut [u8])) {
        let mut state = self.0.borrow_mut();
        let inode = state.names[path];
        let inode = &mut state.inodes[inode];
        change(&mut inode.data);
        let length = inode.synced.len().min(inode.data.len());
        let (data, synced) = (&inode.data, &mut inode.synced);
        synced[..length].copy_from_slice(&data[..length]);
    }
}

/// What is to go wrong in a process. Calls are counted from 0.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan {
    Work,
    /// Die before this call, or after so many bytes of it if it is a write.
    Die {
        call: usize,
        bytes: usize,
    },
    /// This call fails; a write may have written so many bytes before that.
    Fail {
        call: usize,
        errno: i32,
        bytes: usize,
    },
    /// Whatever needs room fails, from this call on.
    Full {
        call: usize,
    },
    /// This call, if it is a read or a write, does so many bytes only.
    Short {
        call: usize,
        bytes: usize,
    },
}

#[derive(Debug)]
struct Inner {
    disk: Disk,
    number: usize,
    is_dead: Cell<bool>,
    /// Which calls there were, and the bytes of those that append.
    calls: RefCell<Vec<(&'static str, usize)>>,
    plan: Cell<Plan>,
}

/// A process; copies are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Process(Rc<Inner>);

impl Process {
    pub(crate) fn plan(&self, plan: Plan) {
        self.0.plan.set(plan);
    }

    /// Lets something happen so many calls from now.
    pub(crate) fn plan_from_now(&self, plan: impl FnOnce(usize) -> Plan) {
        self.plan(plan(self.0.calls.borrow().len()));
    }

    /// Lets the disk be full for this process, from a call on.
    pub(crate) fn fill_disk_from(&self, call: usize) {
        self.plan(Plan::Full { call });
    }

    pub(crate) fn calls(&self) -> Vec<(&'static str, usize)> {
        self.0.calls.borrow().clone()
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.0.is_dead.get()
    }

    /// Kills it.
    pub(crate) fn kill(&self) {
        self.0.is_dead.set(true);
        let mut state = self.0.disk.0.borrow_mut();
        let number = self.0.number;
        state.locks.retain(|_, (process, _)| *process != number);
    }

    /// Begins a call: how many bytes of it are to be done, and what it is to
    /// fail with after that.
    fn call(
        &self,
        name: &'static str,
        bytes: usize,
    ) -> io::Result<(usize, Option<io::Error>)> {
        if self.is_dead() {
            return Err(dead());
        }
        let call = self.0.calls.borrow().len();
        self.0.calls.borrow_mut().push((name, bytes));
        match self.0.plan.get() {
            Plan::Die { call: at, bytes } if at == call => {
                self.kill();
                Ok((bytes, Some(dead())))
            }
            Plan::Fail {
                call: at,
                errno,
                bytes,
            } if at == call => {
                Ok((bytes, Some(io::Error::from_raw_os_error(errno))))
            }
            Plan::Full { call: at } if call >= at => {
                let needs_room = matches!(name, "append" | "create");
                let error = io::Error::from_raw_os_error(libc::ENOSPC);
                let room = if needs_room { 0 } else { usize::MAX };
                Ok((room, needs_room.then_some(error)))
            }
            Plan::Short { call: at, bytes } if at == call => {
                Ok((bytes.max(1), None))
            }
            _ => Ok((usize::MAX, None)),
        }
    }

    /// A call that does all or nothing.
    fn whole(&self, name: &'static str) -> io::Result<()> {
        match self.call(name, 0)? {
            (_, Some(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.disk.0.borrow_mut())
    }
}

fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

/// A lock of a process, unless that has died meanwhile.
#[derive(Debug)]
pub(crate) struct Lock {
    disk: Disk,
    inode: usize,
    token: u64,
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut state = self.disk.0.borrow_mut();
        let held = state.locks.get(&self.inode);
        if held.is_some_and(|(_, token)| *token == self.token) {
            state.locks.remove(&self.inode);
        }
    }
}

impl Files for Process {
    type File = usize;
    type Lock = Lock;

    fn prepare(&self, _: &Path, _: Option<&Path>) -> Result<(), Error> {
        Ok(())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<OsString>> {
        self.whole("list")?;
        let name = |path: &PathBuf| path.file_name().unwrap().to_owned();
        Ok(self.state(|state| state.names.keys().map(name).collect()))
    }

    fn create(&self, path: &Path) -> io::Result<usize> {
        self.whole("create")?;
        self.state(|state| {
            if state.names.contains_key(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let inode = state.inodes.len();
            state.inodes.push(Inode {
                names: 1,
                ..Inode::default()
            });
            state.names.insert(path.to_owned(), inode);
            let change = Change::Set(path.to_owned(), inode);
            state.changes.push(vec![change]);
            Ok(inode)
        })
    }

    fn open(&self, path: &Path) -> io::Result<usize> {
        self.whole("open")?;
        self.state(|state| state.names.get(path).copied())
            .ok_or_else(missing)
    }

    fn lock(&self, file: &usize) -> io::Result<Option<Lock>> {
        self.whole("lock")?;
        let (disk, inode) = (self.0.disk.clone(), *file);
        Ok(self.state(|state| {
            if state.locks.contains_key(&inode) {
                return None;
            }
            state.tokens += 1;
            let token = state.tokens;
            state.locks.insert(inode, (self.0.number, token));
            Some(Lock { disk, inode, token })
        }))
    }

    fn append(&self, file: &usize, bytes: &[u8]) -> io::Result<usize> {
        let (count, error) = self.call("append", bytes.len())?;
        let count = count.min(bytes.len());
        self.state(|state| {
            let data = &mut state.inodes[*file].data;
            data.extend_from_slice(&bytes[..count]);
            let end = data.len();
            state.inodes[*file].ends.push(end);
        });
        // A write that fails half-way says how much it has done; the next one
        // fails.
        match error {
            Some(error) if count == 0 || self.is_dead() => Err(error),
            Some(error) => {
                let call = self.0.calls.borrow().len();
                let errno = error.raw_os_error().unwrap();
                let bytes = 0;
                self.plan(Plan::Fail { call, errno, bytes });
                Ok(count)
            }
            None => Ok(count),
        }
    }

    fn read(
        &self,
        file: &usize,
        buffer: &mut [u8],
        position: u64,
    ) -> io::Result<usize> {
        let (count, error) = self.call("read", 0)?;
        if let Some(error) = error {
            return Err(error);
        }
        self.state(|state| {
            let mut seen = usize::MAX;
            if let Some(unseen) = &mut state.unseen
                && unseen.inode == *file
                && unseen.reads > 0
            {
                unseen.reads -= 1;
                seen = unseen.length;
            }
            let data = &state.inodes[*file].data;
            let data = &data[..data.len().min(seen)];
            let data = data.get(position as usize..).unwrap_or_default();
            let count = count.min(data.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&data[..count]);
            Ok(count)
        })
    }

    fn status(&self, file: &usize) -> io::Result<Status> {
        self.whole("status")?;
        Ok(self.state(|state| Status {
            length: state.inodes[*file].data.len() as u64,
            is_linked: state.inodes[*file].names > 0,
        }))
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        self.whole("length")?;
        self.state(|state| {
            let inode = *state.names.get(path).ok_or_else(missing)?;
            Ok(state.inodes[inode].data.len() as u64)
        })
    }

    fn truncate(&self, file: &usize, length: u64) -> io::Result<()> {
        self.whole("truncate")?;
        self.state(|state| {
            state.inodes[*file].data.truncate(length as usize);
        });
        Ok(())
    }

    fn sync(&self, file: &usize) -> io::Result<()> {
        self.whole("sync")?;
        self.state(|state| {
            let inode = &mut state.inodes[*file];
            inode.synced.clone_from(&inode.data);
        });
        Ok(())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        self.whole("sync_directory")?;
        self.state(|state| {
            state.changes.clear();
            state.synced_names.clone_from(&state.names);
        });
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.whole("rename")?;
        self.state(|state| {
            let inode = state.names.remove(from).ok_or_else(missing)?;
            if let Some(old) = state.names.insert(to.to_owned(), inode) {
                state.inodes[old].names -= 1;
            }
            state.changes.push(vec![
                Change::Take(from.to_owned()),
                Change::Set(to.to_owned(), inode),
            ]);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.whole("remove")?;
        self.state(|state| {
            let inode = state.names.remove(path).ok_or_else(missing)?;
            state.inodes[inode].names -= 1;
            state.changes.push(vec![Change::Take(path.to_owned())]);
            Ok(())
        })
    }

    fn now(&self) -> Now {
        self.state(|state| state.now)
    }

    fn random(&self) -> io::Result<u64> {
        self.whole("random")?;
        Ok(self.state(|state| state.random.next()))
    }
}
