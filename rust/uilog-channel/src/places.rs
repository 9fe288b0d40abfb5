//! The directories of a user's journal, and of other files that another process
//! of this user has to find.
//!
//! Responsible for names only: the directory that the environment chooses; the
//! one in the home, if that cannot be used; then directories on a local file
//! system, which every process of the user finds, whatever its environment.
//! Must not know what is written there.
//!
//! Files outside of the chosen directory have a key in their names, which
//! follows from that choice: users with several homes, such as test suites,
//! have several journals.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use uilog_event::environment_block::lookup_all;
use uilog_sys::append::GuardedPath;
use uilog_sys::append::Root;

/// The directory in the one for state, and in the one for running programs.
const DIRECTORY: &str = "uilog";

/// Directories in which `XDG_RUNTIME_DIR` may be: those without a home, which
/// could hang. Other values are ignored.
const RUNTIME_ROOTS: [&str; 4] = ["/run", "/var/run", "/dev/shm", "/tmp"];

/// Directories in which every user may create files. The second is for systems
/// whose root is not on a local file system.
const EVERYBODYS: [&str; 2] = ["/tmp", "/dev/shm"];

/// What an environment chooses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    state: Option<PathBuf>,
    home: Option<PathBuf>,
    runtime: Option<PathBuf>,
    key: String,
}

impl Choice {
    /// What this environment chooses, a block.
    pub fn of(environment: &[u8]) -> Self {
        let names = [&b"XDG_STATE_HOME"[..], b"HOME", b"XDG_RUNTIME_DIR"];
        let values = lookup_all(environment, names);
        let [state, home, runtime] = values.map(|value| {
            let path = PathBuf::from(OsStr::from_bytes(value?));
            path.is_absolute().then_some(path)
        });
        let runtime = runtime.filter(|path| {
            let is_below = |root: &&str| path.starts_with(root);
            RUNTIME_ROOTS.iter().any(is_below)
        });
        let chosen = state.as_ref().or(home.as_ref());
        let key = key_of(chosen.map_or(&[], |it| it.as_os_str().as_bytes()));
        Self {
            state,
            home,
            runtime,
            key,
        }
    }

    /// The key for the choice in file names.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether the environment chooses no directory at all.
    pub fn is_none(&self) -> bool {
        self.state.is_none() && self.home.is_none()
    }

    /// The places for a file: `name.extension`, first where the environment
    /// says, then others, in which the file's name has the key.
    pub fn places(&self, name: &str, extension: &str) -> Vec<GuardedPath> {
        let plain = format!("{name}.{extension}");
        let keyed = format!("{name}-{}.{extension}", self.key);
        let mut places = Vec::new();
        if let Some(state) = &self.state {
            // It may be made in the directory above it.
            let above = state.parent().unwrap_or(Path::new("/"));
            let last = state.file_name().unwrap_or(OsStr::new("."));
            let steps = [last, OsStr::new(DIRECTORY)];
            places.push(GuardedPath::new(above, Root::Chosen, &steps, &plain));
        }
        if let Some(home) = &self.home {
            let name = if self.state.is_none() { &plain } else { &keyed };
            let steps = [".local", "state", DIRECTORY].map(OsStr::new);
            places.push(GuardedPath::new(home, Root::Chosen, &steps, name));
        }
        let mut places: Vec<_> = places.into_iter().flatten().collect();
        places.extend(self.near(&keyed));
        places
    }

    /// The places for a file of this name that are on a local file system, and
    /// that every process of this user finds. Most callers use the first one.
    pub fn near(
        &self,
        name: &str,
    ) -> impl Iterator<Item = GuardedPath> + use<> {
        let uid = nix::unistd::geteuid();
        let usual = PathBuf::from(format!("/run/user/{uid}"));
        let runtime = self.runtime.clone().filter(|it| *it != usual);
        let roots = runtime.into_iter().chain([usual]);
        let shared = format!("{DIRECTORY}-{uid}");
        let (name, of_shared) = (name.to_owned(), name.to_owned());
        let private = roots.map(move |root| {
            let own = [OsStr::new(DIRECTORY)];
            GuardedPath::new(&root, Root::Private, &own, &name)
        });
        let everybodys = EVERYBODYS.into_iter().map(move |root| {
            let shared = [OsStr::new(&shared)];
            let root = Path::new(root);
            GuardedPath::new(root, Root::Everybodys, &shared, &of_shared)
        });
        private.chain(everybodys).flatten().map(GuardedPath::near)
    }
}

/// FNV-1a: it resists no attacker, but is the same in every version.
pub(crate) fn key_of(bytes: &[u8]) -> String {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let hash = bytes.iter().fold(BASIS, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(PRIME)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(environment: &[u8]) -> Vec<String> {
        let choice = Choice::of(environment);
        let places = choice.places("failures", "jsonl");
        let uid = nix::unistd::geteuid().to_string();
        let shown = |place: &GuardedPath| {
            let path = place.path().display().to_string();
            path.replace(choice.key(), "KEY").replace(&uid, "UID")
        };
        places.iter().map(shown).collect()
    }

    #[test]
    fn the_environment_comes_first_and_then_what_everybody_finds() {
        let last = [
            "/run/user/UID/uilog/failures-KEY.jsonl",
            "/tmp/uilog-UID/failures-KEY.jsonl",
            "/dev/shm/uilog-UID/failures-KEY.jsonl",
        ];
        let home = "/home/joe/.local/state/uilog/failures.jsonl";
        let own = "/home/joe/.local/state/uilog/failures-KEY.jsonl";
        let state = "/state/joe/uilog/failures.jsonl";
        let runtime = "/run/other/uilog/failures-KEY.jsonl";
        assert_eq!(paths(b"HOME=/home/joe\0"), [&[home], &last[..]].concat());
        assert_eq!(
            paths(b"HOME=/home/joe\0XDG_STATE_HOME=/state/joe\0"),
            [&[state, own], &last[..]].concat()
        );
        assert_eq!(
            paths(b"HOME=relative\0XDG_RUNTIME_DIR=/run/other\0"),
            [&[runtime], &last[..]].concat()
        );
        // It could be in a home that hangs.
        assert_eq!(paths(b"XDG_RUNTIME_DIR=/home/joe/run\0"), last);
    }

    #[test]
    fn each_choice_has_a_key_of_its_own() {
        let key = |block: &[u8]| Choice::of(block).key().to_owned();
        assert_eq!(key(b"HOME=/a\0"), key(b"HOME=/a\0X=y\0"));
        assert_ne!(key(b"HOME=/a\0"), key(b"HOME=/b\0"));
        assert_ne!(key(b"HOME=/a\0"), key(b"HOME=/a\0XDG_STATE_HOME=/b\0"));
    }
}
