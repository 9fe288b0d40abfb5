//! Probable mistakes in `[uilog]` and `[logtoprocess]` that are not invalid
//! values: unknown keys, events of which only a similar name is known, invalid
//! URLs.
//!
//! For `--debug` and `hg debuguilog`, which run in hg's process, so no file is
//! opened. `uilog check` finds more.

use uilog_channel::commandlost;
use uilog_channel::settings::Fault;
use uilog_channel::sink_config;
use uilog_channel::sink_url;
use uilog_config::items;
use uilog_config::items::ITEMS;
use uilog_config::items::SINK_OPTIONS;
use uilog_event::events;
use uilog_event::suggest::did_you_mean;
use uilog_event::suggest::meant;

use crate::sinks::scripts;

/// A section's names and values.
type Items = [(Vec<u8>, Vec<u8>)];

/// Events of our own, which [`events::KNOWN`] may not list.
const OWN_EVENTS: [&str; 3] = ["hookrefused", "peerclose", "userwait"];

/// Checks the two sections.
pub fn of(uilog: &Items, scripts: &Items) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (name, value) in uilog {
        if let Some(problem) = of_setting(name, value, uilog) {
            faults.push(fault(sink_config::SECTION, name, problem));
        }
    }
    for (name, value) in scripts {
        // hg: an empty value switches a script off
        let problem = (!value.is_empty()).then(|| of_script(name)).flatten();
        if let Some(problem) = problem {
            faults.push(fault(scripts::SECTION, name, problem));
        }
    }
    faults
}

fn of_setting(name: &[u8], value: &[u8], all: &Items) -> Option<String> {
    let Some(rest) = name.strip_prefix(sink_config::PREFIX.as_bytes()) else {
        if items::find(sink_config::SECTION.as_bytes(), name).is_some() {
            return None;
        }
        let own = ITEMS.iter().filter(|it| it.section == sink_config::SECTION);
        let meant = meant(name, own.map(|item| item.name));
        return Some(with_advice("there is no such setting", meant));
    };
    let Some(at) = rest.iter().position(|byte| *byte == b':') else {
        let url = value.trim_ascii();
        return (!url.is_empty())
            .then(|| sink_url::url_problem(url))
            .flatten();
    };
    let (sink, option) =
        (&name[..name.len() - rest.len() + at], &rest[at + 1..]);
    if !all.iter().any(|(other, _)| other == sink) {
        let sink = String::from_utf8_lossy(sink);
        return Some(format!("there is no uilog.{sink}"));
    }
    if items::find_sink_option(option).is_none() {
        let names = SINK_OPTIONS.iter().map(|it| it.item.name);
        let meant = meant(option, names);
        return Some(with_advice("there is no such option", meant));
    }
    let is_list_of_events = matches!(option, b"track" | b"ignore");
    let words = value.split(|byte| b", \t\n".contains(byte));
    let mut unknown = words.filter_map(|word| {
        let meant = similar_event(word)?;
        let word = String::from_utf8_lossy(word);
        let advice = did_you_mean(meant);
        Some(format!("no event '{word}' is known; {advice}"))
    });
    is_list_of_events.then(|| unknown.next()).flatten()
}

fn of_script(name: &[u8]) -> Option<String> {
    let event = match name.iter().position(|byte| *byte == b':') {
        None => name,
        Some(at) if name.ends_with(b":stdin") => &name[..at],
        Some(_) => {
            let text = "no event has a ':' in its name, and the only option \
                        of a script is ':stdin'";
            return Some(text.to_owned());
        }
    };
    if event == commandlost::NAME {
        let text = "this event is for sinks (uilog.sink.NAME): no script runs";
        return Some(text.to_owned());
    }
    let meant = similar_event(event)?;
    let advice = did_you_mean(meant);
    Some(format!("no event of this name is known; {advice}"))
}

/// The known event that a name is nearly: one of a third party's is near
/// none.
fn similar_event(name: &[u8]) -> Option<&'static str> {
    let names = || events::KNOWN.iter().map(|it| it.name).chain(OWN_EVENTS);
    if names().any(|it| it.as_bytes() == name) {
        return None;
    }
    meant(name, names())
}

fn with_advice(problem: &str, meant: Option<&str>) -> String {
    match meant {
        Some(meant) => format!("{problem}; {}", did_you_mean(meant)),
        None => problem.to_owned(),
    }
}

fn fault(section: &'static str, name: &[u8], problem: String) -> Fault {
    Fault {
        section,
        name: String::from_utf8_lossy(name).into_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(uilog: &[(&str, &str)], scripts: &[(&str, &str)]) -> Vec<String> {
        let own = |items: &[(&str, &str)]| -> Vec<(Vec<u8>, Vec<u8>)> {
            let items = items.iter();
            items.map(|(n, v)| ((*n).into(), (*v).into())).collect()
        };
        let faults = of(&own(uilog), &own(scripts));
        faults.iter().map(Fault::to_string).collect()
    }

    #[test]
    fn what_makes_sense_is_not_mentioned() {
        let uilog = [
            ("max-scripts", "8"),
            ("sink.a", "file:~/x"),
            ("sink.a:track", "command, commandfinish, mine, *"),
            ("sink.off", ""),
            ("sink.off:track", "x"),
            ("sink.b", "otlp:"),
            ("sink.c", "syslog+tls://[::1]:1"),
        ];
        let scripts = [
            ("commandfinish", "x"),
            ("commandfinish:stdin", "json"),
            ("peerclose", "x"),
            ("somebody-elses", "x"),
            ("comandfinish", ""),
        ];
        assert_eq!(hints(&uilog, &scripts), [""; 0]);
    }

    #[test]
    fn mistakes_are_named_and_put_right() {
        let uilog = [
            ("max-script", "8"),
            ("nothing-like-it", "8"),
            ("sink.a", "file:/x"),
            ("sink.a:trak", "x"),
            ("sink.a:track", "comand, commandfinish"),
            ("sink.none:track", "x"),
            ("sink.b", "fil:/x"),
        ];
        let scripts = [
            ("comandfinish", "x"),
            ("command:stdinn", "json"),
            ("exthok:stdin", "json"),
            ("commandlost", "x"),
        ];
        let expected = [
            "uilog.max-script: there is no such setting; did you mean \
             'max-scripts'?",
            "uilog.nothing-like-it: there is no such setting",
            "uilog.sink.a:trak: there is no such option; did you mean \
             'track'?",
            "uilog.sink.a:track: no event 'comand' is known; did you mean \
             'command'?",
            "uilog.sink.none:track: there is no uilog.sink.none",
            "uilog.sink.b: 'fil:/x' is not a kind of sink: file:, syslog:, \
             unix:, otlp:; did you mean 'file:/x'?",
            "logtoprocess.comandfinish: no event of this name is known; did \
             you mean 'commandfinish'?",
            "logtoprocess.command:stdinn: no event has a ':' in its name, \
             and the only option of a script is ':stdin'",
            "logtoprocess.exthok:stdin: no event of this name is known; did \
             you mean 'exthook'?",
            "logtoprocess.commandlost: this event is for sinks \
             (uilog.sink.NAME): no script runs",
        ];
        assert_eq!(hints(&uilog, &scripts), expected);
    }
}
