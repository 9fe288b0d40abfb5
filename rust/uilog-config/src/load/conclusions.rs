//! What follows from items that have been set: whether to trust, to color, to
//! tweak the defaults.

use std::path::Path;

use super::Ui;
use crate::config::Config;
use crate::config::Entry;
use crate::error::Error;
use crate::source::Source;

impl Ui {
    // hg: ui._applyconfig
    pub(super) fn apply(
        &mut self,
        mut config: Config,
        is_trusted: bool,
        root: &Path,
    ) -> Result<(), Error> {
        self.plain.apply(&mut config);
        if is_trusted {
            self.trusted.update(&config);
            self.trusted.update(&self.overlay);
        }
        self.untrusted.update(&config);
        self.untrusted.update(&self.overlay);
        self.fix(None, Some(root))
    }

    /// Applies the effects of changes in one section, or anywhere.
    // hg: ui.fixconfig
    pub(super) fn fix(
        &mut self,
        section: Option<&[u8]>,
        root: Option<&Path>,
    ) -> Result<(), Error> {
        let concerns =
            |name: &[u8]| section.is_none_or(|section| section == name);
        if concerns(b"paths") {
            self.fix_paths(root);
        }
        if concerns(b"ui") {
            self.fix_ui()?;
        }
        if concerns(b"trusted") {
            self.trust.learn(&self.trusted);
        }
        let is_debugging = self
            .trusted
            .bool(b"ui", b"debug")
            .is_ok_and(|on| on == Some(true));
        if (concerns(b"ui") || concerns(b"devel")) && is_debugging {
            self.trusted.bool(b"devel", b"debug.extensions")?;
        }
        Ok(())
    }

    pub(super) fn fix_paths(&mut self, root: Option<&Path>) {
        let root = root.unwrap_or(self.environment.cwd());
        let configs =
            [&mut self.trusted, &mut self.untrusted, &mut self.overlay];
        self.warnings.extend(self.paths.fix(configs, root));
    }

    fn fix_ui(&mut self) -> Result<(), Error> {
        let output = self.trusted.value(b"ui", b"message-output");
        let output = output.unwrap_or(b"stdio");
        if !matches!(output, b"channel" | b"stdio" | b"stderr") {
            let message = b"invalid ui.message-output destination: ";
            return Err(Error::abort([message, output].concat()));
        }
        let is_on = |name| {
            let value = self.trusted.bool(b"ui", name)?;
            Ok::<_, Error>(value.unwrap_or(false))
        };
        let is_debugging = is_on(b"debug")?;
        if !is_debugging {
            is_on(b"verbose")?;
            is_on(b"quiet")?;
        }
        let reports = is_debugging || {
            let value = self.trusted.bool(b"ui", b"report_untrusted")?;
            value.unwrap_or(true)
        };
        for name in [&b"timestamp-output"[..], b"traceback", b"logblockedtimes"]
        {
            is_on(name)?;
        }
        self.reports_untrusted = reports;
        Ok(())
    }

    /// The settings of `ui.tweakdefaults`.
    // hg: ui._maybetweakdefaults, ui.tweakrc
    pub(super) fn tweak(&mut self) -> Result<(), Error> {
        const TWEAKS: [(&[u8], &[u8], &[u8]); 11] = [
            (b"commands", b"grep.all-files", b"True"),
            (b"commands", b"update.check", b"noconflict"),
            (b"commands", b"status.verbose", b"True"),
            (b"commands", b"resolve.explicit-re-merge", b"True"),
            (b"diff", b"git", b"1"),
            (b"diff", b"showfunc", b"1"),
            (b"diff", b"word-diff", b"1"),
            (b"ui", b"rollback", b"False"),
            (b"ui", b"statuscopies", b"yes"),
            (b"ui", b"interface", b"curses"),
            (b"ui", b"relative-paths", b"yes"),
        ];
        let wants = self.trusted.bool(b"ui", b"tweakdefaults")?;
        if wants != Some(true)
            || self.is_tweaked
            || self.plain.is_on_for(b"tweakdefaults")
        {
            return Ok(());
        }
        self.is_tweaked = true;
        for (section, name, value) in TWEAKS {
            if self.trusted.get(section, name).is_none() {
                let value = value.to_vec();
                let source = Source::Named("<tweakdefaults>");
                self.set(section, name, Entry { value, source })?;
            }
        }
        Ok(())
    }
}
