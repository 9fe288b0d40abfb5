//! The options that tell whose configuration counts, common to several
//! subcommands.

use std::ffi::OsString;
use std::io;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use clap::ValueHint;
use uilog_config::Environment;
use uilog_config::Error;
use uilog_config::Loaded;
use uilog_config::Request;

/// The exit status where hg would refuse to go on, which is hg's own.
pub(crate) const ABORTED: u8 = 255;

/// Whose configuration counts.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Place {
    /// The repository: its root, or a name of the section paths
    #[arg(short = 'R', long, value_name = "REPO", value_hint = ValueHint::DirPath)]
    repository: Option<OsString>,
    /// Change the working directory first
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    cwd: Option<PathBuf>,
    /// Set a configuration item, over all files
    #[arg(long, value_name = "SECTION.NAME=VALUE")]
    config: Vec<OsString>,
    /// Read a configuration file, over all others
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config_file: Vec<PathBuf>,
}

impl Place {
    /// Reads the configuration, and says on standard error what hg would.
    /// None if hg would refuse to go on.
    pub(crate) fn load(&self) -> anyhow::Result<Option<Loaded>> {
        let environment = Environment::current()
            .context("cannot tell the current directory")?;
        let loaded = uilog_config::load(&self.request(), &environment);
        let warnings = match &loaded {
            Ok(loaded) => &loaded.warnings,
            Err(error) => error.warnings(),
        };
        let mut told = warnings.to_vec();
        told.extend(loaded.as_ref().err().map(Error::to_bytes));
        let mut stderr = io::stderr().lock();
        for line in told {
            stderr.write_all(&line)?;
            stderr.write_all(b"\n")?;
        }
        Ok(loaded.ok())
    }

    /// The same as the library wants it.
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
