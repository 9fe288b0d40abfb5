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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::tests::config;

    /// The finding's code, text and advice.
    fn found(hgrc: &str, event: &str) -> Option<(String, String)> {
        let finding = check(&config(hgrc), event.as_bytes())?;
        let text = format!("{}: {}", finding.code, finding.text);
        Some((text, finding.advice.unwrap()))
    }

    #[test]
    fn an_event_of_an_extension_needs_it() {
        let needs = "event-not-emitted: the event 'commandlost' needs \
                     the extension uilog, which is not enabled";
        let (text, advice) = found("", "commandlost").unwrap();
        assert_eq!(text, needs);
        assert_eq!(advice, "enable it: [extensions] uilog =");
        assert_eq!(found("[extensions]\nuilog=", "commandlost"), None);
        assert!(found("[extensions]\nuilog=!", "commandlost").is_some());
    }

    #[test]
    fn an_event_that_an_item_switches_on_needs_it() {
        let (text, advice) = found("", "uiblocked").unwrap();
        assert!(text.ends_with("needs ui.logblockedtimes, which is off"));
        assert_eq!(advice, "switch it on: [ui] logblockedtimes = yes");
        for (value, is_found) in [("yes", false), ("no", true)] {
            let hgrc = format!("[ui]\nlogblockedtimes={value}");
            assert_eq!(found(&hgrc, "uiblocked").is_some(), is_found);
        }
    }

    #[test]
    fn an_unknown_event_may_be_a_mistake() {
        assert_eq!(found("", "command"), None);
        let (text, advice) = found("", "comand").unwrap();
        assert_eq!(
            text,
            "event-unknown: nothing in Mercurial emits the event 'comand'"
        );
        assert_eq!(advice, "did you mean 'command'?");
        let (_, advice) = found("", "deployment").unwrap();
        assert!(advice.starts_with("ignore this if"), "{advice}");
    }
}
