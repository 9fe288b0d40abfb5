//! Paths as Python's `posixpath` handles them: the text decides, no file system
//! and no environment.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;

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

/// Removes `.`, `..` and empty parts, without reading links.
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
    use super::*;

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
            // A `Path` equals one with more slashes.
            let ours = normalized(Path::new(path)).into_os_string();
            assert_eq!(ours, normal, "{path}");
        }
    }

    #[test]
    fn joined_paths() {
        for (file, path, expected) in [
            ("/x/f", "g", "/x/g"),
            ("/f", "g", "/g"),
            ("f", "g", "g"),
            ("/x/f", "/g", "/g"),
        ] {
            let ours = beside(Path::new(file), path.as_bytes());
            assert_eq!(ours.into_os_string(), expected);
        }
        for (dir, path, expected) in
            [("", "g", "g"), ("x", "g", "x/g"), ("x/", "g", "x/g")]
        {
            let ours = join(dir.as_bytes(), path.as_bytes());
            assert_eq!(ours.into_os_string(), expected);
        }
    }
}
