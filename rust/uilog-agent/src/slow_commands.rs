//! Which commands are checked for a long duration (`slow`).
//!
//! Responsible for delivering the event: its record is written to a new queue,
//! like that of a process that has ended at once. Must not know how queues are
//! delivered.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use uilog_channel::agent_address;
use uilog_channel::queue;
use uilog_channel::queue::Origin;
use uilog_channel::queue::Writer;
use uilog_event::event::Timestamp;
use uilog_sys::living_file;

use crate::ids::ClientId;
use crate::server::Server;
use crate::slow::DueEvent;
use crate::trust::WriterTrust;

/// A queue for one record.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

impl Server {
    /// Logs commands that run for a long time.
    pub(crate) fn report_slow_commands(&mut self) {
        let now = Instant::now();
        let ids: Vec<_> = self.clients.keys().copied().collect();
        let mut due = Vec::new();
        for id in ids {
            due.extend(self.slow_of(id, now));
        }
        for it in due {
            // If there is no room for it, no event of hg's is lost.
            let _ = self.append_to_new_queue(&it);
        }
    }

    /// When the next event is due.
    pub(crate) fn slow_at(&self) -> Option<Instant> {
        self.clients
            .values()
            .filter_map(|it| it.slow.due_at())
            .min()
    }

    fn slow_of(&mut self, id: ClientId, now: Instant) -> Vec<DueEvent> {
        let Some(client) = self.clients.get_mut(&id) else {
            return Vec::new();
        };
        let open = client.feed.queue.open_command().ok().flatten();
        if !client.slow.is_due(open, now) {
            return Vec::new();
        }
        let is_from_here = matches!(client.trust, WriterTrust::Proven);
        // Facts that other processes report about themselves are logged at
        // their end.
        if open.is_none() || !is_from_here || !client.is_alive() {
            return Vec::new();
        }
        let commands = client.feed.open_commands().unwrap_or_default();
        let mut due = Vec::new();
        for command in commands {
            let known =
                self.configurations.of(&command.items, &command.environment);
            let Some(bound) = known.slow() else {
                continue;
            };
            let found =
                client
                    .slow
                    .next_event(&mut client.feed, command, bound, now);
            due.extend(found);
        }
        due
    }

    /// Writes a record to a new queue, and claims that queue.
    fn append_to_new_queue(&mut self, due: &DueEvent) -> io::Result<()> {
        let dir = Arc::clone(&self.directories.own);
        let name = agent_address::new_queue();
        let origin = Origin {
            pid: std::process::id(),
            namespaces: self.namespaces.clone(),
            session: String::new(),
            micros: Timestamp::now().micros,
        };
        let fill = |file: &File| {
            queue::lay_out_for_records(file, MAX_BYTES, &origin)?;
            let mut writer = Writer::over(file.try_clone()?, MAX_BYTES);
            let at = writer.committed().end;
            writer.append(&due.frames(at)?, 1).map(drop)
        };
        let file = living_file::create(&dir, &name, fill)?;
        // It has ended, like its writer.
        drop(file);
        self.claim(&dir, &name, true, None);
        Ok(())
    }
}
