//! Facts that an event has only in its message, or in another unit.
//!
//! Takes an event's name, message and options. A message without the usual
//! wording of its event is ignored. Must not know policies of records.

use std::collections::BTreeMap;

use memchr::memmem;
use uilog_blackbox::message::facts;
use uilog_channel::commandlost;
use uilog_event::event::Event;
use uilog_event::event::Value;

use crate::record::Counts;
use crate::record::Hook;

const EXITED: &[u8] = b" exited ";
const FINISHED: &[u8] = b" finished in ";
const MILLISECONDS_PER_SECOND: f64 = 1000.0;

/// The keyword argument of this name.
pub(crate) fn option<'e>(
    event: &'e Event<'_>,
    key: &str,
) -> Option<&'e Value<'e>> {
    let mut options = event.options.iter();
    let found = options.find(|option| *option.key == *key.as_bytes())?;
    Some(&found.value)
}

/// The same, if it is an integer.
pub(crate) fn integer(event: &Event<'_>, key: &str) -> Option<i64> {
    let Value::Int(digits) = option(event, key)? else {
        return None;
    };
    std::str::from_utf8(&digits.0).ok()?.parse().ok()
}

/// The same, if it is a number that is neither negative nor infinite.
pub(crate) fn amount(value: &Value<'_>) -> Option<f64> {
    let (Value::Int(digits) | Value::Float(digits)) = value else {
        return None;
    };
    let number: f64 = std::str::from_utf8(&digits.0).ok()?.parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// The message without the newline at its end.
pub(crate) fn message<'e>(event: &'e Event<'_>) -> &'e [u8] {
    event.message.strip_suffix(b"\n").unwrap_or(&event.message)
}

/// For `commandfinish` and `commandlost`, the command and the text about its
/// end; for any other event everything, and an empty text.
// hg: dispatch.dispatch, "%s exited %d after %0.2f seconds\n"
pub(crate) fn command_and_end<'m>(
    name: &[u8],
    message: &'m [u8],
) -> (&'m [u8], &'m [u8]) {
    if name == commandlost::NAME {
        let end = commandlost::end_of_command(message);
        return message.split_at(end.unwrap_or(message.len()));
    }
    let is_worded = name == b"commandfinish"
        && facts(message, Some(name)).duration.is_some();
    let end = memmem::rfind(message, EXITED).filter(|_| is_worded);
    message.split_at(end.unwrap_or(message.len()))
}

/// Seconds that it took.
pub(crate) fn duration(event: &Event<'_>, message: &[u8]) -> Option<f64> {
    let told = event.duration.or_else(|| match &*event.name {
        b"uiblocked" => {
            Some(blocked(event).values().fold(0.0, |sum, it| sum + it))
        }
        // hg: hgext.remotefilelog.fileserverclient.prefetch
        b"remotefilelog.prefetch" => {
            let milliseconds = option(event, "remotefilelogfetchtime")?;
            Some(amount(milliseconds)? / MILLISECONDS_PER_SECOND)
        }
        b"lockwait" => amount(option(event, "waited")?),
        // hg: hgext.fsmonitor.watchmanclient
        b"watchman" => ending_seconds(message),
        name => facts(message, Some(name)).duration,
    })?;
    (told.is_finite() && told >= 0.0).then_some(told)
}

/// `... in S seconds`
fn ending_seconds(message: &[u8]) -> Option<f64> {
    let rest = message.strip_suffix(b" seconds")?;
    let at = memmem::rfind(rest, b" in ")?;
    let digits = std::str::from_utf8(&rest[at + b" in ".len()..]).ok()?;
    let is_plain = digits.bytes().all(|it| it.is_ascii_digit() || it == b'.');
    digits.parse().ok().filter(|_| is_plain)
}

/// Of `uiblocked`, seconds by what they were waited for.
// hg: ui.timeblockedsection, in milliseconds
pub(crate) fn blocked(event: &Event<'_>) -> BTreeMap<String, f64> {
    if *event.name != *b"uiblocked" {
        return BTreeMap::new();
    }
    let options = event.options.iter().filter_map(|option| {
        let name = option.key.strip_suffix(b"_blocked")?;
        let name = std::str::from_utf8(name).ok()?;
        let milliseconds = amount(&option.value)?;
        Some((name.to_owned(), milliseconds / MILLISECONDS_PER_SECOND))
    });
    options.collect()
}

/// Of `exthook` and `pythonhook`, which hook it was, as the message says.
// hg: hook.pythonhook, hook._exthook
pub(crate) fn hook(name: &[u8], message: &str) -> Option<Hook> {
    let rest = match name {
        b"exthook" => message.strip_prefix("exthook-")?,
        b"pythonhook" => message.strip_prefix("pythonhook-")?,
        _ => return None,
    };
    let (name, rest) = rest.split_once(": ")?;
    let is_timed = ending_seconds(rest.as_bytes()).is_some();
    let end = memmem::rfind(rest.as_bytes(), FINISHED);
    let command = match end.filter(|_| is_timed) {
        Some(end) => &rest[..end],
        None => rest,
    };
    Some(Hook {
        name: name.to_owned(),
        command: command.to_owned(),
        has_span: false,
    })
}

/// What the message counts.
pub(crate) fn counts(name: &[u8], message: &[u8]) -> Option<Counts> {
    let mut counts = Counts::default();
    match name {
        // hg: changegroup.cg1unpacker.apply
        b"incoming" => {
            let changes = numbers(message, b"@ incoming changes")?;
            counts.incoming_changes = Some(changes[0]);
        }
        // hg: setdiscovery.findcommonheads
        b"discovery" => {
            const WORDING: &[u8] = b"found @ common and @ unknown server \
                heads, @ roundtrips in ";
            let found = numbers(message, WORDING)?;
            counts.common_heads = Some(found[0]);
            counts.unknown_heads = Some(found[1]);
            counts.roundtrips = Some(found[2]);
        }
        // hg: tags._getfnodes
        b"tagscache" => {
            let wording = b"@/@ cache hits/lookups in ";
            let found = numbers(message, wording)?;
            counts.cache_hits = Some(found[0]);
            counts.cache_lookups = Some(found[1]);
        }
        _ => return None,
    }
    Some(counts)
}

/// The numbers in the places of `@`, if the text begins as the wording says.
fn numbers(text: &[u8], wording: &[u8]) -> Option<Vec<u64>> {
    let mut found = Vec::new();
    let mut rest = text;
    for (index, part) in wording.split(|byte| *byte == b'@').enumerate() {
        if index > 0 {
            let len = rest.iter().take_while(|it| it.is_ascii_digit()).count();
            let (digits, after) = rest.split_at(len);
            found.push(std::str::from_utf8(digits).ok()?.parse().ok()?);
            rest = after;
        }
        rest = rest.strip_prefix(part)?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use uilog_event::event::EventOption;
    use uilog_event::event::Text;

    use super::*;

    fn event(
        name: &'static str,
        message: &'static str,
        options: &[(&'static str, &'static str)],
    ) -> Event<'static> {
        let options = options.iter().map(|(key, value)| EventOption {
            key: Cow::Borrowed(key.as_bytes()),
            value: Value::Float(Text(Cow::Borrowed(value.as_bytes()))),
        });
        Event {
            message: Cow::Borrowed(message.as_bytes()),
            options: options.collect(),
            ..Event::bare(name.as_bytes())
        }
    }

    fn duration_of(
        name: &'static str,
        message: &'static str,
        options: &[(&'static str, &'static str)],
    ) -> Option<f64> {
        let event = event(name, message, options);
        duration(&event, super::message(&event))
    }

    #[test]
    fn messages_tell_durations() {
        for (name, message, expected) in [
            (
                "exthook",
                "exthook-a: b finished in 0.50 seconds\n",
                Some(0.5),
            ),
            (
                "pythonhook",
                "pythonhook-a: b finished in 2.00 seconds\n",
                Some(2.0),
            ),
            (
                "discovery",
                "found 2 common and 1 unknown server heads, 3 roundtrips in 0.0200s\n",
                Some(0.02),
            ),
            (
                "tagscache",
                "1/2 cache hits/lookups in 0.0003 seconds\n",
                Some(0.0003),
            ),
            (
                "tagscache",
                "writing .hg/cache/tags2-visible with 0 tags\n",
                None,
            ),
            (
                "branchcache",
                "updated branch cache (served) in 0.0012 seconds\n",
                Some(0.0012),
            ),
            (
                "watchman",
                "command state-enter completed in 0.25 seconds\n",
                Some(0.25),
            ),
            (
                "watchman",
                "Exception x while running in -1 seconds\n",
                None,
            ),
            ("mine", "exthook-a: b finished in 0.50 seconds\n", None),
            ("exthook", "", None),
        ] {
            assert_eq!(duration_of(name, message, &[]), expected, "{message}");
        }
    }

    #[test]
    fn options_tell_durations_in_milliseconds() {
        let options = [
            ("stdio_blocked", "12.5"),
            ("exthook-pre-x_blocked", "500.0"),
            ("odd_blocked", "nan"),
            ("command_duration", "1250.0"),
        ];
        let told = duration_of("uiblocked", "ui blocked ms\n", &options);
        assert_eq!(told, Some(0.5125));
        let blocked = blocked(&event("uiblocked", "", &options));
        let expected = [("exthook-pre-x", 0.5), ("stdio", 0.0125)];
        let expected = expected.map(|(name, secs)| (name.to_owned(), secs));
        assert_eq!(blocked, BTreeMap::from(expected));
        assert_eq!(super::blocked(&event("mine", "", &options)).len(), 0);
        let fetched = [("remotefilelogfetchtime", "1500.0")];
        let told = duration_of("remotefilelog.prefetch", "", &fetched);
        assert_eq!(told, Some(1.5));
    }

    #[test]
    fn hooks_have_names_and_commands() {
        let named = |event: &str, message| {
            hook(event.as_bytes(), message).map(|it| (it.name, it.command))
        };
        let is = |event, message, name: &str, command: &str| {
            let expected = Some((name.to_owned(), command.to_owned()));
            assert_eq!(named(event, message), expected, "{message}");
        };
        is(
            "exthook",
            "exthook-a.b: x: y finished in 0.50 seconds",
            "a.b",
            "x: y",
        );
        is(
            "exthook",
            "exthook-a: x finished in 1 finished in 0.5 seconds",
            "a",
            "x finished in 1",
        );
        is(
            "exthook",
            "exthook-a: x finished in two seconds",
            "a",
            "x finished in two seconds",
        );
        is(
            "pythonhook",
            "pythonhook-a: m.f finished in 0.00 seconds",
            "a",
            "m.f",
        );
        assert_eq!(named("exthook", "pythonhook-a: b"), None);
        assert_eq!(named("mine", "exthook-a: b"), None);
    }

    #[test]
    fn messages_count() {
        let incoming =
            counts(b"incoming", b"12 incoming changes - new heads: ");
        assert_eq!(incoming.and_then(|it| it.incoming_changes), Some(12));
        let found = b"found 2 common and 1 unknown server heads, 3 roundtrips \
            in 0.02s";
        let found = counts(b"discovery", found).unwrap();
        assert_eq!(found.common_heads, Some(2));
        assert_eq!(found.unknown_heads, Some(1));
        assert_eq!(found.roundtrips, Some(3));
        let cache = b"1/2 cache hits/lookups in 0.0003 seconds";
        let cache = counts(b"tagscache", cache).unwrap();
        assert_eq!((cache.cache_hits, cache.cache_lookups), (Some(1), Some(2)));
        assert_eq!(counts(b"incoming", b"no incoming changes"), None);
        let many = b"99999999999999999999999 incoming changes - ";
        assert_eq!(counts(b"incoming", many), None);
    }

    #[test]
    fn a_commands_end_is_not_of_its_line() {
        let split = |text: &'static str| {
            let (line, end) =
                command_and_end(b"commandfinish", text.as_bytes());
            (line.len(), end.len())
        };
        assert_eq!(split("x exited 0 after 0.10 seconds"), (1, 28));
        let twice = "x exited 0 after 1.00 seconds exited 0 after 0.10 seconds";
        assert_eq!(split(twice), (29, 28));
        assert_eq!(split("x exited early"), (14, 0));
        let (line, end) =
            command_and_end(b"commandlost", b"x was lost after 0.10 seconds");
        assert_eq!((line.len(), end.len()), (1, 28));
        let (line, _) = command_and_end(b"command", twice.as_bytes());
        assert_eq!(line.len(), twice.len());
    }
}
