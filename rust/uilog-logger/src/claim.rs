//! Decides which of two processes logs a command: `uilog run`, or the hg that
//! it runs.
//!
//! The outer process creates a word in memory and names it in the environment.
//! The inner process, if there is one, sets a bit in that word. Each of them
//! sets another bit before it logs the command's beginning or end; the first
//! one logs it. Nothing here blocks, and a claim stays valid if its process
//! dies.
//!
//! Both use the same session, so it does not matter which one logs an event.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use uilog_event::event::SessionId;
use uilog_sys::shared_word;
use uilog_sys::shared_word::SharedWord;

/// The environment variable by which the inner one finds the word.
pub const RUN_VARIABLE: &str = "UILOG_RUN";

/// The prefix of the path if another process works for the command.
const SERVED: &str = "chg:";

/// How many numbers of the session's events the outer one may use.
pub const RESERVED_EVENTS: u64 = 2;

/// The inner one is there and logs.
const CLAIMED: u32 = 1;
/// The outer one has logged the beginning.
const OUTER_BEGAN: u32 = 1 << 1;
/// The inner one has logged the beginning.
const INNER_BEGAN: u32 = 1 << 2;
/// The end was logged, or is about to be.
const ENDED: u32 = 1 << 3;

/// The outer one's view.
#[derive(Debug)]
pub struct OuterClaim {
    word: SharedWord,
}

/// Whether the outer one is to log something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToLog {
    /// The beginning.
    pub begin: bool,
    /// The end.
    pub end: bool,
}

impl OuterClaim {
    /// Creates the word; `parent` is the enclosing session, and `has_blackbox`
    /// says whether the outer process logs to a blackbox.
    ///
    /// # Errors
    ///
    /// There is no memory or no free descriptor.
    pub fn new(
        session: SessionId,
        parent: Option<SessionId>,
        has_blackbox: bool,
    ) -> io::Result<Self> {
        let mut bytes = [0; shared_word::BYTES];
        bytes[..16].copy_from_slice(&session.0.to_le_bytes());
        let parent = parent.map_or(0, |parent| parent.0);
        bytes[16..32].copy_from_slice(&parent.to_le_bytes());
        bytes[32] = has_blackbox.into();
        let word = SharedWord::create(bytes)?;
        Ok(Self { word })
    }

    /// The value of [`RUN_VARIABLE`] for the command. `is_served` says that
    /// it is not the command's own process that logs.
    pub fn variable(&self, is_served: bool) -> String {
        let served = if is_served { SERVED } else { "" };
        let pid = std::process::id();
        format!("{served}/proc/{pid}/fd/{}", self.raw_fd())
    }

    /// The descriptor that the word is open under.
    pub fn raw_fd(&self) -> i32 {
        self.word.raw_fd().unwrap_or(-1)
    }

    /// While the command runs: whether the outer one is to log the beginning
    /// now. Once the inner one is there, that is its affair.
    pub fn begin(&self) -> bool {
        self.word.set_if_zero(OUTER_BEGAN)
    }

    /// When the command has ended: the events that are still to be logged, also
    /// for an inner process that was killed.
    pub fn end(&self) -> ToLog {
        let before = self.word.set(OUTER_BEGAN | ENDED);
        let began = OUTER_BEGAN | INNER_BEGAN;
        let end = before & ENDED == 0;
        ToLog {
            begin: end && before & began == 0,
            end,
        }
    }
}

/// The inner one's view.
#[derive(Debug)]
pub struct InnerClaim {
    word: SharedWord,
    /// The session that both use.
    pub session: SessionId,
    /// The enclosing session.
    pub parent: Option<SessionId>,
    /// Whether the outer one writes a blackbox, too.
    pub has_blackbox: bool,
}

impl InnerClaim {
    /// Claims the command of `variable` for this process, if it is the one that
    /// the outer process has started, or, if the variable says so, works for
    /// that. `is_worker` says that this process works for another one.
    pub fn claim(variable: &[u8], is_worker: bool) -> Option<Self> {
        let (path, is_served) = match variable.strip_prefix(SERVED.as_bytes()) {
            Some(path) => (path, true),
            None => (variable, false),
        };
        let outer = process_of(path)?;
        let is_child = outer == std::os::unix::process::parent_id();
        let is_meant = is_child || is_served && is_worker;
        if !is_meant {
            return None;
        }
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
        let word = SharedWord::open(&path).ok()?;
        let bytes = word.bytes();
        let session = |half: &[u8]| {
            let half = half.try_into().unwrap_or_default();
            u128::from_le_bytes(half)
        };
        let parent = session(&bytes[16..32]);
        // A second one that works for the same command is not the one.
        if word.set(CLAIMED) & CLAIMED != 0 {
            return None;
        }
        Some(Self {
            session: SessionId(session(&bytes[..16])),
            parent: (parent != 0).then_some(SessionId(parent)),
            has_blackbox: bytes[32] != 0,
            word,
        })
    }

    /// Whether the inner one is to log the beginning.
    pub fn begin(&self) -> bool {
        self.word.set(INNER_BEGAN) & OUTER_BEGAN == 0
    }

    /// Whether the inner one is to log the end.
    pub fn end(&self) -> bool {
        self.word.set(ENDED) & ENDED == 0
    }
}

/// The process that a path of the form `/proc/PID/fd/N` is about.
fn process_of(path: &[u8]) -> Option<u32> {
    let path = std::str::from_utf8(path).ok()?;
    let (pid, fd) = path.strip_prefix("/proc/")?.split_once("/fd/")?;
    fd.parse::<u32>().ok()?;
    pid.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId(7);

    fn outer() -> OuterClaim {
        OuterClaim::new(SESSION, Some(SessionId(3)), true).unwrap()
    }

    /// One that works for others: it need not be the outer one's child.
    fn inner(outer: &OuterClaim) -> Option<InnerClaim> {
        InnerClaim::claim(outer.variable(true).as_bytes(), true)
    }

    fn left(begin: bool, end: bool) -> ToLog {
        ToLog { begin, end }
    }

    #[test]
    fn alone_the_outer_one_logs() {
        let it = outer();
        assert_eq!(it.end(), left(true, true));
        let it = outer();
        assert!(it.begin());
        assert!(!it.begin());
        assert_eq!(it.end(), left(false, true));
    }

    #[test]
    fn the_inner_one_logs_what_it_comes_to_first() {
        let it = outer();
        let within = inner(&it).unwrap();
        assert_eq!(within.session, SESSION);
        assert_eq!(within.parent, Some(SessionId(3)));
        assert!(within.has_blackbox);
        assert!(!it.begin());
        assert!(within.begin());
        assert!(within.end());
        assert_eq!(it.end(), left(false, false));
        // It was late.
        let it = outer();
        assert!(it.begin());
        let within = inner(&it).unwrap();
        assert!(!within.begin());
        assert!(within.end());
        assert_eq!(it.end(), left(false, false));
        // It logs no beginning, as of `hg --version`.
        let it = outer();
        let within = inner(&it).unwrap();
        assert!(within.end());
        assert_eq!(it.end(), left(false, false));
    }

    #[test]
    fn what_a_killed_one_has_not_logged_is_logged() {
        let it = outer();
        let within = inner(&it).unwrap();
        drop(within);
        assert_eq!(it.end(), left(true, true));
        let it = outer();
        let within = inner(&it).unwrap();
        assert!(within.begin());
        assert_eq!(it.end(), left(false, true));
        // One that works for others goes on, but no event comes twice.
        assert!(!within.end());
        let it = outer();
        assert!(it.begin());
        let within = inner(&it).unwrap();
        assert_eq!(it.end(), left(false, true));
        assert!(!within.begin());
        assert!(!within.end());
    }

    #[test]
    fn only_the_right_one_claims() {
        let it = outer();
        let own = it.variable(false);
        // This process is its own outer one here, not its own child.
        assert!(InnerClaim::claim(own.as_bytes(), true).is_none());
        let served = it.variable(true);
        assert!(InnerClaim::claim(served.as_bytes(), false).is_none());
        let first = InnerClaim::claim(served.as_bytes(), true);
        assert!(first.is_some());
        assert!(InnerClaim::claim(served.as_bytes(), true).is_none());
        for text in ["", "/proc/1/fd/x", "/etc/passwd", "/proc/x/fd/1", "chg:"]
        {
            assert!(
                InnerClaim::claim(text.as_bytes(), true).is_none(),
                "{text}"
            );
        }
    }

    /// Every order of the steps of both, each in its own order.
    #[test]
    fn whatever_the_order_each_event_is_logged_once() {
        // Which of the steps are the inner one's.
        for order in 0_u32..1 << 5 {
            if order.count_ones() != 3 {
                continue;
            }
            let it = outer();
            let mut within = None;
            let (mut begins, mut ends) = (0, 0);
            let (mut outer_steps, mut inner_steps) = (0, 0);
            for step in 0..5 {
                if order >> step & 1 == 1 {
                    match (inner_steps, &within) {
                        (0, _) => within = inner(&it),
                        (1, Some(within)) => {
                            begins += u32::from(InnerClaim::begin(within));
                        }
                        (_, Some(within)) => {
                            ends += u32::from(InnerClaim::end(within));
                        }
                        _ => {}
                    }
                    inner_steps += 1;
                } else if outer_steps == 0 {
                    begins += u32::from(it.begin());
                    outer_steps += 1;
                } else {
                    let left = it.end();
                    begins += u32::from(left.begin);
                    ends += u32::from(left.end);
                    outer_steps += 1;
                }
            }
            assert_eq!((begins, ends), (1, 1), "{order:05b}");
        }
    }
}
