//! Where a value comes from, and how hg names that.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A line of a file, from 1.
    File {
        /// The file, as hg names it.
        path: Arc<PathBuf>,
        /// The line that completes the value.
        line: usize,
    },
    /// What hg names in another way: `$EDITOR`, `--config`, `repo`,
    /// `<tweakdefaults>`, `autoload`.
    Named(&'static str),
}

impl Source {
    /// As hg names it.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::File { path, line } => {
                let mut text = path_bytes(path).to_vec();
                text.extend_from_slice(format!(":{line}").as_bytes());
                text
            }
            Self::Named(name) => name.as_bytes().to_vec(),
        }
    }

    /// The file, where there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Named(_) => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

fn path_bytes(path: &Path) -> &[u8] {
    std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_file_is_named_by_both() {
        let path = Arc::new(PathBuf::from("/etc/hgrc"));
        let file = Source::File { path, line: 7 };
        assert_eq!(file.to_string(), "/etc/hgrc:7");
        assert_eq!(file.path(), Some(Path::new("/etc/hgrc")));
        let named = Source::Named("$EDITOR");
        assert_eq!(named.to_string(), "$EDITOR");
        assert_eq!(named.path(), None);
    }
}
