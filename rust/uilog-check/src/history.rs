//! Every line that sets an item, including overridden ones.
//!
//! Parses the configuration files once more. Must not know which files are
//! trusted, or in which order they are read.

use std::collections::HashSet;
use std::path::Path;
use std::path::PathBuf;

use uilog_config::FileReport;
use uilog_config::FileState;
use uilog_config::Layer;
use uilog_config::MAX_BYTES;
use uilog_config::Source;
use uilog_config::syntax;
use uilog_config::syntax::Statement;
use uilog_sys::foreign_file;

/// An item that a file sets or unsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) section: Vec<u8>,
    pub(super) name: Vec<u8>,
    /// `None` unsets it.
    pub(super) value: Option<Vec<u8>>,
    pub(super) path: PathBuf,
    pub(super) line: usize,
}

impl Setting {
    /// Whether a value comes from here.
    pub(super) fn is_source(&self, source: &Source) -> bool {
        match source {
            Source::File { path, line } => {
                **path == self.path && *line == self.line
            }
            Source::Named(_) => false,
        }
    }

    /// As hg names places.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.path.display(), self.line)
    }
}

/// What the files say that count, in the order of the files; a relative path
/// is relative to `cwd`.
pub(super) fn read(files: &[FileReport], cwd: &Path) -> Vec<Setting> {
    let mut seen = HashSet::new();
    let mut settings = Vec::new();
    for file in files {
        let counts =
            file.state == FileState::Read && file.layer != Layer::Bundled;
        if !counts || !seen.insert(&file.path) {
            continue;
        }
        let path = cwd.join(&file.path);
        // It was a regular file when it was read; if it has been removed,
        // nothing of it can be shown.
        if let Ok(data) = foreign_file::read(&path, MAX_BYTES) {
            settings.extend(parse(&data, &file.path));
        }
    }
    settings
}

fn parse(data: &[u8], path: &Path) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    let mut section = Vec::new();
    for line in syntax::parse(data) {
        let mut push = |name: syntax::Span, value: Option<Vec<u8>>| {
            settings.push(Setting {
                section: section.clone(),
                name: data[name].to_vec(),
                value,
                path: path.to_owned(),
                line: line.number,
            });
        };
        match line.statement {
            Statement::Section { name } => section = data[name].to_vec(),
            Statement::Item { name, value } => {
                push(name, Some(data[value].to_vec()));
            }
            Statement::Unset { name } => push(name, None),
            Statement::Continuation { text } => {
                if let Some(last) = settings.last_mut() {
                    let value = last.value.get_or_insert_default();
                    value.push(b'\n');
                    value.extend_from_slice(&data[text]);
                    last.line = line.number;
                }
            }
            Statement::Include { .. } | Statement::Malformed { .. } => {}
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_ends_on_its_last_line() {
        let data = b"[a]\nx = 1\n  2\n%unset x\n[b]\ny =\n";
        let told: Vec<_> = parse(data, Path::new("f"))
            .into_iter()
            .map(|it| {
                let value = it.value.as_ref();
                let value = value.map(|v| String::from_utf8_lossy(v));
                format!("{} {value:?}", it.place())
            })
            .collect();
        assert_eq!(told, ["f:3 Some(\"1\\n2\")", "f:4 None", "f:6 Some(\"\")"]);
    }
}
