//! What is around the configuration: the extensions, the Mercurial that loads
//! them, the dispatcher, and an rhg that does not.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use nix::unistd::AccessFlags;
use nix::unistd::access;
use uilog_config::Config;
use uilog_config::Entry;
use uilog_config::installation as hg_installation;

use super::Finding;
use super::Subject;
use super::expanded;
use super::lossy;
use crate::dispatcher::Dispatcher;
use crate::installation;
use crate::settings::Settings;
use crate::sinks;

/// The extensions that matter.
pub(super) const EXTENSIONS: [&str; 3] = ["uilog", "logtoprocess", "blackbox"];

/// Where hg looks for extensions of others, below a directory of Python's.
const PACKAGE: &str = "hgext3rd/uilog";

// rhg: SUPPORTED_EXTENSIONS of rust/rhg/src/main.rs
const SUPPORTED_BY_RHG: [&str; 7] = [
    "blackbox", "share", "sparse", "narrow", "strip", "rebase", "purge",
];

/// The entry that switches an extension on.
pub(super) fn extension<'a>(
    config: &'a Config,
    name: &str,
) -> Option<&'a Entry> {
    let mut listed = config.items(b"extensions");
    let is_on = |name: &[u8], entry: &Entry| {
        !name.contains(&b':') && !entry.value.starts_with(b"!")
    };
    listed
        .find(|(listed, entry)| {
            short_name(listed) == name.as_bytes() && is_on(listed, entry)
        })
        .map(|(_, entry)| entry)
}

/// An extension's name without the package that it may be listed with.
pub(super) fn short_name(listed: &[u8]) -> &[u8] {
    let prefixes: [&[u8]; 3] = [b"hgext.", b"hgext/", b"hgext3rd."];
    let mut short = prefixes.iter().filter_map(|it| listed.strip_prefix(*it));
    short.next().unwrap_or(listed)
}

pub(super) fn check(
    subject: &Subject<'_>,
    settings: &Settings,
    found: &mut Vec<Finding>,
) {
    let config = &subject.loaded.trusted;
    let uilog = extension(config, "uilog");
    let stock = extension(config, "logtoprocess");
    match (uilog, stock) {
        (None, None) => {
            if let Some(script) = first(config, b"logtoprocess", |_| true) {
                let text = "there are scripts, but no extension is enabled \
                            that would run them";
                found.push(not_enabled(text, script));
            }
        }
        (Some(uilog), Some(stock)) => {
            let text = format!(
                "uilog is enabled as well, in {}, and takes the place of \
                 logtoprocess",
                uilog.source
            );
            found.push(
                Finding::note("both-enabled", text)
                    .at(&stock.source)
                    .advise("this line is not needed"),
            );
        }
        _ => {}
    }
    let is_sink = |name: &[u8]| {
        name.starts_with(sinks::PREFIX.as_bytes()) && !name.contains(&b':')
    };
    if let (None, Some(sink)) = (uilog, first(config, b"uilog", is_sink)) {
        let text = "there are sinks, but the extension that tells them of \
                    events is not enabled";
        found.push(not_enabled(text, sink));
    }
    if let Some(uilog) = uilog {
        if let Some(module) = check_import(subject, uilog, found) {
            check_dispatcher(&module, settings, found);
        }
    }
    check_rhg(subject, found);
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

/// Whether hg finds the extension; returns its native module.
fn check_import(
    subject: &Subject<'_>,
    entry: &Entry,
    found: &mut Vec<Finding>,
) -> Option<PathBuf> {
    let mut push = |finding: Finding| found.push(finding.at(&entry.source));
    let listed: &[u8] = &entry.value;
    let package = if listed.is_empty() {
        let Some(hg) = subject.environment.hg() else {
            push(Finding::warning(
                "hg-missing",
                "there is no hg on PATH: whether it can load uilog is not \
                 known"
                    .to_owned(),
            ));
            return None;
        };
        let Some(mercurial) = hg_installation::package(hg) else {
            push(Finding::note(
                "hg-unknown",
                format!(
                    "where {} has its Python package is not known: whether \
                     it can load uilog neither",
                    hg.display()
                ),
            ));
            return None;
        };
        let dirs = python_dirs(subject, &mercurial);
        let packages = dirs.iter().map(|dir| dir.join(PACKAGE));
        let exists = |package: &PathBuf| package.join("__init__.py").exists();
        let Some(package) = packages.into_iter().find(exists) else {
            let dir = dirs.first().map(|dir| dir.display().to_string());
            push(
                Finding::error(
                    "extension-missing",
                    format!(
                        "hg cannot load uilog: there is no {PACKAGE} in {}",
                        dir.unwrap_or_default()
                    ),
                )
                .advise("install uilog with the Python that runs hg"),
            );
            return None;
        };
        package
    } else {
        // hg: util.expandpath, which knows variables, too
        let path = expanded(listed, subject.environment);
        if listed.contains(&b'$') {
            return None;
        }
        if !subject.cwd.join(&path).exists() {
            push(
                Finding::error(
                    "extension-missing",
                    format!(
                        "hg cannot load uilog: {} does not exist",
                        path.display()
                    ),
                )
                .advise("correct the path, or leave it out: uilog ="),
            );
            return None;
        }
        subject.cwd.join(path)
    };
    let module = native_module(&package);
    if module.is_none() {
        push(
            Finding::error(
                "extension-incomplete",
                format!(
                    "hg cannot load uilog: its native module is missing in {}",
                    package.display()
                ),
            )
            .advise("install uilog again"),
        );
    }
    module
}

/// Where this hg's Python looks for packages, as far as that can be told from
/// outside; the most likely place first.
fn python_dirs(subject: &Subject<'_>, mercurial: &Path) -> Vec<PathBuf> {
    let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
    let site = mercurial.parent().unwrap_or(mercurial);
    let mut dirs = vec![site.to_owned()];
    // What links lead to is where the module has come from.
    dirs.extend(
        mercurial
            .canonicalize()
            .ok()
            .and_then(|real| Some(real.parent()?.to_owned())),
    );
    let listed = subject.environment.var(b"PYTHONPATH").unwrap_or_default();
    let listed = listed.split(|byte| *byte == b':');
    dirs.extend(listed.filter(|dir| !dir.is_empty()).map(path));
    // lib/python3.11/site-packages and its like for the user and the system;
    // Debian's lib/python3 serves every version.
    let python = site.parent().and_then(Path::file_name);
    let is_its = |name: &OsStr| match python {
        Some(python) if python != "python3" => {
            name == python || name == "python3"
        }
        _ => name.as_bytes().starts_with(b"python3"),
    };
    let home = subject.environment.var(b"HOME").map(path);
    let home = home.map(|home| home.join(".local"));
    let prefixes = [home, Some("/usr/local".into()), Some("/usr".into())];
    for prefix in prefixes.into_iter().flatten() {
        let entries = fs::read_dir(prefix.join("lib"));
        for entry in entries.into_iter().flatten().flatten() {
            if is_its(&entry.file_name()) {
                let python = entry.path();
                dirs.push(python.join("site-packages"));
                dirs.push(python.join("dist-packages"));
            }
        }
    }
    dirs
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
    // It ends by itself when this process has let go of it.
    if let Err(problem) = Dispatcher::new(program.clone()).probe(settings) {
        let text = format!(
            "the dispatcher does not start, so no script will run: {problem}"
        );
        found.push(Finding::error("dispatcher-broken", text).at(place).advise(
            "install uilog again, or see what keeps it from \
                         running: permissions, a limit, a sandbox",
        ));
        return;
    }
    let own = std::env::current_exe().and_then(fs::canonicalize);
    let its = fs::canonicalize(&program);
    if let (Ok(own), Ok(its)) = (own, its) {
        if own != its {
            let text = format!(
                "hg uses another installation of uilog than this one, {}",
                own.display()
            );
            found.push(Finding::note("dispatcher-other", text).at(place));
        }
    }
}

/// Whether an rhg would leave its work to hg because of extensions.
fn check_rhg(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let config = &subject.loaded.trusted;
    let path = subject.environment.var(b"PATH").unwrap_or_default();
    let mut dirs = path.split(|byte| *byte == b':').filter(|it| !it.is_empty());
    let rhg = dirs.find_map(|dir| {
        let rhg = Path::new(OsStr::from_bytes(dir)).join("rhg");
        let is_program =
            rhg.is_file() && access(&rhg, AccessFlags::X_OK).is_ok();
        is_program.then_some(rhg)
    });
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
    // rhg: a path behind the `!` leaves it enabled
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
        "rhg leaves each command to hg, because it does not know these \
         extensions: {}",
        names.join(", ")
    );
    let all: Vec<String> =
        ignored.iter().map(|it| lossy(it)).chain(names).collect();
    found.push(
        Finding::note("rhg-falls-back", text)
            .at(rhg.display())
            .advise(format!(
                "to have it go on without them, and log by `uilog run -- rhg`: \
                 [rhg] ignored-extensions = {}",
                all.join(", ")
            )),
    );
}
