//! The URLs of sinks: which are valid, which lead to this machine, and how they
//! are shown without secrets.
//!
//! Must not know options of sinks, or how to connect to one.

use uilog_event::suggest::did_you_mean;
use uilog_event::suggest::meant;

/// A URL whose scheme is in lower case: capitals in it mean nothing.
// RFC 3986, section 3.1
pub(crate) fn with_lower_scheme(url: &[u8]) -> Vec<u8> {
    let mut url = url.to_vec();
    let is_of_scheme =
        |it: &u8| it.is_ascii_alphanumeric() || b"+-.".contains(it);
    let end = url.iter().position(|it| !is_of_scheme(it));
    if let Some(end) = end.filter(|end| url[*end] == b':') {
        url[..end].make_ascii_lowercase();
    }
    url
}

/// What the URL of a sink begins with, before the first colon.
const SCHEMES: [&str; 7] = [
    "file",
    "unix",
    "unix-dgram",
    "syslog",
    "syslog+tcp",
    "syslog+tls",
    "otlp",
];

/// Replaces the hidden parts.
const HIDDEN: &str = "...";

/// A sink's URL without parts that may be secret: the user before the host, and
/// everything after a question mark or a number sign. Of an invalid URL, more
/// is hidden than needed.
pub fn shown_url(url: &[u8]) -> String {
    let url = String::from_utf8_lossy(url);
    if is_local(&url) {
        return url.into_owned();
    }
    let (scheme, rest) = split_scheme(&url);
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (head, tail) = rest.split_at(end);
    let tail = match tail.chars().next() {
        Some(sign) => format!("{sign}{HIDDEN}"),
        None => String::new(),
    };
    // A password may have any of these signs in it.
    let (user, host) = match head.rsplit_once('@') {
        Some((_, host)) => ("...@", host),
        None => ("", head),
    };
    let at = host.find('/').unwrap_or(host.len());
    let (authority, path) = host.split_at(at);
    let is_cut_in_password = user.is_empty()
        && rest[end..].split_once('@').is_some_and(|(begin, _)| {
            path.is_empty() || !begin.contains('=') || !is_host(authority)
        });
    if is_cut_in_password {
        return format!("{scheme}{HIDDEN}{tail}");
    }
    format!("{scheme}{user}{host}{tail}")
}

/// Whether a URL is a path on this machine, in which any sign is a sign.
fn is_local(url: &str) -> bool {
    let path = url.split_once(':').filter(|(scheme, _)| {
        ["file", "unix", "unix-dgram", "syslog"].contains(scheme)
    });
    path.is_some_and(|(_, path)| {
        let path = match path.strip_prefix("//") {
            Some(rest) if !rest.starts_with('/') => return false,
            Some(rest) => rest,
            None => path,
        };
        path.is_empty() || path.starts_with(['/', '~', '$'])
    })
}

/// What says how to get there, and where that is.
fn split_scheme(url: &str) -> (&str, &str) {
    let is_scheme = |text: &str| {
        let is_sign =
            |it: char| it.is_ascii_alphanumeric() || "+.-:".contains(it);
        text.chars().all(is_sign)
    };
    if let Some(at) = url.find("//")
        && is_scheme(&url[..at])
    {
        return url.split_at(at + 2);
    }
    let scheme = url.split_once(':').map(|it| it.0);
    let scheme = scheme.filter(|it| SCHEMES.contains(it));
    url.split_at(scheme.map_or(0, |it| it.len() + ":".len()))
}

/// Whether it is a host with or without a port: what else has a colon may be a
/// user's name and password.
fn is_host(authority: &str) -> bool {
    let after = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map(|it| it.1),
        None => Some(authority.trim_start_matches(|it| it != ':')),
    };
    let Some(after) = after else { return false };
    match after.strip_prefix(':') {
        None => after.is_empty(),
        Some(port) => port.bytes().all(|it| it.is_ascii_digit()),
    }
}

/// Whether text begins as the URL of a sink does, or almost.
pub fn has_scheme(text: &[u8]) -> bool {
    let Some(end) = text.iter().position(|it| *it == b':') else {
        return false;
    };
    let scheme = text[..end].to_ascii_lowercase();
    SCHEMES.iter().any(|it| it.as_bytes() == scheme)
        || meant(&scheme, SCHEMES.into_iter()).is_some()
}

/// What kinds of sinks there are.
pub const KINDS: &str = "file:, syslog:, unix:, otlp:";

/// That a URL is of none of these kinds.
pub fn no_kind(url: &[u8]) -> String {
    with_guess(
        format!("'{}' is not a kind of sink: {KINDS}", shown_url(url)),
        url,
    )
}

/// What is wrong with a URL, and what it was probably meant to be.
pub fn with_guess(problem: String, url: &[u8]) -> String {
    match meant_url(url) {
        Some(meant) => format!("{problem}; {}", did_you_mean(&meant)),
        None => problem,
    }
}

/// What an invalid URL was probably meant to be, as far as it may be shown.
pub fn meant_url(url: &[u8]) -> Option<String> {
    let shown = shown_url(url);
    if shown.starts_with(['/', '~', '$']) {
        return Some(format!("file:{shown}"));
    }
    let (scheme, rest) = shown.split_once(':')?;
    match &*scheme.to_ascii_lowercase() {
        "http" | "https" => Some(format!("otlp:{shown}")),
        "otlp" => meant_collector(rest),
        _ if rest.starts_with("http://") || rest.starts_with("https://") => {
            Some(format!("otlp:{rest}"))
        }
        "otlp+http" | "otlphttp" => Some(format!("otlp:http:{rest}")),
        "otlps" | "otlp+https" => Some(format!("otlp:https:{rest}")),
        "tcp" | "syslog-tcp" => Some(format!("syslog+tcp:{rest}")),
        "tls" | "syslog-tls" => Some(format!("syslog+tls:{rest}")),
        scheme => meant(scheme.as_bytes(), SCHEMES.into_iter())
            .map(|meant| format!("{meant}:{rest}")),
    }
}

/// What the URL of a collector was probably meant to be, which has no scheme of
/// its own.
fn meant_collector(rest: &str) -> Option<String> {
    for scheme in ["http", "https"] {
        let host = rest
            .strip_prefix(scheme)
            .and_then(|it| it.strip_prefix(':'));
        let host = host.filter(|it| !it.starts_with("//"));
        if let Some(host) = host.map(|it| it.trim_start_matches('/')) {
            let is_empty = host.is_empty();
            return (!is_empty).then(|| format!("otlp:{scheme}://{host}"));
        }
    }
    let host = rest.strip_prefix("//").unwrap_or(rest);
    if host.contains("://") || host.is_empty() || host.starts_with('/') {
        return None;
    }
    let locals = ["localhost", "127.", "[::1]"];
    let is_local = locals.iter().any(|it| host.starts_with(it));
    let scheme = if is_local { "http" } else { "https" };
    Some(format!("otlp:{scheme}://{host}"))
}

/// What is wrong with a URL, as far as known without the environment and
/// without opening anything.
pub fn url_problem(url: &[u8]) -> Option<String> {
    let url = &with_lower_scheme(url)[..];
    let Some(colon) = url.iter().position(|byte| *byte == b':') else {
        return Some(no_kind(url));
    };
    let (scheme, rest) = (&url[..colon], &url[colon + 1..]);
    let shown = || shown_url(url);
    match scheme {
        b"syslog" if rest.is_empty() => None,
        b"file" | b"unix" | b"unix-dgram" | b"syslog" => {
            let begins = rest.first().is_some_and(|it| b"/~$".contains(it));
            let is_of_host =
                rest.starts_with(b"//") && !rest.starts_with(b"///");
            (!begins || is_of_host)
                .then(|| format!("'{}' has no absolute path", shown()))
        }
        b"syslog+tcp" | b"syslog+tls" => {
            let host = rest.strip_prefix(b"//").unwrap_or_default();
            let is_host = host.first().is_some_and(|it| !b":/".contains(it));
            (!is_host).then(|| format!("'{}' names no host", shown()))
        }
        b"otlp" if rest.trim_ascii().is_empty() => None,
        b"otlp" => {
            let host = |scheme: &[u8]| {
                let (begin, host) = rest.split_at_checked(scheme.len())?;
                begin.eq_ignore_ascii_case(scheme).then_some(host)
            };
            match host(b"https://").or_else(|| host(b"http://")) {
                None => {
                    let problem = format!(
                        "'{}': it must begin with http:// or https://",
                        shown()
                    );
                    Some(with_guess(problem, url))
                }
                Some(host) => {
                    let is_host =
                        host.first().is_some_and(|it| !b":/".contains(it));
                    (!is_host).then(|| format!("'{}' names no host", shown()))
                }
            }
        }
        _ => Some(no_kind(url)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let cases = [
            ("otlp:https://a.b:4318/x", "otlp:https://a.b:4318/x"),
            ("otlp:https://u:p@a.b/x?k=v", "otlp:https://...@a.b/x?..."),
            ("otlp:https://u:p@q@a.b", "otlp:https://...@a.b"),
            ("otlp:https://u:p/w@a.b/x", "otlp:https://...@a.b/x"),
            ("otlp:https://u:p?w@a.b/x", "otlp:https://...?..."),
            ("otlp:https://u:p#w@a.b/x", "otlp:https://...#..."),
            ("otlp:https://u:12/w@a.b", "otlp:https://...@a.b"),
            ("otlp:https://u:p/w?z@a.b", "otlp:https://...?..."),
            ("otlp:https://u:12/w?z@a.b", "otlp:https://...?..."),
            ("otlp:https://a.b/x?k=v@w", "otlp:https://a.b/x?..."),
            ("otlp:https://a.b#k", "otlp:https://a.b#..."),
            ("otlp:https:u:p@a.b", "otlp:...@a.b"),
            ("otlp:https:/u:p@a.b", "otlp:...@a.b"),
            ("otlp:u:p@a.b", "otlp:...@a.b"),
            ("otlp:https://u:p/w?k=z@a.b", "otlp:https://...?..."),
            ("otlp:u:p", "otlp:u:p"),
            ("nonsense:y", "nonsense:y"),
            ("u:p@a.b", "...@a.b"),
            ("https://u:p@a.b", "https://...@a.b"),
            ("//bob:hunter2@a.b:1", "//...@a.b:1"),
            ("syslog+tcp:bob:p@a.b", "syslog+tcp:...@a.b"),
            ("syslog+tcp://bob:p@a.b", "syslog+tcp://...@a.b"),
            ("syslog+tls://bob:p@[::1]:1", "syslog+tls://...@[::1]:1"),
            ("syslog+tls://[::1]:1/", "syslog+tls://[::1]:1/"),
            ("syslog://bob:p@a.b", "syslog://...@a.b"),
            ("unix://bob:p@a.b/x", "unix://...@a.b/x"),
            ("unix:bob:p@a.b", "unix:...@a.b"),
            ("unix:~/a@b?c", "unix:~/a@b?c"),
            ("otlp:", "otlp:"),
            ("", ""),
            ("file:/a@b/%Y", "file:/a@b/%Y"),
            ("file:///a@b", "file:///a@b"),
            ("syslog:", "syslog:"),
        ];
        for (url, shown) in cases {
            assert_eq!(shown_url(url.as_bytes()), shown);
        }
    }

    #[test]
    fn urls_that_lead_nowhere_are_named() {
        for url in [
            "file:/x",
            "file:~/x",
            "file:$X/y",
            "file:///x",
            "unix:/x",
            "unix-dgram:/x",
            "syslog:",
            "syslog:/x",
            "syslog+tcp://a",
            "syslog+tls://[::1]:1",
            "otlp:",
            "otlp:http://a:1/x",
            "otlp:HTTPS://a",
            "OTLP:http://a",
            "Syslog+TCP://a",
        ] {
            assert_eq!(url_problem(url.as_bytes()), None, "{url}");
        }
        for (url, problem) in [
            ("", "'' is not a kind of sink: file:, syslog:, unix:, otlp:"),
            (
                "x",
                "'x' is not a kind of sink: file:, syslog:, unix:, otlp:",
            ),
            ("file:x", "'file:x' has no absolute path"),
            ("file://host/x", "'file://host/x' has no absolute path"),
            ("unix:", "'unix:' has no absolute path"),
            ("syslog+tcp:a", "'syslog+tcp:a' names no host"),
            ("syslog+tls://:1", "'syslog+tls://:1' names no host"),
            (
                "otlp:a",
                "'otlp:a': it must begin with http:// or https://; did you \
                 mean 'otlp:https://a'?",
            ),
            (
                "otpl:https://a",
                "'otpl:https://a' is not a kind of sink: file:, syslog:, \
                 unix:, otlp:; did you mean 'otlp:https://a'?",
            ),
            ("otlp:http://", "'otlp:http://' names no host"),
        ] {
            assert_eq!(url_problem(url.as_bytes()).as_deref(), Some(problem));
        }
    }

    #[test]
    fn it_is_guessed_what_an_invalid_url_means() {
        for (url, meant) in [
            ("otpl:http://a:4318", Some("otlp:http://a:4318")),
            ("http://localhost:4318", Some("otlp:http://localhost:4318")),
            ("HTTPS://u:pw@a/x", Some("otlp:HTTPS://...@a/x")),
            ("otlp:localhost:4318", Some("otlp:http://localhost:4318")),
            (
                "otlp://collector.example",
                Some("otlp:https://collector.example"),
            ),
            ("otlp+http://a", Some("otlp:http://a")),
            ("otlps://a", Some("otlp:https://a")),
            ("otlps:https://a", Some("otlp:https://a")),
            ("oltp+http:http://a", Some("otlp:http://a")),
            // What is wrong with it is not the scheme.
            ("otlp:https://a/?b", None),
            ("otlp:https:/a", Some("otlp:https://a")),
            ("otlp:http:", None),
            ("tcp://a:514", Some("syslog+tcp://a:514")),
            ("sylog:/dev/log", Some("syslog:/dev/log")),
            ("fiel:/var/log/hg", Some("file:/var/log/hg")),
            ("~/log/hg.jsonl", Some("file:~/log/hg.jsonl")),
            ("/var/log/hg", Some("file:/var/log/hg")),
            ("otlp:grpc://a", None),
            ("kafka://a", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(meant_url(url.as_bytes()).as_deref(), meant, "{url}");
        }
    }
}
