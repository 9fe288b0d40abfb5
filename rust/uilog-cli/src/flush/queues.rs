//! The queues of records: starts an agent if none is running, and waits until
//! their records are delivered.
//!
//! Must not know dispatchers and spools.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::Context;
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
    /// Its page, which can be read when the queue has been removed.
    file: Option<File>,
}

impl Target {
    fn new(queue: RecordQueue) -> Self {
        Self {
            records: queue.records,
            file: File::open(&queue.path).ok(),
            queue,
        }
    }

    /// How many records had been lost when the queue was removed.
    fn lost_at_last(&self) -> u64 {
        let page = self.file.as_ref().and_then(|it| Page::read(it).ok());
        page.map_or(self.queue.lost, |it| it.progress.records_lost)
    }
}

/// Waits until the records that are in queues now are done with. `items` are
/// those of the sinks that are configured here.
pub(super) fn drain(
    whereabouts: &QueueLocations,
    items: &[(Vec<u8>, Vec<u8>)],
    is_all: bool,
    deadline: Instant,
) -> anyhow::Result<Part> {
    let find = || record_queues::find(whereabouts);
    let is_ours =
        |it: &RecordQueue| is_all || it.is_near && !it.is_of_other_home;
    let mut targets: Vec<_> = find()
        .into_iter()
        .filter(|it| is_ours(it) && it.waiting() > 0)
        .map(Target::new)
        .collect();
    let mut part = Part::default();
    let program = std::env::current_exe().context("find this program")?;
    loop {
        let now = find();
        targets.retain_mut(|target| {
            let found = now.iter().find(|it| it.path == target.queue.path);
            let Some(found) = found else {
                // The process that has finished it has removed it.
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
