//! The user's home directory, if the environment does not name it.
//!
//! Responsible for not blocking: only the file /etc/passwd is read, because
//! other user databases may be on the network.

use std::path::Path;

use nix::unistd::geteuid;
use uilog_event::environment_block::lookup;
use uilog_sys::foreign_file;

const USERS: &str = "/etc/passwd";
/// Maximum size of the file.
const MAX_BYTES: u64 = 16 << 20;

/// An environment, a block, with `HOME` in it, if that is known.
pub fn with_home(mut environment: Vec<u8>) -> Vec<u8> {
    if lookup(&environment, b"HOME").is_some() {
        return environment;
    }
    let users = foreign_file::read(Path::new(USERS), MAX_BYTES);
    let users = users.unwrap_or_default();
    if let Some(home) = home_of(&users, geteuid().as_raw()) {
        environment.extend_from_slice(b"HOME=");
        environment.extend_from_slice(home);
        environment.push(0);
    }
    environment
}

/// The home of the user with this number, as the file says it.
fn home_of(users: &[u8], uid: u32) -> Option<&[u8]> {
    let uid = uid.to_string();
    users.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':').skip(2);
        let is_it = fields.next()? == uid.as_bytes();
        let home = fields.nth(2)?;
        (is_it && home.starts_with(b"/")).then_some(home)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_is_found_by_its_owners_number() {
        let users = b"root:x:0:0:root:/root:/bin/sh\nbroken\n\
                      joe:x:7:7::/home/joe:/bin/sh\nx:x:8:8:::\n";
        assert_eq!(home_of(users, 7), Some(&b"/home/joe"[..]));
        assert_eq!(home_of(users, 0), Some(&b"/root"[..]));
        assert_eq!(home_of(users, 8), None);
        assert_eq!(home_of(users, 9), None);
    }

    #[test]
    fn what_the_environment_says_counts() {
        let block = b"A=1\0HOME=/h\0".to_vec();
        assert_eq!(with_home(block.clone()), block);
    }
}
