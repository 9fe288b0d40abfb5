//! Which script an event has, as `[logtoprocess]` says.

use std::collections::HashMap;

use uilog_channel::frames::Script;
use uilog_channel::settings::Fault;
use uilog_channel::wire::StdinFormat;

/// The section, which they are known by.
pub const SECTION: &str = "logtoprocess";

/// The suffix of the item with the format of a script's standard input.
const STDIN_SUFFIX: &[u8] = b":stdin";

/// The scripts of a configuration, by their events.
#[derive(Debug)]
pub struct Scripts {
    scripts: HashMap<Vec<u8>, Script>,
}

impl Scripts {
    /// Reads the section's names and values.
    pub fn new<'a>(
        items: impl Iterator<Item = (&'a [u8], &'a [u8])>,
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
        (Self { scripts }, faults)
    }

    /// Sets where scripts are defined: events, and files with lines.
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

    /// The script of an event.
    pub fn find(&self, event: &[u8]) -> Option<&Script> {
        self.scripts.get(event)
    }

    /// The events that have a script.
    pub fn events(&self) -> impl Iterator<Item = (&[u8], &Script)> {
        self.scripts
            .iter()
            .map(|(event, script)| (event.as_slice(), script))
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
        let (sink, faults) = Scripts::new(items.into_iter());
        assert!(sink.find(b"commandfinish").is_some());
        assert!(!sink.find(b"commandfinish:stdin").is_some());
        assert!(!sink.find(b"command").is_some());
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
