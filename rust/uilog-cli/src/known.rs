//! The configuration items that Mercurial knows, and their defaults.
//!
//! They are read from `configitems.toml` in Mercurial's package, from version
//! 6.5 on.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::Path;

use anyhow::Context;
use regex_lite::Regex;
use serde::Deserialize;
use uilog_config::Config;
use uilog_config::items;
use uilog_sys::foreign_file;

/// Its file.
const FILE: &str = "configitems.toml";

/// How many bytes it may have; it has 70,000.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// An item's default.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DefaultValue {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<String>),
    /// The encoding that hg takes texts to be in.
    Encoding,
}

/// What Mercurial knows.
#[derive(Debug, Default)]
pub(crate) struct KnownItems {
    sections: HashMap<String, Section>,
    /// Whether there was a file to read.
    is_known: bool,
}

#[derive(Debug, Default)]
struct Section {
    exact: HashMap<String, Option<DefaultValue>>,
    /// Patterns, by priority and name.
    generic: BTreeMap<(i64, String), (Regex, Option<DefaultValue>)>,
}

#[derive(Debug, Deserialize)]
struct File {
    items: Vec<Item>,
    #[serde(default)]
    templates: HashMap<String, Vec<Item>>,
    #[serde(default, rename = "template-applications")]
    applications: Vec<Application>,
}

#[derive(Clone, Debug, Deserialize)]
struct Item {
    #[serde(default)]
    section: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    suffix: String,
    #[serde(rename = "default-type")]
    default_type: Option<String>,
    default: Option<toml::Value>,
    #[serde(default)]
    generic: bool,
    #[serde(default)]
    priority: i64,
}

#[derive(Debug, Deserialize)]
struct Application {
    template: String,
    section: String,
    #[serde(default)]
    prefix: String,
}

impl KnownItems {
    /// Reads what the Mercurial whose package this is knows, and, if this
    /// configuration enables the extension, uilog's items.
    pub(crate) fn read(
        package: Option<&Path>,
        config: &Config,
    ) -> anyhow::Result<Self> {
        let mut known = Self::default();
        if let Some(package) = package {
            let path = package.join(FILE);
            match foreign_file::read_text(&path, MAX_FILE_BYTES) {
                Ok(text) => known
                    .add(&text)
                    .with_context(|| path.display().to_string())?,
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    return Err(error).context(path.display().to_string());
                }
            }
        }
        if config.extension(b"uilog").is_some() {
            known.add_own();
        }
        Ok(known)
    }

    /// The default of an item; none if it is worked out while hg runs, or if
    /// it cannot be known here.
    pub(crate) fn default_of(
        &self,
        section: &[u8],
        name: &[u8],
    ) -> Option<DefaultValue> {
        if !self.is_known {
            return None;
        }
        let found = std::str::from_utf8(section)
            .ok()
            .and_then(|section| self.sections.get(section));
        let Some(found) = found else {
            return Some(DefaultValue::Null);
        };
        let name = String::from_utf8_lossy(name);
        if let Some(default) = found.exact.get(name.as_ref()) {
            return default.clone();
        }
        let mut generic = found.generic.values();
        match generic.find(|(pattern, _)| pattern.is_match(&name)) {
            Some((_, default)) => default.clone(),
            None => Some(DefaultValue::Null),
        }
    }

    // hg: configitems.configitems_from_toml
    fn add(&mut self, text: &str) -> anyhow::Result<()> {
        let file: File = toml::from_str(text)?;
        for item in &file.items {
            self.add_item(&item.section, &item.name, item)?;
        }
        for application in &file.applications {
            let template = file.templates.get(&application.template);
            for item in template.into_iter().flatten() {
                let name = if application.prefix.is_empty() {
                    item.suffix.clone()
                } else {
                    format!("{}.{}", application.prefix, item.suffix)
                };
                self.add_item(&application.section, &name, item)?;
            }
        }
        self.is_known = true;
        Ok(())
    }

    fn add_item(
        &mut self,
        section: &str,
        name: &str,
        item: &Item,
    ) -> anyhow::Result<()> {
        let default = read_default(item);
        let section = self.sections.entry(section.to_owned()).or_default();
        if item.generic {
            let pattern = Regex::new(&format!("^(?s:{name})"))
                .with_context(|| name.to_owned())?;
            let key = (item.priority, name.to_owned());
            section.generic.insert(key, (pattern, default));
        } else {
            section.exact.insert(name.to_owned(), default);
        }
        Ok(())
    }

    fn add_own(&mut self) {
        for item in items::ITEMS.iter().filter(|item| item.is_own) {
            let default = DefaultValue::Text(item.default.to_owned());
            let section = self.sections.entry(item.section.to_owned());
            let section = section.or_default();
            section.exact.insert(item.name.to_owned(), Some(default));
        }
    }
}

// hg: configitems.sanitize_item
fn read_default(item: &Item) -> Option<DefaultValue> {
    match item.default_type.as_deref() {
        Some("dynamic") => return None,
        // Any value.
        Some("lazy_module") => return Some(DefaultValue::Encoding),
        Some("list_type") => return Some(DefaultValue::List(Vec::new())),
        _ => {}
    }
    match item.default.clone() {
        None => Some(DefaultValue::Null),
        Some(toml::Value::Boolean(value)) => Some(DefaultValue::Bool(value)),
        Some(toml::Value::Integer(value)) => Some(DefaultValue::Int(value)),
        Some(toml::Value::Float(value)) => Some(DefaultValue::Float(value)),
        Some(toml::Value::String(text)) => Some(DefaultValue::Text(text)),
        Some(toml::Value::Array(texts)) => {
            let texts = texts.into_iter().map(|text| match text {
                toml::Value::String(text) => Some(text),
                _ => None,
            });
            texts.collect::<Option<Vec<_>>>().map(DefaultValue::List)
        }
        Some(toml::Value::Table(_) | toml::Value::Datetime(_)) => None,
    }
}
