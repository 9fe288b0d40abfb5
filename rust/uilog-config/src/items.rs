//! The items that uilog reads: names, defaults, and valid values.
//!
//! `items.toml` is their only definition.

use std::fmt;
use std::time::Duration;

use crate::value;

/// What an item's value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A whole number.
    Integer {
        /// The least.
        min: i128,
        /// The most.
        max: i128,
    },
    /// A number of bytes, with units.
    Size {
        /// The least.
        min: i128,
    },
    /// A number of seconds, zero or more, perhaps with a fraction.
    Seconds,
    /// A time with a unit, from seconds to days.
    Age,
    /// `auto`, a number of seconds, or no.
    Wait,
    /// A number from 0 to 1.
    Fraction,
    /// Yes or no.
    Boolean,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Words.
    List,
    /// Anything.
    Text,
}

/// An item.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// Its section.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its default, as one would write it.
    pub default: &'static str,
    /// The type of its values.
    pub kind: ValueType,
    /// Whether it is uilog's; otherwise Mercurial registers it.
    pub is_own: bool,
    /// Whether the module that hg loads reads it; otherwise the binary alone.
    pub is_for_hg: bool,
    /// A short description.
    pub help: &'static str,
}

/// All of them.
pub const ITEMS: &[Item] = include!(concat!(env!("OUT_DIR"), "/items.rs"));

/// An option of a sink.
#[derive(Clone, Copy, Debug)]
pub struct SinkOption {
    /// The item; its name is the part after the colon.
    pub item: Item,
    /// The default for sinks that leave the machine; [`Item::default`] is
    /// that for all others.
    pub remote_default: &'static str,
    /// The kinds of sinks that have it; all if there are none.
    pub sinks: &'static [&'static str],
}

/// All of them.
pub const SINK_OPTIONS: &[SinkOption] =
    include!(concat!(env!("OUT_DIR"), "/sink_options.rs"));

/// The option of this name.
pub fn find_sink_option(name: &[u8]) -> Option<&'static SinkOption> {
    let mut options = SINK_OPTIONS.iter();
    options.find(|option| option.item.name.as_bytes() == name)
}

/// The item of this name, if it is one of uilog's.
pub fn find(section: &[u8], name: &[u8]) -> Option<&'static Item> {
    ITEMS.iter().find(|item| {
        item.section.as_bytes() == section && item.name.as_bytes() == name
    })
}

/// A valid value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of [`ValueType::Integer`] and, in bytes, of [`ValueType::Size`].
    Number(i128),
    /// Of [`ValueType::Seconds`], [`ValueType::Age`] and, unless it is `auto`, of
    /// [`ValueType::Wait`].
    Seconds(Duration),
    /// Of [`ValueType::Wait`]: it depends on other facts.
    Auto,
    /// Of [`ValueType::Fraction`].
    Fraction(f64),
    /// Of [`ValueType::Boolean`].
    Boolean(bool),
    /// Of [`ValueType::List`].
    List(Vec<Vec<u8>>),
    /// Of [`ValueType::Choice`].
    Choice(&'static str),
    /// Of [`ValueType::Text`].
    Text(Vec<u8>),
}

impl Item {
    /// The value in its type; none if it is invalid (see [`ValueType`]'s
    /// `Display` for what would).
    pub fn parse(&self, text: &[u8]) -> Option<Value> {
        match self.kind {
            ValueType::Integer { min, max } => value::parse_int(text)
                .filter(|number| (min..=max).contains(number))
                .map(Value::Number),
            ValueType::Size { min } => value::parse_size(text)
                .filter(|bytes| *bytes >= min)
                .map(Value::Number),
            ValueType::Seconds => value::parse_float(text)
                .and_then(|secs| Duration::try_from_secs_f64(secs).ok())
                .map(Value::Seconds),
            ValueType::Age => value::parse_age(text).map(Value::Seconds),
            ValueType::Wait => match value::parse_bool(text) {
                _ if text.trim_ascii() == b"auto" => Some(Value::Auto),
                Some(false) => Some(Value::Seconds(Duration::ZERO)),
                _ => value::parse_float(text)
                    .and_then(|secs| Duration::try_from_secs_f64(secs).ok())
                    .map(Value::Seconds),
            },
            ValueType::Fraction => value::parse_float(text)
                .filter(|part| (0.0..=1.0).contains(part))
                .map(Value::Fraction),
            ValueType::Choice(choices) => choices
                .iter()
                .find(|choice| choice.as_bytes() == text.trim_ascii())
                .map(|choice| Value::Choice(choice)),
            ValueType::Boolean => value::parse_bool(text).map(Value::Boolean),
            ValueType::List => Some(Value::List(value::parse_list(text))),
            ValueType::Text => Some(Value::Text(text.to_vec())),
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Integer {
                min: i128::MIN,
                max: i128::MAX,
            } => f.write_str("a whole number"),
            Self::Integer { min, max } => {
                write!(f, "a number from {min} to {max}")
            }
            Self::Size { min: i128::MIN..=0 } => f.write_str("a size"),
            Self::Size { min } => {
                write!(f, "a size of {} MB or more", min >> 20)
            }
            Self::Seconds => f.write_str("a number of seconds"),
            Self::Age => f.write_str("a time with a unit, such as '7 days'"),
            Self::Wait => f.write_str("'auto', 'no' or a number of seconds"),
            Self::Fraction => f.write_str("a number from 0 to 1"),
            Self::Boolean => f.write_str("a boolean"),
            Self::Choice(choices) => {
                write!(f, "one of '{}'", choices.join("', '"))
            }
            Self::List => f.write_str("a list"),
            Self::Text => f.write_str("a text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_makes_sense() {
        for item in ITEMS {
            let parsed = item.parse(item.default.as_bytes());
            assert!(parsed.is_some(), "{}.{}", item.section, item.name);
        }
        for option in SINK_OPTIONS {
            let item = option.item;
            for default in [item.default, option.remote_default] {
                let parsed = item.parse(default.as_bytes());
                assert!(parsed.is_some(), "sink option {}", item.name);
            }
        }
        assert!(find(b"uilog", b"max-scripts").is_some_and(|i| i.is_own));
        assert!(find(b"uilog", b"maxsize").is_none());
    }

    #[test]
    fn each_type_says_what_is_valid() {
        let number = |min, max| ValueType::Integer { min, max };
        for (kind, words, valid, invalid) in [
            (number(i128::MIN, i128::MAX), "a whole number", "-9", "x"),
            (number(1, 3), "a number from 1 to 3", "3", "4"),
            (ValueType::Size { min: 0 }, "a size", "0", "-1"),
            (
                ValueType::Size { min: 3 << 20 },
                "a size of 3 MB or more",
                "3m",
                "2m",
            ),
            (ValueType::Seconds, "a number of seconds", "0.5", "1 s"),
            (
                ValueType::Age,
                "a time with a unit, such as '7 days'",
                "7 days",
                "7",
            ),
            (
                ValueType::Wait,
                "'auto', 'no' or a number of seconds",
                "no",
                "on",
            ),
            (ValueType::Fraction, "a number from 0 to 1", "1", "1.1"),
            (ValueType::Boolean, "a boolean", "on", "maybe"),
            (
                ValueType::Choice(&["a", "b"]),
                "one of 'a', 'b'",
                " b ",
                "c",
            ),
        ] {
            let item = Item { kind, ..ITEMS[0] };
            assert_eq!(kind.to_string(), words);
            assert!(item.parse(valid.as_bytes()).is_some(), "{words}");
            assert_eq!(item.parse(invalid.as_bytes()), None, "{words}");
        }
        assert_eq!(ValueType::List.to_string(), "a list");
        assert_eq!(ValueType::Text.to_string(), "a text");
    }

    #[test]
    fn a_sink_option_is_found_by_its_name() {
        for option in SINK_OPTIONS {
            let found = find_sink_option(option.item.name.as_bytes());
            assert_eq!(found.unwrap().item.help, option.item.help);
        }
        assert!(find_sink_option(b"trak").is_none());
        for item in ITEMS {
            let section = item.section.as_bytes();
            let found = find(section, item.name.as_bytes()).unwrap();
            assert_eq!((found.name, found.help), (item.name, item.help));
            assert!(find(b"nowhere", item.name.as_bytes()).is_none());
        }
    }

    #[test]
    fn limits_hold() {
        let item = find(b"uilog", b"queue-size").unwrap();
        assert_eq!(item.parse(b"1 kB"), None);
        assert_eq!(item.parse(b"2m"), Some(Value::Number(2 << 20)));
        assert_eq!(item.kind.to_string(), "a size of 1 MB or more");
        let item = find(b"uilog", b"script-timeout").unwrap();
        assert_eq!(item.parse(b"-1"), None);
        let item = find(b"uilog", b"deliver-before-exit").unwrap();
        let seconds = |it| Some(Value::Seconds(Duration::from_millis(it)));
        assert_eq!(item.parse(b" auto "), Some(Value::Auto));
        assert_eq!(item.parse(b"no"), seconds(0));
        assert_eq!(item.parse(b"0"), seconds(0));
        assert_eq!(item.parse(b"1"), seconds(1000));
        assert_eq!(item.parse(b"0.5"), seconds(500));
        for nonsense in [&b"yes"[..], b"-1", b"nan", b"inf", b"", b"autos"] {
            assert_eq!(item.parse(nonsense), None, "{nonsense:?}");
        }
    }
}
