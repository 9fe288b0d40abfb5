//! Findings about the installation: the extensions that hg loads, the
//! dispatcher, and rhg.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use uilog_channel::settings::Settings;
use uilog_channel::sink_config;
use uilog_config::Config;
use uilog_config::Entry;
use uilog_config::FileReport;
use uilog_config::FileState;
use uilog_config::extension_name;
use uilog_finding::finding::Finding;
use uilog_finding::subject::Subject;
use uilog_logger::dispatcher::Dispatcher;
use uilog_logger::installation;
use uilog_logger::installation::Programs;
use uilog_sys::search_path;

use super::brake;
use super::extensions::Extensions;
use super::text::lossy;

// rhg: SUPPORTED_EXTENSIONS of rust/rhg/src/main.rs
const SUPPORTED_BY_RHG: [&str; 7] = [
    "blackbox", "share", "sparse", "narrow", "strip", "rebase", "purge",
];

pub(super) fn check(
    subject: &Subject<'_>,
    extensions: &Extensions<'_>,
    settings: &Settings,
    found: &mut Vec<Finding>,
) {
    let config = &subject.loaded.trusted;
    let is_script = |name: &[u8]| !name.ends_with(b":stdin");
    let is_sink = |name: &[u8]| {
        name.starts_with(sink_config::PREFIX.as_bytes())
            && !name.contains(&b':')
    };
    // Extensions that hg cannot load are reported already; the user intended to
    // enable them.
    let meant = |name| extensions.loaded(name).or(extensions.broken(name));
    let enabled = Enabled {
        uilog: meant("uilog"),
        logtoprocess: meant("logtoprocess"),
        blackbox: meant("blackbox"),
        script: first(config, b"logtoprocess", is_script),
        sink: first(config, b"uilog", is_sink),
    };
    enabled.check_both(subject, found);
    if !enabled.check_without_extension(found) {
        enabled.check_without_effect(subject, found);
    }
    check_packages(extensions, enabled.uilog, settings, found);
    check_rhg(subject, found);
}

/// What the configuration enables of what can log, each with its first entry.
struct Enabled<'a> {
    uilog: Option<&'a Entry>,
    logtoprocess: Option<&'a Entry>,
    blackbox: Option<&'a Entry>,
    script: Option<&'a Entry>,
    sink: Option<&'a Entry>,
}

impl Enabled<'_> {
    fn check_both(&self, subject: &Subject<'_>, found: &mut Vec<Finding>) {
        let is_on = brake::causes(subject).is_empty();
        if let (true, Some(uilog), Some(stock)) =
            (is_on, self.uilog, self.logtoprocess)
        {
            let text = format!(
                "uilog is enabled as well, in {}, and replaces logtoprocess",
                uilog.source
            );
            found.push(
                Finding::note("both-enabled", text)
                    .at(&stock.source)
                    .advise("this line is not needed"),
            );
        }
    }

    /// Scripts and sinks without an extension that serves them; whether there
    /// are any.
    fn check_without_extension(&self, found: &mut Vec<Finding>) -> bool {
        let before = found.len();
        if let (None, None, Some(script)) =
            (self.uilog, self.logtoprocess, self.script)
        {
            let text = "there are scripts, but no extension is enabled that \
                        would run them";
            found.push(not_enabled(text, script));
        }
        if let (None, Some(sink)) = (self.uilog, self.sink) {
            let text = "there are sinks, but the extension that sends events \
                        to them is not enabled";
            found.push(not_enabled(text, sink));
        }
        found.len() > before
    }

    /// That nothing is logged.
    fn check_without_effect(
        &self,
        subject: &Subject<'_>,
        found: &mut Vec<Finding>,
    ) {
        let Some(uilog) = self.uilog else {
            let is_stock = self.logtoprocess.or(self.blackbox).is_some();
            found.push(not_listed(&subject.loaded.trusted, is_stock));
            return;
        };
        // There may be some in a file that does not count.
        let is_untrusted =
            |it: &FileReport| matches!(it.state, FileState::Untrusted { .. });
        let is_all = !subject.loaded.files.iter().any(is_untrusted);
        let has_any = self.script.or(self.sink).or(self.blackbox).is_some();
        if !has_any && is_all {
            let text = "uilog is enabled, but there is neither a script nor a \
                        sink nor a blackbox: nothing is logged";
            found.push(
                Finding::note("nothing-to-log", text.to_owned())
                    .at(&uilog.source)
                    .advise("see `hg help uilog`"),
            );
        }
    }
}

/// The dispatchers of each uilog that an hg loads.
fn check_packages(
    extensions: &Extensions<'_>,
    uilog: Option<&Entry>,
    settings: &Settings,
    found: &mut Vec<Finding>,
) {
    for package in &extensions.packages {
        let Some(module) = native_module(package) else {
            let text = format!(
                "hg cannot load uilog: its native module is missing in {}",
                package.display()
            );
            let finding = Finding::error("extension-incomplete", text)
                .advise("install uilog again");
            found.push(match uilog {
                Some(uilog) => finding.at(&uilog.source),
                None => finding,
            });
            continue;
        };
        check_dispatcher(&module, settings, found);
    }
}

/// That no hgrc enables uilog.
fn not_listed(config: &Config, is_stock: bool) -> Finding {
    let mut listed = config
        .items(b"extensions")
        .filter(|(name, _)| extension_name(name) == b"uilog");
    if let Some((_, entry)) = listed.next() {
        let text = "uilog is switched off here".to_owned();
        return Finding::note("uilog-off", text).at(&entry.source);
    }
    let advice = "enable it: [extensions] uilog =";
    if is_stock {
        let text = "no hgrc enables uilog: only stock hg's extensions log";
        Finding::note("uilog-off", text.to_owned()).advise(advice)
    } else {
        let text = "no hgrc enables uilog: nothing is logged";
        Finding::warning("uilog-off", text.to_owned()).advise(advice)
    }
}

fn native_module(package: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(package).ok()?;
    let mut names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let is_module = |name: &std::ffi::OsString| {
        let name = name.as_bytes();
        name.starts_with(b"_native.") && name.ends_with(b".so")
    };
    names.find(is_module).map(|name| package.join(name))
}

/// The first item of a section that has a value.
fn first<'a>(
    config: &'a Config,
    section: &[u8],
    is_meant: impl Fn(&[u8]) -> bool,
) -> Option<&'a Entry> {
    let mut items = config.items(section);
    items
        .find(|(name, entry)| !entry.value.is_empty() && is_meant(name))
        .map(|(_, entry)| entry)
}

fn not_enabled(text: &str, first: &Entry) -> Finding {
    Finding::warning("not-enabled", text.to_owned())
        .at(&first.source)
        .advise("enable it: [extensions] uilog =")
}

/// Starts the dispatcher as hg would.
fn check_dispatcher(
    module: &Path,
    settings: &Settings,
    found: &mut Vec<Finding>,
) {
    let program = installation::program_for(module);
    let place = program.display();
    if !program.exists() {
        let text = "the dispatcher is missing: no script will run";
        found.push(
            Finding::error("dispatcher-missing", text.to_owned())
                .at(place)
                .advise("install uilog again"),
        );
        return;
    }
    // It exits when this process has closed its socket.
    if let Err(problem) = Dispatcher::new(program.clone()).probe(settings, None)
    {
        let text = format!(
            "the dispatcher does not start, so no script will run: {problem}"
        );
        found.push(Finding::error("dispatcher-broken", text).at(place).advise(
            "install uilog again, or check what prevents its start: \
             permissions, a limit, a sandbox",
        ));
        return;
    }
    let own = std::env::current_exe().and_then(fs::canonicalize);
    let its = fs::canonicalize(&program);
    if let (Ok(own), Ok(its)) = (own, its)
        && own != its
    {
        let text = format!(
            "hg uses another installation of uilog than this one, {}",
            own.display()
        );
        found.push(Finding::note("dispatcher-other", text).at(place));
    }
    check_scripts_program(program, settings, found);
}

/// The same of the program that runs scripts alone. Without it the other one
/// does.
fn check_scripts_program(
    program: PathBuf,
    settings: &Settings,
    found: &mut Vec<Finding>,
) {
    let Some(program) = Programs::of(program).scripts else {
        return;
    };
    let place = program.display();
    let instead = "uilog itself runs scripts, and starts more slowly";
    let problem = if program.exists() {
        let probed = Dispatcher::new(program.clone()).probe(settings, None);
        probed.err().map(|it| format!("does not start: {it}"))
    } else {
        Some("is missing".to_owned())
    };
    if let Some(problem) = problem {
        let text = format!("uilog-dispatcher {problem}; {instead}");
        found.push(
            Finding::note("dispatcher-slow", text)
                .at(place)
                .advise("install uilog again"),
        );
    }
}

/// Whether an rhg would leave its work to hg because of extensions.
fn check_rhg(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let config = &subject.loaded.trusted;
    let path = subject.environment.var(b"PATH").unwrap_or_default();
    let rhg = search_path::candidates(b"rhg", path)
        .find(|rhg| search_path::is_program(rhg));
    let Some(rhg) = rhg else { return };
    let ignored = config
        .list(b"rhg", b"ignored-extensions")
        .unwrap_or_default();
    if config.value(b"rhg", b"ignored-extensions") == Some(b"*") {
        return;
    }
    let is_known = |name: &[u8]| {
        SUPPORTED_BY_RHG.iter().any(|it| it.as_bytes() == name)
            || ignored.iter().any(|it| it == name)
    };
    // rhg: a path after the `!` leaves it enabled
    let mut names: Vec<String> = config
        .items(b"extensions")
        .filter(|(_, entry)| entry.value != b"!")
        .filter_map(|(name, _)| name.split(|byte| *byte == b':').next())
        .filter(|name| !is_known(name))
        .map(lossy)
        .collect();
    names.sort();
    names.dedup();
    if names.is_empty() {
        return;
    }
    let text = format!(
        "rhg passes each command on to hg, because it does not know these \
         extensions: {}",
        names.join(", ")
    );
    let all: Vec<String> =
        ignored.iter().map(|it| lossy(it)).chain(names).collect();
    found.push(
        Finding::note("rhg-falls-back", text)
            .at(rhg.display())
            .advise(format!(
                "to let it run without them, and log with `uilog run -- rhg`: \
                 [rhg] ignored-extensions = {}",
                all.join(", ")
            )),
    );
}
