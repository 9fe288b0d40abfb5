//! Sections and items.
//!
//! Must not know files or trust: every item that is put in here is used.

use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::source::Source;
use crate::value;
use crate::value_error::ValueError;

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value as written; continuation lines begin after `\n`.
    pub value: Vec<u8>,
    /// Where it comes from.
    pub source: Source,
}

/// One section: items in the order in which they were last set.
// hg: util.sortdict
#[derive(Clone, Debug, Default)]
struct Section {
    items: HashMap<Vec<u8>, (u64, Entry)>,
}

/// A configuration.
// hg: config.config
#[derive(Clone, Debug, Default)]
pub struct Config {
    sections: BTreeMap<Vec<u8>, Section>,
    /// Counts the settings of items.
    clock: u64,
    /// Items that were unset, also in the layers below this one.
    unset: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Config {
    /// The sections' names, in the order of their bytes. A section may be
    /// empty.
    pub fn sections(&self) -> impl Iterator<Item = &[u8]> {
        self.sections.keys().map(Vec::as_slice)
    }

    /// A section's items in the order in which they were last set.
    pub fn items(
        &self,
        section: &[u8],
    ) -> impl Iterator<Item = (&[u8], &Entry)> + use<'_> {
        let section = self.sections.get(section);
        let mut items: Vec<_> = section
            .into_iter()
            .flat_map(|section| &section.items)
            .map(|(name, (order, entry))| (*order, name.as_slice(), entry))
            .collect();
        items.sort_unstable_by_key(|(order, ..)| *order);
        items.into_iter().map(|(_, name, entry)| (name, entry))
    }

    /// An item.
    pub fn get(&self, section: &[u8], name: &[u8]) -> Option<&Entry> {
        let items = &self.sections.get(section)?.items;
        items.get(name).map(|(_, entry)| entry)
    }

    /// An item's value.
    pub fn value(&self, section: &[u8], name: &[u8]) -> Option<&[u8]> {
        self.get(section, name).map(|entry| entry.value.as_slice())
    }

    /// An item as a boolean.
    ///
    /// # Errors
    ///
    /// It is not one (see [`value::parse_bool`]).
    // hg: ui.configbool
    pub fn bool(
        &self,
        section: &[u8],
        name: &[u8],
    ) -> Result<Option<bool>, ValueError> {
        self.typed(section, name, "a boolean", value::parse_bool)
    }

    /// An item as an integer.
    ///
    /// # Errors
    ///
    /// It is not one (see [`value::parse_int`]).
    // hg: ui.configint
    pub fn int(
        &self,
        section: &[u8],
        name: &[u8],
    ) -> Result<Option<i128>, ValueError> {
        self.typed(section, name, "a valid integer", value::parse_int)
    }

    /// An item as a number of bytes.
    ///
    /// # Errors
    ///
    /// It is not one (see [`value::parse_size`]).
    // hg: ui.configbytes
    pub fn bytes(
        &self,
        section: &[u8],
        name: &[u8],
    ) -> Result<Option<i128>, ValueError> {
        self.typed(section, name, "a byte quantity", value::parse_size)
    }

    /// An item as a list of words.
    // hg: ui.configlist
    pub fn list(&self, section: &[u8], name: &[u8]) -> Option<Vec<Vec<u8>>> {
        self.value(section, name).map(value::parse_list)
    }

    /// The sub-options `NAME:SUB` of an item, by the name `SUB`.
    // hg: ui.configsuboptions
    pub fn sub_options<'a>(
        &'a self,
        section: &[u8],
        name: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a Entry)> {
        self.items(section).filter_map(move |(item, entry)| {
            let sub = item.strip_prefix(name)?.strip_prefix(b":")?;
            Some((sub, entry))
        })
    }

    /// The entries that switch an extension on, in the order of the files.
    // hg: extensions.loadall
    pub fn enabled(
        &self,
        name: &[u8],
    ) -> impl Iterator<Item = (&[u8], &Entry)> {
        self.items(b"extensions").filter(move |(listed, entry)| {
            extension_name(listed) == name && !entry.value.starts_with(b"!")
        })
    }

    /// The first entry that switches an extension on; none if it is off.
    pub fn extension(&self, name: &[u8]) -> Option<&Entry> {
        self.enabled(name).next().map(|(_, entry)| entry)
    }

    fn typed<T>(
        &self,
        section: &[u8],
        name: &[u8],
        expected: &'static str,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, ValueError> {
        let Some(entry) = self.get(section, name) else {
            return Ok(None);
        };
        match parse(&entry.value) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(ValueError {
                section: section.to_vec(),
                name: name.to_vec(),
                value: entry.value.clone(),
                source: entry.source.clone(),
                expected,
            }),
        }
    }

    /// Makes a section known, be it empty.
    pub(crate) fn open_section(&mut self, section: &[u8]) {
        if !self.sections.contains_key(section) {
            self.sections.insert(section.to_vec(), Section::default());
        }
    }

    /// Sets an item, which thereby becomes its section's last.
    pub(crate) fn set(&mut self, section: &[u8], name: &[u8], entry: Entry) {
        self.open_section(section);
        self.clock += 1;
        if let Some(section) = self.sections.get_mut(section) {
            section.items.insert(name.to_vec(), (self.clock, entry));
        }
    }

    /// Adds a line to an item's value.
    pub(crate) fn extend(
        &mut self,
        section: &[u8],
        name: &[u8],
        line: &[u8],
        source: Source,
    ) {
        let items = self.sections.get_mut(section);
        let found = items.and_then(|section| section.items.get_mut(name));
        if let Some((_, entry)) = found {
            entry.value.push(b'\n');
            entry.value.extend_from_slice(line);
            entry.source = source;
        }
    }

    /// Removes an item from this configuration and from the layers below it.
    pub(crate) fn unset(&mut self, section: &[u8], name: &[u8]) {
        self.remove(section, name);
        self.unset.push((section.to_vec(), name.to_vec()));
    }

    /// Removes an item from this configuration only.
    pub(crate) fn remove(&mut self, section: &[u8], name: &[u8]) {
        if let Some(section) = self.sections.get_mut(section) {
            section.items.remove(name);
        }
    }

    /// Removes a section's items, but not the section.
    pub(crate) fn clear(&mut self, section: &[u8]) {
        if let Some(section) = self.sections.get_mut(section) {
            section.items.clear();
        }
    }

    /// Lays another configuration over this one.
    // hg: config.update
    pub(crate) fn update(&mut self, over: &Self) {
        for (section, name) in &over.unset {
            self.remove(section, name);
        }
        for section in over.sections() {
            self.open_section(section);
            for (name, entry) in over.items(section) {
                self.set(section, name, entry.clone());
            }
        }
    }

    /// Replaces a value; its source stays.
    // hg: config.alter
    pub(crate) fn alter(
        &mut self,
        section: &[u8],
        name: &[u8],
        value: Vec<u8>,
    ) {
        let source = self.get(section, name).map(|entry| entry.source.clone());
        if let Some(source) = source {
            self.set(section, name, Entry { value, source });
        }
    }
}

/// An extension's name without the package that it may be listed with.
// hg: extensions.find, extensions._importext
pub fn extension_name(listed: &[u8]) -> &[u8] {
    let packages: [&[u8]; 4] =
        [b"hgext.", b"hgext/", b"hgext3rd.", b"hgext3rd/"];
    let mut names = packages.iter().filter_map(|it| listed.strip_prefix(*it));
    names.next().unwrap_or(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: &str) -> Entry {
        Entry {
            value: value.as_bytes().to_vec(),
            source: Source::Named("test"),
        }
    }

    fn told(config: &Config) -> String {
        let items = config.sections().flat_map(|section| {
            config.items(section).map(move |(name, entry)| {
                [section, b".", name, b"=", &entry.value].concat()
            })
        });
        let items: Vec<_> = items.collect();
        String::from_utf8(items.join(&b' ')).unwrap()
    }

    #[test]
    fn what_is_set_again_becomes_the_last() {
        let mut config = Config::default();
        config.set(b"b", b"x", entry("1"));
        config.set(b"b", b"y", entry("2"));
        config.set(b"a", b"z", entry("3"));
        config.set(b"b", b"x", entry("4"));
        assert_eq!(told(&config), "a.z=3 b.y=2 b.x=4");
    }

    #[test]
    fn an_overlay_unsets_before_it_sets() {
        let mut config = Config::default();
        config.set(b"s", b"x", entry("1"));
        config.set(b"s", b"y", entry("2"));
        let mut over = Config::default();
        over.unset(b"s", b"x");
        over.unset(b"s", b"y");
        over.set(b"s", b"x", entry("3"));
        config.update(&over);
        assert_eq!(told(&config), "s.x=3");
    }

    #[test]
    fn values_have_the_type_that_is_asked_for() {
        let mut config = Config::default();
        for (name, value) in [("yes", "on"), ("n", "-7"), ("size", "2 kB")] {
            config.set(b"s", name.as_bytes(), entry(value));
        }
        assert_eq!(config.bool(b"s", b"yes"), Ok(Some(true)));
        assert_eq!(config.int(b"s", b"n"), Ok(Some(-7)));
        assert_eq!(config.bytes(b"s", b"size"), Ok(Some(2048)));
        let words = config.list(b"s", b"size");
        assert_eq!(words, Some(vec![b"2".to_vec(), b"kB".to_vec()]));
        assert_eq!(config.int(b"s", b"x"), Ok(None));
        assert_eq!(config.bytes(b"x", b"n"), Ok(None));
        assert_eq!(config.list(b"s", b"x"), None);
        for (error, text) in [
            (
                config.int(b"s", b"yes").unwrap_err(),
                "s.yes is not a valid integer ('on')",
            ),
            (
                config.bytes(b"s", b"yes").unwrap_err(),
                "s.yes is not a byte quantity ('on')",
            ),
        ] {
            assert_eq!(error.to_string(), text);
            assert_eq!(error.source, Source::Named("test"));
        }
    }

    #[test]
    fn a_section_stays_without_its_items() {
        let mut config = Config::default();
        config.open_section(b"b");
        config.set(b"c", b"x", entry("1"));
        config.open_section(b"c");
        config.set(b"a", b"x", entry("2"));
        config.clear(b"a");
        config.remove(b"d", b"x");
        let sections: Vec<_> = config.sections().collect();
        assert_eq!(sections, [b"a", b"b", b"c"]);
        assert_eq!(told(&config), "c.x=1");
    }

    #[test]
    fn sub_options_and_extensions() {
        let mut config = Config::default();
        config.set(b"s", b"x:a", entry("1"));
        config.set(b"s", b"xy:b", entry("2"));
        let subs: Vec<_> = config.sub_options(b"s", b"x").collect();
        assert_eq!(subs, [(&b"a"[..], &entry("1"))]);
        config.set(b"extensions", b"one", entry("!"));
        config.set(b"extensions", b"hgext.two", entry(""));
        config.set(b"extensions", b"hgext3rd/three", entry(""));
        config.set(b"extensions", b"four:required", entry("yes"));
        assert_eq!(config.extension(b"one"), None);
        assert!(config.extension(b"two").is_some());
        assert!(config.extension(b"three").is_some());
        assert_eq!(config.extension(b"four"), None);
    }
}
