//! The URL of a repository without credentials.
//!
//! Must not know configuration or redaction.

/// What a URL begins with that names a repository for others, too. A path does
/// not, nor does the name of another item.
const SCHEMES: [&str; 8] = [
    "http",
    "https",
    "ssh",
    "static-http",
    "git",
    "git+http",
    "git+https",
    "git+ssh",
];
/// Bytes of a URL at most.
const MAX_BYTES: usize = 4096;

/// The URL without its user, its password, its query and its fragment; none
/// if it is no URL.
pub(crate) fn plain_url(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let rest = rest.split(['?', '#']).next()?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let host = authority.rsplit('@').next()?;
    let is_good = SCHEMES.contains(&scheme.as_str())
        && !host.is_empty()
        && text.len() <= MAX_BYTES
        && !text.contains(|it: char| it.is_control() || it == '\\');
    // What looks like a user in the path may be a user whose `@` was not
    // escaped.
    let is_safe = !path.contains('@') && !path.contains("%40");
    (is_good && is_safe).then(|| format!("{scheme}://{host}{path}"))
}

/// The name of the repository with this URL: the last part of its path.
pub(crate) fn name(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.split_once('/')?;
    let name = path.rsplit('/').find(|part| !part.is_empty())?;
    let name = name.strip_suffix(".git").unwrap_or(name);
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_no_credentials() {
        for (text, expected) in [
            ("https://h.example/a/b", Some("https://h.example/a/b")),
            ("https://joe:hunter2@h:8443/a", Some("https://h:8443/a")),
            ("HTTPS://a@b:c@h/a/", Some("https://h/a/")),
            ("ssh://hg@h//srv/a?token=x#b", Some("ssh://h//srv/a")),
            ("https://[::1]:8000/a", Some("https://[::1]:8000/a")),
            ("https://joe:p/w@h/a", None),
            ("https://joe@/a", None),
            ("/srv/a", None),
            ("../a", None),
            ("file:///srv/a", None),
            ("path://other", None),
            ("git@h:a/b.git", None),
            ("", None),
        ] {
            let told = plain_url(text.as_bytes());
            assert_eq!(told.as_deref(), expected, "{text}");
        }
        assert_eq!(plain_url(b"https://h/\xff"), None);
        assert_eq!(plain_url(b"https://h/a\nb"), None);
    }

    #[test]
    fn a_name_is_the_last_part() {
        for (url, expected) in [
            ("https://h/a/b", Some("b")),
            ("https://h/a/b/", Some("b")),
            ("git+https://h/b.git", Some("b")),
            ("https://h/", None),
            ("https://h", None),
        ] {
            assert_eq!(name(url), expected, "{url}");
        }
    }
}
