//! The directory of a spool: created for its owner only, and refused if other
//! users could write to it, or put another directory in its place.
//!
//! Must not know what is in it.
//!
//! Every directory of the path is checked, as ssh does for keys. Links are
//! resolved here and not by the kernel, because users who can write to a link's
//! directory can change its target. The directory itself must belong to the
//! user, and other users must not be able to write to it. A directory above it
//! must belong to the user or to root; other users may be able to write to it
//! only if it is sticky, since then they cannot rename its entries, or if they
//! are in the user's private group.
// ssh: misc.c, safe_path; auth.c of Debian allows private groups, too

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use nix::unistd::getegid;
use nix::unistd::geteuid;
use uilog_sys::own_dir::OwnDir;

use crate::error::Cause;
use crate::error::Context;
use crate::error::Error;
use crate::error::Operation;

/// Links that are followed, as many as the kernel would.
const MAX_LINKS: usize = 40;

const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_OR_OTHERS_WRITE: u32 = 0o022;

/// Creates `dir` if it does not exist, and checks that it is safe. As with ssh,
/// directories above `home` are not checked.
///
/// # Errors
///
/// It cannot be created, or is not safe.
pub fn prepare(dir: &Path, home: Option<&Path>) -> Result<(), Error> {
    walk(dir, home, look_or_create).map(drop)
}

/// Whether `dir` exists, and is safe. Creates nothing.
///
/// # Errors
///
/// It cannot be read, or is not safe.
pub fn find(dir: &Path, home: Option<&Path>) -> Result<bool, Error> {
    walk(dir, home, |_, path| match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some).context(Operation::Use, path),
    })
}

/// Walks to `dir` and calls `look` with each directory and the path in it;
/// returns whether `dir` exists.
fn walk(
    dir: &Path,
    home: Option<&Path>,
    look: impl Fn(&Path, &Path) -> Result<Option<Metadata>, Error>,
) -> Result<bool, Error> {
    if !dir.is_absolute() {
        return Err(refused(dir, "its path is not absolute"));
    }
    let home = home.and_then(|home| fs::canonicalize(home).ok());
    let is_above_home = |dir: &Path| {
        home.as_deref()
            .is_some_and(|home| home != dir && home.starts_with(dir))
    };
    let mut here = PathBuf::from("/");
    let mut links = 0;
    let mut ahead = components(dir);
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let path = here.join(&name);
        let Some(status) = look(&here, &path)? else {
            return Ok(false);
        };
        if status.is_symlink() {
            links += 1;
            if links > MAX_LINKS {
                return Err(refused(dir, "too many links"));
            }
            check_owner(&path, &status)?;
            let target = fs::read_link(&path).context(Operation::Use, &path)?;
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            let mut target = components(&target);
            target.append(&mut ahead);
            ahead = target;
        } else if !status.is_dir() {
            return Err(refused(&path, "it is not a directory"));
        } else {
            if !ahead.is_empty() && !is_above_home(&path) {
                check_above(&path, &status)?;
            }
            here = path;
        }
    }
    // Once more, and of where the last link has led: `..` may come last.
    let status = fs::symlink_metadata(&here).context(Operation::Use, &here)?;
    check_itself(&here, &status).map(|()| true)
}

fn components(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

fn look_or_create(
    parent: &Path,
    path: &Path,
) -> Result<Option<Metadata>, Error> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(parent, path).context(Operation::Create, path)?;
            fs::symlink_metadata(path)
        }
        result => result,
    }
    .map(Some)
    .context(Operation::Use, path)
}

/// Creates a directory, unless another process is faster: then the existing one
/// is checked like any other.
fn create(parent: &Path, path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default();
    let above = OwnDir::beside_users_file(parent)?;
    match above.create_private(name) {
        Err(error) => match above.entry(name)? {
            Some(_) => Ok(()),
            None => Err(error),
        },
        Ok(_) => {
            // If that fails, the system writes the directory later.
            let _ = File::open(parent).and_then(|it| it.sync_all());
            Ok(())
        }
    }
}

fn check_owner(path: &Path, status: &Metadata) -> Result<(), Error> {
    let (owner, user) = (status.uid(), geteuid().as_raw());
    if owner == user || owner == 0 {
        return Ok(());
    }
    Err(refused(path, "it belongs to another user"))
}

fn check_above(path: &Path, status: &Metadata) -> Result<(), Error> {
    check_owner(path, status)?;
    let mode = status.mode();
    if mode & STICKY != 0 {
        return Ok(());
    }
    if mode & OTHERS_WRITE != 0 {
        return Err(refused(path, "other users can write there"));
    }
    if mode & GROUP_WRITES != 0 && !is_private(status.gid()) {
        return Err(refused(path, "its group can write there"));
    }
    Ok(())
}

fn check_itself(path: &Path, status: &Metadata) -> Result<(), Error> {
    if status.uid() != geteuid().as_raw() {
        return Err(refused(path, "it belongs to another user"));
    }
    if status.mode() & GROUP_OR_OTHERS_WRITE != 0 {
        return Err(refused(path, "other users can write there"));
    }
    Ok(())
}

/// Whether a group is root's, or the user's own: where users have such, it has
/// the user's number, and the umask lets it write.
fn is_private(group: u32) -> bool {
    let is_own = group == getegid().as_raw() && group == geteuid().as_raw();
    is_own || group == 0
}

fn refused(path: &Path, why: &str) -> Error {
    Error::new(Operation::Use, path, Cause::Unsafe(why.to_owned()))
}
