//! Names that a shell may complete; other names are valid, too.

use std::ffi::OsStr;
use std::ffi::OsString;

use clap::Arg;
use clap::Command;
use clap::Error;
use clap::builder::PossibleValue;
use clap::builder::TypedValueParser;
use uilog_config::items;
use uilog_event::events;

/// Takes anything, and proposes these.
#[derive(Clone)]
pub(crate) struct Suggest(pub(crate) fn() -> Vec<String>);

/// Accepts any event, and completes the known ones.
pub(crate) fn event() -> Suggest {
    Suggest(|| {
        let names = events::KNOWN.iter().map(|known| known.name);
        names.map(str::to_owned).collect()
    })
}

/// Takes any section or item, and proposes those that matter here.
pub(crate) fn item() -> Suggest {
    Suggest(|| {
        let sections = ["extensions", "logtoprocess", "uilog", "blackbox"];
        let items = items::ITEMS.iter();
        sections
            .into_iter()
            .map(str::to_owned)
            .chain(items.map(|it| format!("{}.{}", it.section, it.name)))
            .collect()
    })
}

impl TypedValueParser for Suggest {
    type Value = OsString;

    fn parse_ref(
        &self,
        _command: &Command,
        _arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<OsString, Error> {
        Ok(value.to_owned())
    }

    fn possible_values(
        &self,
    ) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let names = (self.0)().into_iter();
        Some(Box::new(names.map(PossibleValue::new)))
    }
}
