//! Waits until one of several connections is ready.
//!
//! Must not know what a connection is.

use std::os::fd::BorrowedFd;
use std::time::Duration;
use std::time::Instant;

use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::poll::poll;

/// How often a process is asked for that has no descriptor to wait for.
const ASK_PAUSE: Duration = Duration::from_millis(10);

/// The descriptors to wait for.
#[derive(Debug, Default)]
pub(crate) struct PollSet<'fd> {
    fds: Vec<PollFd<'fd>>,
    /// Some process has no descriptor to wait for.
    must_ask: bool,
}

impl<'fd> PollSet<'fd> {
    /// Until this becomes readable.
    pub(crate) fn add(&mut self, fd: BorrowedFd<'fd>) {
        self.fds.push(PollFd::new(fd, PollFlags::POLLIN));
    }

    /// Until a process ends that has to be asked for.
    pub(crate) fn must_ask(&mut self) {
        self.must_ask = true;
    }

    /// Blocks until one of them is there, or until this moment, or until a
    /// signal comes.
    pub(crate) fn wait(mut self, until: Option<Instant>) {
        let left = until.map(|until| until.duration_since(Instant::now()));
        let left = if self.must_ask {
            Some(left.map_or(ASK_PAUSE, |left| left.min(ASK_PAUSE)))
        } else {
            left
        };
        let timeout = match left {
            None => PollTimeout::NONE,
            // Rounded up: a wait that ends too early only begins again.
            Some(left) => {
                PollTimeout::try_from(left + Duration::from_millis(1))
                    .unwrap_or(PollTimeout::MAX)
            }
        };
        // Interrupted or not, the caller looks for itself.
        let _ = poll(&mut self.fds, timeout);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering;
    use std::thread;

    use super::*;

    #[test]
    fn it_blocks_until_a_descriptor_is_readable() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut awaited = PollSet::default();
        awaited.add(reader.as_fd());
        let stat = format!("/proc/self/task/{}/stat", nix::unistd::gettid());
        let has_blocked = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let is_asleep = || {
                    let stat = fs::read_to_string(&stat).unwrap();
                    stat.rsplit_once(") ").unwrap().1.starts_with('S')
                };
                while !is_asleep() {
                    thread::yield_now();
                }
                has_blocked.store(true, Ordering::SeqCst);
                writer.write_all(b"x").unwrap();
            });
            awaited.wait(None);
            assert!(has_blocked.load(Ordering::SeqCst));
        });
    }

    #[test]
    fn it_ends_at_its_limit_or_when_somebody_must_be_asked_for() {
        let (reader, _writer) = std::io::pipe().unwrap();
        let until = Instant::now() + Duration::from_millis(20);
        let mut awaited = PollSet::default();
        awaited.add(reader.as_fd());
        awaited.wait(Some(until));
        assert!(Instant::now() >= until);

        let mut awaited = PollSet::default();
        awaited.add(reader.as_fd());
        awaited.must_ask();
        awaited.wait(None);
    }
}
