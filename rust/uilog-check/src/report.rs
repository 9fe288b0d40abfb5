//! The result of a check: findings, and the facts that they are about.

use serde::Serialize;
use uilog_finding::finding::Finding;
use uilog_finding::finding::Severity;

use super::extensions::Hg;

/// An extension that matters here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Extension {
    /// Its name.
    pub name: &'static str,
    /// Whether hg loads it.
    pub enabled: bool,
    /// Whether it would, but cannot.
    pub broken: bool,
    /// Where it is configured; None if it is not listed.
    pub source: Option<String>,
}

/// A script that runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScriptFacts {
    /// The event that it is run for.
    pub event: String,
    /// Its text.
    pub script: String,
    /// The format of its input: `json`, or none.
    pub stdin: Option<&'static str>,
    /// Where it is written.
    pub source: String,
    /// The program that it begins with.
    pub program: Program,
}

/// What is known about a script's first program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// It is this file.
    Found(String),
    /// One of the shell's own commands.
    Builtin(String),
    /// It cannot be run, as a finding says.
    Unusable,
    /// Only the shell knows.
    NotChecked,
}

/// A setting of uilog's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingFacts {
    /// Its section.
    pub section: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// Where; `None` if it is the default.
    pub source: Option<String>,
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What switches uilog off, if anything does.
    pub switched_off: Vec<String>,
    /// Every hg that may read the configuration.
    pub hgs: Vec<Hg>,
    /// The extensions that matter.
    pub extensions: Vec<Extension>,
    /// The scripts that run.
    pub scripts: Vec<ScriptFacts>,
    /// The settings that count.
    pub settings: Vec<SettingFacts>,
    /// What is wrong, the most severe first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many findings are as bad as this.
    pub fn count(&self, severity: Severity) -> usize {
        let of = |finding: &&Finding| finding.severity == severity;
        self.findings.iter().filter(of).count()
    }

    /// Adds a finding in its place.
    pub fn push(&mut self, finding: Finding) {
        let before = |it: &Finding| it.severity <= finding.severity;
        let at = self.findings.partition_point(before);
        self.findings.insert(at, finding);
    }
}
