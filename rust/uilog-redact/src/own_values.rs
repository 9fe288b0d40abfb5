//! Values that uilog itself logs about locks and connections, in a form that
//! neither secrets nor people's texts have.
//!
//! Anybody may log an event of these names, so the form of each value is
//! checked. Must not know policies.

use std::net::IpAddr;

/// Digits of a session's id.
const SESSION_DIGITS: usize = 32;
/// Bytes of the name of a machine and its namespace at most.
const MAX_HOST_BYTES: usize = 128;
/// Bytes of the name of a wire command at most.
const MAX_COMMAND_BYTES: usize = 40;

/// Whether this option of this event is never redacted.
pub fn is_own_value(event: &[u8], key: &[u8], value: &[u8]) -> bool {
    match (event, key) {
        (b"lockwait" | b"lockbroken" | b"commandslow", b"holder_session") => {
            is_session(value)
        }
        (b"lockwait" | b"lockbroken" | b"commandslow", b"holder") => {
            is_holder(value)
        }
        (b"commandslow", b"began") => is_time(value),
        (b"wirerequest" | b"wirefinish", b"remote_address") => {
            is_address(value)
        }
        (b"peerclose" | b"commandfinish", b"wire_commands") => {
            value.split(|it| *it == b' ').all(is_count)
        }
        (b"session", b"extensions") => {
            value.split(|it| *it == b' ').all(is_extension)
        }
        _ => false,
    }
}

fn is_session(value: &[u8]) -> bool {
    let is_digit = |it: &u8| matches!(it, b'0'..=b'9' | b'a'..=b'f');
    value.len() == SESSION_DIGITS && value.iter().all(is_digit)
}

/// RFC 3339.
fn is_time(value: &[u8]) -> bool {
    let is_of_time = |it: &u8| it.is_ascii_digit() || b"T:+-.".contains(it);
    (1..=40).contains(&value.len()) && value.iter().all(is_of_time)
}

/// `host:pid`, or `host/namespace:pid`.
// hg: lock._getlockprefix
fn is_holder(value: &[u8]) -> bool {
    let is_host = |it: &u8| it.is_ascii_alphanumeric() || b"-._/".contains(it);
    let at = value.iter().rposition(|it| *it == b':');
    at.is_some_and(|at| {
        let (host, pid) = (&value[..at], &value[at + 1..]);
        (1..=MAX_HOST_BYTES).contains(&host.len())
            && host.iter().all(is_host)
            && (1..=10).contains(&pid.len())
            && pid.iter().all(u8::is_ascii_digit)
    })
}

fn is_address(value: &[u8]) -> bool {
    let text = std::str::from_utf8(value);
    text.is_ok_and(|it| it.parse::<IpAddr>().is_ok())
}

/// Whether this is an extension: `evolve=11.1.0`, `rebase=internal`. A version
/// begins with a digit, so no word looks like one.
fn is_extension(word: &[u8]) -> bool {
    let of_name = |it: &u8| it.is_ascii_alphanumeric() || b"_.-".contains(it);
    let of_version = |it: &u8| it.is_ascii_digit() || b".+".contains(it);
    let Some(at) = word.iter().position(|it| *it == b'=') else {
        return false;
    };
    let (name, version) = (&word[..at], &word[at + 1..]);
    (1..=40).contains(&name.len())
        && name.iter().all(of_name)
        && ((1..=20).contains(&version.len()) && version.iter().all(of_version)
            || [&b"internal"[..], b"unknown"].contains(&version))
}

/// Whether this is a wire command: `listkeys=2:0.014`.
fn is_count(word: &[u8]) -> bool {
    let digits = |text: &str| {
        (1..=20).contains(&text.len())
            && text.bytes().all(|it| it.is_ascii_digit())
    };
    let parts = || {
        let (name, rest) = std::str::from_utf8(word).ok()?.split_once('=')?;
        let (count, seconds) = rest.split_once(':')?;
        let (whole, part) = seconds.split_once('.')?;
        let is_name = name.len() <= MAX_COMMAND_BYTES
            && name.starts_with(|it: char| it.is_ascii_lowercase())
            && name.bytes().all(|it| {
                it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_'
            });
        Some(is_name && digits(count) && digits(whole) && digits(part))
    };
    parts() == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_expected_form_stays() {
        let session = "0123456789abcdef0123456789abcdef";
        let wire = "getbundle=1:12.345 listkeys=2:0.014";
        for (event, key, value) in [
            ("lockwait", "holder_session", session),
            ("lockbroken", "holder_session", session),
            ("lockwait", "holder", "build-7/effffffc:4711"),
            ("lockbroken", "holder", "build-7.example:4711"),
            ("wirefinish", "remote_address", "10.1.2.3"),
            ("wirerequest", "remote_address", "2001:db8::1"),
            ("peerclose", "wire_commands", wire),
            ("commandfinish", "wire_commands", wire),
            ("session", "extensions", "evolve=11.1.0 rebase=internal"),
        ] {
            let is_own = |event: &str, value: &str| {
                is_own_value(event.as_bytes(), key.as_bytes(), value.as_bytes())
            };
            assert!(is_own(event, value), "{event} {key}");
            assert!(!is_own("deploy", value), "{key}");
            for other in [
                "",
                "hunter2",
                "hunter2=1:2",
                "my password=1:0.001",
                "Tr0ub4dor=1:0.001",
                "a=1:0.001  b=1:0.001",
                "0123456789ABCDEF0123456789ABCDEF",
            ] {
                assert!(!is_own(event, other), "{event} {key} {other}");
            }
        }
    }
}
