//! The names of rules, and the markers that replace what they found.
//!
//! Must not know how anything is found.

use std::fmt;

/// Why something was taken out.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Rule(&'static str);

impl Rule {
    /// The whole of a command's arguments: `:argv = none`.
    pub const ARGV: Self = Self("argv");
    /// An argument that is no known command or option: `:argv = canonical`.
    pub const ARGUMENT: Self = Self("argument");
    /// The value of a header that says who asks.
    pub const AUTHORIZATION: Self = Self("authorization");
    /// The value of a `--config` item.
    pub const CONFIG_VALUE: Self = Self("config-value");
    /// A cookie.
    pub const COOKIE: Self = Self("cookie");
    /// A text in `-m`.
    pub const MESSAGE: Self = Self("message");
    /// What follows an option that takes a secret.
    pub const OPTION_VALUE: Self = Self("option-value");
    /// A private key in PEM.
    pub const PRIVATE_KEY: Self = Self("private-key");
    /// A value assigned to a name that suggests a secret.
    pub const SECRET: Self = Self("secret");
    /// A text in which every replacement showed another secret.
    pub const TEXT: Self = Self("text");
    /// The password in a URL.
    pub const URL_PASSWORD: Self = Self("url-password");
    /// A parameter in a URL.
    pub const URL_PARAMETER: Self = Self("url-parameter");
    /// A token in the place of a URL's user.
    pub const URL_TOKEN: Self = Self("url-token");
    /// A user's name, replaced by `<user:HASH>`.
    pub const USER: Self = Self("user");
    /// What follows the host in a webhook's URL.
    pub const WEBHOOK_URL: Self = Self("webhook-url");

    pub(crate) const ALL: [Self; 15] = [
        Self::ARGV,
        Self::ARGUMENT,
        Self::AUTHORIZATION,
        Self::CONFIG_VALUE,
        Self::COOKIE,
        Self::MESSAGE,
        Self::OPTION_VALUE,
        Self::PRIVATE_KEY,
        Self::SECRET,
        Self::TEXT,
        Self::URL_PASSWORD,
        Self::URL_PARAMETER,
        Self::URL_TOKEN,
        Self::USER,
        Self::WEBHOOK_URL,
    ];

    pub(crate) const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// As in `<redacted:NAME>`.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// The marker that replaces it.
    pub fn marker(self) -> Vec<u8> {
        [OPENING, self.0.as_bytes(), b">"].concat()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// How markers begin.
const OPENING: &[u8] = b"<redacted:";

/// How a hashed user begins.
const USER_OPENING: &[u8] = b"<user:";

/// The longest name that is looked for in a marker.
const MAX_NAME_BYTES: usize = 32;

/// The marker for a user with this hash.
pub(crate) fn user_marker(hash: &str) -> Vec<u8> {
    [USER_OPENING, hash.as_bytes(), b">"].concat()
}

/// Where markers may begin.
pub(crate) const MARKER_START: u8 = b'<';

/// The length of the marker that the text begins with.
pub(crate) fn marker_at(text: &[u8]) -> Option<usize> {
    let (opening, is_digit): (_, fn(&u8) -> bool) = if text.starts_with(OPENING)
    {
        (OPENING, |byte| byte.is_ascii_lowercase() || *byte == b'-')
    } else if text.starts_with(USER_OPENING) {
        (USER_OPENING, u8::is_ascii_hexdigit)
    } else {
        return None;
    };
    let name = &text[opening.len()..];
    let len = name
        .iter()
        .take(MAX_NAME_BYTES + 1)
        .take_while(|byte| is_digit(byte))
        .count();
    (1..=MAX_NAME_BYTES)
        .contains(&len)
        .then_some(())
        .and_then(|()| (name.get(len) == Some(&b'>')).then_some(()))
        .map(|()| opening.len() + len + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::rules;

    #[test]
    fn every_marker_is_known_as_one() {
        for rule in rules() {
            let marker = rule.marker();
            assert_eq!(marker_at(&marker), Some(marker.len()), "{rule}");
        }
        let user = user_marker("0123456789abcdef");
        assert_eq!(marker_at(&user), Some(user.len()));
        for other in [
            &b"<redacted:>"[..],
            b"<redacted:message",
            b"<redacted:Message>",
            b"<user:bob>",
            b"redacted",
        ] {
            assert_eq!(marker_at(other), None);
        }
    }
}
