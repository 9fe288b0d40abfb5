//! What names of `[paths]` and `-R` mean: a URL's scheme, and `path://NAME`.
//!
//! Must not know the file system; the caller decides what relative paths are
//! relative to.

use std::collections::BTreeMap;

use crate::error::Error;

/// The scheme of another entry of `[paths]`.
const PATH_SCHEME: &[u8] = b"path";

/// The scheme of a location, if it is a URL.
// hg: urlutil.url.__init__
pub(crate) fn scheme(location: &[u8]) -> Option<&[u8]> {
    let is_drive =
        matches!(location, [letter, b':', ..] if letter.is_ascii_alphabetic());
    if is_drive {
        return None;
    }
    let end = location.iter().position(|byte| *byte == b':')?;
    let scheme = &location[..end];
    let is_letter = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-')
    };
    (end > 0 && scheme.iter().all(is_letter)).then_some(scheme)
}

/// Whether a location is on another machine.
// hg: repo.factory.peer_schemes
pub(crate) fn is_remote(location: &[u8]) -> bool {
    const REMOTE: [&[u8]; 4] = [b"http", b"https", b"ssh", b"static-http"];
    scheme(location).is_some_and(|scheme| REMOTE.contains(&scheme))
}

/// The path that a location means on this machine.
// hg: urlutil.urllocalpath
pub(crate) fn local_path(location: &[u8]) -> Vec<u8> {
    if scheme(location) != Some(b"file") {
        return location.to_vec();
    }
    let path = &location[b"file:".len()..];
    let Some(rest) = path.strip_prefix(b"//") else {
        return path.to_vec();
    };
    // The text before the path is the machine's name.
    let end = rest.iter().position(|byte| *byte == b'/');
    let path = &rest[end.unwrap_or(rest.len())..];
    if path.is_empty() {
        b"/".to_vec()
    } else {
        path.to_vec()
    }
}

/// Replaces each `path://NAME` by the path of that name.
// hg: urlutil._chain_path
pub(crate) fn follow(
    locations: &BTreeMap<&[u8], Vec<u8>>,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    let resolved = locations.iter().map(|(name, location)| {
        let target = follow_one(location, locations)?;
        Ok((name.to_vec(), target.clone()))
    });
    resolved.collect()
}

fn follow_one<'a>(
    location: &'a Vec<u8>,
    locations: &'a BTreeMap<&[u8], Vec<u8>>,
) -> Result<&'a Vec<u8>, Error> {
    if scheme(location) != Some(PATH_SCHEME) {
        return Ok(location);
    }
    let host = &location[PATH_SCHEME.len() + 1..];
    let host = host.strip_prefix(b"//").unwrap_or(host);
    let end = host.iter().position(|byte| matches!(byte, b'/' | b'#'));
    let host = &host[..end.unwrap_or(host.len())];
    let failed = |why: &[u8]| {
        let parts: [&[u8]; 5] =
            [b"cannot use `", location, b"`, \"", host, why];
        Error::abort(parts.concat())
    };
    match locations.get(host) {
        None => Err(failed(b"\" is not a known path")),
        Some(target) if scheme(target) == Some(PATH_SCHEME) => {
            Err(failed(b"\" is also defined as a `path://`"))
        }
        Some(target) => Ok(target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes() {
        assert_eq!(scheme(b"ssh://u@h/p"), Some(&b"ssh"[..]));
        assert_eq!(scheme(b"file:a"), Some(&b"file"[..]));
        for path in [&b"/a:b"[..], b"c:\\a", b"c:a", b"a/b:c", b":a", b"a"] {
            assert_eq!(scheme(path), None);
        }
        assert!(is_remote(b"https://example.com/"));
        assert!(!is_remote(b"file:///a"));
        assert_eq!(scheme(br"\\server\share:x"), None);
    }

    #[test]
    fn a_file_url_is_its_path() {
        for (location, path) in [
            ("file:a", "a"),
            ("file:///a", "/a"),
            ("file://localhost/a/b", "/a/b"),
            ("file://localhost", "/"),
            ("/a", "/a"),
            ("ssh://host/a", "ssh://host/a"),
        ] {
            let ours = local_path(location.as_bytes());
            assert_eq!(String::from_utf8(ours).unwrap(), path, "{location}");
        }
    }

    #[test]
    fn a_path_may_lead_to_another_one_but_no_further() {
        let followed = |items: &[(&'static str, &str)]| {
            let items = items
                .iter()
                .map(|(name, text)| (name.as_bytes(), text.as_bytes().into()));
            let followed = follow(&items.collect());
            followed.map_err(|error| error.to_string())
        };
        let good = followed(&[("a", "path://b"), ("b", "/b")]).unwrap();
        assert_eq!(good[&b"a"[..]], b"/b");
        assert_eq!(good[&b"b"[..]], b"/b");
        for path in ["path:b", "path://b/sub", "path://b#branch"] {
            let good = followed(&[("a", path), ("b", "/b")]).unwrap();
            assert_eq!(good[&b"a"[..]], b"/b", "{path}");
        }
        assert_eq!(
            followed(&[("a", "path://b")]).unwrap_err(),
            "abort: cannot use `path://b`, \"b\" is not a known path"
        );
        assert_eq!(
            followed(&[("a", "path://b"), ("b", "path://a")]).unwrap_err(),
            "abort: cannot use `path://b`, \"b\" is also defined as a \
             `path://`"
        );
    }
}
