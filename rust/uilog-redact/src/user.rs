//! Names of users as keyed hashes.
//!
//! The hash is HMAC-SHA-256 with the key, cut to 64 bits, in hex. Whoever has
//! the key can compute it with other tools:
//! `printf %s alice | openssl dgst -sha256 -hmac "$KEY" | cut -c-16`
//! (where openssl prints the hash alone).

use std::fmt;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Sha256;

/// A key shorter than this could be found by trying.
pub const MIN_KEY_BYTES: usize = 16;

/// The length of the hash: with 64 bits, two of a million users collide with a
/// probability of 1 in 37 million.
const HASH_BYTES: usize = 8;

/// The key for hashing names. It must be kept secret, because with it the names
/// can be found by trying.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

/// A key of fewer than [`MIN_KEY_BYTES`] bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyTooShort;

impl fmt::Display for KeyTooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a key to hash names with has at least {MIN_KEY_BYTES} bytes"
        )
    }
}

impl std::error::Error for KeyTooShort {}

impl Key {
    /// The key of these bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyTooShort> {
        if bytes.len() < MIN_KEY_BYTES {
            return Err(KeyTooShort);
        }
        Ok(Self(
            Hmac::new_from_slice(bytes).expect("HMAC takes any key"),
        ))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The name's hash as 16 hexadecimal digits.
pub fn hash_user(key: &Key, name: &[u8]) -> String {
    let mut mac = key.0.clone();
    mac.update(name);
    let hash = mac.finalize().into_bytes();
    hash.iter()
        .take(HASH_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same as from
    /// `printf %s alice | openssl dgst -sha256 -hmac 0123456789abcdef`.
    #[test]
    fn a_hash_is_the_beginning_of_an_hmac() {
        let key = Key::new(b"0123456789abcdef").unwrap();
        assert_eq!(hash_user(&key, b"alice"), "fdbf8b1cacd3d578");
        assert_ne!(hash_user(&key, b"alice"), hash_user(&key, b"Alice"));
        let other = Key::new(b"0123456789abcdeg").unwrap();
        assert_ne!(hash_user(&key, b"alice"), hash_user(&other, b"alice"));
    }

    #[test]
    fn a_key_is_long_and_not_printed() {
        assert!(Key::new(b"0123456789abcde").is_err());
        let key = Key::new(b"0123456789abcdef").unwrap();
        assert_eq!(format!("{key:?}"), "Key(..)");
    }
}
