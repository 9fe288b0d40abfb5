//! The parents of a working directory, as its dirstate says.

use std::io;
use std::path::Path;

use uilog_sys::foreign_file;

/// Bytes of a node.
const NODE_BYTES: usize = 20;
const NULL_NODE: [u8; NODE_BYTES] = [0; NODE_BYTES];
/// What a dirstate of the second version begins with.
// hg: dirstateutils.docket.V2_FORMAT_MARKER
const V2_MARKER: &[u8] = b"dirstate-v2\n";
/// The second version has room for longer nodes.
const V2_NODE_BYTES: usize = 32;

/// The parents of the working directory of the repository at `root`: one, or
/// two of a merge.
///
/// # Errors
///
/// The dirstate cannot be read, or it is too short.
// hg: dirstatemap.parents
pub fn read(root: &Path) -> io::Result<Vec<[u8; NODE_BYTES]>> {
    let longest = V2_MARKER.len() + 2 * V2_NODE_BYTES;
    let dirstate = root.join(".hg/dirstate");
    let head = match foreign_file::read_beginning(&dirstate, longest as u64) {
        Ok(head) => head,
        // A new repository has none.
        Err(error) if error.is_not_found() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    if head.is_empty() {
        return Ok(vec![NULL_NODE]);
    }
    let (nodes, distance) = match head.strip_prefix(V2_MARKER) {
        Some(nodes) => (nodes, V2_NODE_BYTES),
        None => (&head[..], NODE_BYTES),
    };
    let node = |at: usize| {
        let bytes = nodes.get(at..at + NODE_BYTES);
        let node = bytes.and_then(|bytes| bytes.try_into().ok());
        node.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))
    };
    let parents = vec![node(0)?, node(distance)?];
    let is_merge = parents[1] != NULL_NODE;
    Ok(parents
        .into_iter()
        .take(1 + usize::from(is_merge))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_the_dirstate_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let write = |contents: &[u8]| {
            std::fs::create_dir_all(dir.path().join(".hg")).unwrap();
            let path = dir.path().join(".hg/dirstate");
            std::fs::write(path, contents).unwrap();
        };
        let read = || read(dir.path()).map_err(|error| error.kind());
        let (one, two) = ([1; NODE_BYTES], [2; NODE_BYTES]);
        assert_eq!(read(), Ok(vec![NULL_NODE]));
        write(b"");
        assert_eq!(read(), Ok(vec![NULL_NODE]));
        write(&[&one[..], &NULL_NODE, b"rest"].concat());
        assert_eq!(read(), Ok(vec![one]));
        write(&[one, two].concat());
        assert_eq!(read(), Ok(vec![one, two]));
        let pad = [0; V2_NODE_BYTES - NODE_BYTES];
        write(&[V2_MARKER, &one, &pad, &two, &pad, b"rest"].concat());
        assert_eq!(read(), Ok(vec![one, two]));
        write(&[V2_MARKER, &one, &pad, &NULL_NODE, &pad].concat());
        assert_eq!(read(), Ok(vec![one]));
        write(&one);
        assert_eq!(read(), Err(io::ErrorKind::UnexpectedEof));
        // It is not known then what the parents are.
        let dirstate = dir.path().join(".hg/dirstate");
        std::fs::remove_file(&dirstate).unwrap();
        std::fs::create_dir(&dirstate).unwrap();
        assert!(read().is_err());
    }
}
