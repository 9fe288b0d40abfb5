//! The commands and hooks that run, with their spans, and what they do at the
//! moment.

use uilog_channel::phase::Phase;
use uilog_event::event::Trace;
use uilog_event::event::new_session;
use uilog_event::rusage;
use uilog_event::rusage::ResourceUsage;
use uilog_event::spans::Activity;
use uilog_event::spans::ParentContext;
use uilog_event::trace::Context;

use super::Host;

impl Host {
    /// Notes that a command will run within this thread's current one, up to
    /// [`Self::leave_command`].
    pub fn enter_command(&mut self, is_served: bool) {
        self.spans.enter(is_served);
    }

    /// Notes that the command that was entered last has ended, in whatever way.
    pub fn leave_command(&mut self) {
        let noted = self.spans.leave();
        self.end_noted(noted);
    }

    /// Notes that a command begins, and its repository: events of a ui without
    /// one, such as the command's end, belong there.
    pub fn begin_command(&mut self, root: Option<&[u8]>) {
        (self.repository.1.head, self.repository.1.revision) = (None, None);
        // What hg has used before its first command, it has used for that.
        let used = match self.has_begun {
            true => rusage::used(),
            false => ResourceUsage::NOTHING,
        };
        self.has_begun = true;
        self.spans.begin_command(root, used);
    }

    /// Begins the span of this thread's innermost command, which lasts until
    /// [`Self::end_command`]; `None` if it has one. A command that has ended
    /// gets another span only if it `is_new`.
    ///
    /// `owns_environment` says that the caller puts the span into
    /// `TRACEPARENT`, which other threads leave alone.
    pub fn begin_span(
        &mut self,
        owns_environment: bool,
        is_new: bool,
    ) -> Option<Trace> {
        if !self.spans.needs_span(is_new) {
            return None;
        }
        let is_first = self.begun == 0;
        self.begun += 1;
        let adopted = (is_first && self.is_adopted)
            .then(|| self.facts.said().adopted())
            .flatten();
        // What hg has used before its first command, it has used for that.
        let used = match is_first {
            true => ResourceUsage::NOTHING,
            false => rusage::used(),
        };
        let around = self.surroundings(owns_environment);
        let trace = adopted.unwrap_or_else(|| self.new_trace(around, is_first));
        self.spans.begin(Activity::Command, trace, used, around);
        Some(trace)
    }

    /// Begins the span of a hook, which lasts until [`Self::end_hook`].
    pub fn begin_hook(
        &mut self,
        kind: Activity,
        owns_environment: bool,
    ) -> Trace {
        let around = self.surroundings(owns_environment);
        let trace = self.new_trace(around, false);
        self.spans
            .begin(kind, trace, ResourceUsage::NOTHING, around);
        trace
    }

    /// The command begins something that may take long. The phase is stored in
    /// the queue of records, if there is one.
    pub fn begin_phase(&mut self, phase: &Phase<'_>) {
        self.phases.push(phase.to_bytes());
        self.publish_phase();
    }

    /// The last phase is over.
    pub fn end_phase(&mut self) {
        self.phases.pop();
        self.publish_phase();
    }

    pub(super) fn publish_phase(&mut self) {
        let phase = self.phases.last().map_or(&[][..], |it| it);
        self.records.set_phase(phase);
    }

    /// Ends the span of this thread's innermost hook, and open spans within it.
    pub fn end_hook(&mut self) {
        let noted = self.spans.leave_hook();
        self.end_noted(noted);
    }

    /// Ends the span of this thread's innermost command.
    pub fn end_command(&mut self) {
        let noted = self.spans.end_command();
        self.end_noted(noted);
    }

    /// These commands have ended, so they must not be reported as killed.
    pub(super) fn end_noted(&mut self, noted: impl IntoIterator<Item = u64>) {
        for id in noted {
            self.records.end_command(id);
            self.dispatcher.end_command(id);
        }
    }

    /// Notes that this process is about to execute another program, or that it
    /// could not: then it was not killed.
    pub fn become_another(&mut self, is_about_to: bool) {
        if self.is_own() {
            self.records.hide_commands(is_about_to);
            self.dispatcher.hide_commands(is_about_to);
        }
    }

    /// What programs that this thread starts now are a part of, where there
    /// is a span.
    pub fn context(&self) -> Option<Context> {
        self.spans.current().map(|span| span.trace.context())
    }

    pub(super) fn surroundings(&self, owns_environment: bool) -> ParentContext {
        ParentContext {
            environment: self.facts.around,
            owns_environment,
        }
    }

    pub(super) fn new_trace(
        &self,
        around: ParentContext,
        is_first: bool,
    ) -> Trace {
        // The first trace is called as its session is.
        let id = if is_first {
            self.session
        } else {
            new_session()
        };
        let span = new_session().0 as u64;
        Trace::begin(self.spans.parent(around), id.0, span.max(1))
    }

    /// The root of the repository of this thread's innermost command.
    pub fn command_root(&self) -> Option<&[u8]> {
        self.spans.root()
    }

    /// Whether the command that runs has been noted.
    pub(crate) fn has_noted(&self) -> bool {
        self.spans.noted().is_some()
    }

    /// The number under which the command that runs has been noted, or would
    /// be.
    pub(crate) fn noted_or_next(&self) -> u64 {
        self.spans.noted().unwrap_or(self.noted + 1)
    }
}
