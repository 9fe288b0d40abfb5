//! Paths as Python's `os.path` handles them: the text decides, no file system.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;

use crate::environment::Environment;

/// Replaces `$NAME` and `${NAME}`, then `~` and `~USER`.
// hg: util.expandpath
pub fn expand_path(path: &[u8], environment: &Environment) -> Vec<u8> {
    expand_user(&expand_variables(path, environment), environment)
}

/// Replaces variables; what is not set stays as it is written.
// Python: posixpath.expandvars
pub fn expand_variables(path: &[u8], environment: &Environment) -> Vec<u8> {
    let mut expanded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some(dollar) = rest.iter().position(|byte| *byte == b'$') {
        expanded.extend_from_slice(&rest[..dollar]);
        rest = &rest[dollar..];
        let (name, length) = match variable(&rest[1..]) {
            Some((name, length)) => (Some(name), length + 1),
            None => (None, 1),
        };
        let value = name.and_then(|name| environment.var(name));
        expanded.extend_from_slice(value.unwrap_or(&rest[..length]));
        rest = &rest[length..];
    }
    expanded.extend_from_slice(rest);
    expanded
}

/// The names of the variables that a path asks for.
pub fn variables_in(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let dollars = path.iter().enumerate().filter(|it| *it.1 == b'$');
    dollars.filter_map(|(at, _)| Some(variable(&path[at + 1..])?.0))
}

/// The name behind a `$`, and how much of the text it takes.
fn variable(text: &[u8]) -> Option<(&[u8], usize)> {
    if let Some(rest) = text.strip_prefix(b"{") {
        let end = rest.iter().position(|byte| *byte == b'}')?;
        return Some((&rest[..end], end + 2));
    }
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let end = text.iter().position(|byte| !is_word(byte));
    let end = end.unwrap_or(text.len());
    (end > 0).then(|| (&text[..end], end))
}

/// Replaces `~` or `~USER` at the beginning, if there is such a user.
// Python: posixpath.expanduser
pub fn expand_user(path: &[u8], environment: &Environment) -> Vec<u8> {
    let Some(rest) = path.strip_prefix(b"~") else {
        return path.to_vec();
    };
    let end = rest.iter().position(|byte| *byte == b'/');
    let (user, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let Some(mut expanded) = environment.home(user) else {
        return path.to_vec();
    };
    expanded.extend_from_slice(rest);
    if expanded.is_empty() {
        expanded.push(b'/');
    }
    expanded
}

/// The directory that a relative path in a file is relative to, and the path
/// joined to it.
// Python: posixpath.join(posixpath.dirname(file), path)
pub(crate) fn beside(file: &Path, path: &[u8]) -> PathBuf {
    let file = file.as_os_str().as_bytes();
    let end = file.iter().rposition(|byte| *byte == b'/');
    let dir = &file[..end.map_or(0, |end| end + 1)];
    join(dir, path)
}

/// Joins two paths.
// Python: posixpath.join
pub(crate) fn join(dir: &[u8], path: &[u8]) -> PathBuf {
    let mut joined = Vec::new();
    if !path.starts_with(b"/") {
        joined.extend_from_slice(dir);
        if !dir.is_empty() && !dir.ends_with(b"/") {
            joined.push(b'/');
        }
    }
    joined.extend_from_slice(path);
    to_path(joined)
}

/// Takes `.`, `..` and empty parts out, without looking at links.
// Python: posixpath.normpath
pub(crate) fn normalized(path: &Path) -> PathBuf {
    let path = path.as_os_str().as_bytes();
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    // POSIX leaves two slashes, and only two, to the system.
    let root: &[u8] = match slashes {
        0 => b"",
        2 => b"//",
        _ => b"/",
    };
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        let is_up = part == b"..";
        let is_free =
            root.is_empty() && parts.last().is_none_or(|last| *last == b"..");
        if part.is_empty() || part == b"." {
            continue;
        } else if !is_up || is_free {
            parts.push(part);
        } else {
            parts.pop();
        }
    }
    let mut normal = root.to_vec();
    normal.extend_from_slice(&parts.join(&b'/'));
    if normal.is_empty() {
        normal.push(b'.');
    }
    to_path(normal)
}

/// A path of these bytes.
pub(crate) fn to_path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn environment() -> Environment {
        let variables = [("HOME", "/home/me/"), ("A", "a"), ("A_1", "$A")];
        let variables: HashMap<_, _> = variables
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        Environment::new(variables, PathBuf::from("/"))
    }

    #[test]
    fn variables_and_homes() {
        let cases = [
            ("~", "/home/me"),
            ("~/x$A/${A}b", "/home/me/xa/ab"),
            ("$A_1 $B ${B} $", "$A $B ${B} $"),
            ("${A", "${A"),
            ("$$A", "$a"),
            ("x~", "x~"),
            ("~no-such-user/x", "~no-such-user/x"),
        ];
        for (path, expanded) in cases {
            let ours = expand_path(path.as_bytes(), &environment());
            assert_eq!(String::from_utf8(ours).unwrap(), expanded, "{path}");
        }
    }

    #[test]
    fn normal_paths() {
        let cases = [
            ("", "."),
            ("/..//a/./b/../c", "/a/c"),
            ("//a", "//a"),
            ("///a", "/a"),
            ("../../a/..", "../.."),
            ("a/../..", ".."),
        ];
        for (path, normal) in cases {
            assert_eq!(normalized(Path::new(path)), Path::new(normal));
        }
        assert_eq!(beside(Path::new("/x/f"), b"g"), Path::new("/x/g"));
        assert_eq!(beside(Path::new("f"), b"g"), Path::new("g"));
        assert_eq!(beside(Path::new("/x/f"), b"/g"), Path::new("/g"));
    }
}
