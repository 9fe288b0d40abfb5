//! The emergency brake: whether uilog is switched off, and by what.
//!
//! Only evaluates its arguments. Each part knows what it does when uilog is
//! switched off; running processes, such as a dispatcher, do not check.

use std::fmt;

use crate::Config;
use crate::Source;
use crate::value::parse_bool;

/// The environment variable: `off`, and what means the same to hg.
pub const VARIABLE: &str = "UILOG";

/// The section of the item.
pub const SECTION: &str = "uilog";

/// The item that says the same in an hgrc.
pub const ITEM: &str = "enabled";

/// By what uilog is switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The variable, which says this.
    Variable(String),
    /// The item.
    Item {
        /// Its value.
        value: String,
        /// Where.
        source: Source,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(value) => {
                write!(f, "{VARIABLE}={value} in the environment")
            }
            Self::Item { value, source } => {
                write!(f, "{SECTION}.{ITEM} = {value} ({source})")
            }
        }
    }
}

/// Whether the variable, if it has this value, switches uilog off.
pub fn of_variable(value: Option<&[u8]>) -> Option<Cause> {
    let value = value?;
    (parse_bool(value) == Some(false))
        .then(|| Cause::Variable(String::from_utf8_lossy(value).into_owned()))
}

/// Whether this configuration, of which only the trusted part counts, does.
pub fn of_config(config: &Config) -> Option<Cause> {
    let entry = config.get(SECTION.as_bytes(), ITEM.as_bytes())?;
    (parse_bool(&entry.value) == Some(false)).then(|| Cause::Item {
        value: String::from_utf8_lossy(&entry.value).into_owned(),
        source: entry.source.clone(),
    })
}

/// Whether the variable says something that has no meaning.
pub fn is_nonsense(value: &[u8]) -> bool {
    !value.is_empty() && parse_bool(value).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Entry;

    #[test]
    fn what_means_no_to_hg_switches_off() {
        for value in ["off", "OFF", "0", "no", "False", "never"] {
            let cause = of_variable(Some(value.as_bytes())).expect(value);
            assert_eq!(
                cause.to_string(),
                format!("UILOG={value} in the environment")
            );
        }
        let others = ["", "on", "1", "yes", "of", "off ", "none", "o\u{17f}f"];
        for value in others {
            assert_eq!(of_variable(Some(value.as_bytes())), None, "{value}");
        }
        assert_eq!(of_variable(None), None);
    }

    #[test]
    fn an_item_that_means_no_switches_off() {
        let switched = |value: &str| {
            let mut config = Config::default();
            let value = value.as_bytes().to_vec();
            let source = Source::Named("--config");
            config.set(b"uilog", b"enabled", Entry { value, source });
            of_config(&config).map(|cause| cause.to_string())
        };
        let off = "uilog.enabled = Off (--config)".to_owned();
        assert_eq!(switched("Off"), Some(off));
        for value in ["", "on", "of"] {
            assert_eq!(switched(value), None, "{value}");
        }
        assert_eq!(of_config(&Config::default()), None);
    }

    #[test]
    fn what_means_nothing_is_nonsense() {
        for value in ["", "on", "TRUE", "off", "0"] {
            assert!(!is_nonsense(value.as_bytes()), "{value}");
        }
        for value in ["of", "off ", "disable", "2"] {
            assert!(is_nonsense(value.as_bytes()), "{value}");
        }
    }
}
