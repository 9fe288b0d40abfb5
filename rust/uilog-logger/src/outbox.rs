//! What a sink on hg's side is, and what it may ask of its host.
//!
//! A sink looks up what its configuration says about an event, and puts the
//! resulting jobs into the [`Outbox`]. Must not know who has the queues.

use uilog_channel::frames::Script;
use uilog_channel::loss::Loss;
use uilog_channel::settings::Settings;
use uilog_event::event::Event;

use crate::account::FaultKind;

/// What the host takes from a sink.
pub trait Outbox {
    /// Hands a script on to the dispatcher.
    ///
    /// # Errors
    ///
    /// What has been lost, and why.
    fn run_script(
        &mut self,
        event: &Event<'_>,
        script: &Script,
        settings: &Settings,
    ) -> Result<(), Loss>;

    /// Hands an event on for the structured sinks that these items of
    /// `[uilog]` tell of: to the user's agent, or to the dispatcher.
    /// `has_collector` tells whether a collector is among them.
    ///
    /// # Errors
    ///
    /// What has been lost, and why.
    fn record(
        &mut self,
        event: &Event<'_>,
        items: &[(Vec<u8>, Vec<u8>)],
        settings: &Settings,
        has_collector: bool,
    ) -> Result<(), Loss>;

    /// Notes for the same sinks what is to be said if the command that begins
    /// is killed; `is_followed` tells that an event is recorded at once.
    ///
    /// # Errors
    ///
    /// What else has been lost, and why.
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

    /// Whether it wants events of this name.
    fn tracks(&self, event: &[u8]) -> bool;

    /// What people know it by: several names, if it is several sinks. Of an
    /// event, those that want it.
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

    /// Takes an event that it tracks.
    ///
    /// # Errors
    ///
    /// The event, and perhaps earlier ones, will not reach their end.
    fn deliver(
        &self,
        event: &Event<'_>,
        outbox: &mut dyn Outbox,
    ) -> Result<(), Loss>;

    /// Whether it tells of commands that are killed: `commandlost`.
    fn tells_losses(&self) -> bool {
        false
    }

    /// Takes an event `commandlost` for the case that the command that begins
    /// never ends, if it tells of such.
    ///
    /// # Errors
    ///
    /// Earlier events have been lost.
    fn note(
        &self,
        _event: &Event<'_>,
        _outbox: &mut dyn Outbox,
    ) -> Result<(), Loss> {
        Ok(())
    }
}
