//! The commands and hooks that run in this process, nested, for each thread.
//!
//! A command is entered before anything is known about it, and begins with its
//! first event, or with the first hook or program that it runs. Without
//! structured sinks it has no span, only a repository. Must not access the
//! environment: the caller passes its values in, and applies changes.

use std::thread;
use std::thread::ThreadId;
use std::time::Duration;
use std::time::Instant;

use uilog_sys::fork::process_id;

use crate::event::Trace;
use crate::rusage::ResourceUsage;
use crate::trace::Context;

/// What runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// A command.
    Command,
    /// A hook that is a program; its event is `exthook`.
    ShellHook,
    /// A hook that is a function; its event is `pythonhook`.
    PythonHook,
}

/// The parent of a span that begins now.
#[derive(Clone, Copy, Debug)]
pub struct ParentContext {
    /// What the environment names.
    pub environment: Option<Context>,
    /// Whether the environment belongs to this thread, so that a new span must
    /// be put there.
    pub owns_environment: bool,
}

/// What runs, each thread's in the order of their beginnings.
#[derive(Debug, Default)]
pub struct Spans {
    open: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    process: u32,
    thread: ThreadId,
    kind: Activity,
    /// A client of this process, a server, has requested it: it is not a part
    /// of the server's own work.
    is_served: bool,
    /// Its event `command` has been logged, its end has not.
    is_known: bool,
    /// By which number it has been noted that the command has begun.
    noted: Option<u64>,
    /// The command's repository.
    root: Option<Vec<u8>>,
    /// What had been used when the command began.
    used: Option<ResourceUsage>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Entered,
    Running(Span),
    /// With the span that it had.
    Ended(Option<Trace>),
}

/// A span that has not ended.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    kind: Activity,
    /// Which one it is, and of what.
    pub trace: Trace,
    /// What had been used when it began.
    pub used: ResourceUsage,
    began: Instant,
    /// Whether the environment names it.
    pub owns_environment: bool,
}

impl Span {
    /// How long it has lasted.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether an event of this name is its end.
    pub fn ends_with(&self, event: &[u8]) -> bool {
        match self.kind {
            Activity::Command => event == b"commandfinish",
            Activity::ShellHook => event == b"exthook",
            Activity::PythonHook => event == b"pythonhook",
        }
    }
}

impl Entry {
    fn new(kind: Activity) -> Self {
        Self {
            process: process_id(),
            thread: thread::current().id(),
            kind,
            is_served: false,
            is_known: false,
            noted: None,
            root: None,
            used: None,
            state: State::Entered,
        }
    }

    fn span(&self) -> Option<&Span> {
        match &self.state {
            State::Running(span) => Some(span),
            State::Entered | State::Ended(_) => None,
        }
    }

    fn is_own(&self) -> bool {
        self.process == process_id() && self.thread == thread::current().id()
    }

    fn is_own_command(&self) -> bool {
        self.is_own() && self.kind == Activity::Command
    }
}

impl Spans {
    /// A command is entered; for a client, if it `is_served`.
    pub fn enter(&mut self, is_served: bool) {
        self.open.push(Entry {
            is_served,
            ..Entry::new(Activity::Command)
        });
    }

    /// This process owns what runs from now on: it continues the work of the
    /// process that has forked it.
    pub fn take_over(&mut self) {
        for entry in &mut self.open {
            entry.process = process_id();
        }
    }

    /// The command that was entered last is left, and so is what runs in it:
    /// the numbers of those of them that have been noted.
    pub fn leave(&mut self) -> Vec<u64> {
        let last = self.open.iter().rposition(Entry::is_own_command);
        self.leave_from(last)
    }

    /// A hook is left, and what runs in it, as in [`Self::leave`].
    pub fn leave_hook(&mut self) -> Vec<u64> {
        let is_own_hook =
            |it: &Entry| it.is_own() && it.kind != Activity::Command;
        let last = self.open.iter().rposition(is_own_hook);
        self.leave_from(last)
    }

    /// Removes an entry, and those above it that belong to this thread.
    fn leave_from(&mut self, first: Option<usize>) -> Vec<u64> {
        let mut index = 0;
        let mut noted = Vec::new();
        self.open.retain(|entry| {
            index += 1;
            let stays =
                first.is_none_or(|first| index <= first || !entry.is_own());
            if !stays {
                noted.extend(entry.noted);
            }
            stays
        });
        noted
    }

    /// By which number this thread's innermost command has been noted.
    pub fn noted(&self) -> Option<u64> {
        self.open.iter().rfind(|it| it.is_own_command())?.noted
    }

    /// It has been noted by this number.
    pub fn note(&mut self, number: u64) {
        self.command().noted = Some(number);
    }

    /// The innermost command of this thread. The outermost one may have begun
    /// before uilog was loaded.
    fn command(&mut self) -> &mut Entry {
        let last = self.open.iter().rposition(Entry::is_own_command);
        let index = last.unwrap_or_else(|| {
            self.open.push(Entry::new(Activity::Command));
            self.open.len() - 1
        });
        &mut self.open[index]
    }

    /// Notes a command's repository. Another command that begins without
    /// having been entered is a part of this one.
    pub fn begin_command(&mut self, root: Option<&[u8]>, used: ResourceUsage) {
        let command = self.command();
        if !command.is_known {
            command.is_known = true;
            command.used = Some(used);
            command.root = root.map(<[u8]>::to_vec);
        }
    }

    /// Whether the innermost command of this thread has no span yet. If it
    /// `is_new`, it may not have been entered, or another may have ended in
    /// its place.
    pub fn needs_span(&self, is_new: bool) -> bool {
        let last = self.open.iter().rfind(|it| it.is_own_command());
        match last.map(|command| command.state) {
            Some(State::Entered) => true,
            Some(State::Ended(_)) | None => is_new,
            Some(State::Running(_)) => false,
        }
    }

    /// What something that begins now is a part of.
    pub fn parent(&self, around: ParentContext) -> Option<Context> {
        let mut own = None;
        for entry in self.open.iter().rev().filter(|it| it.is_own()) {
            own = entry.span();
            if own.is_some() || entry.is_served {
                break;
            }
        }
        let Some(own) = own else {
            return around.environment;
        };
        let context = own.trace.context();
        // A `TRACEPARENT` that was changed since then takes precedence. For
        // another thread's environment that is unknown.
        let is_ours = own.owns_environment && around.owns_environment;
        let nearer = around.environment.filter(|_| is_ours);
        Some(nearer.unwrap_or(context))
    }

    /// Begins the span of a hook, or that of the innermost command.
    pub fn begin(
        &mut self,
        kind: Activity,
        trace: Trace,
        used: ResourceUsage,
        around: ParentContext,
    ) {
        let span = Span {
            kind,
            trace,
            used,
            began: Instant::now(),
            owns_environment: around.owns_environment,
        };
        if kind == Activity::Command {
            self.command().state = State::Running(span);
        } else {
            self.open.push(Entry {
                state: State::Running(span),
                ..Entry::new(kind)
            });
        }
    }

    /// The innermost command of this thread has ended; by which number it has
    /// been noted.
    pub fn end_command(&mut self) -> Option<u64> {
        let command = self.command();
        command.is_known = false;
        command.root = None;
        command.used = None;
        command.state = State::Ended(command.span().map(|span| span.trace));
        command.noted.take()
    }

    /// The span that an event which is logged now belongs to, if there is
    /// one of this process, or of the one that this was forked from.
    pub fn current(&self) -> Option<&Span> {
        self.nearest(Entry::span)
    }

    /// The span of this thread's innermost command, if that has ended.
    pub fn ended(&self) -> Option<Trace> {
        let last = self.open.iter().rfind(|it| it.is_own_command())?;
        match last.state {
            State::Ended(trace) => trace,
            State::Entered | State::Running(_) => None,
        }
    }

    /// What had been used when this thread's innermost command began, if it
    /// has begun.
    pub fn used_before(&self) -> Option<ResourceUsage> {
        self.open.iter().rfind(|it| it.is_own_command())?.used
    }

    /// The repository of the running command. A command that is aborted before
    /// it has begun, as in a server, has none, even if others enclose it.
    pub fn root(&self) -> Option<&[u8]> {
        self.nearest(|it| {
            (it.kind == Activity::Command).then_some(it.root.as_deref())
        })?
    }

    /// The innermost running entry that has a value: of this thread, otherwise
    /// of the thread that has begun first.
    fn nearest<'a, T>(
        &'a self,
        has: impl Fn(&'a Entry) -> Option<T>,
    ) -> Option<T> {
        let this = thread::current().id();
        let of = |thread: ThreadId| {
            let open = self.open.iter().rev();
            open.filter(move |it| it.thread == thread)
        };
        if of(this).any(Entry::is_own) {
            // A command of a server's forked child is not a part of the
            // server's own command.
            return of(this).filter(|it| it.is_own()).find_map(&has);
        }
        let first = self.open.first()?.thread;
        let mut open = of(this).chain(of(first));
        open.find_map(&has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(span: u64) -> Context {
        Context {
            id: 7,
            span,
            flags: 1,
        }
    }

    /// Begins a span with this number, with the environment of somebody who
    /// does as `trace.py` does; the number of its parent, 0 for none.
    fn begin(spans: &mut Spans, kind: Activity, span: u64) -> u64 {
        let current = spans.current().map(|it| it.trace.context());
        within(spans, kind, span, current)
    }

    fn within(
        spans: &mut Spans,
        kind: Activity,
        span: u64,
        environment: Option<Context>,
    ) -> u64 {
        let around = ParentContext {
            environment,
            owns_environment: true,
        };
        let trace = Trace::begin(spans.parent(around), 7, span);
        spans.begin(kind, trace, ResourceUsage::NOTHING, around);
        trace.parent
    }

    fn current(spans: &Spans) -> u64 {
        spans.current().map_or(0, |it| it.trace.span)
    }

    #[test]
    fn what_begins_inside_is_a_part_of_what_is_around() {
        let mut spans = Spans::default();
        assert_eq!(begin(&mut spans, Activity::Command, 1), 0);
        assert_eq!(begin(&mut spans, Activity::PythonHook, 2), 1);
        spans.enter(false);
        assert!(spans.needs_span(false));
        assert_eq!(begin(&mut spans, Activity::Command, 3), 2);
        assert!(!spans.needs_span(true));
        assert_eq!(begin(&mut spans, Activity::ShellHook, 4), 3);
        assert!(spans.current().unwrap().ends_with(b"exthook"));
        assert!(!spans.current().unwrap().ends_with(b"pythonhook"));
        spans.leave_hook();
        assert_eq!(current(&spans), 3);
        assert_eq!(spans.ended(), None);
        spans.end_command();
        assert_eq!(current(&spans), 2);
        assert_eq!(spans.ended().map(|it| it.span), Some(3));
        // What is logged now does not begin it again.
        assert!(!spans.needs_span(false));
        spans.leave();
        spans.leave_hook();
        assert!(spans.current().unwrap().ends_with(b"commandfinish"));
        spans.end_command();
        assert_eq!(current(&spans), 0);
        assert!(spans.needs_span(true), "another one");
    }

    #[test]
    fn each_command_is_noted_by_its_own_number_until_it_is_left() {
        let mut spans = Spans::default();
        assert_eq!(spans.noted(), None);
        begin(&mut spans, Activity::Command, 1);
        spans.note(5);
        spans.enter(false);
        assert_eq!(spans.noted(), None);
        begin(&mut spans, Activity::Command, 2);
        spans.note(6);
        assert_eq!(spans.noted(), Some(6));
        assert_eq!(spans.leave(), [6]);
        assert_eq!(spans.noted(), Some(5));
    }

    #[test]
    fn what_a_client_asks_a_server_for_is_no_part_of_the_server() {
        let mut spans = Spans::default();
        begin(&mut spans, Activity::Command, 1);
        spans.enter(true);
        let outer = Some(context(9));
        assert_eq!(within(&mut spans, Activity::Command, 2, outer), 9);
        assert_eq!(begin(&mut spans, Activity::ShellHook, 3), 2);
        spans.leave();
        spans.enter(true);
        assert_eq!(within(&mut spans, Activity::Command, 4, None), 0);
        spans.leave();
        assert_eq!(current(&spans), 1, "the server goes on");
    }

    #[test]
    fn whatever_has_no_end_ends_with_what_is_around() {
        let mut spans = Spans::default();
        begin(&mut spans, Activity::Command, 1);
        spans.enter(false);
        begin(&mut spans, Activity::Command, 2);
        begin(&mut spans, Activity::PythonHook, 3);
        spans.enter(false);
        begin(&mut spans, Activity::Command, 4);
        spans.leave_hook();
        assert_eq!(current(&spans), 2);
        spans.leave();
        assert_eq!(current(&spans), 1);
    }

    #[test]
    fn whoever_changes_the_environment_stands_nearer() {
        let mut spans = Spans::default();
        let outer = Some(context(9));
        assert_eq!(within(&mut spans, Activity::Command, 1, outer), 9);
        assert_eq!(within(&mut spans, Activity::ShellHook, 2, outer), 9);
        // Whoever clears it says nothing.
        assert_eq!(within(&mut spans, Activity::ShellHook, 3, None), 2);
    }

    #[test]
    fn each_command_has_its_repository() {
        let mut spans = Spans::default();
        spans.begin_command(Some(b"outer"), ResourceUsage::NOTHING);
        assert_eq!(spans.root(), Some(&b"outer"[..]));
        // A command that has not been entered.
        spans.begin_command(Some(b"other"), ResourceUsage::NOTHING);
        assert_eq!(spans.root(), Some(&b"outer"[..]));
        spans.enter(false);
        assert_eq!(spans.root(), None, "nothing is known yet");
        spans.begin_command(Some(b"inner"), ResourceUsage::NOTHING);
        assert_eq!(spans.root(), Some(&b"inner"[..]));
        spans.end_command();
        assert_eq!(spans.root(), None);
        spans.leave();
        assert_eq!(spans.root(), Some(&b"outer"[..]));
        spans.end_command();
        assert_eq!(spans.root(), None);
    }

    #[test]
    fn threads_do_not_disturb_each_other() {
        let mut spans = Spans::default();
        begin(&mut spans, Activity::Command, 1);
        let spans = std::sync::Mutex::new(spans);
        thread::scope(|scope| {
            let inner = scope.spawn(|| {
                let mut spans = spans.lock().unwrap();
                assert_eq!(current(&spans), 1, "a helper of the command's");
                spans.enter(false);
                let main = Some(context(1));
                assert_eq!(within(&mut spans, Activity::Command, 2, main), 1);
                assert_eq!(begin(&mut spans, Activity::ShellHook, 3), 2);
                // The main thread's, which has changed meanwhile.
                let around = ParentContext {
                    environment: Some(context(9)),
                    owns_environment: false,
                };
                assert_eq!(spans.parent(around), Some(context(3)));
            });
            inner.join().unwrap();
        });
        let mut spans = spans.into_inner().unwrap();
        assert_eq!(current(&spans), 1);
        spans.end_command();
        assert_eq!(current(&spans), 0);
    }
}
