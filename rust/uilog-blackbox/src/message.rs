//! What an event's message says: Mercurial's own wordings; `own` has uilog's.
//!
//! Responsible for the event's name where the line does not tell it, the
//! command, its return code and the duration. Must not know where a message
//! comes from. Nothing here is certain: a message is text, and another
//! extension may word one as Mercurial does.

use memchr::memmem;

use crate::own;
use crate::parsed_message::ParsedMessage;

/// rhg marks its messages so.
const RHG: &[u8] = b"(rust) ";

/// The event of a command that begins.
pub const COMMAND: &[u8] = b"command";
/// The event of a command that ends.
pub const FINISH: &[u8] = b"commandfinish";
/// The event of a command that fails unexpectedly.
pub const EXCEPTION: &[u8] = b"commandexception";

/// The text before a command's return code.
pub(crate) const EXITED: &[u8] = b" exited ";

const AFTER: &[u8] = b" after ";
const EXPANDS: &[u8] = b"' expands to '";
/// The text after all durations except those of discovery.
pub(crate) const SECONDS: &[u8] = b" seconds";
/// A part of the message of a discovery.
pub(crate) const HEADS: &[u8] = b" unknown server heads, ";
const INCOMING: &[u8] = b" incoming changes - new heads: ";
const ACTIONS: &[u8] = b" actions to histedit";
const LOOKUPS: &[u8] = b" cache hits/lookups in ";
const HOOK: &[u8] = b" finished in ";

/// The beginnings of messages that only identify their event.
// hg: tags, hgext.fsmonitor, hgext.rebase, hgext.histedit, repocache,
// commandserver, chgserver, ui.develwarn, dispatch, extensions,
// hgext.remotefilelog
const BEGINNINGS: [(&[u8], &[u8]); 25] = [
    (b"saved backup bundle to ", b"backupbundle"),
    (b"writing .hg/cache/", b"tagscache"),
    (b"not writing .hg/cache/", b"tagscache"),
    (b"couldn't write cache/", b"tagscache"),
    (b"** Unknown exception encountered", EXCEPTION),
    (b"** unknown exception encountered", EXCEPTION),
    (b"ui blocked ms", b"uiblocked"),
    (b"devel-warn: ", b"develwarn"),
    (b"repo from cache: ", b"repocache"),
    (b"loaded repo into cache: ", b"repocache"),
    (b"worker process exited (pid=", b"cmdserver"),
    (b"worker exited: pid=", b"cmdserver"),
    (b"confighash = ", b"cmdserver"),
    (b"received fds: ", b"chgserver"),
    (b"setenv: ", b"chgserver"),
    (b"validate: ", b"chgserver"),
    (b"Watchman unavailable: ", b"fsmonitor"),
    (b"Watchman exception: ", b"fsmonitor"),
    (b"fsmonitor: ", b"fsmonitor"),
    (b"using in-memory rebase: ", b"rebase"),
    (b"rebasing working copy parent: ", b"rebase"),
    (b"remote cache hit rate is ", b"remotefilelog"),
    (b"adjusting linknode", b"linkrevfixup"),
    (b"- loading ", b"extension"),
    (b"> loaded ", b"extension"),
];

/// The facts in `message`, without its last newline; `logged` is the event's
/// name if the line has it.
pub fn facts<'a>(
    message: &'a [u8],
    logged: Option<&'a [u8]>,
) -> ParsedMessage<'a> {
    let message = message.strip_prefix(RHG).unwrap_or(message);
    let mut facts = inferred(message);
    if logged.is_some() && logged != facts.event {
        // Only the wording of its own event has this meaning.
        facts = match logged {
            Some(COMMAND) => command(message),
            _ => ParsedMessage::default(),
        };
    }
    facts.event = logged.or(facts.event);
    facts
}

impl ParsedMessage<'_> {
    /// Whether the command has failed: it exited with a code other than 0,
    /// or an exception ended it.
    pub fn is_failure(&self) -> bool {
        self.return_code.is_some_and(|code| code != 0)
            || self.event == Some(EXCEPTION)
    }
}

/// Texts of which every event of this name holds one, [`COMMAND`] excepted:
/// its name, or the wording that it is inferred from.
pub(crate) fn needles(event: &[u8]) -> Vec<Vec<u8>> {
    let wording: &[&[u8]] = match event {
        b"commandfinish" => &[EXITED],
        b"commandalias" => &[EXPANDS],
        b"pythonhook" => &[b"pythonhook-"],
        b"exthook" => &[b"exthook-"],
        b"branchcache" => &[b" branch cache"],
        b"discovery" => &[HEADS],
        b"incoming" => &[INCOMING],
        b"histedit" => &[ACTIONS],
        b"tagscache" => &[LOOKUPS],
        _ => own::wording(event),
    };
    let named = [b"[", event, b"]"].concat();
    let beginnings = BEGINNINGS.iter().filter(|(_, name)| *name == event);
    let beginnings = beginnings.map(|(beginning, _)| *beginning);
    let wordings = wording.iter().copied().chain(beginnings);
    std::iter::once(named)
        .chain(wordings.map(<[u8]>::to_vec))
        .collect()
}

fn inferred(message: &[u8]) -> ParsedMessage<'_> {
    if let Some(finish) = command_finish(message) {
        return finish;
    }
    let of = |event| ParsedMessage {
        event: Some(event),
        ..ParsedMessage::default()
    };
    let begins = BEGINNINGS
        .iter()
        .find(|(beginning, _)| message.starts_with(beginning));
    if let Some((_, event)) = begins {
        return of(event);
    }
    if let Some(facts) = own::facts(message) {
        return facts;
    }
    let timed = |event, before: &[u8]| {
        let duration = ending_duration(message, before, SECONDS);
        duration.map(|duration| ParsedMessage {
            duration: Some(duration),
            ..of(event)
        })
    };
    let known = match message {
        // hg: hook.pythonhook, hook._exthook
        [b'p', ..] if message.starts_with(b"pythonhook-") => {
            timed(b"pythonhook", HOOK)
        }
        [b'e', ..] if message.starts_with(b"exthook-") => {
            timed(b"exthook", HOOK)
        }
        // hg: branchmap
        [b'u', ..] if message.starts_with(b"updated branch cache") => {
            timed(b"branchcache", b" in ")
        }
        [b'w', ..] if message.starts_with(b"wrote branch cache") => {
            Some(of(b"branchcache"))
        }
        // hg: dispatch.cmdalias
        [b'a', ..] if message.starts_with(b"alias '") => {
            memmem::find(message, EXPANDS).map(|_| of(b"commandalias"))
        }
        // hg: setdiscovery.findcommonheads
        [b'f', ..] if message.starts_with(b"found ") => {
            memmem::find(message, HEADS).map(|_| ParsedMessage {
                duration: ending_duration(message, b" in ", b"s"),
                ..of(b"discovery")
            })
        }
        [b'0'..=b'9', ..] => counted(message, of, timed),
        _ => None,
    };
    known.unwrap_or_else(|| {
        if is_like_a_command(message) {
            command(message)
        } else {
            ParsedMessage::default()
        }
    })
}

/// Messages that begin with a number.
fn counted<'a>(
    message: &'a [u8],
    of: impl Fn(&'a [u8]) -> ParsedMessage<'a>,
    timed: impl Fn(&'a [u8], &[u8]) -> Option<ParsedMessage<'a>>,
) -> Option<ParsedMessage<'a>> {
    // hg: changegroup, hgext.histedit, tags
    if memmem::find(message, INCOMING).is_some() {
        Some(of(b"incoming"))
    } else if message.ends_with(ACTIONS) {
        Some(of(b"histedit"))
    } else if memmem::find(message, LOOKUPS).is_some() {
        timed(b"tagscache", LOOKUPS)
    } else {
        None
    }
}

/// `CMD exited N after S seconds`
// hg: dispatch.dispatch, rhg: blackbox.log_command_end
fn command_finish(message: &[u8]) -> Option<ParsedMessage<'_>> {
    let (duration, before) = ending_number(message, AFTER, SECONDS)?;
    let code_len = before.iter().rev().take_while(|b| **b != b' ').count();
    let (exited, code) = before.split_at(before.len() - code_len);
    let command = exited.strip_suffix(EXITED)?;
    let return_code = match code {
        b"None" => None,
        _ => Some(std::str::from_utf8(code).ok()?.parse().ok()?),
    };
    Some(ParsedMessage {
        event: Some(FINISH),
        command: Some(command),
        return_code,
        duration: Some(duration),
        ..ParsedMessage::default()
    })
}

fn command(message: &[u8]) -> ParsedMessage<'_> {
    ParsedMessage {
        event: Some(COMMAND),
        command: Some(message),
        ..ParsedMessage::default()
    }
}

/// The number between `before` and `unit`, with which `message` ends.
fn ending_duration(message: &[u8], before: &[u8], unit: &[u8]) -> Option<f64> {
    ending_number(message, before, unit).map(|(number, _)| number)
}

/// The same, and the text before it.
fn ending_number<'a>(
    message: &'a [u8],
    before: &[u8],
    unit: &[u8],
) -> Option<(f64, &'a [u8])> {
    let message = message.strip_suffix(unit)?;
    let digits = message
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_digit() || **b == b'.')
        .count();
    let (rest, number) = message.split_at(message.len() - digits);
    let rest = rest.strip_suffix(before)?;
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

/// Whether this may be a command line: nothing marks one but that a word of
/// small letters or an option comes first, as hg's commands and options do.
fn is_like_a_command(message: &[u8]) -> bool {
    let word = message.split(|b| b.is_ascii_whitespace()).next();
    let Some([first, rest @ ..]) = word else {
        return false;
    };
    match first {
        b'-' => !rest.is_empty(),
        b'a'..=b'z' => {
            rest.iter().all(|b| {
                b.is_ascii_lowercase()
                    || b.is_ascii_digit()
                    || matches!(b, b'-' | b'_' | b'+')
            }) && memmem::find(message, b"\nTraceback ").is_none()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &[u8]) -> Option<&[u8]> {
        facts(message, None).event
    }

    /// A search for the event finds the message.
    fn assert_found(message: &[u8], name: &[u8]) {
        let needles = needles(name);
        let mut found = needles.iter().map(|it| memmem::find(message, it));
        let text = message.escape_ascii();
        assert!(found.any(|it| it.is_some()), "{text}");
    }

    #[test]
    fn a_commands_end_tells_all() {
        let message =
            b"commit -m 'a\nb exited 3' exited 255 after 12.50 seconds";
        let expected = ParsedMessage {
            event: Some(b"commandfinish"),
            command: Some(b"commit -m 'a\nb exited 3'"),
            return_code: Some(255),
            duration: Some(12.5),
            ..ParsedMessage::default()
        };
        assert_eq!(facts(message, None), expected);
        let code = |message| facts(message, None).return_code;
        assert_eq!(code(b"x exited -15 after 0.10 seconds"), Some(-15));
        assert_eq!(code(b"x exited None after 0.10 seconds"), None);
        let rhg = facts(b"(rust) files exited 0 after 0.003 seconds", None);
        assert_eq!(rhg.command, Some(&b"files"[..]));
        assert_eq!(rhg.duration, Some(0.003));
    }

    #[test]
    fn core_words_its_events_like_this() {
        for (message, name) in [
            (&b"pull -r 5"[..], Some(&b"command"[..])),
            (b"--config ui.x=y status", Some(b"command")),
            (
                b"exthook-update: echo hooked finished in 0.01 seconds",
                Some(b"exthook"),
            ),
            (
                b"pythonhook-preupdate: a.b finished in 0.00 seconds",
                Some(b"pythonhook"),
            ),
            (
                b"alias 'confuse' expands to 'log --limit 3'",
                Some(b"commandalias"),
            ),
            (
                b"1 incoming changes - new heads: d02f48003e62",
                Some(b"incoming"),
            ),
            (
                b"updated branch cache (served) in 0.0012 seconds",
                Some(b"branchcache"),
            ),
            (
                b"wrote branch cache (served) with 1 labels and 2 nodes",
                Some(b"branchcache"),
            ),
            (
                b"saved backup bundle to /a/b-backup.hg",
                Some(b"backupbundle"),
            ),
            (
                b"writing .hg/cache/tags2-visible with 0 tags",
                Some(b"tagscache"),
            ),
            (
                b"1/2 cache hits/lookups in 0.0003 seconds",
                Some(b"tagscache"),
            ),
            (b"2 actions to histedit", Some(b"histedit")),
            (
                b"found 2 common and 1 unknown server heads, 3 trips in 0.02s",
                Some(b"discovery"),
            ),
            (
                b"** Unknown exception encountered with x\nTraceback (most",
                Some(b"commandexception"),
            ),
            (b"so: something", None),
            (b"something broke\nTraceback (most recent call last):", None),
            (b"", None),
        ] {
            assert_eq!(event(message), name, "{}", message.escape_ascii());
            if let Some(name) = name.filter(|it| *it != COMMAND) {
                assert_found(message, name);
            }
        }
        for (message, name) in BEGINNINGS {
            assert_eq!(event(message), Some(name));
            assert_found(message, name);
        }
        let timed = facts(b"exthook-x: y finished in 1.25 seconds", None);
        assert_eq!(timed.duration, Some(1.25));
    }

    #[test]
    fn a_logged_name_decides() {
        let message = b"echo exited 1 after 2.00 seconds";
        let own = facts(message, Some(b"mine"));
        let expected = ParsedMessage {
            event: Some(b"mine"),
            ..ParsedMessage::default()
        };
        assert_eq!(own, expected);
        let started = facts(message, Some(b"command"));
        assert_eq!(started.command, Some(&message[..]));
        assert_eq!(started.return_code, None);
        let finished = facts(message, Some(b"commandfinish"));
        assert_eq!(finished.return_code, Some(1));
    }
}
