//! The structured sinks, as hg sees them: an event that any of them wants goes
//! to the dispatcher, once.

use crate::event::Event;
use crate::pipeline::Host;
use crate::pipeline::Loss;
use crate::pipeline::Sink;
use crate::settings::Fault;
use crate::settings::Settings;
use crate::sinks;
use crate::tracked::Tracked;

/// What they are known by, all together.
pub const NAME: &str = "uilog";

/// All of a ui's structured sinks.
#[derive(Debug)]
pub struct Structured {
    tracked: Vec<Tracked>,
    /// What `[uilog]` says of them.
    items: Vec<(Vec<u8>, Vec<u8>)>,
    settings: Settings,
}

impl Structured {
    /// Reads the section's names and values; `None` without such sinks. What
    /// they say that makes no sense is told as well.
    pub fn new(
        items: &[(Vec<u8>, Vec<u8>)],
        settings: Settings,
    ) -> (Option<Self>, Vec<Fault>) {
        let named = items.iter().map(|(name, value)| (&**name, &**value));
        let (definitions, faults) = sinks::read(named);
        if definitions.is_empty() {
            return (None, faults);
        }
        let items = items.iter().filter(|(name, _)| sinks::is_item(name));
        let sink = Self {
            tracked: definitions.iter().map(|it| it.tracked()).collect(),
            items: items.cloned().collect(),
            settings,
        };
        (Some(sink), faults)
    }
}

impl Sink for Structured {
    fn name(&self) -> &'static str {
        NAME
    }

    fn tracks(&self, event: &[u8]) -> bool {
        self.tracked.iter().any(|tracked| tracked.contains(event))
    }

    fn deliver(&self, event: &Event<'_>, host: &mut Host) -> Result<(), Loss> {
        host.record(event, &self.items, &self.settings)
    }
}
