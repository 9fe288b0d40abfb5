//! Which finders search a text, and in which of its forms.
//!
//! Must not know how the results are used.

use memchr::memchr2_iter;
use memchr::memmem;

use super::Redactor;
use super::View;
use super::commands::arguments_end;
use super::commands::arguments_start;
use super::commands::drop_partial_words;
use super::commands::ends_as_name;
use crate::account;
use crate::assignment;
use crate::calls;
use crate::commands;
use crate::commands::Role;
use crate::config_item;
use crate::decode;
use crate::finding::Finding;
use crate::headers;
use crate::patterns;
use crate::patterns::ActiveFinders;
use crate::pem;
use crate::programs;
use crate::rule::Rule;
use crate::rule::marker_at;
use crate::shape;
use crate::steps;
use crate::url;
use crate::user::hash_user;
use crate::value::Scope;
use crate::webhook;
use crate::words::Line;
use crate::words::Word;
use crate::words::split;

/// How often a text may have been escaped.
const MAX_LEVELS: usize = 3;

/// Maximum depth of hg's commands in hg's commands: an alias that runs a shell
/// that runs hg.
const MAX_DEPTH: usize = 3;

impl Redactor {
    /// Runs all finders, in any order.
    pub(super) fn run_finders(
        &self,
        text: &[u8],
        view: View,
        found: &mut Vec<Finding>,
    ) {
        match view {
            View::Text => {
                self.find(text, Scope::Text, 0, found);
            }
            View::Word => {
                self.find(text, Scope::Word, 0, found);
            }
            View::Command | View::Arguments | View::Program => {
                self.find_in_line(text, view, found);
            }
            View::Alias => {
                self.find(text, Scope::Text, 0, found);
                // hg: dispatch.cmdalias.__call__
                const EXPANDS: &[u8] = b"' expands to '";
                if let Some(start) = memmem::find(text, EXPANDS) {
                    let start = start + EXPANDS.len();
                    let (words, _) = split(text, start, Line::Shell);
                    self.find_in_words(&words, 0, found);
                }
            }
        }
    }

    /// Finds secrets in a command line as hg logs it.
    fn find_in_line(&self, text: &[u8], view: View, found: &mut Vec<Finding>) {
        let end = match view {
            View::Command => arguments_end(text),
            _ => text.len(),
        };
        let (words, _) = split(&text[..end], 0, Line::Arguments);
        let is_plain = self.find(text, Scope::Text, 0, found);
        drop_partial_words(&words, found);
        let is_program = view == View::Program;
        match words.split_first() {
            Some((program, arguments)) if is_program => {
                if programs::has_options_of_hg(&program.bytes) {
                    self.find_in_options(arguments, found);
                }
            }
            _ => self.find_in_options(&words, found),
        }
        for word in &words {
            // A piece of the line cannot contain what the line does not.
            if !is_plain || !word.is_one_piece() {
                self.find_in_word(word, 0, found);
            }
        }
        if is_program && words.iter().any(Word::is_quoted) {
            self.find_across_words(&words, found);
        }
        if !is_plain {
            programs::find_in_words(words, found);
        }
    }

    /// Finds what several arguments show together, whichever of them are in
    /// quotes: `'Password:' X`.
    fn find_across_words(&self, words: &[Word], found: &mut Vec<Finding>) {
        let mut text = Vec::new();
        let mut starts = Vec::new();
        for word in words {
            starts.push(text.len());
            text.extend_from_slice(&word.bytes);
            text.push(b' ');
        }
        text.pop();
        let mut inner = Vec::new();
        self.find(&text, Scope::Text, 0, &mut inner);
        for inner in inner {
            let range = &inner.range;
            let first = starts.partition_point(|start| *start <= range.start);
            let first = first.saturating_sub(1);
            let words = words[first..].iter().zip(&starts[first..]);
            for (word, start) in words.take_while(|it| *it.1 < range.end) {
                steps::add(1);
                let from = range.start.max(*start) - start;
                let to = range.end.min(start + word.bytes.len()) - start;
                if from < to {
                    let range = word.in_line(&(from..to));
                    found.push(inner.clone().at(range));
                }
            }
        }
    }

    /// Finds secrets in a command's words, after its options and in each by
    /// itself.
    fn find_in_words(
        &self,
        words: &[Word],
        depth: usize,
        found: &mut Vec<Finding>,
    ) {
        self.find_in_options(words, found);
        for word in words {
            self.find_in_word(word, depth, found);
        }
    }

    fn find_in_word(
        &self,
        word: &Word,
        depth: usize,
        found: &mut Vec<Finding>,
    ) {
        let mut inner = Vec::new();
        self.find(&word.bytes, Scope::Word, depth, &mut inner);
        found.extend(inner.into_iter().map(|inner| {
            let range = word.in_line(&inner.range);
            inner.at(range)
        }));
    }

    /// Finds what follows a command's options.
    fn find_in_options(&self, words: &[Word], found: &mut Vec<Finding>) {
        let bytes: Vec<_> = words.iter().map(|word| &word.bytes).collect();
        for part in commands::parse(&bytes).parts {
            let word = &words[part.word];
            let name = &word.bytes[part.range.clone()];
            let range = word.in_line(&part.range);
            if marker_at(name) == Some(name.len()) {
                continue;
            }
            match (part.role, &self.user) {
                (Role::Message, _) => {
                    found.push(Finding::new(range, Rule::MESSAGE));
                }
                (Role::Secret, _) => {
                    found.push(Finding::new(range, Rule::OPTION_VALUE));
                }
                (Role::User, Some(key)) => {
                    found.push(Finding::user(range, hash_user(key, name)));
                }
                (Role::User, None) => {}
            }
        }
    }

    /// Finds secrets in a text that is not a command line, and in its unescaped
    /// form. Returns whether nothing triggered a finder.
    fn find(
        &self,
        text: &[u8],
        scope: Scope,
        depth: usize,
        found: &mut Vec<Finding>,
    ) -> bool {
        let is_plain = self.find_as_it_is(text, scope, depth, found);
        if depth == 0 {
            self.find_decoded(text, scope, 0, found);
        }
        is_plain
    }

    fn find_decoded(
        &self,
        text: &[u8],
        scope: Scope,
        level: usize,
        found: &mut Vec<Finding>,
    ) {
        if level == MAX_LEVELS {
            return;
        }
        let Some(decoded) = decode::decoded(text) else {
            return;
        };
        let mut inner = Vec::new();
        self.find_as_it_is(&decoded.bytes, scope, MAX_DEPTH - 1, &mut inner);
        self.find_decoded(&decoded.bytes, scope, level + 1, &mut inner);
        found.extend(inner.into_iter().map(|inner| {
            let range = decoded.in_line(&inner.range);
            inner.at(range)
        }));
    }

    fn find_as_it_is(
        &self,
        text: &[u8],
        scope: Scope,
        depth: usize,
        found: &mut Vec<Finding>,
    ) -> bool {
        self.config_items.find(text, scope, found);
        let before = found.len();
        let wanted = patterns::wanted(text, found);
        let is_plain = wanted == ActiveFinders::default()
            && found.len() == before
            && !has_sign(text);
        if wanted.userinfo {
            url::find_userinfo(text, scope, self.user.as_ref(), found);
            webhook::find(text, found);
        }
        if wanted.parameters {
            url::find_parameters(text, scope, found);
        }
        if wanted.assignments {
            assignment::find(text, scope, found);
        }
        account::find(text, scope, found);
        if wanted.settings {
            config_item::find_settings(text, &self.config_items, found);
        }
        if wanted.sections {
            config_item::find_in_sections(text, found);
        }
        if wanted.headers {
            headers::find(text, scope, found);
        }
        if wanted.calls {
            calls::find(text, found);
        }
        if wanted.programs {
            programs::find(text, found);
        }
        if wanted.private_keys {
            pem::find(text, found);
        }
        if wanted.commands && depth < MAX_DEPTH {
            self.find_commands(text, depth, found);
        }
        let mut shapes = wanted.shapes;
        while shapes != 0 {
            let number = shapes.trailing_zeros() as usize;
            shapes &= shapes - 1;
            shape::find(number, text, found);
        }
        is_plain
    }

    /// Finds hg's commands in what a shell runs.
    fn find_commands(
        &self,
        text: &[u8],
        depth: usize,
        found: &mut Vec<Finding>,
    ) {
        let mut at = 0;
        steps::add(text.len());
        for last in memchr2_iter(b'g', b'G', text) {
            let start = last + 1;
            if start < at || !ends_as_name(&text[..start]) {
                continue;
            }
            let Some(arguments) = arguments_start(&text[start..]) else {
                continue;
            };
            let (words, end) = split(text, start + arguments, Line::Shell);
            // `hg commit: option -m requires argument` is no command.
            if !words.first().is_some_and(|word| word.bytes.ends_with(b":")) {
                self.find_in_words(&words, depth + 1, found);
            }
            at = end.max(at);
        }
    }
}

/// Whether there is a byte that triggers finders without words: those of items,
/// of accounts, of escapes.
fn has_sign(text: &[u8]) -> bool {
    text.iter().any(|byte| {
        matches!(*byte, b'=' | b'@' | b'\\' | b'%' | b'&' | decode::ESCAPE)
    })
}
