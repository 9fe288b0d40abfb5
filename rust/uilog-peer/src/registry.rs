//! Which connections are open, and since which command.

use std::thread;
use std::thread::ThreadId;

use crate::outcome::Outcome;

/// A connection's number in its registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub u64);

/// What became of a process's connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections that were opened.
    pub opened: u64,
    /// Those that the command that opened them did not close.
    pub leaked: u64,
    /// How those that are closed ended, by [`Outcome::ALL`].
    pub outcomes: [u64; Outcome::ALL.len()],
}

#[derive(Debug)]
struct Entry<P> {
    id: Id,
    creator: u32,
    thread: ThreadId,
    /// It can only be reached through uilog.
    is_orphan: bool,
    peer: P,
}

/// The open connections of a process, in the order of their creation.
///
/// `P` is the caller's type of a connection.
///
/// Commands can be nested: a long-lived process runs one command in another. A
/// command closes the connections that were opened since it began. Earlier ones
/// belong to others, and so do those of another thread that runs its own
/// command.
///
/// In a forked child the parent's connections stay in here, so that they are
/// not finalized, but they are never returned.
#[derive(Debug)]
pub struct Registry<P> {
    entries: Vec<Entry<P>>,
    next: u64,
    /// For each running command, its thread and the first number of its own.
    /// The outermost one may have begun before uilog was loaded.
    commands: Vec<(ThreadId, Id)>,
    counters: Counters,
}

impl<P> Default for Registry<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> Registry<P> {
    /// An empty one.
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
            next: 0,
            commands: Vec::new(),
            counters: Counters {
                opened: 0,
                leaked: 0,
                outcomes: [0; Outcome::ALL.len()],
            },
        }
    }

    /// Takes in a connection that this process has just opened.
    pub fn add(&mut self, peer: P) -> Id {
        let id = Id(self.next);
        self.next += 1;
        self.counters.opened += 1;
        self.entries.push(Entry {
            id,
            creator: std::process::id(),
            thread: thread::current().id(),
            is_orphan: false,
            peer,
        });
        id
    }

    /// Notes that a connection is unused, though it was not closed; false if
    /// there is no such connection.
    pub fn orphan(&mut self, id: Id) -> bool {
        let entry = self.entries.iter_mut().find(|entry| entry.id == id);
        entry.map(|entry| entry.is_orphan = true).is_some()
    }

    /// Removes a closed connection.
    pub fn remove(
        &mut self,
        id: Id,
        outcome: Outcome,
        is_leaked: bool,
    ) -> Option<P> {
        let at = self.entries.iter().position(|entry| entry.id == id)?;
        let outcomes = Outcome::ALL.iter().zip(&mut self.counters.outcomes);
        for (_, count) in outcomes.filter(|(known, _)| **known == outcome) {
            *count += 1;
        }
        self.counters.leaked += u64::from(is_leaked);
        Some(self.entries.remove(at).peer)
    }

    /// A command begins in this thread.
    pub fn enter_command(&mut self) {
        self.commands.push((thread::current().id(), Id(self.next)));
    }

    /// The innermost command of this thread has ended.
    pub fn leave_command(&mut self) {
        if let Some(at) = self.innermost() {
            self.commands.remove(at);
        }
    }

    /// The open connections that the innermost command of this thread has
    /// opened.
    pub fn of_command(&self) -> impl Iterator<Item = &P> {
        let this = thread::current().id();
        let command = self.innermost().and_then(|at| self.commands.get(at));
        let first = command.map_or(Id(0), |(_, first)| *first);
        let is_ours = move |thread: ThreadId| {
            let mut commands = self.commands.iter();
            thread == this || commands.all(|(other, _)| *other != thread)
        };
        self.own()
            .filter(move |entry| entry.id >= first && is_ours(entry.thread))
            .map(|entry| &entry.peer)
    }

    /// The open connections that are no longer used.
    pub fn orphans(&self) -> impl Iterator<Item = &P> {
        self.own()
            .filter(|entry| entry.is_orphan)
            .map(|entry| &entry.peer)
    }

    /// How many connections of this process are open.
    pub fn open(&self) -> usize {
        self.own().count()
    }

    /// What became of the others.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn innermost(&self) -> Option<usize> {
        let this = thread::current().id();
        self.commands
            .iter()
            .rposition(|(thread, _)| *thread == this)
    }

    fn own(&self) -> impl Iterator<Item = &Entry<P>> {
        let process = std::process::id();
        let entries = self.entries.iter();
        entries.filter(move |entry| entry.creator == process)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_command(registry: &Registry<char>) -> String {
        registry.of_command().collect()
    }

    #[test]
    fn a_command_answers_for_what_it_has_opened() {
        let mut registry = Registry::new();
        registry.add('a');
        registry.enter_command();
        let b = registry.add('b');
        registry.add('c');
        assert_eq!(of_command(&registry), "bc");
        registry.enter_command();
        assert_eq!(of_command(&registry), "");
        registry.add('d');
        assert_eq!(of_command(&registry), "d");
        registry.leave_command();
        assert_eq!(of_command(&registry), "bcd");
        assert_eq!(registry.remove(b, Outcome::Closed, false), Some('b'));
        assert_eq!(registry.remove(b, Outcome::Closed, false), None);
        assert_eq!(of_command(&registry), "cd");
        registry.leave_command();
        assert_eq!(of_command(&registry), "acd");
        assert_eq!(registry.open(), 3);
    }

    #[test]
    fn a_thread_that_runs_a_command_answers_for_itself() {
        let mut registry = Registry::new();
        registry.enter_command();
        registry.add('a');
        thread::scope(|scope| {
            // A helper of the command's.
            scope.spawn(|| registry.add('b'));
        });
        thread::scope(|scope| {
            scope.spawn(|| {
                registry.enter_command();
                registry.add('c');
                assert_eq!(of_command(&registry), "c");
            });
        });
        assert_eq!(of_command(&registry), "ab");
        registry.leave_command();
        assert_eq!(of_command(&registry), "ab", "of whatever is around it");
    }

    #[test]
    fn an_orphan_stays_open_until_it_is_removed() {
        let mut registry = Registry::new();
        let a = registry.add('a');
        registry.add('b');
        assert!(registry.orphan(a));
        assert_eq!(registry.orphans().collect::<String>(), "a");
        assert_eq!(registry.open(), 2);
        registry.remove(a, Outcome::Closed, true);
        assert!(!registry.orphan(a));
        assert_eq!(registry.orphans().count(), 0);
        let counters = registry.counters();
        assert_eq!((counters.opened, counters.leaked), (2, 1));
        assert_eq!(counters.outcomes, [1, 0, 0, 0, 0, 0]);
    }
}
