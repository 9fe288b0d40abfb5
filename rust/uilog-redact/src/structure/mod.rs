//! Command lines reduced to their structure: `:argv = structure`.
//!
//! Everywhere else, what is known to be a secret goes. Here it is the other
//! way round: only what is known to be harmless stays. Each word that comes
//! out of here is one of these:
//!
//! - the name of a command or of an option, in full, from `commands.txt`; of
//!   a command that is not in it, a name as people choose them;
//! - a value that its place makes harmless (`kind.rs`) and that looks it
//!   (`harmless.rs`): a revision, a number, a path;
//! - a placeholder such as `<message>`, which tells the kind of a value.
//!
//! Of another program's command line, its name and the number of its
//! arguments stay (`program.rs`). `message.rs` does the same for the messages
//! of the events that Mercurial is known to log.
//!
//! Knows no sinks and no records.

mod harmless;
mod kind;
mod message;
mod parse;
mod placeholder;
mod program;
mod reducer;
mod word_list;

use kind::OptionKind;
use placeholder::Placeholder;
pub(crate) use reducer::Secrets;
pub(crate) use reducer::Structure;

use crate::words::Line;
use crate::words::split;

impl Structure<'_> {
    /// A command line of hg's, in which each argument is in quotes that needs
    /// them: one word for each option, with its value, and each argument. No
    /// word has quotes.
    pub(crate) fn arguments_line(&self, line: &[u8]) -> Vec<Vec<u8>> {
        let (words, _) = split(line, 0, Line::Arguments);
        let words: Vec<_> = words.into_iter().map(|it| it.bytes).collect();
        parse::arguments(&words, self)
    }

    /// Words as a line: those with blanks, which only dates and sets of
    /// revisions have, in quotes.
    pub(crate) fn joined(words: &[Vec<u8>]) -> Vec<u8> {
        let mut line = Vec::new();
        for (number, word) in words.iter().enumerate() {
            if number > 0 {
                line.push(b' ');
            }
            let quote: &[u8] = if word.contains(&b' ') { b"'" } else { b"" };
            line.extend_from_slice(quote);
            line.extend_from_slice(word);
            line.extend_from_slice(quote);
        }
        line
    }

    /// The message of an event, reduced by the event's name.
    pub(crate) fn message(&self, event: &[u8], message: &[u8]) -> Vec<u8> {
        message::reduced(event, message, self)
    }

    /// A keyword argument of an event.
    pub(crate) fn option(
        &self,
        event: &[u8],
        key: &[u8],
        value: &[u8],
    ) -> Vec<u8> {
        message::option(event, key, value, self)
    }

    /// A name that has been chosen for a command, a hook or the like.
    pub(crate) fn name(&self, name: &[u8]) -> Vec<u8> {
        if self.is_name(name) {
            name.to_vec()
        } else {
            Placeholder::Name.marker()
        }
    }

    fn value(&self, kind: OptionKind, value: &[u8]) -> Vec<u8> {
        kind::reduced(kind, value, self)
    }
}
