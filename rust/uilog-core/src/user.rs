//! Who runs this: the login name.

/// The variables that name the user, in the order in which they count.
// Python: getpass.getuser, which hg's procutil.getuser calls
pub const VARIABLES: [&str; 4] = ["LOGNAME", "USER", "LNAME", "USERNAME"];

/// What the user database calls this process's user, which may take long.
pub fn from_database() -> Option<Vec<u8>> {
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    Some(user.ok()??.name.into_bytes())
}
