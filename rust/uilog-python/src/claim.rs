//! The command that `uilog run` has started, if this hg is that command. It is
//! claimed once, and released when its end has been logged.

use std::os::unix::ffi::OsStringExt;
use std::sync::Mutex;
use std::sync::PoisonError;

use uilog_logger::claim;
use uilog_logger::claim::InnerClaim;

use crate::host;

struct Claim {
    inner: InnerClaim,
    /// The process that it is about; a forked child has no part in it.
    owner: u32,
    /// How deep commands are nested where it is the outermost, which is that
    /// of the first event.
    depth: Option<usize>,
    has_begun: bool,
}

static CLAIM: Mutex<Option<Claim>> = Mutex::new(None);

/// What of an event has been logged by `uilog run`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClaimedByRun {
    pub(crate) scripts: bool,
    pub(crate) blackbox: bool,
}

/// Claims the command that runs, if it is one of `uilog run`. Whether the
/// environment says that there is one: then it is not to say so to others.
pub(crate) fn claim() -> bool {
    let Some(variable) = std::env::var_os(claim::RUN_VARIABLE) else {
        return false;
    };
    let claimed = InnerClaim::claim(&variable.into_vec(), host::is_worker());
    if let Some(inner) = claimed {
        let (session, parent) = (inner.session, inner.parent);
        host::with_environment(|host| {
            host.adopt(session, parent, claim::RESERVED_EVENTS);
        });
        let mut place = CLAIM.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(Claim {
            inner,
            owner: uilog_sys::fork::process_id(),
            depth: None,
            has_begun: false,
        });
    }
    true
}

/// Whether a command at this depth is the one that `uilog run` has started.
pub(crate) fn is_of_run(depth: usize) -> bool {
    let place = CLAIM.lock().unwrap_or_else(PoisonError::into_inner);
    place.as_ref().is_some_and(|claim| {
        claim.owner == uilog_sys::fork::process_id()
            && claim.depth.unwrap_or(depth) == depth
    })
}

/// What `uilog run` has logged already of this event, which is one of a
/// command's beginning and end.
pub(crate) fn taken(event: &[u8], depth: usize) -> ClaimedByRun {
    let mut place = CLAIM.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(claim) = place.as_mut() else {
        return ClaimedByRun::default();
    };
    let is_own = claim.owner == uilog_sys::fork::process_id();
    if !is_own || *claim.depth.get_or_insert(depth) != depth {
        return ClaimedByRun::default();
    }
    let has_blackbox = claim.inner.has_blackbox;
    let is_left = match event {
        b"command" if !claim.has_begun => {
            claim.has_begun = true;
            claim.inner.begin()
        }
        b"commandfinish" => {
            let is_left = claim.inner.end();
            *place = None;
            is_left
        }
        _ => true,
    };
    ClaimedByRun {
        scripts: !is_left,
        blackbox: !is_left && has_blackbox,
    }
}
