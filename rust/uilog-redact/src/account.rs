//! Users and passwords before an `@` without a URL: `bob:X@proxy:3128`,
//! `:pserver:bob:X@host`, `bob:X@tcp(db:3306)/app`, `thin:bob/X@db`.
//!
//! [`crate::url`] handles URLs.

use memchr::memchr_iter;

use crate::example_value::is_example;
use crate::finding::Finding;
use crate::rule::Rule;
use crate::rule::marker_at;
use crate::value::Scope;
use crate::value::is_placeholder;

/// Maximum distance from an `@` to the beginning of the user.
const MAX_BACK_BYTES: usize = 128;

/// How CVS names the ways to a repository.
const CVS_METHODS: [&[u8]; 6] = [
    b"pserver", b"ext", b"gserver", b"kserver", b"sserver", b"server",
];

/// Passwords in such accounts.
pub(crate) fn find(text: &[u8], scope: Scope, found: &mut Vec<Finding>) {
    for at in memchr_iter(b'@', text) {
        let Some(start) = password_start(text, at, scope) else {
            continue;
        };
        let password = &text[start..at];
        if password.is_empty()
            || password.iter().all(|b| b.is_ascii_digit()) && password.len() < 6
            || is_placeholder(password, scope)
            || is_example(password)
            || (0..password.len())
                .any(|at| marker_at(&password[at..]).is_some())
        {
            continue;
        }
        found.push(Finding::new(start..at, Rule::URL_PASSWORD));
    }
}

/// Where the password begins that ends before this `@`.
fn password_start(text: &[u8], at: usize, scope: Scope) -> Option<usize> {
    let from = at.saturating_sub(MAX_BACK_BYTES);
    let near = &text[from..at];
    // A proxy in an argument of its own.
    if scope == Scope::Word
        && from == 0
        && let Some(equals) = near.iter().position(|byte| *byte == b'=')
        && (near[..equals].ends_with(b"proxy.host")
            || near[..equals].ends_with(b"proxy"))
        && !near.windows(3).any(|part| part == b"://")
    {
        let colon = near[equals..].iter().position(|byte| *byte == b':')?;
        return Some(equals + colon + 1);
    }
    if let Some(start) = cvs_password(near) {
        return Some(from + start);
    }
    let start = near
        .iter()
        .rposition(|byte| {
            byte.is_ascii_whitespace() || b"\"'`=,(<>[{\\;&|".contains(byte)
        })
        .map_or(0, |before| before + 1);
    if start == 0 && from > 0 {
        return None;
    }
    let account = &near[start..];
    let start = from + start;
    let rest = &text[at + 1..];
    if account.windows(3).any(|part| part == b"://") {
        return None;
    }
    if let Some(user) = account.strip_prefix(b"//") {
        let colon = user_len(user, b':')?;
        return Some(start + 2 + colon + 1);
    }
    if let Some(thin) = account.windows(6).position(|part| part == b":thin:") {
        let user = &account[thin + 6..];
        let slash = user_len(user, b'/')?;
        return Some(start + thin + 6 + slash + 1);
    }
    let is_network = [&b"tcp("[..], b"tcp6(", b"unix(", b"cloudsql("]
        .iter()
        .any(|network| rest.starts_with(network));
    if !is_network && !is_host_and_port(rest) {
        return None;
    }
    let colon = user_len(account, b':')?;
    (!account[colon + 1..].contains(&b'/')).then_some(start + colon + 1)
}

/// Where the password begins in what ends with `:pserver:bob:PASSWORD`.
fn cvs_password(near: &[u8]) -> Option<usize> {
    let start = near
        .iter()
        .rposition(|byte| byte.is_ascii_whitespace() || b"\"'`=".contains(byte))
        .map_or(0, |before| before + 1);
    let root = &near[start..];
    let root = root.strip_prefix(b"-d").unwrap_or(root);
    let method = root.strip_prefix(b":")?;
    let end = method.iter().position(|byte| *byte == b':')?;
    // `:pserver;username=bob:`
    let name = method[..end].split(|byte| *byte == b';').next()?;
    if !CVS_METHODS.contains(&name) {
        return None;
    }
    let user = &method[end + 1..];
    let colon = user.iter().position(|byte| *byte == b':')?;
    Some(near.len() - user.len() + colon + 1)
}

/// How long the name of a user before a separator is.
fn user_len(account: &[u8], separator: u8) -> Option<usize> {
    let len = account
        .iter()
        .take_while(|byte| {
            byte.is_ascii_alphanumeric() || b"._-+$%".contains(byte)
        })
        .count();
    (len > 0 && account.get(len) == Some(&separator)).then_some(len)
}

/// Whether this begins with a host's name that has a dot, and a port.
fn is_host_and_port(rest: &[u8]) -> bool {
    const MAX_HOST_BYTES: usize = 128;
    let host = rest
        .iter()
        .take(MAX_HOST_BYTES)
        .take_while(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
        })
        .count();
    let is_named =
        rest[..host].contains(&b'.') || &rest[..host] == b"localhost";
    let port = &rest[host..];
    let digits = port
        .iter()
        .skip(1)
        .take(6)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    is_named && port.first() == Some(&b':') && (2..=5).contains(&digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, scope: Scope) -> Vec<&str> {
        let mut found = Vec::new();
        find(text.as_bytes(), scope, &mut found);
        found.into_iter().map(|found| &text[found.range]).collect()
    }

    #[test]
    fn passwords_before_hosts_are_found() {
        for (text, password) in [
            ("cvs -d :pserver:bob:pw@cvs.example:/x co", "pw"),
            ("cvs -d:ext:bob:p;w@cvs.example:/x co", "p;w"),
            ("CVSROOT=:ext:bob:pw@cvs.example:/x", "pw"),
            ("//bob:pw@hg.example/r", "pw"),
            ("jdbc:oracle:thin:bob/pw@db:1521:xe", "pw"),
            ("bob:pw@tcp(db:3306)/app", "pw"),
            ("proxy bob:p@w@proxy.example:3128 refused", "p@w"),
        ] {
            assert_eq!(found(text, Scope::Text), [password], "{text}");
        }
        assert_eq!(
            found("http_proxy.host=bob:p w@proxy:3128", Scope::Word),
            ["p w"]
        );
    }

    #[test]
    fn other_texts_with_an_at_are_harmless() {
        for text in [
            "registry.example/app:1.2@sha256:0123",
            "a:b@c",
            "mailto:alice@corp.example",
            "bob:$PW@proxy.example:3128",
            "https://bob:pw@hg.example:80/",
            "10:22@build.example:80",
            "x.py:3 alice@corp.example: 12",
        ] {
            assert_eq!(found(text, Scope::Text), [""; 0], "{text}");
        }
    }
}
