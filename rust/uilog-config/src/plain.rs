//! `HGPLAIN` and `HGPLAINEXCEPT`, which disable settings that would disturb
//! scripts.

use crate::config::Config;
use crate::environment::Environment;

/// Which parts of a configuration do not count.
// hg: ui.plain
#[derive(Clone, Debug)]
pub(crate) struct Plain {
    is_on: bool,
    exceptions: Vec<Vec<u8>>,
}

impl Plain {
    pub(crate) fn new(environment: &Environment) -> Self {
        let plain = environment.var(b"HGPLAIN");
        let except = environment.var(b"HGPLAINEXCEPT");
        let exceptions = except.unwrap_or_default().trim_ascii();
        Self {
            is_on: plain.is_some() || except.is_some(),
            exceptions: exceptions
                .split(|byte| *byte == b',')
                .map(<[u8]>::to_vec)
                .collect(),
        }
    }

    /// Whether this feature is plain.
    pub(crate) fn is_on_for(&self, feature: &[u8]) -> bool {
        self.is_on && !self.exceptions.iter().any(|name| name == feature)
    }

    /// Removes disabled settings. hg: ui._applyconfig
    pub(crate) fn apply(&self, config: &mut Config) {
        const OPTIONS: [&[u8]; 10] = [
            b"debug",
            b"fallbackencoding",
            b"quiet",
            b"slash",
            b"logtemplate",
            b"message-output",
            b"statuscopies",
            b"style",
            b"traceback",
            b"verbose",
        ];
        const SECTIONS: [&[u8]; 3] =
            [b"defaults", b"commands", b"command-templates"];
        const FEATURES: [&[u8]; 3] =
            [b"alias", b"revsetalias", b"templatealias"];
        if !self.is_on {
            return;
        }
        for option in OPTIONS {
            config.remove(b"ui", option);
        }
        for section in SECTIONS {
            config.clear(section);
        }
        for feature in FEATURES {
            if self.is_on_for(feature) {
                config.clear(feature);
            }
        }
    }
}
