//! Which files are trusted.

use std::collections::HashSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use nix::unistd::Gid;
use nix::unistd::Uid;

use crate::config::Config;
use crate::environment::group_name;
use crate::environment::user_name;

/// The users and groups that `[trusted]` has named so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    users: HashSet<Vec<u8>>,
    groups: HashSet<Vec<u8>>,
}

/// Who owns a file that is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UntrustedOwner {
    /// The user's name, or its number.
    pub(crate) user: Vec<u8>,
    /// The group's name, or its number.
    pub(crate) group: Vec<u8>,
}

impl Trust {
    /// Adds the names in a trusted configuration; none is ever removed.
    // hg: ui.fixconfig
    pub(crate) fn learn(&mut self, config: &Config) {
        let list = |name| config.list(b"trusted", name).unwrap_or_default();
        self.users.extend(list(b"users"));
        self.groups.extend(list(b"groups"));
    }

    /// Whether a file with this owner is trusted by a user.
    // hg: ui._trusted
    pub(crate) fn check(
        &self,
        metadata: &Metadata,
        me: Uid,
    ) -> Result<(), UntrustedOwner> {
        let uid = Uid::from_raw(metadata.uid());
        if uid == me
            || self.users.contains(&b"*"[..])
            || self.groups.contains(&b"*"[..])
        {
            return Ok(());
        }
        let user = user_name(uid);
        let group = group_name(Gid::from_raw(metadata.gid()));
        let is_trusted = self.users.contains(&user)
            || self.groups.contains(&group)
            || user == user_name(me);
        if is_trusted {
            Ok(())
        } else {
            Err(UntrustedOwner { user, group })
        }
    }
}
