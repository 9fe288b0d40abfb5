//! Removes secrets from logged texts: bytes in, bytes out.
//!
//! A [`Redactor`] is made from a [`Policy`] and has a function for each kind of
//! text: [`Redactor::redact_message`] for an event's message,
//! [`Redactor::redact_option`] for its options, [`Redactor::redact_arguments`]
//! for a command's arguments, [`Redactor::redact_text`] for anything else. Each
//! secret is replaced by `<redacted:RULE>`; docs/privacy.md lists the rules.
//!
//! Several finders search the same text, each for one kind of secret: formats
//! of tokens (`tokens.toml`), contexts of secrets (`rules.toml`), URLs,
//! assignments to names that suggest a secret, calls, headers, command lines of
//! programs (`programs.txt`), items of configuration, private keys, hg's
//! commands. They do not know each other; `redactor` merges and replaces
//! what they find. `structure/` works the other way: it keeps only what is
//! known to be harmless.
//!
//! Must not know sinks, files, configuration files or the environment.
//!
//! # Promises
//!
//! - Any bytes are accepted; nothing panics. Text without secrets is unchanged,
//!   to the byte, whatever its encoding.
//! - The time is linear in the length of the text.
//! - Redacting redacted text changes nothing.
//! - The result is at most [`MAX_GROWTH`] times as long as the text, plus
//!   [`MAX_ADDED_BYTES`].
//!
//! # Limits
//!
//! A text must be redacted as a whole: if a secret is cut in two, its parts may
//! not be found. Nor is a secret that looks like an ordinary word, if nothing
//! before it suggests a secret.

mod account;
mod argument;
mod assignment;
mod calls;
mod catalogue;
mod commands;
mod config_item;
mod decode;
mod edits;
mod example_value;
mod extent;
mod field;
mod finding;
mod headers;
#[cfg(test)]
mod linear;
mod name;
mod notation;
mod own_values;
mod patterns;
mod pem;
mod policy;
mod programs;
mod redacted;
mod redactor;
mod rule;
mod secret_words;
mod shape;
mod shell;
mod steps;
mod structure;
mod token;
mod trie;
mod url;
mod user;
mod value;
mod webhook;
mod words;

use std::sync::LazyLock;

pub use catalogue::rules;
pub use own_values::is_own_value;
pub use policy::ArgvPolicy;
pub use policy::Policy;
pub use policy::UserPolicy;
pub use redacted::Redacted;
pub use redacted::RedactedRange;
pub use redactor::MAX_ADDED_BYTES;
pub use redactor::MAX_GROWTH;
pub use redactor::Redactor;
pub use rule::Rule;
pub use user::Key;
pub use user::KeyTooShort;
pub use user::MIN_KEY_BYTES;
pub use user::hash_user;

/// The arguments in a command line as hg logs it and as a [`Redactor`] returns
/// it: a marker stays whole.
pub fn arguments(line: &[u8]) -> Vec<Vec<u8>> {
    let (words, _) = words::split(line, 0, words::Line::Arguments);
    words.into_iter().map(|word| word.bytes).collect()
}

/// Removes secrets from text like a local sink without privacy options.
pub fn redact_text(text: &[u8]) -> Vec<u8> {
    // Built once, and only where there is something to show.
    static REDACTOR: LazyLock<Redactor> =
        LazyLock::new(|| Redactor::new(&Policy::default()));
    REDACTOR.redact_text(text).text.into_owned()
}
