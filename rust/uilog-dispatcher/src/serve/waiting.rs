//! Waits until the dispatcher has something to do.
//!
//! Must not know what is then done.

use std::os::fd::AsFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use uilog_channel::poll::timeout_until;

use super::Error;
use super::Server;

impl Server {
    /// Waits until there may be something to do. `is_gathering`: there is, when
    /// the time to gather records is over. What scripts say is read meanwhile.
    pub(super) fn wait(&mut self, is_gathering: bool) -> Result<(), Error> {
        let gathering = self.gathering();
        if is_gathering && gathering.is_none() {
            return Ok(());
        }
        let deadline = self.deadline(gathering);
        while self.wait_once(gathering.is_some(), deadline)? {
            self.collector.drain();
        }
        Ok(())
    }

    /// When there is something to do, even if nothing happens.
    fn deadline(&self, gathering: Option<Instant>) -> Option<Instant> {
        let deadline = self.running.next_deadline();
        let may_run = self.is_behind && self.running.len() < self.max_scripts;
        let retry = self.exhausted.filter(|_| may_run).map(|it| it.until);
        let records = self.records.deadline();
        let losses = self.losses.deadline(self.socket.is_none());
        let failed = self.failed.deadline();
        let ask = self.ask_at;
        let all = [deadline, retry, records, losses, failed, gathering, ask];
        all.into_iter().flatten().min()
    }

    /// Waits; true if only scripts' output has arrived.
    fn wait_once(
        &self,
        is_gathering: bool,
        deadline: Option<Instant>,
    ) -> Result<bool, Error> {
        let mut wanted =
            vec![PollFd::new(self.wakeup.as_fd(), PollFlags::POLLIN)];
        if !is_gathering {
            if let Some(socket) = &self.socket {
                wanted.push(PollFd::new(socket.as_fd(), PollFlags::POLLIN));
            }
            if let Some(records) = self.records.wakeup() {
                wanted.push(PollFd::new(records, PollFlags::POLLIN));
            }
        }
        let others = wanted.len();
        wanted.extend(self.collector.polled());
        let timeout = timeout_until(deadline);
        match nix::poll::poll(&mut wanted, timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(false),
            Ok(_) => {}
            Err(errno) => return Err(Error::System("wait", errno.into())),
        }
        let is_ready = |it: &PollFd<'_>| it.any().unwrap_or(true);
        let is_late = deadline.is_some_and(|it| it <= Instant::now());
        Ok(!is_late && !wanted[..others].iter().any(is_ready))
    }
}
