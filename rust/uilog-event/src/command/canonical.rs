//! The full name of a command, whatever the user typed.
//!
//! Knows Mercurial's own commands and `[alias]`; the commands of extensions are
//! not known here.

use std::collections::HashMap;

/// Mercurial's commands, with those of its bundled extensions, and their options.
const COMMANDS: &str = include_str!("commands.txt");

/// What the line of a command begins with that an extension has, and what other
/// lines begin with that are no commands.
const NOT_OWN: [char; 3] = ['+', '#', '*'];

/// The entries of Mercurial's own commands: each is names with a space in
/// between.
fn entries() -> impl Iterator<Item = &'static str> {
    let own = COMMANDS.lines().filter(|line| !line.starts_with(NOT_OWN));
    // A name may contain colons, but no space after one.
    own.map(|line| line.split(": ").next().unwrap_or(line))
        .map(|names| names.strip_suffix(':').unwrap_or(names))
}

/// The full name of the command `name`. `None` if there is no such command, or
/// several, or if it is an alias for a shell command: Mercurial then logs none
/// either. hg: dispatch._parse, dispatch._checkshellalias
pub(super) fn canonical<'a>(
    name: &[u8],
    aliases: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    is_strict: bool,
) -> Option<Vec<u8>> {
    // hg: ui.configitems with ignoresub
    let aliases = aliases.filter(|(alias, _)| !alias.contains(&b':'));
    let aliases: HashMap<&[u8], &[u8]> = aliases.collect();
    let found = find(name, &aliases, is_strict)?;
    let definition = aliases.get(&found[..]);
    let is_shell = definition.is_some_and(|it| it.starts_with(b"!"));
    (!is_shell).then_some(found)
}

// hg: cmd_finder.find_cmd, cmdutil.findcmd
fn find(
    name: &[u8],
    aliases: &HashMap<&[u8], &[u8]>,
    is_strict: bool,
) -> Option<Vec<u8>> {
    if aliases.contains_key(name) || entries().any(|it| it.as_bytes() == name) {
        return Some(name.to_vec());
    }
    let entries = entries()
        .map(|entry| names(entry.split(' ').map(str::as_bytes)))
        .chain(
            aliases
                .keys()
                .map(|entry| names(entry.split(|it| *it == b'|'))),
        );
    let mut choice: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut debug_choice: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for names in entries {
        let exact = names.iter().find(|it| *it == name);
        let found = exact.or_else(|| {
            let mut names = names.iter();
            names.find(|it| !is_strict && it.starts_with(name))
        });
        let Some(found) = found else { continue };
        let is_debug = [&names[0], found]
            .iter()
            .any(|name| name.starts_with(b"debug"));
        let choice = if is_debug {
            &mut debug_choice
        } else {
            &mut choice
        };
        choice.push((found.clone(), names[0].clone()));
    }
    if choice.is_empty() {
        choice = debug_choice;
    }
    let exact = choice.iter().find(|(found, _)| found == name);
    match (exact, &choice[..]) {
        (Some((_, canonical)), _) | (None, [(_, canonical)]) => {
            Some(canonical.clone())
        }
        _ => None,
    }
}

/// The names of an entry, and those that are added for names with a hyphen.
// hg: cmd_finder.parse_aliases, cmdutil.parsealiases
fn names<'a>(entry: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = entry.map(<[u8]>::to_vec).collect();
    for index in 0..names.len() {
        let mut folded = names[index].clone();
        folded.retain(|byte| *byte != b'-');
        if !names.contains(&folded) {
            names.push(folded);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_commands_as_in_hg() {
        let aliases: [(&[u8], &[u8]); 6] = [
            (b"mine", b"log -l 1"),
            (b"log", b"status"),
            (b"shell", b"!true"),
            (b"mine:doc", b"text"),
            (b"two-words", b"status"),
            (b"debugx", b"status"),
        ];
        let name = |name: &str, is_strict| {
            let found =
                canonical(name.as_bytes(), aliases.into_iter(), is_strict);
            found.map(|name| String::from_utf8(name).unwrap())
        };
        let is = |given: &str, expected: Option<&str>| {
            assert_eq!(name(given, false).as_deref(), expected, "{given}");
        };
        is("status", Some("status"));
        is("st", Some("status"));
        is("sta", Some("status"));
        is("ci", Some("commit"));
        is("history", Some("log"));
        is("log", Some("log"));
        is("mine", Some("mine"));
        is("min", Some("mine"));
        is("mine:doc", None);
        is("shell", None);
        is("s", None);
        is("co", Some("update"));
        is("nonsense", None);
        is("two-words", Some("two-words"));
        is("twowords", Some("two-words"));
        is("debugx", Some("debugx"));
        is("showconfig", Some("config"));
        assert_eq!(name("sta", true), None);
        assert_eq!(name("st", true).as_deref(), Some("status"));
    }
}
