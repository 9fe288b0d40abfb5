//! The queues of records: starts an agent if none is running, and waits until
//! their records are delivered.
//!
//! Must not know dispatchers and spools.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::Context;
use nix::sys::resource::Resource;
use nix::sys::resource::getrlimit;
use nix::sys::resource::setrlimit;
use uilog_channel::agent_address::QueueLocations;
use uilog_channel::queue::Page;
use uilog_channel::record_queues;
use uilog_channel::record_queues::RecordQueue;
use uilog_logger::agent_start;

use crate::flush::part::LOOK_EVERY;
use crate::flush::part::Part;

/// What to wait for: a queue, and the number of its records.
struct Target {
    queue: RecordQueue,
    records: u64,
    /// Its file, which can be read when the queue has been removed. Opened
    /// before the queue was first read, so that no loss is missed.
    file: File,
}

impl Target {
    fn new(queue: RecordQueue, file: File) -> Self {
        Self {
            records: queue.records,
            queue,
            file,
        }
    }

    /// Whether the process that has finished it has removed it. A queue may
    /// also be missing from a list because there is no free descriptor.
    fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|it| it.nlink() == 0)
    }

    /// How many records had been lost when the queue was removed.
    fn lost_at_last(&self) -> u64 {
        let page = Page::read(&self.file);
        page.map_or(self.queue.lost, |it| it.progress.records_lost)
    }
}

/// The queues with records that are not done with, as far as they are wanted.
fn waiting(
    whereabouts: &QueueLocations,
    is_wanted: impl Fn(&RecordQueue) -> bool,
) -> Vec<Target> {
    let mut targets = Vec::new();
    record_queues::for_each(whereabouts, |queue, file| {
        if is_wanted(&queue) && queue.waiting() > 0 {
            targets.push(Target::new(queue, file));
        }
    });
    targets
}

/// Waits until the records that are in queues now are done with. `items` are
/// those of the sinks that are configured here.
pub(super) fn drain(
    whereabouts: &QueueLocations,
    items: &[(Vec<u8>, Vec<u8>)],
    is_all: bool,
    deadline: Instant,
) -> anyhow::Result<Part> {
    let is_ours =
        |it: &RecordQueue| is_all || it.is_near && !it.is_of_other_home;
    // Each queue that is waited for needs a descriptor.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let mut targets = waiting(whereabouts, is_ours);
    let mut part = Part::default();
    let program = std::env::current_exe().context("find this program")?;
    loop {
        let now = record_queues::find(whereabouts);
        targets.retain_mut(|target| {
            let found = now.iter().find(|it| it.path == target.queue.path);
            let Some(found) = found else {
                if !target.is_removed() {
                    return true;
                }
                part.done += target.records - target.queue.done;
                let lost = target.lost_at_last();
                part.lost += lost.saturating_sub(target.queue.lost);
                return false;
            };
            let done = found.done.min(target.records);
            part.done += done.saturating_sub(target.queue.done);
            part.lost += found.lost.saturating_sub(target.queue.lost);
            target.queue = found.clone();
            target.queue.done = done;
            done < target.records
        });
        if targets.is_empty() {
            return Ok(part);
        }
        let problem = hurry(whereabouts, items, &program);
        if Instant::now() >= deadline {
            part.left =
                targets.iter().map(|it| it.records - it.queue.done).sum();
            part.reason = Some(problem.unwrap_or_else(|| reason(&targets)));
            return Ok(part);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Starts an agent, which scans all directories of queues, and lets all agents
/// send rollups now; or returns why there is none.
fn hurry(
    whereabouts: &QueueLocations,
    items: &[(Vec<u8>, Vec<u8>)],
    program: &Path,
) -> Option<String> {
    let directories = whereabouts.directories();
    let environment = &whereabouts.environment;
    let start =
        |dir| agent_start::start(dir, program, None, environment, items);
    let mut problem = None;
    for dir in &directories {
        match start(dir) {
            Ok(_) => {
                problem = None;
                break;
            }
            Err(error) => problem = Some(error),
        }
    }
    directories.iter().for_each(uilog_agent::hurry);
    problem
}

/// Why something is left.
fn reason(targets: &[Target]) -> String {
    let is_far = |it: &Target| !it.queue.is_near;
    if targets.iter().any(is_far) {
        return "it belongs to processes in other containers: flush there"
            .to_owned();
    }
    let unread = targets.iter().find(|it| !it.queue.is_read);
    match unread {
        Some(it) => format!("no process has begun to read {}", it.queue.path),
        None => "the time is over".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use nix::fcntl::OFlag;
    use uilog_channel::agent_address;
    use uilog_channel::queue;
    use uilog_channel::queue::Origin;
    use uilog_channel::queue::Reader;
    use uilog_channel::queue::Writer;

    use super::*;

    #[test]
    fn what_was_lost_is_known_though_the_queue_is_gone() {
        let home = tempfile::tempdir().unwrap();
        let mut environment = b"XDG_RUNTIME_DIR=".to_vec();
        environment.extend_from_slice(home.path().as_os_str().as_bytes());
        environment.push(0);
        let place = agent_address::places(&environment, None).next().unwrap();
        let dir = place.open(true).unwrap();
        let name = agent_address::new_queue();
        let file = dir.open_or_create(&name, OFlag::O_RDWR, 0o600).unwrap();
        queue::lay_out_for_records(&file, 1 << 20, &Origin::default()).unwrap();
        let reader = Reader::open(file.try_clone().unwrap().into());
        let mut frame = Vec::new();
        let begin = queue::begin_frame(&mut frame).unwrap();
        frame.push(0);
        queue::end_frame(&mut frame, begin).unwrap();
        Writer::over(file, 1 << 20).append(&frame, 2).unwrap();
        let whereabouts = QueueLocations::new(&environment, None);
        let is_it =
            |queue: &RecordQueue| queue.path.ends_with(name.to_str().unwrap());
        let mut targets = waiting(&whereabouts, is_it);
        let target = targets.remove(0);
        assert_eq!((targets.len(), target.records), (0, 2));
        assert!(!target.is_removed());
        // Its reader ends meanwhile.
        let mut reader = reader.unwrap();
        reader.progress_mut().records = 2;
        reader.progress_mut().records_lost = 1;
        reader.publish().unwrap();
        dir.unlink(&name).unwrap();
        assert_eq!(waiting(&whereabouts, is_it).len(), 0);
        assert!(target.is_removed());
        assert_eq!(target.lost_at_last(), 1);
    }
}
