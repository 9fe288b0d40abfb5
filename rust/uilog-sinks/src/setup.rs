//! The sinks that `[uilog]` and hg's environment define at the time of a
//! record, and whether one must be reopened.
//!
//! Must not know threads or the queue.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::OnceLock;

use uilog_channel::record_delivery::Items;
use uilog_channel::record_delivery::Queued;
use uilog_channel::sink_config;
use uilog_channel::sink_config::SinkConfig;
use uilog_event::tracked::Tracked;

use crate::globals::Globals;

/// How many are cached: sinks that are behind may need older ones.
const REMEMBERED: usize = 4;

/// Variables of hg's environment that differ from command to command, and on
/// which no sink depends. Any other may be used in a path, or name a proxy.
const PASSING: [&[u8]; 6] = [
    b"TRACEPARENT=",
    b"UILOG_",
    b"PWD=",
    b"OLDPWD=",
    b"SHLVL=",
    b"_=",
];

/// The sinks' configuration of one record.
#[derive(Debug)]
pub(crate) struct Setup {
    items: Arc<Items>,
    environment: Arc<[u8]>,
    /// What all sinks may depend on.
    common: Vec<(Vec<u8>, Vec<u8>)>,
    variables: Vec<Vec<u8>>,
    sinks: Vec<TrackedSink>,
    globals: OnceLock<Arc<Globals>>,
}

/// A sink and the events that it tracks.
#[derive(Debug)]
pub(crate) struct TrackedSink {
    pub(crate) definition: SinkConfig,
    pub(crate) tracked: Tracked,
}

impl Setup {
    fn new(record: &Queued) -> Self {
        let items = &record.items;
        let named = items.iter().map(|(name, value)| (&**name, &**value));
        let (definitions, _) = sink_config::read(named);
        let is_common = |it: &&(Vec<u8>, Vec<u8>)| {
            !it.0.starts_with(sink_config::PREFIX.as_bytes())
        };
        let wanted = definitions.into_iter().map(|definition| TrackedSink {
            tracked: definition.tracked(),
            definition,
        });
        Self {
            common: items.iter().filter(is_common).cloned().collect(),
            variables: relevant(&record.environment),
            sinks: wanted.collect(),
            items: Arc::clone(items),
            environment: Arc::clone(&record.environment),
            globals: OnceLock::new(),
        }
    }

    /// The names of the sinks.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.sinks.iter().map(|it| it.definition.name.as_str())
    }

    /// The sink of that name.
    pub(crate) fn sink(&self, name: &str) -> Option<&TrackedSink> {
        self.sinks.iter().find(|it| it.definition.name == name)
    }

    /// Whether there is a sink of that name that tracks the event.
    pub(crate) fn wants(&self, name: &str, event: &[u8]) -> bool {
        self.sink(name).is_some_and(|it| it.tracked.contains(event))
    }

    /// What all sinks have in common.
    pub(crate) fn globals(&self) -> &Arc<Globals> {
        self.globals.get_or_init(|| {
            Arc::new(Globals::new(&self.items, &self.environment))
        })
    }

    /// Whether the sink of that name is the same in both.
    pub(crate) fn is_same_for(&self, name: &str, other: &Self) -> bool {
        let (own, others) = (self.sink(name), other.sink(name));
        std::ptr::eq(self, other)
            || self.variables == other.variables
                && self.common == other.common
                && own.map(|it| &it.definition)
                    == others.map(|it| &it.definition)
    }

    fn is_of(&self, record: &Queued) -> bool {
        Arc::ptr_eq(&self.items, &record.items)
            && Arc::ptr_eq(&self.environment, &record.environment)
    }
}

/// The last few.
#[derive(Debug, Default)]
pub(crate) struct Setups(VecDeque<Arc<Setup>>);

impl Setups {
    /// The one of this record.
    pub(crate) fn of(&mut self, record: &Queued) -> Arc<Setup> {
        if let Some(known) = self.0.iter().find(|it| it.is_of(record)) {
            return Arc::clone(known);
        }
        let setup = Arc::new(Setup::new(record));
        self.0.truncate(REMEMBERED - 1);
        self.0.push_front(Arc::clone(&setup));
        setup
    }
}

/// What of an environment sinks may depend on.
fn relevant(environment: &[u8]) -> Vec<Vec<u8>> {
    let is_relevant = |entry: &&[u8]| {
        !PASSING.iter().any(|passing| entry.starts_with(passing))
    };
    let entries = environment.split(|byte| *byte == 0).filter(is_relevant);
    entries.map(<[u8]>::to_vec).collect()
}
