//! What a sink on hg's side is, and what it may ask of its host.
//!
//! A sink looks up what its configuration says about an event, and puts the
//! resulting jobs into the [`Outbox`]. Must not know who has the queues.

use uilog_channel::frames::Script;
use uilog_channel::loss::Loss;
use uilog_channel::settings::Settings;
use uilog_event::event::Event;

use crate::account::FaultKind;

/// The interface of the host for sinks.
pub trait Outbox {
    /// Passes a script to the dispatcher.
    ///
    /// # Errors
    ///
    /// What was lost, and why.
    fn run_script(
        &mut self,
        event: &Event<'_>,
        script: &Script,
        settings: &Settings,
    ) -> Result<(), Loss>;

    /// Passes an event for the structured sinks in these items of `[uilog]` to
    /// the user's agent, or to the dispatcher. `has_collector` says whether one
    /// of them is a collector.
    ///
    /// # Errors
    ///
    /// What was lost, and why.
    fn record(
        &mut self,
        event: &Event<'_>,
        items: &[(Vec<u8>, Vec<u8>)],
        settings: &Settings,
        has_collector: bool,
    ) -> Result<(), Loss>;

    /// Stores the event for the same sinks in case the command that begins is
    /// killed; `is_followed` says that another event is appended at once.
    ///
    /// # Errors
    ///
    /// What else was lost, and why.
    fn note_record(
        &mut self,
        event: &Event<'_>,
        items: &[(Vec<u8>, Vec<u8>)],
        settings: &Settings,
        is_followed: bool,
    ) -> Result<(), Loss>;

    /// Counts a problem that costs no event.
    fn fault(&mut self, kind: FaultKind, detail: String);
}

/// A place that events go to.
pub trait EventHandler: Send + Sync {
    /// The configuration section that it is known by.
    fn name(&self) -> &'static str;

    /// Whether it tracks events of this name.
    fn tracks(&self, event: &[u8]) -> bool;

    /// Its names for people: several, if it stands for several sinks. For an
    /// event, those that track it.
    fn names(&self, event: Option<&[u8]>) -> Vec<String> {
        let is_wanted = event.is_none_or(|event| self.tracks(event));
        is_wanted
            .then(|| self.name().to_owned())
            .into_iter()
            .collect()
    }

    /// Where they lead that have a URL, without secrets: names and URLs.
    fn urls(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Delivers an event that it tracks.
    ///
    /// # Errors
    ///
    /// The event, and perhaps earlier ones, will not arrive.
    fn deliver(
        &self,
        event: &Event<'_>,
        outbox: &mut dyn Outbox,
    ) -> Result<(), Loss>;

    /// Whether it tracks killed commands: `commandlost`.
    fn tells_losses(&self) -> bool {
        false
    }

    /// Stores an event `commandlost` in case the command that begins never
    /// ends, if the sink tracks it.
    ///
    /// # Errors
    ///
    /// Earlier events were lost.
    fn note(
        &self,
        _event: &Event<'_>,
        _outbox: &mut dyn Outbox,
    ) -> Result<(), Loss> {
        Ok(())
    }
}
