//! The structured sinks of a ui, as far as hg has to know them: an event that
//! any of them tracks is sent once for all.

use uilog_channel::settings::Fault;
use uilog_channel::sink_config;
use uilog_event::tracked::Tracked;

/// All of a ui's structured sinks.
#[derive(Debug)]
pub struct StructuredSinks {
    sinks: Vec<Named>,
    /// What `[uilog]` says of them.
    items: Vec<(Vec<u8>, Vec<u8>)>,
}

/// One of them.
#[derive(Debug)]
struct Named {
    /// Its name for people.
    name: String,
    url: String,
    tracked: Tracked,
    is_collector: bool,
}

impl StructuredSinks {
    /// Reads the section's names and values; `None` without such sinks. Also
    /// returns invalid ones.
    pub fn new(items: &[(Vec<u8>, Vec<u8>)]) -> (Option<Self>, Vec<Fault>) {
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
        };
        (Some(sink), faults)
    }

    /// Whether any of them receives events of this name.
    pub fn tracks(&self, event: &[u8]) -> bool {
        self.sinks.iter().any(|it| it.tracked.contains(event))
    }

    /// Whether a collector receives events of this name.
    pub fn has_collector(&self, event: &[u8]) -> bool {
        let mut sinks = self.sinks.iter();
        sinks.any(|it| it.is_collector && it.tracked.contains(event))
    }

    /// What `[uilog]` says of them.
    pub fn items(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.items
    }

    /// Their names for messages; with an event, of those that receive it.
    pub fn names(&self, event: Option<&[u8]>) -> Vec<String> {
        let is_wanted =
            |it: &&Named| event.is_none_or(|event| it.tracked.contains(event));
        let wanted = self.sinks.iter().filter(is_wanted);
        wanted.map(|it| it.name.clone()).collect()
    }

    /// Where they lead, without secrets: names and URLs.
    pub fn urls(&self) -> Vec<(String, String)> {
        let named = self.sinks.iter();
        named.map(|it| (it.name.clone(), it.url.clone())).collect()
    }
}
