//! Where the parts of one installation are.

use std::path::Path;
use std::path::PathBuf;

/// The binary's name.
const PROGRAM: &str = "uilog";
/// The name of the one that runs scripts alone.
const SCRIPTS_PROGRAM: &str = "uilog-dispatcher";

/// The programs that serve hg's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// `uilog`, which runs scripts and feeds sinks.
    pub all: PathBuf,
    /// `uilog-dispatcher`, which runs scripts alone and starts in a fraction
    /// of the time. It may be missing.
    pub scripts: Option<PathBuf>,
}

impl Programs {
    /// `uilog`, and the programs in the same directory.
    pub fn of(program: PathBuf) -> Self {
        Self {
            scripts: Some(program.with_file_name(SCRIPTS_PROGRAM)),
            all: program,
        }
    }
}

/// This one program serves everything.
impl From<PathBuf> for Programs {
    fn from(all: PathBuf) -> Self {
        Self { all, scripts: None }
    }
}

/// The binary that was installed together with a native module: the nearest
/// `bin/uilog` at or above the module's directory.
///
/// That is the environment's `bin` for a virtual environment, a system and `pip
/// install --user`, and `DIR/bin` for `pip install --target DIR`. `PATH` is not
/// used: a user who can write to one of its directories must not be able to run
/// programs as hg's user. If there is no such file, the nearest path is
/// returned, for the error message.
pub fn program_for(module: &Path) -> PathBuf {
    let mut candidates = module
        .ancestors()
        .skip(1)
        .map(|dir| dir.join("bin").join(PROGRAM));
    let nearest = candidates.clone().next();
    candidates
        .find(|program| program.is_file())
        .or(nearest)
        .unwrap_or_else(|| PathBuf::from(PROGRAM))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_nearest_bin_counts() {
        let root = tempfile::tempdir().unwrap();
        let module =
            root.path().join("lib/python3/site-packages/hgext3rd/m.so");
        let far = root.path().join("bin/uilog");
        fs::create_dir_all(far.parent().unwrap()).unwrap();
        fs::write(&far, "").unwrap();
        assert_eq!(program_for(&module), far);
        let near = root.path().join("lib/python3/site-packages/bin/uilog");
        fs::create_dir_all(near.parent().unwrap()).unwrap();
        fs::write(&near, "").unwrap();
        assert_eq!(program_for(&module), near);
    }
}
