//! The login name of the user who runs this process.

use crate::environment_block::lookup_all;

/// The variables that name the user, in the order in which they count.
// Python: getpass.getuser, which hg's procutil.getuser calls
const VARIABLES: [&str; 4] = ["LOGNAME", "USER", "LNAME", "USERNAME"];

/// The user's name if it is unknown. hg: blackboxlogger.log
pub const UNKNOWN: &[u8] = b"???";

/// The login name in the environment; `value_of` looks up a variable.
pub fn from_environment<T: AsRef<[u8]>>(
    value_of: impl Fn(&'static str) -> Option<T>,
) -> Option<T> {
    let values = VARIABLES.into_iter().filter_map(value_of);
    let mut named = values.filter(|value| !value.as_ref().is_empty());
    named.next()
}

/// The same of an environment that is a block of `NAME=value`.
pub fn login_name(environment: &[u8]) -> Option<&[u8]> {
    let values = lookup_all(environment, VARIABLES.map(str::as_bytes));
    values.into_iter().flatten().find(|value| !value.is_empty())
}

/// Looks up a user's name in the user database.
pub type UserNameLookup = fn(u32) -> Option<Vec<u8>>;

/// The name of this process's user in the user database; the lookup may take
/// long.
pub fn from_database() -> Option<Vec<u8>> {
    name_of(nix::unistd::getuid().as_raw())
}

/// A user's name in the user database; the lookup may take long.
///
/// A statically linked program must not call this: the C library would load
/// parts of another one.
pub fn name_of(uid: u32) -> Option<Vec<u8>> {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
    Some(user.ok()??.name.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_with_a_name_counts() {
        let block = b"USERNAME=d\0USER=b\0LOGNAME=\0LNAME=c\0";
        assert_eq!(login_name(block), Some(&b"b"[..]));
        assert_eq!(login_name(b"USER=b\0LOGNAME=a\0"), Some(&b"a"[..]));
        assert_eq!(login_name(b"USER=\0"), None);
    }

    #[test]
    fn the_database_knows_who_runs_this() {
        let uid = nix::unistd::getuid();
        let user = nix::unistd::User::from_uid(uid).unwrap().unwrap();
        assert_eq!(from_database(), Some(user.name.into_bytes()));
        assert_eq!(name_of(0).as_deref(), Some(&b"root"[..]));
        assert_eq!(name_of(4_000_000_000), None);
    }
}
