//! What the tests of several modules share: the findings about an hgrc, in words.

use std::collections::HashMap;
use std::fs;

use tempfile::TempDir;
use uilog_config::Environment;
use uilog_config::Loaded;
use uilog_config::Request;
use uilog_finding::finding::Finding;
use uilog_finding::subject::Subject;

/// A directory with files, a configuration that has been read, and a block of
/// environment variables.
pub(super) struct Checked {
    dir: TempDir,
    pub(super) loaded: Loaded,
    environment: Environment,
    block: Vec<u8>,
}

impl Checked {
    /// Of this user's file.
    pub(super) fn new(hgrc: &str) -> Self {
        Self::with_files(&[("hgrc", hgrc)], &[])
    }

    /// Of these users' files, in this order, with these `--config`.
    pub(super) fn with_files(files: &[(&str, &str)], options: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let mut paths = Vec::new();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            paths.push(path.to_str().unwrap().to_owned());
        }
        let home = dir.path().to_str().unwrap();
        let variables = HashMap::from([
            (b"HGRCPATH".to_vec(), paths.join(":").into_bytes()),
            (b"HOME".to_vec(), home.into()),
        ]);
        let environment = Environment::new(variables, dir.path().to_owned());
        let request = Request {
            config: options.iter().map(|it| (*it).into()).collect(),
            ..Request::default()
        };
        let loaded = uilog_config::load(&request, &environment).unwrap();
        let block =
            format!("HOME={home}\0XDG_STATE_HOME={home}/state\0").into_bytes();
        Self {
            dir,
            loaded,
            environment,
            block,
        }
    }

    /// With another variable in the environment.
    pub(super) fn with(mut self, variable: &str) -> Self {
        self.block.extend_from_slice(variable.as_bytes());
        self.block.push(0);
        self
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            loaded: &self.loaded,
            environment: &self.environment,
            block: &self.block,
            cwd: self.dir.path(),
        }
    }

    /// What a part of the check finds, `SEVERITY CODE: TEXT [PLACE] (ADVICE)`,
    /// without the directory's name.
    pub(super) fn found(
        &self,
        part: impl FnOnce(&Subject<'_>, &mut Vec<Finding>),
    ) -> Vec<String> {
        let mut found = Vec::new();
        part(&self.subject(), &mut found);
        found.iter().map(|it| self.shown(it)).collect()
    }

    pub(super) fn shown(&self, finding: &Finding) -> String {
        let mut text = format!(
            "{} {}: {}",
            finding.severity.name(),
            finding.code,
            finding.text
        );
        if let Some(place) = &finding.place {
            text.push_str(&format!(" [{place}]"));
        }
        if let Some(advice) = &finding.advice {
            text.push_str(&format!(" ({advice})"));
        }
        text.replace(self.dir.path().to_str().unwrap(), "")
    }
}
