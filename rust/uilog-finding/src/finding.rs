//! A finding: its severity, what is wrong, where, and what to do about it.

use serde::Serialize;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work.
    Error,
    /// Something does not work as it seems to.
    Warning,
    /// Good to know.
    Note,
}

impl Severity {
    /// A name for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// Something that is wrong, or good to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing it is, for programs.
    pub code: &'static str,
    /// The text, for people.
    pub text: String,
    /// The file and line that say so, or what else it is about.
    pub place: Option<String>,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    /// An error.
    pub fn error(code: &'static str, text: String) -> Self {
        Self::new(Severity::Error, code, text)
    }

    /// A warning.
    pub fn warning(code: &'static str, text: String) -> Self {
        Self::new(Severity::Warning, code, text)
    }

    /// A note.
    pub fn note(code: &'static str, text: String) -> Self {
        Self::new(Severity::Note, code, text)
    }

    /// One as bad as this.
    pub fn new(severity: Severity, code: &'static str, text: String) -> Self {
        Self {
            severity,
            code,
            text,
            place: None,
            advice: None,
        }
    }

    /// The same, with where it is.
    #[must_use]
    pub fn at(mut self, place: impl ToString) -> Self {
        self.place = Some(place.to_string());
        self
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}
