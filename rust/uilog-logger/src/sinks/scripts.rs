//! The `logtoprocess` sink: passes an event's script to the dispatcher.
//!
//! Reads `[logtoprocess]`; runs nothing itself.

use std::collections::HashMap;

use uilog_channel::frames::Script;
use uilog_channel::loss::Loss;
use uilog_channel::settings::Fault;
use uilog_channel::settings::Settings;
use uilog_channel::wire::StdinFormat;
use uilog_event::event::Event;

use crate::outbox::EventHandler;
use crate::outbox::Outbox;

/// The section, which the sink is known by.
pub const SECTION: &str = "logtoprocess";

/// Beside `EVENT = SCRIPT`: what the script reads.
const STDIN_SUFFIX: &[u8] = b":stdin";

/// The sink.
#[derive(Debug)]
pub struct LogToProcess {
    scripts: HashMap<Vec<u8>, Script>,
    settings: Settings,
}

impl LogToProcess {
    /// Reads the section's names and values.
    pub fn new<'a>(
        items: impl Iterator<Item = (&'a [u8], &'a [u8])>,
        settings: Settings,
    ) -> (Self, Vec<Fault>) {
        let mut scripts: HashMap<Vec<u8>, Script> = HashMap::new();
        let mut formats = Vec::new();
        let mut faults = Vec::new();
        for (name, value) in items {
            match name.strip_suffix(STDIN_SUFFIX) {
                Some(event) => formats.push((event, value)),
                // hg: an empty value switches a script off
                None if value.is_empty() => {}
                None => {
                    let text = value.to_vec();
                    let script = Script {
                        text,
                        source: Vec::new(),
                        stdin: StdinFormat::Null,
                    };
                    scripts.insert(name.to_vec(), script);
                }
            }
        }
        for (event, value) in formats {
            let mut fault = |problem: String| {
                let event = String::from_utf8_lossy(event);
                let name = format!("{event}:stdin");
                faults.push(Fault {
                    section: SECTION,
                    name,
                    problem,
                });
            };
            let Some(script) = scripts.get_mut(event) else {
                fault("there is no script for it".to_owned());
                continue;
            };
            match value {
                b"json" => script.stdin = StdinFormat::Json,
                b"" => {}
                _ => {
                    let value = String::from_utf8_lossy(value);
                    fault(format!("'{value}' is not 'json', using /dev/null"));
                }
            }
        }
        (Self { scripts, settings }, faults)
    }

    /// Tells where scripts are defined: events, and files with lines.
    pub fn set_sources<'a>(
        &mut self,
        sources: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) {
        for (event, source) in sources {
            if let Some(script) = self.scripts.get_mut(event) {
                source.clone_into(&mut script.source);
            }
        }
    }

    /// The events that have a script.
    pub fn events(&self) -> impl Iterator<Item = (&[u8], &Script)> {
        self.scripts
            .iter()
            .map(|(event, script)| (event.as_slice(), script))
    }
}

impl EventHandler for LogToProcess {
    fn name(&self) -> &'static str {
        SECTION
    }

    fn tracks(&self, event: &[u8]) -> bool {
        self.scripts.contains_key(event)
    }

    fn deliver(
        &self,
        event: &Event<'_>,
        outbox: &mut dyn Outbox,
    ) -> Result<(), Loss> {
        match self.scripts.get(event.name.as_ref()) {
            Some(script) => outbox.run_script(event, script, &self.settings),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_options_are_no_events() {
        let items: [(&[u8], &[u8]); 6] = [
            (b"commandfinish:stdin", b"json"),
            (b"commandfinish", b"record # comment"),
            (b"command", b""),
            (b"extension", b"a"),
            (b"extension:stdin", b"xml"),
            (b"nothing:stdin", b"json"),
        ];
        let settings = Settings::default();
        let (sink, faults) = LogToProcess::new(items.into_iter(), settings);
        assert!(sink.tracks(b"commandfinish"));
        assert!(!sink.tracks(b"commandfinish:stdin"));
        assert!(!sink.tracks(b"command"));
        let script = &sink.scripts[&b"commandfinish"[..]];
        assert_eq!(script.text, b"record # comment");
        assert_eq!(script.stdin, StdinFormat::Json);
        let faults: Vec<_> = faults.iter().map(Fault::to_string).collect();
        assert_eq!(
            faults,
            [
                "logtoprocess.extension:stdin: 'xml' is not 'json', \
                 using /dev/null",
                "logtoprocess.nothing:stdin: there is no script for it",
            ]
        );
    }
}
