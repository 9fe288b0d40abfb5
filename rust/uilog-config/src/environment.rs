//! What reading a configuration depends on, as a parameter.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use nix::unistd::Gid;
use nix::unistd::Group;
use nix::unistd::Uid;
use nix::unistd::User;

/// Environment variables, working directory, user, and where hg is.
#[derive(Clone, Debug)]
pub struct Environment {
    variables: HashMap<Vec<u8>, Vec<u8>>,
    cwd: PathBuf,
    user: Uid,
    hg: Option<PathBuf>,
}

impl Environment {
    /// This process's user, with these variables and this working directory, and
    /// without hg.
    pub fn new(variables: HashMap<Vec<u8>, Vec<u8>>, cwd: PathBuf) -> Self {
        Self {
            variables,
            cwd,
            user: Uid::current(),
            hg: None,
        }
    }

    /// The same, with another location of the program `hg`, beside which are
    /// some of the system's configuration files.
    #[must_use]
    pub fn with_hg(mut self, hg: Option<PathBuf>) -> Self {
        self.hg = hg;
        self
    }

    /// The same, in another working directory.
    #[must_use]
    pub fn with_cwd(mut self, cwd: PathBuf) -> Self {
        self.cwd = cwd;
        self
    }

    /// One with these variables, in the root directory.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        Self::new(variables, PathBuf::from("/"))
    }

    /// The same for another user.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn with_user(mut self, user: Uid) -> Self {
        self.user = user;
        self
    }

    /// An environment variable.
    pub fn var(&self, name: &[u8]) -> Option<&[u8]> {
        self.variables.get(name).map(Vec::as_slice)
    }

    /// The working directory.
    pub fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// The user whose files are trusted.
    pub(crate) fn user(&self) -> Uid {
        self.user
    }

    /// The program `hg`, if there is one.
    pub fn hg(&self) -> Option<&Path> {
        self.hg.as_deref()
    }

    /// A user's home directory, without a slash at its end; the current
    /// user's if `user` is empty.
    // Python: posixpath.expanduser
    pub(crate) fn home(&self, user: &[u8]) -> Option<Vec<u8>> {
        let mut home = if user.is_empty() {
            match self.var(b"HOME") {
                Some(home) => home.to_vec(),
                None => dir_of(User::from_uid(self.user))?,
            }
        } else {
            dir_of(User::from_name(std::str::from_utf8(user).ok()?))?
        };
        while home.ends_with(b"/") {
            home.pop();
        }
        Some(home)
    }
}

fn dir_of(user: nix::Result<Option<User>>) -> Option<Vec<u8>> {
    let user = user.ok().flatten()?;
    Some(user.dir.as_os_str().as_bytes().to_vec())
}

/// A user's name, or its number.
// hg: posix.username
pub(crate) fn user_name(uid: Uid) -> Vec<u8> {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name.into_bytes(),
        Ok(None) | Err(_) => uid.to_string().into_bytes(),
    }
}

/// A group's name, or its number.
// hg: posix.groupname
pub(crate) fn group_name(gid: Gid) -> Vec<u8> {
    match Group::from_gid(gid) {
        Ok(Some(group)) => group.name.into_bytes(),
        Ok(None) | Err(_) => gid.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_name_has_a_number() {
        let number = 4_000_000_000;
        assert_eq!(user_name(Uid::from_raw(number)), b"4000000000");
        assert_eq!(group_name(Gid::from_raw(number)), b"4000000000");
        assert_eq!(user_name(Uid::from_raw(0)), b"root");
        assert_eq!(group_name(Gid::from_raw(0)), b"root");
    }
}
