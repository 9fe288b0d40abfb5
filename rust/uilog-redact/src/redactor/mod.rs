//! Merges what the finders find, and replaces it.
//!
//! Knows the finders and what triggers each of them. Must not know what they
//! look for.
//!
//! A replacement can expose a secret that something before it had hidden. So a
//! text is searched again until nothing more is found, at most [`MAX_PASSES`]
//! times. That is why redacting twice is the same as redacting once.

mod commands;
mod finding;
mod results;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::commands::arguments_end;
use self::commands::canonical;
use self::results::reduced;
use self::results::unchanged;
use self::results::whole;
use crate::config_item::ConfigItems;
use crate::edits::Edits;
use crate::finding::tidied;
use crate::headers;
use crate::name;
use crate::policy::ArgvPolicy;
use crate::policy::Policy;
use crate::policy::UserPolicy;
use crate::redacted::Redacted;
use crate::rule::Rule;
use crate::rule::marker_at;
use crate::rule::user_marker;
use crate::secret_words::SecretKind;
use crate::structure::Secrets;
use crate::structure::Structure;
use crate::user::Key;
use crate::user::hash_user;
use crate::value::looks_like_key;

/// A redacted text is at most this many times as long as the original, plus
/// [`MAX_ADDED_BYTES`].
pub const MAX_GROWTH: usize = 16;

/// What even the shortest text may grow by.
pub const MAX_ADDED_BYTES: usize = 32;

/// How often a text is looked at before all of it goes. The corpus needs two.
const MAX_PASSES: usize = 8;

/// Takes secrets out of texts, as a [`Policy`] says.
#[derive(Debug)]
pub struct Redactor {
    user: Option<Key>,
    argv: ArgvPolicy,
    config_items: ConfigItems,
}

/// Which way a text is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum View {
    Text,
    /// One word.
    Word,
    /// A command line as hg logs it; it may have something after it.
    Command,
    /// The same with nothing after it.
    Arguments,
    /// The command line of a program other than hg, with nothing after it.
    Program,
    /// The message of `commandalias`.
    Alias,
}

impl Redactor {
    /// A redactor that does what the policy says.
    pub fn new(policy: &Policy) -> Self {
        let user = match &policy.user {
            UserPolicy::Keep => None,
            UserPolicy::Hash(key) => Some(key.clone()),
        };
        Self {
            user,
            argv: policy.argv,
            config_items: ConfigItems::new(&policy.config_items),
        }
    }

    /// Any text.
    pub fn redact_text<'t>(&self, text: &'t [u8]) -> Redacted<Cow<'t, [u8]>> {
        self.redact(text, View::Text)
    }

    /// A URL, or anything else that is one argument.
    pub fn redact_url<'t>(&self, url: &'t [u8]) -> Redacted<Cow<'t, [u8]>> {
        self.redact(url, View::Word)
    }

    /// The message of an event, by the event's name.
    pub fn redact_message<'t>(
        &self,
        event: &[u8],
        message: &'t [u8],
    ) -> Redacted<Cow<'t, [u8]>> {
        match event {
            b"command" | b"commandfinish" | b"commandlost" => {
                self.redact_command(message)
            }
            b"commandalias" => self.redact(message, View::Alias),
            _ => self.redact_text(message),
        }
    }

    /// An option of an event.
    pub fn redact_option<'t>(
        &self,
        key: &[u8],
        value: &'t [u8],
    ) -> Redacted<Cow<'t, [u8]>> {
        let is_secret_name = name::is_secret_name(key)
            || headers::is_secret_option(key)
            || (name::kind(key) == Some(SecretKind::Key)
                && looks_like_key(key, value));
        if is_secret_name
            && !value.is_empty()
            && marker_at(value) != Some(value.len())
        {
            return whole(value, Rule::SECRET);
        }
        self.redact_text(value)
    }

    /// The name of a user.
    pub fn redact_user<'t>(&self, name: &'t [u8]) -> Cow<'t, [u8]> {
        match &self.user {
            Some(key) if marker_at(name) != Some(name.len()) => {
                Cow::Owned(user_marker(&hash_user(key, name)))
            }
            _ => Cow::Borrowed(name),
        }
    }

    /// A command line as hg logs it: arguments, in quotes where a shell needs
    /// them, and perhaps ` exited ...` after them.
    pub fn redact_command<'t>(
        &self,
        line: &'t [u8],
    ) -> Redacted<Cow<'t, [u8]>> {
        if self.argv == ArgvPolicy::Redacted {
            return self.redact(line, View::Command);
        }
        let (arguments, rest) = line.split_at(arguments_end(line));
        let told = self.redact_arguments(arguments);
        if told.text == arguments {
            return unchanged(line);
        }
        Redacted {
            text: Cow::Owned([&told.text, rest].concat()),
            places: told.places,
        }
    }

    /// A command line as hg logs it, with nothing after it, even if it reads as
    /// if the command had exited.
    pub fn redact_arguments<'t>(
        &self,
        line: &'t [u8],
    ) -> Redacted<Cow<'t, [u8]>> {
        match self.argv {
            ArgvPolicy::Full => unchanged(line),
            ArgvPolicy::Redacted => self.redact(line, View::Arguments),
            ArgvPolicy::None => whole(line, Rule::ARGV),
            ArgvPolicy::Canonical => canonical(line),
            ArgvPolicy::Structure => {
                let words = Structure(self).arguments_line(line);
                reduced(line, Structure::joined(&words))
            }
        }
    }

    /// The command line of a program other than hg, its name first: with
    /// [`ArgvPolicy::Structure`], that and the number of its arguments.
    pub fn redact_program<'t>(
        &self,
        line: &'t [u8],
    ) -> Redacted<Cow<'t, [u8]>> {
        match self.argv {
            ArgvPolicy::Redacted => self.redact(line, View::Program),
            ArgvPolicy::Structure => {
                let words = Structure(self).program_line(line);
                reduced(line, Structure::joined(&words))
            }
            _ => self.redact_arguments(line),
        }
    }

    /// The message of an event that is not a command's, reduced to its harmless
    /// parts. See [`ArgvPolicy::Structure`].
    pub fn reduce_message<'t>(
        &self,
        event: &[u8],
        message: &'t [u8],
    ) -> Redacted<Cow<'t, [u8]>> {
        reduced(message, Structure(self).message(event, message))
    }

    /// A keyword argument of an event, in the same way.
    pub fn reduce_option<'t>(
        &self,
        event: &[u8],
        key: &[u8],
        value: &'t [u8],
    ) -> Redacted<Cow<'t, [u8]>> {
        reduced(value, Structure(self).option(event, key, value))
    }

    /// The name of a command, a hook or an option, in the same way.
    pub fn reduce_name<'t>(&self, name: &'t [u8]) -> Redacted<Cow<'t, [u8]>> {
        reduced(name, Structure(self).name(name))
    }

    fn redact<'t>(
        &self,
        text: &'t [u8],
        view: View,
    ) -> Redacted<Cow<'t, [u8]>> {
        let mut edits = Edits::default();
        let mut current = Cow::Borrowed(text);
        for _ in 0..MAX_PASSES {
            let mut found = Vec::new();
            self.run_finders(&current, view, &mut found);
            let found = tidied(found, &current);
            if found.is_empty() {
                return Redacted {
                    text: current,
                    places: edits.places(),
                };
            }
            edits.add(found);
            current = Cow::Owned(edits.apply(text));
        }
        whole(text, Rule::TEXT)
    }
}

impl Secrets for Redactor {
    fn redact_text<'t>(&self, text: &'t [u8]) -> Redacted<Cow<'t, [u8]>> {
        Self::redact_text(self, text)
    }

    fn redact_url<'t>(&self, url: &'t [u8]) -> Redacted<Cow<'t, [u8]>> {
        Self::redact_url(self, url)
    }

    fn redact_option<'t>(
        &self,
        key: &[u8],
        value: &'t [u8],
    ) -> Redacted<Cow<'t, [u8]>> {
        Self::redact_option(self, key, value)
    }

    fn user_key(&self) -> Option<&Key> {
        self.user.as_ref()
    }
}
