//! The configuration of one set of sinks: the items of `[uilog]`, and the part
//! of hg's environment on which sinks depend.
//!
//! Responsible for comparing configurations, and for storing each only once.
//! Must not know where a configuration comes from, or whether it may be used.

use std::sync::Arc;
use std::time::Duration;

use uilog_channel::record_delivery::Items;
use uilog_channel::sink_config;
use uilog_channel::sink_config::HISTORY;
use uilog_channel::sink_config::PREFIX;
use uilog_channel::sink_config::SECTION;
use uilog_channel::sink_config::SinkConfig;
use uilog_channel::sink_environment::is_of_ci;
use uilog_config::items;
use uilog_config::items::Value;
use uilog_event::tracked::Tracked;

use crate::slow;

/// Maximum number of unused configurations that are kept.
const MAX_UNUSED: usize = 64;

/// One of them.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) items: Arc<Items>,
    pub(crate) environment: Arc<[u8]>,
    pub(crate) sinks: Vec<TrackedSink>,
}

/// A sink, and the events that it tracks.
#[derive(Debug)]
pub(crate) struct TrackedSink {
    pub(crate) definition: SinkConfig,
    pub(crate) tracked: Tracked,
}

impl Configuration {
    fn new(items: Arc<Items>, environment: Arc<[u8]>) -> Self {
        let named = items.iter().map(|(name, value)| (&**name, &**value));
        let (definitions, _) = sink_config::read(named);
        let sinks = definitions.into_iter().map(|definition| TrackedSink {
            tracked: definition.tracked(),
            definition,
        });
        Self {
            sinks: sinks.collect(),
            items,
            environment,
        }
    }

    /// Whether it has exactly this sink.
    pub(crate) fn has(&self, definition: &SinkConfig) -> bool {
        self.sinks.iter().any(|it| it.definition == *definition)
    }

    /// For how long an agent waits for more records, if it says so.
    pub(crate) fn idle(&self) -> Option<Duration> {
        self.seconds(b"agent-idle")
    }

    /// After which time a running command is logged as slow; `None` if that is
    /// not tracked.
    pub(crate) fn slow(&self) -> Option<Duration> {
        const USUAL: Duration = Duration::from_secs(60);
        let is_wanted =
            self.sinks.iter().any(|it| it.tracked.contains(slow::NAME));
        let bound = self.seconds(b"slow-command").unwrap_or(USUAL);
        (is_wanted && !bound.is_zero()).then_some(bound)
    }

    /// What an item says, if it is set.
    fn seconds(&self, name: &[u8]) -> Option<Duration> {
        let item = items::find(SECTION.as_bytes(), name)?;
        let set = self.items.iter().rfind(|it| it.0 == name)?;
        match item.parse(&set.1) {
            Some(Value::Seconds(seconds)) => Some(seconds),
            _ => None,
        }
    }

    /// Whether it is that of a CI system's job.
    pub(crate) fn is_of_ci(&self) -> bool {
        let entries = self.environment.split(|byte| *byte == 0);
        let mut names =
            entries.filter_map(|it| it.split(|b| *b == b'=').next());
        names.any(is_of_ci)
    }

    /// Its items without the sinks that are not wanted.
    pub(crate) fn items_for(
        &self,
        is_wanted: impl Fn(&SinkConfig) -> bool,
    ) -> Arc<Items> {
        let is_kept = |(name, _): &&(Vec<u8>, Vec<u8>)| {
            if name == HISTORY {
                let mut sinks = self.sinks.iter().map(|it| &it.definition);
                return sinks.any(|it| it.is_history() && is_wanted(it));
            }
            let Some(rest) = name.strip_prefix(PREFIX.as_bytes()) else {
                return true;
            };
            let named = rest.split(|byte| *byte == b':').next();
            let mut definitions = self.sinks.iter().map(|it| &it.definition);
            definitions
                .any(|it| Some(it.name.as_bytes()) == named && is_wanted(it))
        };
        let items = self.items.iter().filter(is_kept);
        items.cloned().collect()
    }
}

/// One of each.
#[derive(Debug, Default)]
pub(crate) struct Configurations(Vec<Arc<Configuration>>);

impl Configurations {
    /// The one that says this.
    pub(crate) fn of(
        &mut self,
        items: &Arc<Items>,
        environment: &Arc<[u8]>,
    ) -> Arc<Configuration> {
        let known = self.0.iter().position(|it| {
            it.items == *items && it.environment == *environment
        });
        if let Some(index) = known {
            return Arc::clone(&self.0[index]);
        }
        if self.0.len() >= MAX_UNUSED {
            self.0.retain(|it| Arc::strong_count(it) > 1);
        }
        let new = Configuration::new(items.clone(), environment.clone());
        let new = Arc::new(new);
        self.0.push(Arc::clone(&new));
        new
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn items(items: &[(&str, &str)]) -> Arc<Items> {
        let bytes = |text: &str| text.as_bytes().to_vec();
        items.iter().map(|(n, v)| (bytes(n), bytes(v))).collect()
    }

    #[test]
    fn there_is_one_of_each() {
        let mut all = Configurations::default();
        let environment: Arc<[u8]> = Arc::from(&b"HOME=/h\0"[..]);
        let first = items(&[("sink.a", "file:/a")]);
        let one = all.of(&first, &environment);
        let same = items(&[("sink.a", "file:/a")]);
        assert!(Arc::ptr_eq(&one, &all.of(&same, &environment)));
        let other = Arc::from(&b"HOME=/other\0"[..]);
        assert!(!Arc::ptr_eq(&one, &all.of(&same, &other)));
        for number in 0..1000 {
            let items = items(&[("sink.a", &format!("file:/{number}"))]);
            all.of(&items, &environment);
        }
        assert!(all.0.len() <= MAX_UNUSED + 1);
        assert!(Arc::ptr_eq(&one, &all.of(&same, &environment)));
    }

    #[test]
    fn items_of_other_sinks_are_left_out() {
        let mut all = Configurations::default();
        let one = all.of(
            &items(&[
                ("sink.a", "file:/a"),
                ("sink.a:track", "*"),
                ("sink.ab", "file:/b"),
                ("sink.ab:track", "*"),
                ("spool", "/s"),
            ]),
            &Arc::default(),
        );
        let with_history = all.of(
            &items(&[("history", "yes"), ("sink.a", "file:/a")]),
            &Arc::default(),
        );
        let kept = with_history.items_for(|it| it.name == "a");
        assert_eq!(kept, items(&[("sink.a", "file:/a")]));
        let kept = with_history.items_for(SinkConfig::is_history);
        assert_eq!(kept, items(&[("history", "yes")]));
        let kept = one.items_for(|it| it.name == "ab");
        let expected = [
            ("sink.ab", "file:/b"),
            ("sink.ab:track", "*"),
            ("spool", "/s"),
        ];
        assert_eq!(kept, items(&expected));
    }

    #[test]
    fn a_job_of_ci_is_known() {
        let mut all = Configurations::default();
        let items = items(&[("agent-idle", "3")]);
        let job = all.of(&items, &Arc::from(&b"HOME=/\0GITLAB_CI=true\0"[..]));
        assert!(job.is_of_ci());
        assert_eq!(job.idle(), Some(Duration::from_secs(3)));
        let other = all.of(&items, &Arc::from(&b"HOME=/\0"[..]));
        assert!(!other.is_of_ci());
    }
}
