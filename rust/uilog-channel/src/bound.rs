//! uilog's descriptors in hg's process.
//!
//! Responsible for two promises: even if hg or its extensions close
//! descriptors, uilog never closes or writes to a file that is not its own; and
//! uilog leaves hg enough descriptors. Must not know what the descriptors refer
//! to.

use std::mem::ManuallyDrop;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;

use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::socket::MsgFlags;
use uilog_sys::fd::Identity;

/// `MSG_NOSIGNAL`: while a pager runs, hg has SIGPIPE at its default.
pub const SEND_FLAGS: MsgFlags =
    MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);

/// How many descriptors must remain for hg.
const MIN_DESCRIPTORS_LEFT: u64 = 8;

/// Something that has at most two descriptors.
pub trait Descriptors {
    /// Their numbers, or [`NO_DESCRIPTOR`].
    fn raw_fds(&self) -> [RawFd; 2];
}

/// In place of a descriptor's number.
pub const NO_DESCRIPTOR: RawFd = -1;

impl<T: AsFd> Descriptors for T {
    fn raw_fds(&self) -> [RawFd; 2] {
        [self.as_fd().as_raw_fd(), NO_DESCRIPTOR]
    }
}

/// What descriptors refer to now.
fn identities(value: &impl Descriptors) -> [Option<Identity>; 2] {
    value.raw_fds().map(|raw| match raw {
        NO_DESCRIPTOR => None,
        raw => Identity::of(raw),
    })
}

/// An object with descriptors that must not be closed if their numbers may
/// belong to other files by now: in a forked child, which has closed them
/// already, and if other code has closed them.
#[derive(Debug)]
pub struct Bound<T: Descriptors> {
    owner: u32,
    identities: [Option<Identity>; 2],
    value: Option<ManuallyDrop<T>>,
}

impl<T: Descriptors> Bound<T> {
    /// A value that belongs to the process that makes it.
    pub fn new(value: T) -> Self {
        Self {
            owner: std::process::id(),
            identities: identities(&value),
            value: Some(ManuallyDrop::new(value)),
        }
    }

    /// Whether the descriptors are still what they were.
    pub fn is_intact(&self) -> bool {
        let now = identities(&**self);
        now[0].is_some() && now == self.identities
    }

    /// The value, if it still belongs to this process.
    pub fn into_inner(mut self) -> Option<T> {
        self.value.take().map(ManuallyDrop::into_inner)
    }
}

impl<T: Descriptors> std::ops::Deref for Bound<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
            .as_ref()
            .expect("only into_inner takes it, by value")
    }
}

impl<T: Descriptors> std::ops::DerefMut for Bound<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value
            .as_mut()
            .expect("only into_inner takes it, by value")
    }
}

impl<T: Descriptors> Drop for Bound<T> {
    fn drop(&mut self) {
        let is_own = self.owner == std::process::id();
        if self.value.is_some() && is_own && self.is_intact() {
            drop(self.value.take().map(ManuallyDrop::into_inner));
        }
    }
}

/// Refuses descriptors if too few would remain for hg: it could not open a file
/// that it could open without uilog. A child process, with the same limit,
/// could not work either.
pub fn leave_some_for_hg(ours: &[RawFd]) -> Result<(), String> {
    let limit = getrlimit(Resource::RLIMIT_NOFILE);
    let (limit, _hard) =
        limit.map_err(|errno| format!("cannot ask for limits: {errno}"))?;
    let used = ours.iter().max().map_or(0, |highest| highest + 1);
    let remaining = limit.saturating_sub(u64::try_from(used).unwrap_or(0));
    if remaining < MIN_DESCRIPTORS_LEFT {
        return Err(format!(
            "only {remaining} of {limit} descriptors (ulimit -n) would remain \
             for hg"
        ));
    }
    Ok(())
}
