//! Which files contain records.
//!
//! Responsible for finding all files of a sink `file:`, whatever dates are in
//! their names and however often they were rotated, and the blackboxes of
//! repositories. Must not know what is in
//! them.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use uilog_blackbox::dates::DateFormat;
use uilog_sinks::globals::Globals;
use uilog_sinks::target::Target;
use uilog_sinks::template::Template;

use crate::blackbox;
use crate::scan::Source;

/// The suffix of files with records, in a directory that a user names.
const ENDING: &str = ".jsonl";

/// The blackbox in a repository, below its root.
const BLACKBOX: &str = ".hg/blackbox.log";

/// The files of a history, which may not have begun.
pub fn of_history(dir: &Path) -> Vec<PathBuf> {
    if dir.is_dir() {
        of_path(dir)
    } else {
        Vec::new()
    }
}

/// The files of a sink, if it is one that writes files.
pub fn of_sink(url: &[u8], globals: &Globals) -> Option<Vec<PathBuf>> {
    match Target::parse(url, globals.environment()) {
        Ok(Target::File(template)) => Some(of_template(&template)),
        Ok(Target::History(dir)) => Some(of_history(&dir)),
        _ => None,
    }
}

/// The files that a sink has written whose path is made from this, with their
/// old ones.
pub fn of_template(template: &Template) -> Vec<PathBuf> {
    let mut files = template.files();
    files.sort();
    files
}

/// The blackbox of a repository, if it has one.
pub fn of_repository(root: &Path) -> Option<PathBuf> {
    let path = root.join(BLACKBOX);
    path.is_file().then_some(path)
}

/// The files of a path: the file itself; the blackbox of a repository; the
/// files of another directory that end with `.jsonl`, and their rotated files.
pub fn of_path(path: &Path) -> Vec<PathBuf> {
    if let Some(blackbox) = of_repository(path) {
        return vec![blackbox];
    }
    let Ok(entries) = fs::read_dir(path) else {
        return vec![path.to_owned()];
    };
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            is_of_records(&name)
        })
        .collect();
    files.sort();
    files
}

/// Whether a name ends with `.jsonl`, or with that and a number.
fn is_of_records(name: &str) -> bool {
    let is_number = |it: &str| {
        !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit())
    };
    let base = match name.rsplit_once('.') {
        Some((base, number)) if is_number(number) => base,
        _ => name,
    };
    base.ends_with(ENDING)
}

/// The opened files.
#[derive(Debug, Default)]
pub struct Opened {
    /// Texts with records.
    pub sources: Vec<Source>,
    /// What cannot be read, and why.
    pub problems: Vec<(PathBuf, String)>,
    /// How many of the sources are blackboxes.
    pub blackboxes: u64,
}

/// Opens files, each once, whatever its names are. Files that have disappeared
/// were rotated, which is no problem. `format` is the date format of
/// blackboxes; without it, they are left out.
pub fn open(
    paths: impl IntoIterator<Item = PathBuf>,
    format: Option<&DateFormat>,
) -> Opened {
    let mut opened = Opened::default();
    let mut known = std::collections::HashSet::new();
    for path in paths {
        let source = match Source::open(&path) {
            Ok(source) => source,
            Err(error) => {
                opened.problems.push((path, error.to_string()));
                continue;
            }
        };
        if source.id().is_some_and(|id| !known.insert(id)) {
            continue;
        }
        match source.is_blackbox() {
            Ok(false) => opened.sources.push(source),
            Ok(true) => {
                let Some(format) = format else { continue };
                opened.add_blackbox(&path, format);
            }
            Err(error) => opened.problems.push((path, error.to_string())),
        }
    }
    opened
}

impl Opened {
    fn add_blackbox(&mut self, path: &Path, format: &DateFormat) {
        let read = match blackbox::read(path, format.clone()) {
            Ok(read) => read,
            Err(error) => {
                let problem = (path.to_owned(), error.to_string());
                self.problems.push(problem);
                return;
            }
        };
        if read.undated > 0 {
            let why = format!(
                "{} of its events have a date that cannot be read",
                read.undated
            );
            self.problems.push((path.to_owned(), why));
        }
        self.sources.push(read.records);
        self.blackboxes += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_stands_for_the_records_in_it() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.jsonl", "a.jsonl.1", "b.txt", "c.jsonl.x", "1"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let files = of_path(dir.path());
        let names: Vec<_> = files
            .iter()
            .map(|it| it.file_name().unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["a.jsonl", "a.jsonl.1"]);
        let again = files.iter().chain(&files).cloned();
        assert_eq!(open(again, None).sources.len(), 2);
        let missing = dir.path().join("x");
        assert_eq!(of_path(&missing), std::slice::from_ref(&missing));
        assert_eq!(open([missing], None).problems.len(), 1);
    }
}
