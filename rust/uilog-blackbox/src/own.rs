//! The messages of the events that uilog logs itself.
//!
//! Responsible for what the log has of their options. Must not know Mercurial's
//! wordings, which `message` has.

use memchr::memmem;

use crate::parsed_message::ParsedMessage;

/// Texts of which every event of this name holds one.
pub(crate) fn wording(event: &[u8]) -> &'static [&'static [u8]] {
    match event {
        b"lockwait" => &[b" seconds for "],
        b"userwait" => &[b" seconds for the user ("],
        b"lockbroken" => &[b", which has ended"],
        b"hookrefused" => &[b" has not run: "],
        b"wirerequest" => &[b" begins"],
        b"wirefinish" => &[b" took "],
        b"peerclose" => &[b" closed after "],
        b"session" => &[b" with uilog "],
        _ => &[],
    }
}

/// What a message says, if it is of one of these events.
pub(crate) fn facts(message: &[u8]) -> Option<ParsedMessage<'_>> {
    let beginning: &[u8] = match message.first()? {
        b'w' => b"waited ",
        b'b' => b"broke ",
        b'h' => return hook(message).or_else(|| session(message)),
        b'r' => b"request ",
        b'c' => b"connection to ",
        _ => return None,
    };
    let rest = message.strip_prefix(beginning)?;
    match beginning {
        b"waited " => wait(rest),
        b"broke " => {
            let (lock, holder) = split(rest, b" of ")?;
            let holder = holder.strip_suffix(b", which has ended")?;
            let options = vec![("lock", lock), ("holder", holder)];
            Some(of(b"lockbroken", None, options))
        }
        b"request " => request(rest),
        _ => {
            let (rest, outcome) = outcome(rest)?;
            let (url, seconds) = rsplit(rest, b" closed after ")?;
            let options = vec![("url", url), ("outcome", outcome)];
            Some(of(b"peerclose", Some(number(seconds)?), options))
        }
    }
}

fn of<'a>(
    event: &'static [u8],
    duration: Option<f64>,
    options: Vec<(&'static str, &'a [u8])>,
) -> ParsedMessage<'a> {
    ParsedMessage {
        event: Some(event),
        duration,
        options,
        ..ParsedMessage::default()
    }
}

/// `N seconds for LOCK held by HOLDER (OUTCOME)`, `N seconds for the user (KIND)`
fn wait(rest: &[u8]) -> Option<ParsedMessage<'_>> {
    let (seconds, what) = split(rest, b" seconds for ")?;
    let duration = Some(number(seconds)?);
    let (what, inner) = parenthesis(what)?;
    if what == b"the user" {
        return Some(of(b"userwait", duration, vec![("kind", inner)]));
    }
    let (lock, holder) = split(what, b" held by ")?;
    let options = vec![("lock", lock), ("holder", holder), ("outcome", inner)];
    Some(of(b"lockwait", duration, options))
}

/// `COMMAND begins`, `COMMAND took N seconds (OUTCOME)`
fn request(rest: &[u8]) -> Option<ParsedMessage<'_>> {
    let (command, rest) = split(rest, b" ")?;
    let mut options = vec![("wire_command", command)];
    if rest == b"begins" {
        return Some(of(b"wirerequest", None, options));
    }
    let (seconds, outcome) = outcome(rest.strip_prefix(b"took ")?)?;
    options.push(("outcome", outcome));
    Some(of(b"wirefinish", Some(number(seconds)?), options))
}

/// `hook NAME has not run: REASON`
fn hook(message: &[u8]) -> Option<ParsedMessage<'_>> {
    let rest = message.strip_prefix(b"hook ")?;
    let (hook, reason) = split(rest, b" has not run: ")?;
    let options = vec![("hook", hook), ("reason", reason)];
    Some(of(b"hookrefused", None, options))
}

/// `hg VERSION on Python VERSION with uilog VERSION`
fn session(message: &[u8]) -> Option<ParsedMessage<'_>> {
    let rest = message.strip_prefix(b"hg ")?;
    let (hg, rest) = split(rest, b" on Python ")?;
    let (python, uilog) = split(rest, b" with uilog ")?;
    let options = vec![
        ("hg_version", hg),
        ("python_version", python),
        ("uilog_version", uilog),
    ];
    Some(of(b"session", None, options))
}

/// `REST seconds (OUTCOME)`
fn outcome(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, outcome) = parenthesis(text)?;
    Some((rest.strip_suffix(b" seconds")?, outcome))
}

/// `REST (INNER)`
fn parenthesis(text: &[u8]) -> Option<(&[u8], &[u8])> {
    rsplit(text.strip_suffix(b")")?, b" (")
}

fn split<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = memmem::find(text, at)?;
    Some((&text[..found], &text[found + at.len()..]))
}

fn rsplit<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let found = memmem::rfind(text, at)?;
    Some((&text[..found], &text[found + at.len()..]))
}

fn number(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use crate::message;

    #[test]
    fn uilogs_own_events_say_what_their_options_say() {
        for (text, event, duration, options) in [
            (
                "waited 1.25 seconds for wlock held by host:17 (got)",
                "lockwait",
                Some(1.25),
                "lock=wlock holder=host:17 outcome=got",
            ),
            (
                "waited 0.20 seconds for the user (merge-tool)",
                "userwait",
                Some(0.2),
                "kind=merge-tool",
            ),
            (
                "broke lock of host/4026:17, which has ended",
                "lockbroken",
                None,
                "lock=lock holder=host/4026:17",
            ),
            (
                "hook precommit.x has not run: not-loaded",
                "hookrefused",
                None,
                "hook=precommit.x reason=not-loaded",
            ),
            (
                "request getbundle begins",
                "wirerequest",
                None,
                "wire_command=getbundle",
            ),
            (
                "request getbundle took 0.50 seconds (failed)",
                "wirefinish",
                Some(0.5),
                "wire_command=getbundle outcome=failed",
            ),
            (
                "connection to ssh://h/a (b) closed after 0.01 seconds (cut)",
                "peerclose",
                Some(0.01),
                "url=ssh://h/a (b) outcome=cut",
            ),
            (
                "hg 7.2.4 on Python 3.11.7 with uilog 0.1.0",
                "session",
                None,
                "hg_version=7.2.4 python_version=3.11.7 uilog_version=0.1.0",
            ),
        ] {
            let facts = message::facts(text.as_bytes(), None);
            assert_eq!(facts.event, Some(event.as_bytes()), "{text}");
            assert_eq!(facts.duration, duration, "{text}");
            let told = facts.options.iter().map(|(name, value)| {
                format!("{name}={}", String::from_utf8_lossy(value))
            });
            let told: Vec<_> = told.collect();
            assert_eq!(told.join(" "), options);
            let is_in = |needle: &Vec<u8>| {
                memchr::memmem::find(text.as_bytes(), needle).is_some()
            };
            let needles = message::needles(event.as_bytes());
            assert!(needles.iter().any(is_in), "{text}");
        }
    }

    #[test]
    fn what_looks_like_one_is_none() {
        for text in [
            "waited long seconds for lock held by a:1 (got)",
            "broke nothing",
            "request",
            "connection to x closed after a while",
            "hook finished",
        ] {
            let facts = message::facts(text.as_bytes(), None);
            assert_eq!(facts.event, Some(&b"command"[..]), "{text}");
            assert!(facts.options.is_empty(), "{text}");
        }
    }
}
