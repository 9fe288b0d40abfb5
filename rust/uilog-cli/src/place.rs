//! The options that select which configuration is read, shared by several
//! subcommands.

use std::ffi::OsString;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use clap::ValueHint;
use uilog_config::Error;
use uilog_config::Loaded;
use uilog_config::Request;
use uilog_config::installation;

use crate::output::visible_bytes;

/// Which configuration is read. As with hg, an option's value may begin with
/// `-`.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ConfigArguments {
    /// The repository: its root directory, or a name from the section paths
    #[arg(
        short = 'R',
        long,
        value_name = "REPO",
        value_hint = ValueHint::DirPath,
        allow_hyphen_values = true
    )]
    repository: Option<OsString>,
    /// Change the working directory first
    #[arg(
        long,
        value_name = "DIR",
        value_hint = ValueHint::DirPath,
        allow_hyphen_values = true
    )]
    cwd: Option<PathBuf>,
    /// Set a configuration item; it overrides all files
    #[arg(long, value_name = "SECTION.NAME=VALUE", allow_hyphen_values = true)]
    config: Vec<OsString>,
    /// Read this configuration file too; it overrides the others
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        allow_hyphen_values = true
    )]
    config_file: Vec<PathBuf>,
}

impl ConfigArguments {
    /// Reads the configuration, and prints hg's warnings and errors to
    /// standard error. Returns the error if hg would refuse to run.
    pub(crate) fn load(&self) -> anyhow::Result<Result<Loaded, Error>> {
        self.load_with(tell)
    }

    /// The same; in a pipe, the messages are those of hg byte for byte.
    pub(crate) fn load_as_hg(&self) -> anyhow::Result<Result<Loaded, Error>> {
        if io::stderr().is_terminal() {
            self.load_with(tell)
        } else {
            self.load_with(tell_as_hg)
        }
    }

    fn load_with(
        &self,
        tell: fn(&[Vec<u8>]) -> io::Result<()>,
    ) -> anyhow::Result<Result<Loaded, Error>> {
        let environment = installation::environment()
            .context("cannot determine the current directory")?;
        let loaded = uilog_config::load(&self.request(), &environment);
        match &loaded {
            Ok(loaded) => tell(&loaded.warnings)?,
            Err(error) => {
                tell(error.warnings())?;
                tell(&[error.to_bytes()])?;
            }
        }
        Ok(loaded)
    }

    /// These options in the form that `uilog_config::load` takes.
    pub(crate) fn request(&self) -> Request {
        let bytes = |text: &OsString| text.clone().into_vec();
        Request {
            cwd: self.cwd.clone(),
            repository: self.repository.as_ref().map(bytes),
            config: self.config.iter().map(bytes).collect(),
            config_files: self.config_file.clone(),
        }
    }
}

/// Prints lines on standard error, as hg would, but for what a terminal would
/// interpret: a path may come from another user.
pub(crate) fn tell(lines: &[Vec<u8>]) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    for line in lines {
        // hg's own messages may have several lines.
        for part in line.split_inclusive(|it| matches!(it, b'\n' | b'\t')) {
            let (text, end) = match part.split_last() {
                Some((b'\n' | b'\t', text)) => (text, &part[text.len()..]),
                _ => (part, &[][..]),
            };
            stderr.write_all(&visible_bytes(text))?;
            stderr.write_all(end)?;
        }
        stderr.write_all(b"\n")?;
    }
    Ok(())
}

/// The same, to the byte.
fn tell_as_hg(lines: &[Vec<u8>]) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    for line in lines {
        stderr.write_all(line)?;
        stderr.write_all(b"\n")?;
    }
    Ok(())
}
