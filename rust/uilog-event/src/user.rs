//! The login name of the user who runs this process.

use crate::environment_block::lookup;

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
    from_environment(|name| lookup(environment, name.as_bytes()))
}

/// Looks up what the user database calls a user.
pub type UserNameLookup = fn(u32) -> Option<Vec<u8>>;

/// What the user database calls this process's user, which may take long.
pub fn from_database() -> Option<Vec<u8>> {
    name_of(nix::unistd::getuid().as_raw())
}

/// What the user database calls a user, which may take long.
///
/// A program that is linked statically must not call this: the C library would
/// load parts of another one.
pub fn name_of(uid: u32) -> Option<Vec<u8>> {
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
    Some(user.ok()??.name.into_bytes())
}
