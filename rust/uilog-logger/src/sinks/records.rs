//! hg's side of the structured sinks: an event that any sink tracks is passed
//! to the dispatcher once.

use uilog_channel::commandlost;
use uilog_channel::loss::Loss;
use uilog_channel::settings::Fault;
use uilog_channel::settings::Settings;
use uilog_channel::sink_config;
use uilog_event::event::Event;
use uilog_event::tracked::Tracked;

use crate::outbox::EventHandler;
use crate::outbox::Outbox;

/// What they are known by, all together.
pub const NAME: &str = "uilog";

/// All of a ui's structured sinks.
#[derive(Debug)]
pub struct Structured {
    sinks: Vec<Named>,
    /// What `[uilog]` says of them.
    items: Vec<(Vec<u8>, Vec<u8>)>,
    settings: Settings,
}

/// One of them.
#[derive(Debug)]
struct Named {
    /// As people know it.
    name: String,
    url: String,
    tracked: Tracked,
    is_collector: bool,
}

impl Structured {
    /// Reads the section's names and values; `None` without such sinks. What
    /// they say that is invalid is told as well.
    pub fn new(
        items: &[(Vec<u8>, Vec<u8>)],
        settings: Settings,
    ) -> (Option<Self>, Vec<Fault>) {
        let named = items.iter().map(|(name, value)| (&**name, &**value));
        let (definitions, faults) = sink_config::read(named);
        if definitions.is_empty() {
            return (None, faults);
        }
        let items = items.iter().filter(|(name, _)| sink_config::is_item(name));
        let sink = Self {
            sinks: definitions
                .iter()
                .map(|it| Named {
                    name: it.item(),
                    url: it.shown_url(),
                    tracked: it.tracked(),
                    is_collector: it.is_collector(),
                })
                .collect(),
            items: items.cloned().collect(),
            settings,
        };
        (Some(sink), faults)
    }
}

impl EventHandler for Structured {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tracks(&self, event: &[u8]) -> bool {
        self.sinks.iter().any(|it| it.tracked.contains(event))
    }

    fn names(&self, event: Option<&[u8]>) -> Vec<String> {
        let is_wanted =
            |it: &&Named| event.is_none_or(|event| it.tracked.contains(event));
        let wanted = self.sinks.iter().filter(is_wanted);
        wanted.map(|it| it.name.clone()).collect()
    }

    fn urls(&self) -> Vec<(String, String)> {
        let named = self.sinks.iter();
        named.map(|it| (it.name.clone(), it.url.clone())).collect()
    }

    fn deliver(
        &self,
        event: &Event<'_>,
        outbox: &mut dyn Outbox,
    ) -> Result<(), Loss> {
        let mut sinks = self.sinks.iter();
        let has_collector =
            sinks.any(|it| it.is_collector && it.tracked.contains(&event.name));
        outbox.record(event, &self.items, &self.settings, has_collector)
    }

    fn tells_losses(&self) -> bool {
        self.tracks(commandlost::NAME)
    }

    fn note(
        &self,
        event: &Event<'_>,
        outbox: &mut dyn Outbox,
    ) -> Result<(), Loss> {
        let is_followed = self.tracks(b"command");
        outbox.note_record(event, &self.items, &self.settings, is_followed)
    }
}
