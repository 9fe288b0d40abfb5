//! Reads one file with all files that it includes.

use std::fs;
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use nix::errno::Errno;
use uilog_sys::foreign_file;

use crate::config::Config;
use crate::config::Entry;
use crate::environment::Environment;
use crate::error::Error;
use crate::error::reason;
use crate::expand;
use crate::posixpath;
use crate::source::Source;
use crate::syntax;
use crate::syntax::Statement;

/// How deep files may include one another.
pub const MAX_INCLUDE_DEPTH: usize = 100;

/// How many files one file may include, those that they include counted, too.
pub const MAX_INCLUDES: usize = 10_000;

/// How many bytes one file and all that it includes may have together. The
/// longest that was ever seen has some ten thousand.
pub const MAX_BYTES: u64 = 16 << 20;

/// The device and inode of `/dev/null`'s kind.
const NULL_DEVICE: u64 = nix::sys::stat::makedev(1, 3);

/// A file that has been opened.
#[derive(Debug)]
pub(crate) struct Opened {
    /// `None` for `/dev/null`, which counts as an empty file.
    file: Option<File>,
    pub(crate) metadata: Metadata,
}

/// Opens a file for reading, without blocking.
pub(crate) fn open(path: &Path) -> io::Result<Opened> {
    match foreign_file::open(path) {
        Ok((file, metadata)) => Ok(Opened {
            file: Some(file),
            metadata,
        }),
        Err(foreign_file::Error::NotRegular(kind)) => {
            let metadata = fs::metadata(path)?;
            let is_null = metadata.file_type().is_char_device()
                && metadata.rdev() == NULL_DEVICE;
            if is_null {
                let file = None;
                return Ok(Opened { file, metadata });
            }
            if metadata.is_dir() {
                return Err(Errno::EISDIR.into());
            }
            Err(foreign_file::Error::NotRegular(kind).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads files that include one another.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    environment: &'a Environment,
    /// The files that are being read, each included by the one before it.
    nest: Vec<(u64, u64)>,
    /// The included files, and their results.
    pub(crate) included: Vec<(PathBuf, io::Result<()>)>,
    bytes: u64,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(environment: &'a Environment) -> Self {
        Self {
            environment,
            nest: Vec::new(),
            included: Vec::new(),
            bytes: 0,
        }
    }

    /// Reads a file on top of what `config` holds. After an error it holds
    /// the text before that.
    // hg: config.config.read
    pub(crate) fn read(
        &mut self,
        path: &Path,
        opened: Opened,
        config: &mut Config,
    ) -> Result<(), Error> {
        let data = self.contents(opened).map_err(|error| {
            let place = path.as_os_str().as_bytes().to_vec();
            Error::line(place, reason(&error))
        })?;
        self.parse(&Arc::new(path.to_owned()), &data, config)
    }

    fn contents(&mut self, opened: Opened) -> io::Result<Vec<u8>> {
        let left = MAX_BYTES - self.bytes;
        // One more byte shows the end of the file.
        let expected = opened.metadata.len().min(left) as usize;
        let mut data = Vec::with_capacity(expected + 1);
        let read = match opened.file {
            Some(file) => file.take(left + 1).read_to_end(&mut data)?,
            None => 0,
        };
        if read as u64 > left {
            return Err(io::Error::other("too large"));
        }
        self.bytes += read as u64;
        let metadata = opened.metadata;
        self.nest.push((metadata.dev(), metadata.ino()));
        Ok(data)
    }

    // hg: config.config.parse
    fn parse(
        &mut self,
        path: &Arc<PathBuf>,
        data: &[u8],
        config: &mut Config,
    ) -> Result<(), Error> {
        let mut section: &[u8] = b"";
        let mut item: &[u8] = b"";
        for line in syntax::parse(data) {
            let source = || Source::File {
                path: Arc::clone(path),
                line: line.number,
            };
            match line.statement {
                Statement::Section { name } => {
                    section = &data[name];
                    config.open_section(section);
                }
                Statement::Item { name, value } => {
                    item = &data[name];
                    let value = data[value].to_vec();
                    let source = source();
                    config.set(section, item, Entry { value, source });
                }
                Statement::Continuation { text } => {
                    config.extend(section, item, &data[text], source());
                }
                Statement::Unset { name } => {
                    config.unset(section, &data[name]);
                }
                Statement::Include { path: written } => {
                    let written = &data[written];
                    self.include(path, written, &source(), config)?;
                }
                Statement::Malformed { text, is_indented } => {
                    let prefix: &[u8] = if is_indented {
                        b"unexpected leading whitespace: "
                    } else {
                        b""
                    };
                    let place = source().to_bytes();
                    return Err(Error::quoted_line(place, prefix, &data[text]));
                }
            }
        }
        self.nest.pop();
        Ok(())
    }

    fn include(
        &mut self,
        including: &Path,
        written: &[u8],
        source: &Source,
        config: &mut Config,
    ) -> Result<(), Error> {
        let expanded = expand::expand_path(written, self.environment);
        let path = posixpath::beside(including, &expanded);
        let path = posixpath::normalized(&path);
        let opened = open(&path).and_then(|opened| {
            self.check_nesting(&opened.metadata)?;
            Ok(opened)
        });
        let refused = |error: &io::Error| {
            let parts: [&[u8]; 4] =
                [b"cannot include ", &expanded, b" (", &reason(error)];
            let message = [&parts.concat()[..], b")"].concat();
            Error::line(source.to_bytes(), message)
        };
        match opened {
            Ok(opened) => {
                self.included.push((path.clone(), Ok(())));
                self.read(&path, opened, config)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.included.push((path, Err(error)));
                Ok(())
            }
            Err(error) => {
                let refused = refused(&error);
                self.included.push((path, Err(error)));
                Err(refused)
            }
        }
    }

    fn check_nesting(&self, metadata: &Metadata) -> io::Result<()> {
        if self.nest.contains(&(metadata.dev(), metadata.ino())) {
            return Err(io::Error::other("it includes itself"));
        }
        if self.nest.len() >= MAX_INCLUDE_DEPTH {
            return Err(io::Error::other("nested too deeply"));
        }
        if self.included.len() >= MAX_INCLUDES {
            return Err(io::Error::other("too many files"));
        }
        Ok(())
    }
}
