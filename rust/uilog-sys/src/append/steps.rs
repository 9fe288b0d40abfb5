//! The system calls that append a line: raw system calls on a finished
//! [`Plan`], because a child of `clone` must not do anything else.
//!
//! The rules are those of `spawn/child.rs`: no allocation, no lock, no panic,
//! no destructor, no `errno` and no library function. Other processes call the
//! same functions, so that there is only one implementation.

use std::ffi::CStr;
use std::mem::MaybeUninit;

use syscalls::Errno;
use syscalls::Sysno;
use syscalls::syscall;

use crate::append::place::GuardedPath;
use crate::append::place::Names;
use crate::append::place::PathRefusal;
use crate::append::place::Refused;
use crate::append::place::Root;
use crate::append::plan::Plan;

/// The flags of every open: no link is followed, nothing blocks, a terminal
/// does not become the controlling one, and no program inherits the descriptor.
const SAFE: i32 =
    libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
/// A directory as a place only: it need not be readable.
const PLACE: i32 = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;

const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;
const PERMISSIONS: u32 = 0o777;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITES: u32 = 0o020;
const STICKY: u32 = 0o1000;

/// How often a file is opened again that is just being rotated.
const MAX_ATTEMPTS: u32 = 100;
/// How long to wait before that, in nanoseconds.
const ATTEMPT_PAUSE_NS: i64 = 1_000_000;
/// Maximum number of writes for one line, if each writes only a part.
const MAX_WRITES: u32 = 16;

/// File systems that no server and no other process has to answer for.
const LOCAL: [i64; 14] = [
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0xf2f5_2010, // f2fs
    0x2fc1_2fc1, // zfs
    0x794c_7630, // overlayfs
    0xca45_1a4e, // bcachefs
    0x3153_464a, // jfs
    0x5265_4973, // reiserfs
    0x3434,      // nilfs
    0x5346_4846, // the first WSL's
    0x4d44,      // fat
];

/// The status of a file.
#[derive(Clone, Copy)]
struct Status {
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    device: (u32, u32),
    inode: u64,
}

impl Status {
    fn is(&self, kind: u32) -> bool {
        self.mode & libc::S_IFMT == kind
    }

    fn is_same(&self, other: &Self) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

/// Appends the plan's line in the first place where that succeeds.
///
/// # Async-signal-safety
///
/// What [`take_slot`] and [`append_in`] list, `unlinkat`, `close`.
pub(crate) fn perform(plan: &Plan) -> Result<(), Errno> {
    let slot = take_slot(plan);
    let may_go_far = !matches!(slot, Slot::None);
    let appended = append_somewhere(plan, may_go_far);
    if let Slot::Taken(dir, name) = slot {
        // Somebody may just wait for this lock, and then hold one that nobody
        // else sees: that is one more process, and does no harm.
        // SAFETY: a NUL-terminated string.
        let _ = unsafe { syscall!(Sysno::unlinkat, dir, name.as_ptr(), 0) };
        close(dir);
    }
    appended
}

/// One of the locks that bound how many processes of a user wait for a place
/// that does not answer.
enum Slot<'a> {
    /// It is held until this process ends: its directory and its name.
    Taken(i32, &'a CStr),
    /// None is needed, or there is no place for them.
    Unbounded,
    /// All are held by others.
    None,
}

/// # Async-signal-safety
///
/// What [`append_in`] lists.
fn append_somewhere(plan: &Plan, may_go_far: bool) -> Result<(), Errno> {
    let mut first = Errno::new(libc::EAGAIN);
    let mut is_first = true;
    for place in &plan.places {
        if !(place.is_near || may_go_far) {
            continue;
        }
        match append_in(plan, place) {
            Ok(()) => return Ok(()),
            Err(errno) if is_first => {
                first = errno;
                is_first = false;
            }
            Err(_) => {}
        }
    }
    Err(first)
}

/// # Async-signal-safety
///
/// What [`walk`] lists, `openat`, `flock`, `close`.
fn take_slot(plan: &Plan) -> Slot<'_> {
    if plan.slots.is_empty() {
        return Slot::Unbounded;
    }
    for place in &plan.places {
        if !place.is_near {
            continue;
        }
        let Ok(dir) = walk(place, plan.uid, true) else {
            continue;
        };
        let mut is_busy = false;
        for name in &plan.slots {
            let flags = libc::O_RDWR | libc::O_CREAT | SAFE;
            let Ok(fd) = open_at(dir, name, flags, FILE_MODE) else {
                continue;
            };
            if lock(fd, libc::LOCK_EX).is_ok() {
                return Slot::Taken(dir, name);
            }
            is_busy = true;
            close(fd);
        }
        close(dir);
        if is_busy {
            return Slot::None;
        }
        // A place that is full or read-only holds no locks.
    }
    Slot::Unbounded
}

/// Opens a place's directory, and creates missing ones.
///
/// # Async-signal-safety
///
/// `openat`, `fstatfs`, `statx`, `mkdirat`, `fchmodat`, `close`.
pub(super) fn walk(
    place: &GuardedPath,
    uid: u32,
    create: bool,
) -> Result<i32, Refused> {
    let fail = |depth, why| Refused { depth, why };
    let mut here = open_at(libc::AT_FDCWD, &place.root, PLACE, 0)
        .map_err(|errno| fail(0, PathRefusal::System(errno)))?;
    let rights = match check_root(here, place, uid) {
        Ok(rights) => rights,
        Err(why) => {
            close(here);
            return Err(fail(0, why));
        }
    };
    let mut may_create = rights;
    for (depth, step, is_last) in place.steps() {
        let entered = enter(here, step, is_last, uid, create, may_create);
        close(here);
        here = entered.map_err(|why| fail(depth, why))?;
        // Every directory from here on belongs to this user alone.
        may_create = true;
    }
    Ok(here)
}

/// Whether something may be made in a place's root; fails if the root must not
/// be used at all.
///
/// # Async-signal-safety
///
/// `fstatfs`, `statx`.
fn check_root(
    root: i32,
    place: &GuardedPath,
    uid: u32,
) -> Result<bool, PathRefusal> {
    if place.is_near && !is_local(root) {
        return Err(PathRefusal::Remote);
    }
    let status = status_of(root, c"").map_err(PathRefusal::System)?;
    let is_ours = check_ours(&status, uid, false);
    match place.rule {
        Root::Chosen => Ok(is_ours.is_ok()),
        Root::Private => is_ours.map(|()| true),
        Root::Everybodys => {
            let is_roots = status.uid == 0 || status.uid == uid;
            let is_sticky = status.mode & STICKY != 0;
            let is_shared = status.mode & (OTHERS_WRITE | GROUP_WRITES) != 0;
            if is_roots && (is_sticky || !is_shared) {
                Ok(true)
            } else {
                Err(PathRefusal::Shared)
            }
        }
    }
}

/// # Async-signal-safety
///
/// `fstatfs`.
fn is_local(fd: i32) -> bool {
    let mut status = MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: writes one statfs to a live local.
    let looked = unsafe { syscall!(Sysno::fstatfs, fd, status.as_mut_ptr()) };
    // SAFETY: all zero bytes are a value of it, and the kernel's are, too.
    let kind = unsafe { status.assume_init() }.f_type;
    // Some systems sign-extend this field of 32 bits.
    let kind = kind & 0xffff_ffff;
    looked.is_ok() && LOCAL.contains(&kind)
}

/// Opens a directory in another one, and makes it if it is missing.
///
/// # Async-signal-safety
///
/// `openat`, `statx`, `mkdirat`, `fchmodat`, `close`.
fn enter(
    here: i32,
    name: &CStr,
    is_last: bool,
    uid: u32,
    create: bool,
    may_create: bool,
) -> Result<i32, PathRefusal> {
    let no_link = PLACE | libc::O_NOFOLLOW;
    let fd = match open_at(here, name, no_link, 0) {
        Ok(fd) => fd,
        Err(errno) if errno.into_raw() == libc::ENOENT => {
            if !may_create {
                return Err(PathRefusal::NotCreated);
            }
            if !create {
                return Err(PathRefusal::System(errno));
            }
            make(here, name).map_err(PathRefusal::System)?;
            open_at(here, name, no_link, 0).map_err(PathRefusal::System)?
        }
        Err(errno) if errno.into_raw() == libc::ENOTDIR => {
            // A link of this user in a directory of this user is followed.
            let link = status_of(here, name).map_err(PathRefusal::System)?;
            if !link.is(libc::S_IFLNK) || is_last {
                return Err(PathRefusal::NoDirectory);
            }
            if link.uid != uid && link.uid != 0 {
                return Err(PathRefusal::Foreign);
            }
            open_at(here, name, PLACE, 0).map_err(PathRefusal::System)?
        }
        Err(errno) => return Err(PathRefusal::System(errno)),
    };
    let checked = status_of(fd, c"")
        .map_err(PathRefusal::System)
        .and_then(|status| check_ours(&status, uid, is_last));
    match checked {
        Ok(()) => Ok(fd),
        Err(why) => {
            close(fd);
            Err(why)
        }
    }
}

/// Creates a private directory in one where other users cannot rename
/// or remove it.
///
/// # Async-signal-safety
///
/// `mkdirat`, `statx`, `fchmodat`.
fn make(here: i32, name: &CStr) -> Result<(), Errno> {
    // SAFETY: a NUL-terminated string.
    let made = unsafe {
        syscall!(Sysno::mkdirat, here, name.as_ptr(), DIRECTORY_MODE)
    };
    match made {
        Err(errno) if errno.into_raw() == libc::EEXIST => return Ok(()),
        Err(errno) => return Err(errno),
        Ok(_) => {}
    }
    // The umask may have removed the owner's own permissions.
    if status_of(here, name)?.mode & PERMISSIONS == DIRECTORY_MODE {
        return Ok(());
    }
    // SAFETY: a NUL-terminated string.
    unsafe { syscall!(Sysno::fchmodat, here, name.as_ptr(), DIRECTORY_MODE) }
        .map(drop)
}

/// Fails if a directory belongs to another user, or if others may write there.
/// In a directory above the last, the user's private group may write: systems
/// that have such groups give them the user's number, and their umask lets them
/// write. Root has none.
///
/// # Async-signal-safety
///
/// No system call.
fn check_ours(
    status: &Status,
    uid: u32,
    is_last: bool,
) -> Result<(), PathRefusal> {
    if !status.is(libc::S_IFDIR) {
        return Err(PathRefusal::NoDirectory);
    }
    if status.uid != uid {
        return Err(PathRefusal::Foreign);
    }
    let is_private = !is_last && uid != 0 && status.gid == uid;
    let is_shared = status.mode & OTHERS_WRITE != 0
        || (status.mode & GROUP_WRITES != 0 && !is_private);
    if is_shared {
        Err(PathRefusal::Shared)
    } else {
        Ok(())
    }
}

/// Appends the plan's line in one place.
///
/// # Async-signal-safety
///
/// What [`walk`] and [`append_at`] list, and `close`.
fn append_in(plan: &Plan, place: &GuardedPath) -> Result<(), Errno> {
    let dir = walk(place, plan.uid, true).map_err(|it| it.why.errno())?;
    let appended = append_at(dir, plan, &place.names);
    close(dir);
    appended
}

/// Appends the plan's line to a file in an open directory. A full file gets
/// another name first.
///
/// Who appends holds a shared lock, and who rotates holds the only lock; each
/// looks afterwards whether the file still has its name. So a line goes into
/// the file that has the name, and a file is renamed once, by one.
///
/// # Async-signal-safety
///
/// What [`open_file`], [`rotate`] and [`write`] list; `statx`, `flock`,
/// `close`, `nanosleep`.
fn append_at(dir: i32, plan: &Plan, names: &Names) -> Result<(), Errno> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let is_last = attempt >= MAX_ATTEMPTS;
        let fd = open_file(dir, &names.file, plan.uid)?;
        let status = match status_of(fd, c"") {
            Ok(status) => status,
            Err(errno) => {
                close(fd);
                return Err(errno);
            }
        };
        let is_full = status.size >= plan.max_bytes;
        if is_full && !is_last && rotate(dir, fd, &status, names) {
            close(fd);
            continue;
        }
        // A lock that cannot be had costs no line.
        let locked = lock(fd, libc::LOCK_SH);
        let is_busy =
            locked.is_err_and(|errno| errno.into_raw() == libc::EWOULDBLOCK);
        let has_name = status_of(dir, &names.file)
            .is_ok_and(|named| named.is_same(&status));
        if is_last || (has_name && !is_busy) {
            let written = write(fd, &plan.line);
            close(fd);
            return written;
        }
        close(fd);
        pause();
    }
}

/// Opens a file of this user to append to it, or creates it.
///
/// # Async-signal-safety
///
/// `openat`, `fchmod`, `statx`, `close`.
fn open_file(dir: i32, name: &CStr, uid: u32) -> Result<i32, Errno> {
    let flags = libc::O_WRONLY | libc::O_APPEND | SAFE;
    let create = flags | libc::O_CREAT | libc::O_EXCL;
    let fd = match open_at(dir, name, flags, 0) {
        Ok(fd) => fd,
        Err(errno) if errno.into_raw() == libc::ENOENT => {
            match open_at(dir, name, create, FILE_MODE) {
                Ok(fd) => {
                    // Whatever the umask: others have nothing to read here.
                    // SAFETY: touches no memory.
                    let _ = unsafe { syscall!(Sysno::fchmod, fd, FILE_MODE) };
                    fd
                }
                // Another process has been faster.
                Err(errno) if errno.into_raw() == libc::EEXIST => {
                    open_at(dir, name, flags, 0)?
                }
                Err(errno) => return Err(errno),
            }
        }
        Err(errno) => return Err(errno),
    };
    let status = status_of(fd, c"");
    if status.is_ok_and(|it| it.is(libc::S_IFREG) && it.uid == uid) {
        return Ok(fd);
    }
    close(fd);
    Err(Errno::new(libc::EPERM))
}

/// Renames a full file to its second name; false if another process is doing
/// that, or if it fails: then the file continues to grow.
///
/// # Async-signal-safety
///
/// `flock`, `statx`, `renameat`.
fn rotate(dir: i32, fd: i32, status: &Status, names: &Names) -> bool {
    if lock(fd, libc::LOCK_EX).is_err() {
        return false;
    }
    let named = status_of(dir, &names.file);
    if !named.is_ok_and(|it| it.is_same(status)) {
        // Another process has done it meanwhile.
        return true;
    }
    // The old file is removed, if it can be one of uilog's.
    let is_in_the_way = status_of(dir, &names.old)
        .is_ok_and(|it| !it.is(libc::S_IFREG) || it.uid != status.uid);
    if is_in_the_way {
        return false;
    }
    // SAFETY: two NUL-terminated strings.
    unsafe {
        syscall!(
            Sysno::renameat2,
            dir,
            names.file.as_ptr(),
            dir,
            names.old.as_ptr(),
            0
        )
    }
    .is_ok()
}

/// # Async-signal-safety
///
/// `write`.
fn write(fd: i32, line: &[u8]) -> Result<(), Errno> {
    let mut rest = line;
    let mut count = 0;
    while !rest.is_empty() {
        count += 1;
        // SAFETY: reads the bytes of a live slice.
        let written =
            unsafe { syscall!(Sysno::write, fd, rest.as_ptr(), rest.len()) };
        match written {
            Ok(bytes) => rest = rest.get(bytes..).unwrap_or_default(),
            Err(errno) if errno.into_raw() == libc::EINTR => {}
            Err(errno) => return Err(errno),
        }
        if count >= MAX_WRITES && !rest.is_empty() {
            return Err(Errno::new(libc::EIO));
        }
    }
    Ok(())
}

/// # Async-signal-safety
///
/// `openat`.
fn open_at(dir: i32, name: &CStr, flags: i32, mode: u32) -> Result<i32, Errno> {
    // SAFETY: a NUL-terminated string.
    let fd =
        unsafe { syscall!(Sysno::openat, dir, name.as_ptr(), flags, mode) }?;
    Ok(fd as i32)
}

/// Reads the status of a name in a directory, without following a link; without
/// a name, of the descriptor.
///
/// # Async-signal-safety
///
/// `statx`.
fn status_of(fd: i32, name: &CStr) -> Result<Status, Errno> {
    let mut found = MaybeUninit::<libc::statx>::zeroed();
    let flags = libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;
    // SAFETY: a NUL-terminated string; writes one statx to a live local.
    unsafe {
        syscall!(
            Sysno::statx,
            fd,
            name.as_ptr(),
            flags,
            libc::STATX_BASIC_STATS,
            found.as_mut_ptr()
        )
    }?;
    // SAFETY: all zero bytes are a value of it, and the kernel's are, too.
    let found = unsafe { found.assume_init() };
    Ok(Status {
        mode: found.stx_mode.into(),
        uid: found.stx_uid,
        gid: found.stx_gid,
        size: found.stx_size,
        device: (found.stx_dev_major, found.stx_dev_minor),
        inode: found.stx_ino,
    })
}

/// Takes a lock, or fails at once.
///
/// # Async-signal-safety
///
/// `flock`.
fn lock(fd: i32, kind: i32) -> Result<(), Errno> {
    // SAFETY: touches no memory.
    unsafe { syscall!(Sysno::flock, fd, kind | libc::LOCK_NB) }.map(drop)
}

/// # Async-signal-safety
///
/// `close`.
fn close(fd: i32) {
    // SAFETY: the caller has opened it, and uses it no more.
    let _ = unsafe { syscall!(Sysno::close, fd) };
}

/// # Async-signal-safety
///
/// `nanosleep`.
fn pause() {
    let time = libc::timespec {
        tv_sec: 0,
        tv_nsec: ATTEMPT_PAUSE_NS,
    };
    // SAFETY: reads a live local.
    let _ = unsafe { syscall!(Sysno::nanosleep, &raw const time, 0) };
}
