//! Whether hg can load what `[extensions]` lists.
//!
//! Responsible for finding an extension as hg's Python would, by its name or by
//! its path, for each hg that may read the configuration: the one beside this
//! program and the first on `PATH` may differ. Runs neither. Must not know what
//! an extension is for.

mod hgs;
mod modules;

use std::path::Path;
use std::path::PathBuf;

use uilog_config::Config;
use uilog_config::Entry;
use uilog_config::extension_name;
use uilog_finding::finding::Finding;
use uilog_finding::subject::Subject;

use self::hgs::FIRST_VERSION;
pub use self::hgs::Hg;
use self::hgs::find_hgs;
use self::hgs::is_too_old;
use self::modules::Search;
use self::modules::UILOG;
use self::modules::by_name;
use self::modules::by_path;
use self::modules::is_module_name;
use super::text::lossy;

/// The extensions that matter.
pub(super) const NAMES: [&str; 3] = [UILOG, "logtoprocess", "blackbox"];

/// The extensions that were found.
#[derive(Debug, Default)]
pub(super) struct Extensions<'a> {
    /// What hg loads of [`NAMES`], or may load.
    loaded: Vec<(&'static str, &'a Entry)>,
    /// The extensions that it should load, but cannot.
    broken: Vec<(&'static str, &'a Entry)>,
    /// Every hg.
    pub(super) hgs: Vec<Hg>,
    /// The directories of uilog that are loaded.
    pub(super) packages: Vec<PathBuf>,
}

impl<'a> Extensions<'a> {
    /// Finds all listed extensions.
    pub(super) fn find(
        subject: &Subject<'a>,
        found: &mut Vec<Finding>,
    ) -> Self {
        let mut all = Self {
            hgs: find_hgs(subject),
            ..Self::default()
        };
        for name in NAMES {
            let mut tried = Vec::new();
            for (listed, entry) in
                subject.loaded.trusted.enabled(name.as_bytes())
            {
                // hg tries the first of several, even if that fails.
                let key = load_key(listed);
                if tried.contains(&key) {
                    continue;
                }
                tried.push(key);
                all.look_for(subject, name, (listed, entry), found);
            }
        }
        all.find_installed(subject);
        all.compare(found);
        all
    }

    /// For which hg uilog is installed, though none may load it.
    fn find_installed(&mut self, subject: &Subject<'_>) {
        for hg in &mut self.hgs {
            if let (None, Some(mercurial)) = (&hg.uilog, &hg.package)
                && let Search::Found(file) =
                    by_name(subject, mercurial, UILOG.as_bytes(), UILOG)
            {
                hg.uilog = Some(file.display().to_string());
            }
        }
    }

    /// The entry by which hg loads an extension.
    pub(super) fn loaded(&self, name: &str) -> Option<&'a Entry> {
        let mut loaded = self.loaded.iter();
        loaded.find(|it| it.0 == name).map(|it| it.1)
    }

    /// The entry by which it would, if it could.
    pub(super) fn broken(&self, name: &str) -> Option<&'a Entry> {
        let is_loaded = self.loaded(name).is_some();
        let mut broken = self.broken.iter().filter(|_| !is_loaded);
        broken.find(|it| it.0 == name).map(|it| it.1)
    }

    /// Finds out which hg can load an extension that is listed.
    fn look_for(
        &mut self,
        subject: &Subject<'a>,
        name: &'static str,
        (listed, entry): (&[u8], &'a Entry),
        found: &mut Vec<Finding>,
    ) {
        let shown = lossy(listed);
        let mut push = |finding: Finding| found.push(finding.at(&entry.source));
        let mut searches =
            self.searches(subject, name, (listed, entry), &mut push);
        if name == UILOG {
            refuse_old(&self.hgs, &mut searches);
        }
        let mut is_loaded = false;
        for (hg, search) in searches {
            match search {
                Search::Unknown => is_loaded = true,
                Search::Found(file) => {
                    is_loaded = true;
                    if name == UILOG {
                        self.note_uilog(hg, &file);
                    }
                }
                Search::Missing(why, advice) => {
                    // Which one, if there are several.
                    let hg = match hg {
                        Some(index) if self.hgs.len() > 1 => {
                            let hg = &self.hgs[index];
                            format!("{} ({})", hg.path, hg.found.join(", "))
                        }
                        _ => "hg".to_owned(),
                    };
                    let text = format!("{hg} cannot load {shown}: {why}");
                    let finding = Finding::error("extension-missing", text);
                    push(finding.advise(advice));
                }
            }
        }
        let list = if is_loaded {
            &mut self.loaded
        } else {
            &mut self.broken
        };
        list.push((name, entry));
    }

    /// What each hg finds, by its index; without one, what all of them find.
    fn searches(
        &self,
        subject: &Subject<'_>,
        name: &str,
        (listed, entry): (&[u8], &Entry),
        push: &mut impl FnMut(Finding),
    ) -> Vec<(Option<usize>, Search)> {
        let shown = lossy(listed);
        if !entry.value.is_empty() {
            return vec![(None, by_path(subject, &entry.value, name))];
        }
        if !is_module_name(listed) {
            let why = "that is not the name of a Python module".to_owned();
            let advice = format!("write: {name} =");
            return vec![(None, Search::Missing(why, advice))];
        }
        if self.hgs.is_empty() {
            push(Finding::warning(
                "hg-missing",
                format!(
                    "there is no hg on PATH: cannot check whether it can load \
                     {shown}"
                ),
            ));
            return vec![(None, Search::Unknown)];
        }
        let mut searches = Vec::new();
        for (index, hg) in self.hgs.iter().enumerate() {
            let search = if let Some(mercurial) = &hg.package {
                by_name(subject, mercurial, listed, name)
            } else {
                push(Finding::note(
                    "hg-unknown",
                    format!(
                        "cannot find the Python package of {}: cannot check \
                         whether it can load {shown}",
                        hg.path
                    ),
                ));
                Search::Unknown
            };
            searches.push((Some(index), search));
        }
        searches
    }

    /// Notes which uilog an hg loads; all of them, if none is named.
    fn note_uilog(&mut self, hg: Option<usize>, file: &Path) {
        for (index, it) in self.hgs.iter_mut().enumerate() {
            if hg.is_none_or(|hg| hg == index) {
                it.uilog.get_or_insert(file.display().to_string());
            }
        }
        let package = file.parent().unwrap_or(file).to_owned();
        if !self.packages.contains(&package) {
            self.packages.push(package);
        }
    }

    /// Two of them may be two worlds.
    fn compare(&self, found: &mut Vec<Finding>) {
        let [first, others @ ..] = &*self.hgs else {
            return;
        };
        for other in others {
            let told = [first, other].map(|hg| {
                let version = hg.version.as_deref().unwrap_or("unknown");
                let uilog = match hg.uilog {
                    Some(_) => "has uilog",
                    None if hg.package.is_none() => "uilog unknown",
                    None => "does not have uilog",
                };
                let found = hg.found.join(", ");
                format!("{found}: {}, version {version}, {uilog}", hg.path)
            });
            let text = format!("there are two hg; {}", told.join("; "));
            found.push(Finding::note("hg-two", text).advise(
                "the one on PATH is what `hg` runs; `$HG` names another one",
            ));
        }
    }
}

/// Notes which hg does not load uilog, though it finds it: an old one. What a
/// path leads to is for every hg; the first one is the likeliest.
fn refuse_old(hgs: &[Hg], searches: &mut [(Option<usize>, Search)]) {
    for (index, search) in searches {
        let hg = hgs.get(index.unwrap_or_default());
        let version = hg.and_then(|hg| hg.version.as_deref());
        if let (Search::Found(_), Some(version)) = (&*search, version)
            && is_too_old(version)
        {
            let (major, minor) = FIRST_VERSION;
            *search = Search::Missing(
                format!(
                    "Mercurial {version} is too old: uilog needs \
                     {major}.{minor} or newer"
                ),
                "install a newer Mercurial, or do not enable uilog".to_owned(),
            );
        }
    }
}

/// What hg remembers an extension by that it has tried to load.
// hg: extensions.load
fn load_key(listed: &[u8]) -> &[u8] {
    let prefixes: [&[u8]; 2] = [b"hgext.", b"hgext/"];
    let mut short = prefixes.iter().filter_map(|it| listed.strip_prefix(*it));
    short.next().unwrap_or(listed)
}

/// Where an extension is listed, be it to disable it.
pub(super) fn listed(config: &Config, name: &str) -> Option<String> {
    let enabled = config.extension(name.as_bytes());
    let entry = enabled.or_else(|| {
        let mut all = config.items(b"extensions");
        let name = name.as_bytes();
        all.find(|(listed, _)| extension_name(listed) == name)
            .map(|(_, entry)| entry)
    });
    entry.map(|entry| entry.source.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_mercurial_does_not_load_uilog() {
        let hg = |version: &str| Hg {
            path: "hg".to_owned(),
            found: vec!["first on PATH"],
            version: Some(version.to_owned()),
            uilog: None,
            package: None,
        };
        let file = || Search::Found("uilog.py".into());
        let mut searches =
            vec![(Some(0), file()), (Some(1), file()), (None, file())];
        refuse_old(&[hg("5.6.1"), hg("6.3.3")], &mut searches);
        let refused = Search::Missing(
            "Mercurial 5.6.1 is too old: uilog needs 6.3 or newer".to_owned(),
            "install a newer Mercurial, or do not enable uilog".to_owned(),
        );
        assert_eq!([&searches[0].1, &searches[2].1], [&refused, &refused]);
        assert_eq!(searches[1].1, file());
    }
}
