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

/// A problem, or a note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing it is, for programs.
    pub code: &'static str,
    /// The text, for people.
    pub text: String,
    /// The file and line that cause it, or another place.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_how_bad_it_is_where_and_what_to_do() {
        for (finding, name) in [
            (Finding::error("code", "text".to_owned()), "error"),
            (Finding::warning("code", "text".to_owned()), "warning"),
            (Finding::note("code", "text".to_owned()), "note"),
        ] {
            assert_eq!(finding.severity.name(), name);
            assert_eq!((finding.code, &*finding.text), ("code", "text"));
            assert_eq!((&finding.place, &finding.advice), (&None, &None));
            let finding = finding.at("/etc/hgrc:7").advise("remove it");
            assert_eq!(finding.place.as_deref(), Some("/etc/hgrc:7"));
            assert_eq!(finding.advice.as_deref(), Some("remove it"));
            assert_eq!(finding.severity.name(), name);
        }
    }
}
