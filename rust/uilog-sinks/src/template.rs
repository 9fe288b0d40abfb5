//! File names with dates: `audit-%Y-%m-%d.jsonl`.
//!
//! Knows how such a name is written and filled in. Must not know what is in the
//! file.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;

use chrono::DateTime;
use chrono::FixedOffset;
use uilog_blackbox::glob::Glob;
use uilog_config::Environment;
use uilog_config::expand::expand_user;
use uilog_config::expand::expand_variables;

/// The valid directives in a name: strftime's, without those that depend on a
/// language, and without those that produce slashes, blanks or line feeds.
const DIRECTIVES: &[u8] = b"YCyGgmbBdjaAuwUWVHIMSpPsFz";

/// A path with dates in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    /// For chrono: `%` and a letter.
    Directive(String),
}

impl Template {
    /// Reads one: `~`, variables, directives, and `%%` for a percent sign. A
    /// percent sign in a variable's value is one.
    ///
    /// # Errors
    ///
    /// There is no such directive, or the path is not absolute.
    pub fn parse(
        text: &[u8],
        environment: &Environment,
    ) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
            pieces.push(Piece::Text(rest[..at].to_vec()));
            pieces.push(match rest.get(at + 1) {
                Some(b'%') => Piece::Text(b"%".to_vec()),
                Some(letter) if DIRECTIVES.contains(letter) => {
                    Piece::Directive(format!("%{}", char::from(*letter)))
                }
                other => return Err(unknown(other.copied())),
            });
            rest = &rest[at + 2..];
        }
        pieces.push(Piece::Text(rest.to_vec()));
        for (index, piece) in pieces.iter_mut().enumerate() {
            let Piece::Text(text) = piece else { continue };
            *text = expand_variables(text, environment);
            if index == 0 {
                *text = expand_user(text, environment);
            }
        }
        let is_absolute = matches!(
            pieces.first(), Some(Piece::Text(text)) if text.starts_with(b"/"));
        if !is_absolute {
            return Err("it is not an absolute path".to_owned());
        }
        Ok(Self { pieces })
    }

    /// One file a day in a directory: `2026-11-30.jsonl`.
    pub(crate) fn of_days(dir: &Path) -> Self {
        let text = |it: &[u8]| Piece::Text(it.to_vec());
        let date = |it: &str| Piece::Directive(it.to_owned());
        let dir = [dir.as_os_str().as_bytes(), b"/"].concat();
        Self {
            pieces: vec![
                Piece::Text(dir),
                date("%Y"),
                text(b"-"),
                date("%m"),
                text(b"-"),
                date("%d"),
                text(b".jsonl"),
            ],
        }
    }

    /// Identifies it: variables are replaced, dates are not.
    pub fn to_bytes(&self) -> Vec<u8> {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_slice(),
            Piece::Directive(directive) => directive.as_bytes(),
        });
        pieces.collect::<Vec<_>>().concat()
    }

    /// The files that have been written so far: of any time, and their old
    /// files, `.1` and so on. What cannot be listed has none.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut pattern = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => {
                    for byte in text {
                        if b"*?[\\".contains(byte) {
                            pattern.push(b'\\');
                        }
                        pattern.push(*byte);
                    }
                }
                Piece::Directive(_) => pattern.push(b'*'),
            }
        }
        let mut parts = pattern.split(|byte| *byte == b'/').peekable();
        let mut paths = vec![PathBuf::from("/")];
        while let Some(part) = parts.next() {
            let old = [part, b".*"].concat();
            let mut globs = vec![Glob::new(part)];
            if parts.peek().is_none() {
                globs.push(Glob::new(&old));
            } else if !part.contains(&b'*') && !part.contains(&b'\\') {
                let name = OsStr::from_bytes(part);
                paths.iter_mut().for_each(|path| path.push(name));
                continue;
            }
            let found = paths.iter().flat_map(|dir| matching(dir, &globs));
            paths = found.collect();
        }
        paths.retain(|path| path.is_file());
        paths
    }

    /// The path for this time, as the clock on the wall shows it.
    pub fn path(&self, time: &DateTime<FixedOffset>) -> PathBuf {
        let mut path = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => path.extend_from_slice(text),
                Piece::Directive(directive) => {
                    let mut text = String::new();
                    let shown = write!(text, "{}", time.format(directive));
                    shown.expect("a test writes each directive");
                    path.extend_from_slice(text.as_bytes());
                }
            }
        }
        PathBuf::from(OsString::from_vec(path))
    }
}

/// The entries of a directory that match the first of the globs, or a later one
/// followed by a dot and a number.
fn matching(dir: &Path, globs: &[Glob]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let is_wanted = |name: &[u8]| {
        let number = name.rsplit(|byte| *byte == b'.').next();
        let is_old = number.is_some_and(|it| it.iter().all(u8::is_ascii_digit));
        globs
            .iter()
            .enumerate()
            .any(|(index, glob)| glob.matches(name) && (index == 0 || is_old))
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name().is_some_and(|it| is_wanted(it.as_bytes()))
        })
        .collect()
}

fn unknown(letter: Option<u8>) -> String {
    let shown = letter.map_or(String::new(), |it| {
        String::from_utf8_lossy(&[it]).into_owned()
    });
    let known = DIRECTIVES.iter().map(|it| format!("%{}", char::from(*it)));
    let known = known.collect::<Vec<_>>().join(" ");
    format!(
        "'%{shown}' is not a date directive ('%%' is a percent sign): \
        {known}"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn environment() -> Environment {
        let variables = [("HOME", "/home/100%Y"), ("A", "%H")];
        let variables: HashMap<_, _> =
            variables.map(|(n, v)| (n.into(), v.into())).into();
        Environment::new(variables, PathBuf::from("/"))
    }

    fn filled(text: &str) -> Result<String, String> {
        let time = "2026-01-02T23:04:05.678901+05:30";
        let time = DateTime::parse_from_rfc3339(time).unwrap();
        let template = Template::parse(text.as_bytes(), &environment())?;
        Ok(template.path(&time).to_str().unwrap().to_owned())
    }

    #[test]
    fn dates_homes_and_variables_are_filled_in() {
        let cases = [
            ("/a/%Y/%m-%d.%H%z.x", "/a/2026/01-02.23+0530.x"),
            ("~/$A.%H%%Y", "/home/100%Y/%H.23%Y"),
            ("/${A}%j", "/%H002"),
            ("/%", "'%' is not a date directive"),
            ("/%Q", "'%Q' is not a date directive"),
            ("/%D", "'%D' is not a date directive"),
            ("a/%Y", "it is not an absolute path"),
            ("%Y", "it is not an absolute path"),
            ("", "it is not an absolute path"),
        ];
        for (text, expected) in cases {
            let found = match filled(text) {
                Ok(path) => path,
                Err(error) => error[..expected.len()].to_owned(),
            };
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn each_directive_is_one_name_without_slashes() {
        for letter in DIRECTIVES {
            let letter = char::from(*letter);
            let name = filled(&format!("/%{letter}")).unwrap();
            let name = name.strip_prefix('/').unwrap();
            assert!(!name.is_empty() && !name.contains(['/', ' ', '\n', '%']));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(
            text in prop::collection::vec(any::<u8>(), 0..20),
            seconds in any::<i32>(),
        ) {
            let path = [b"/", &text[..]].concat();
            if let Ok(template) = Template::parse(&path, &environment()) {
                let time = DateTime::from_timestamp(seconds.into(), 0);
                let path = template.path(&time.unwrap().fixed_offset());
                prop_assert!(path.as_os_str().as_bytes().starts_with(b"/"));
            }
        }
    }

    #[test]
    fn files_of_any_time_are_found_with_their_old_ones() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("2026*/11")).unwrap();
        fs::create_dir_all(root.join("2025*/x")).unwrap();
        for name in [
            "2026*/11/log-02.jsonl",
            "2026*/11/log-02.jsonl.1",
            "2026*/11/log-02.jsonl.bak",
            "2026*/11/log-03.txt",
            "2025*/x/log-1.jsonl",
        ] {
            fs::write(root.join(name), "").unwrap();
        }
        let text = format!("{}/%Y*/%m/log-%d.jsonl", root.display());
        let template = Template::parse(text.as_bytes(), &environment());
        let mut files = template.unwrap().files();
        files.sort();
        let expected = [
            "2025*/x/log-1.jsonl",
            "2026*/11/log-02.jsonl",
            "2026*/11/log-02.jsonl.1",
        ];
        assert_eq!(files, expected.map(|it| root.join(it)));
    }
}
