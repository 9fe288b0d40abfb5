//! What the journal keeps of a script that failed, so that it can be diagnosed
//! later, and how that is shown. Knows nothing of where the journal is.

use serde::Deserialize;
use serde::Serialize;

/// A script that failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScriptFailure {
    /// Where it is defined: a file and line, or a description of another place.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The root of hg's repository, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// hg's working directory, where it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The status that it ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// How long it ran, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// The end of its standard error, without secrets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
}

impl ScriptFailure {
    /// A few lines for people, without unknown values. They contain what the
    /// script has written.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                lines.push(format!("{name}: {value}"));
            }
        };
        line("defined at", &self.source);
        line("repository", self.repository.as_deref().unwrap_or_default());
        line("directory", self.cwd.as_deref().unwrap_or_default());
        if let Some(duration) = self.duration {
            line("duration", &format!("{duration:.3} s"));
        }
        for text in self.stderr.lines() {
            line("stderr", text);
        }
        lines
    }
}
