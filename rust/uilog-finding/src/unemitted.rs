//! Events that a configuration never emits.

use uilog_config::Config;
use uilog_event::events;
use uilog_event::events::Prerequisite;
use uilog_event::suggest::did_you_mean;
use uilog_event::suggest::meant;

use crate::finding::Finding;

/// Why no event of this name comes, if that is so, without its place.
pub fn check(config: &Config, event: &[u8]) -> Option<Finding> {
    let name = String::from_utf8_lossy(event);
    if let Some(known) = events::find(event) {
        let (missing, advice) = match known.needs {
            Prerequisite::Extension(needed)
                if config.extension(needed.as_bytes()).is_none() =>
            {
                (
                    format!("the extension {needed}, which is not enabled"),
                    format!("enable it: [extensions] {needed} ="),
                )
            }
            Prerequisite::Item(section, item)
                if config
                    .bool(section.as_bytes(), item.as_bytes())
                    .is_ok_and(|on| on != Some(true)) =>
            {
                (
                    format!("{section}.{item}, which is off"),
                    format!("switch it on: [{section}] {item} = yes"),
                )
            }
            _ => return None,
        };
        let text = format!("the event '{name}' needs {missing}");
        return Some(
            Finding::warning("event-not-emitted", text).advise(advice),
        );
    }
    let meant = meant(event, events::KNOWN.iter().map(|known| known.name));
    let advice = meant.map_or_else(
        || {
            "ignore this if an extension of yours, or `uilog emit`, emits it"
                .to_owned()
        },
        did_you_mean,
    );
    let text = format!("nothing in Mercurial emits the event '{name}'");
    Some(Finding::warning("event-unknown", text).advise(advice))
}
