//! Merges what the finders find, and replaces it.
//!
//! Knows the finders and what triggers each of them. Must not know what they
//! look for.
//!
//! A replacement can expose a secret that something before it had hidden. So a
//! text is searched again until nothing more is found, at most [`MAX_PASSES`]
//! times. That is why redacting twice is the same as redacting once.

use std::borrow::Cow;

use memchr::memchr2_iter;
use memchr::memmem;

use crate::account;
use crate::assignment;
use crate::calls;
use crate::commands;
use crate::commands::Parsed;
use crate::commands::Role;
use crate::config_item;
use crate::config_item::ConfigItems;
use crate::decode;
use crate::edits::Edits;
use crate::found::Found;
use crate::found::tidied;
use crate::headers;
use crate::name;
use crate::name::SecretKind;
use crate::patterns;
use crate::patterns::Wanted;
use crate::pem;
use crate::policy::ArgvPolicy;
use crate::policy::Policy;
use crate::policy::UserPolicy;
use crate::programs;
use crate::redacted::Redacted;
use crate::redacted::RedactedRange;
use crate::rule::Rule;
use crate::rule::marker_at;
use crate::rule::user_marker;
use crate::shape;
use crate::steps;
use crate::structure::Secrets;
use crate::structure::Structure;
use crate::url;
use crate::user::Key;
use crate::user::hash_user;
use crate::value::Scope;
use crate::value::looks_like_key;
use crate::webhook;
use crate::words::Line;
use crate::words::Word;
use crate::words::format_arguments;
use crate::words::split;

/// What is redacted is at most this many times as long as it was, and
/// [`MAX_ADDED_BYTES`].
pub const MAX_GROWTH: usize = 16;

/// What even the shortest text may grow by.
pub const MAX_ADDED_BYTES: usize = 32;

/// How often a text is looked at before all of it goes. The corpus needs two.
const MAX_PASSES: usize = 8;

/// How often a text may have been escaped.
const MAX_LEVELS: usize = 3;

/// How deep hg's commands are looked for in hg's commands: an alias that runs
/// a shell that runs hg.
const MAX_DEPTH: usize = 3;

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
    /// A command line, as hg logs it; it may have something behind it.
    Command,
    /// Nothing but arguments: no secret goes over several of them.
    Arguments,
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
        let is_telling = name::is_telling(key)
            || headers::is_secret_option(key)
            || (name::kind(key) == Some(SecretKind::Key)
                && looks_like_key(key, value));
        if is_telling
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

    /// A command line as hg logs it: arguments in quotes, and perhaps
    /// ` exited ...` behind them.
    pub fn redact_command<'t>(
        &self,
        line: &'t [u8],
    ) -> Redacted<Cow<'t, [u8]>> {
        let end = arguments_end(line);
        let (arguments, rest) = line.split_at(end);
        let told = match self.argv {
            ArgvPolicy::Full => return unchanged(line),
            ArgvPolicy::Redacted => return self.redact(line, View::Command),
            ArgvPolicy::None => whole(arguments, Rule::ARGV),
            ArgvPolicy::Canonical => canonical(arguments),
            ArgvPolicy::Structure => {
                let words = Structure(self).arguments_line(arguments);
                reduced(arguments, Structure::joined(&words))
            }
        };
        if told.text == arguments {
            return unchanged(line);
        }
        Redacted {
            text: Cow::Owned([&told.text, rest].concat()),
            places: told.places,
        }
    }

    /// The arguments of a command, without the name of the program.
    pub fn redact_argv<A: AsRef<[u8]>>(
        &self,
        arguments: &[A],
    ) -> Redacted<Vec<Vec<u8>>> {
        let line = format_arguments(arguments);
        let told = match self.argv {
            ArgvPolicy::Full => unchanged(&line),
            ArgvPolicy::Redacted => self.redact(&line, View::Arguments),
            ArgvPolicy::None if line.is_empty() => unchanged(&line),
            ArgvPolicy::None => whole(&line, Rule::ARGV),
            ArgvPolicy::Canonical => canonical(&line),
            ArgvPolicy::Structure => {
                return Redacted {
                    text: Structure(self).arguments(arguments),
                    places: place(&line, Rule::ARGUMENT),
                };
            }
        };
        let (words, _) = split(&told.text, 0, Line::Arguments);
        Redacted {
            text: words.into_iter().map(|word| word.bytes).collect(),
            places: told.places,
        }
    }

    /// The command line of a program other than hg, its name first: with
    /// [`ArgvPolicy::Structure`], that and the number of its arguments.
    pub fn redact_program<'t>(
        &self,
        line: &'t [u8],
    ) -> Redacted<Cow<'t, [u8]>> {
        if self.argv != ArgvPolicy::Structure {
            return self.redact_command(line);
        }
        let words = Structure(self).program_line(line);
        reduced(line, Structure::joined(&words))
    }

    /// What an event says, which is no command's, reduced to what is known to
    /// be harmless. See [`ArgvPolicy::Structure`].
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
            self.look(&current, view, &mut found);
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

    /// Finds whatever there is to be found, in any order.
    fn look(&self, text: &[u8], view: View, found: &mut Vec<Found>) {
        match view {
            View::Text => {
                self.find(text, Scope::Text, 0, found);
            }
            View::Word => {
                self.find(text, Scope::Word, 0, found);
            }
            View::Command | View::Arguments => {
                let is_command = view == View::Command;
                let end = if is_command {
                    arguments_end(text)
                } else {
                    text.len()
                };
                let (words, _) = split(&text[..end], 0, Line::Arguments);
                let is_plain = if is_command {
                    let is_plain = self.find(text, Scope::Text, 0, found);
                    keep_words(&words, found);
                    is_plain
                } else {
                    is_plain(text)
                };
                self.find_in_options(&words, found);
                for word in &words {
                    // What the line has not, no piece of it has.
                    if !is_plain || !word.is_one_piece() {
                        self.find_in_word(word, 0, found);
                    }
                }
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

    /// Finds secrets in a command's words, behind its options and in each by
    /// itself.
    fn find_in_words(
        &self,
        words: &[Word],
        depth: usize,
        found: &mut Vec<Found>,
    ) {
        self.find_in_options(words, found);
        for word in words {
            self.find_in_word(word, depth, found);
        }
    }

    fn find_in_word(&self, word: &Word, depth: usize, found: &mut Vec<Found>) {
        let mut inner = Vec::new();
        self.find(&word.bytes, Scope::Word, depth, &mut inner);
        found.extend(inner.into_iter().map(|inner| {
            let range = word.in_line(&inner.range);
            inner.at(range)
        }));
    }

    /// Finds what follows a command's options.
    fn find_in_options(&self, words: &[Word], found: &mut Vec<Found>) {
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
                    found.push(Found::new(range, Rule::MESSAGE));
                }
                (Role::Secret, _) => {
                    found.push(Found::new(range, Rule::OPTION_VALUE));
                }
                (Role::User, Some(key)) => {
                    found.push(Found::user(range, hash_user(key, name)));
                }
                (Role::User, None) => {}
            }
        }
    }

    /// Finds secrets in a text that is no command line, and in what it was
    /// before it was escaped. Whether nothing in it gave a reason to look.
    fn find(
        &self,
        text: &[u8],
        scope: Scope,
        depth: usize,
        found: &mut Vec<Found>,
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
        found: &mut Vec<Found>,
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
        found: &mut Vec<Found>,
    ) -> bool {
        self.config_items.find(text, scope, found);
        let before = found.len();
        let wanted = patterns::wanted(text, found);
        let is_plain = wanted == Wanted::default()
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
    fn find_commands(&self, text: &[u8], depth: usize, found: &mut Vec<Found>) {
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

/// Whether nothing in a text gives a finder a reason to look at it.
fn is_plain(text: &[u8]) -> bool {
    let mut tokens = Vec::new();
    let wanted = patterns::wanted(text, &mut tokens);
    wanted == Wanted::default() && tokens.is_empty() && !has_sign(text)
}

/// Whether there is a byte that finders look for which need no words: of items,
/// of accounts, of what was escaped.
fn has_sign(text: &[u8]) -> bool {
    text.iter().any(|byte| {
        matches!(*byte, b'=' | b'@' | b'\\' | b'%' | b'&' | decode::ESCAPE)
    })
}

/// Leaves out what begins or ends in the middle of an argument in quotes: of
/// these each is looked at by itself, without its quotes.
fn keep_words(words: &[Word], found: &mut Vec<Found>) {
    let ends_in_quotes = |at: usize, is_start: bool| {
        let next = words.partition_point(|word| word.range.end <= at);
        words.get(next).is_some_and(|word| {
            let edge = if is_start {
                word.range.start
            } else {
                word.range.end - 1
            };
            word.is_quoted() && word.range.contains(&at) && at != edge
        })
    };
    found.retain(|found| {
        let last = found.range.end.saturating_sub(1);
        !ends_in_quotes(found.range.start, true) && !ends_in_quotes(last, false)
    });
}

/// Whether this ends with `hg`, `rhg` or `chg`, or with `$HG`, which hg sets
/// for its hooks.
fn ends_as_name(text: &[u8]) -> bool {
    text.ends_with(b"hg") || text.ends_with(b"$HG") || text.ends_with(b"{HG")
}

/// Where the arguments begin behind a name of hg: behind quotes and braces.
fn arguments_start(rest: &[u8]) -> Option<usize> {
    let closing = rest
        .iter()
        .take(2)
        .take_while(|byte| matches!(byte, b'"' | b'}'))
        .count();
    (rest.get(closing) == Some(&b' ')).then_some(closing)
}

/// Where the arguments end, and what hg says of the command's end begins.
// hg: dispatch.dispatch, "%s exited %d after %0.2f seconds\n"
fn arguments_end(line: &[u8]) -> usize {
    const EXITED: &[u8] = b" exited ";
    const SECONDS: &[u8] = b" seconds";
    let end = line.strip_suffix(b"\n").unwrap_or(line);
    if !end.ends_with(SECONDS) {
        return end.len();
    }
    end.windows(EXITED.len())
        .rposition(|part| part == EXITED)
        .filter(|at| {
            let rest = &end[at + EXITED.len()..];
            rest.ends_with(SECONDS) && !rest.contains(&b'\'')
        })
        .unwrap_or(end.len())
}

/// A command by its full name, with the full names of its options.
fn canonical(line: &[u8]) -> Redacted<Cow<'_, [u8]>> {
    let (words, _) = split(line, 0, Line::Arguments);
    let words: Vec<_> = words.into_iter().map(|word| word.bytes).collect();
    if words.is_empty() {
        return unchanged(line);
    }
    let Parsed {
        command, options, ..
    } = commands::parse(&words);
    let value = Rule::ARGUMENT.marker();
    let mut told = match command {
        Some(command) => command.as_bytes().to_vec(),
        None => value.clone(),
    };
    let mut seen: Vec<&str> = Vec::new();
    for (option, takes_value) in options {
        if seen.contains(&option) {
            continue;
        }
        seen.push(option);
        told.extend_from_slice(b" --");
        told.extend_from_slice(option.as_bytes());
        if takes_value {
            told.push(b'=');
            told.extend_from_slice(&value);
        }
    }
    if told == line {
        return unchanged(line);
    }
    Redacted {
        text: Cow::Owned(told),
        places: place(line, Rule::ARGUMENT),
    }
}

/// What is left of a text that has been reduced.
fn reduced(text: &[u8], left: Vec<u8>) -> Redacted<Cow<'_, [u8]>> {
    if left == text {
        return unchanged(text);
    }
    Redacted {
        text: Cow::Owned(left),
        places: place(text, Rule::ARGUMENT),
    }
}

fn unchanged(text: &[u8]) -> Redacted<Cow<'_, [u8]>> {
    Redacted {
        text: Cow::Borrowed(text),
        places: Vec::new(),
    }
}

fn whole(text: &[u8], rule: Rule) -> Redacted<Cow<'_, [u8]>> {
    if text.is_empty() || marker_at(text) == Some(text.len()) {
        return unchanged(text);
    }
    Redacted {
        text: Cow::Owned(rule.marker()),
        places: place(text, rule),
    }
}

fn place(text: &[u8], rule: Rule) -> Vec<RedactedRange> {
    vec![RedactedRange {
        range: 0..text.len(),
        rule,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(argv: ArgvPolicy) -> Redactor {
        Redactor::new(&Policy {
            argv,
            ..Policy::default()
        })
    }

    fn command(argv: ArgvPolicy, line: &str) -> String {
        let told = redactor(argv).redact_command(line.as_bytes());
        String::from_utf8(told.text.into_owned()).unwrap()
    }

    const LINE: &str =
        "-R x ci -Am 'it'\\''s secret' file exited 0 after 0.11 seconds\n";

    #[test]
    fn arguments_are_told_as_the_policy_says() {
        assert_eq!(command(ArgvPolicy::Full, LINE), LINE);
        assert_eq!(
            command(ArgvPolicy::Redacted, LINE),
            "-R x ci -Am <redacted:message> file exited 0 after 0.11 \
             seconds\n"
        );
        assert_eq!(
            command(ArgvPolicy::Canonical, LINE),
            "commit --repository=<redacted:argument> --addremove \
             --message=<redacted:argument> exited 0 after 0.11 seconds\n"
        );
        assert_eq!(
            command(ArgvPolicy::None, LINE),
            "<redacted:argv> exited 0 after 0.11 seconds\n"
        );
        assert_eq!(
            command(ArgvPolicy::Canonical, "my-alias x\n"),
            "<redacted:argument>\n"
        );
    }

    #[test]
    fn quotes_inside_a_word_hide_nothing() {
        for line in [
            "push gh''p_0123456789abcdefghijABCDEFGHIJ012345\n",
            "push g\"hp_\"0123456789abcdefghijABCDEFGHIJ012345\n",
            "push gh\\p_0123456789abcdefghijABCDEFGHIJ012345\n",
        ] {
            let told = command(ArgvPolicy::Redacted, line);
            assert!(told.starts_with("push <redacted:"), "{told}");
        }
    }

    #[test]
    fn arguments_stay_arguments() {
        let told = redactor(ArgvPolicy::Redacted).redact_argv(&[
            "commit",
            "-mit's",
            "--config=auth.x.password='\"",
            "",
            "a b",
        ]);
        let told: Vec<_> = told
            .text
            .into_iter()
            .map(|word| String::from_utf8(word).unwrap())
            .collect();
        assert_eq!(
            told,
            [
                "commit",
                "-m<redacted:message>",
                "--config=auth.x.password=<redacted:config-value>",
                "",
                "a b"
            ]
        );
    }

    #[test]
    fn places_are_in_the_text_as_it_was() {
        let text = b"a https://bob:pw@host TOKEN=x1 b";
        let told = redactor(ArgvPolicy::Redacted).redact_text(text);
        let places: Vec<_> = told
            .places
            .into_iter()
            .map(|place| (&text[place.range], place.rule.name()))
            .collect();
        assert_eq!(places, [(&b"pw"[..], "url-password"), (b"x1", "secret")]);
    }

    #[test]
    fn users_are_hashed_where_they_are_known_as_such() {
        let key = Key::new(b"0123456789abcdef").unwrap();
        let redactor = Redactor::new(&Policy {
            user: UserPolicy::Hash(key.clone()),
            ..Policy::default()
        });
        let hash = hash_user(&key, b"bob");
        for line in ["commit -u bob", "clone ssh://bob@host/x"] {
            let told = redactor.redact_command(line.as_bytes()).text;
            let told = String::from_utf8(told.into_owned()).unwrap();
            assert_eq!(told, line.replace("bob", &format!("<user:{hash}>")));
            let again = redactor.redact_command(told.as_bytes());
            assert_eq!(again.text, told.as_bytes());
        }
        let user = redactor.redact_user(b"bob");
        assert_eq!(*user, user_marker(&hash));
        assert_eq!(*redactor.redact_user(&user), *user);
        assert_eq!(redactor.redact_command(b"clone -u bob x").places, []);
    }

    #[test]
    fn options_go_by_their_names() {
        let redactor = redactor(ArgvPolicy::Redacted);
        let told = |key: &[u8], value| redactor.redact_option(key, value).text;
        assert_eq!(*told(b"token", b"abc"), *b"<redacted:secret>");
        for name in [&b"authorization"[..], b"cookie", b"x_api_key"] {
            assert_eq!(*told(name, b"abc"), *b"<redacted:secret>");
        }
        assert_eq!(
            *told(b"token", b"<redacted:secret>"),
            *b"<redacted:secret>"
        );
        assert_eq!(
            *told(b"url", b"ssh://a:b@c"),
            *b"ssh://a:<redacted:url-password>@c"
        );
        assert_eq!(*told(b"return_code", b"0"), *b"0");
    }
}
