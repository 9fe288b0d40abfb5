//! `uilog check`: what is wrong with the configuration.

use std::io;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;
use uilog_channel::sink_config;
use uilog_check as check;
use uilog_check::Hg;
use uilog_check::Program;
use uilog_check::Report;
use uilog_check::trial;
use uilog_check::trial::Ending;
use uilog_check::trial::Outcome;
use uilog_check::trial::Trial;
use uilog_config::FileReport;
use uilog_config::FileState;
use uilog_config::Loaded;
use uilog_config::installation;
use uilog_finding::finding::Finding;
use uilog_finding::finding::Severity;
use uilog_finding::subject;
use uilog_finding::subject::Subject;
use uilog_logger::sinks::scripts::Scripts;
use uilog_sinks::check as sinks_check;
use uilog_sinks::check::SinkFacts;
use uilog_sinks::connect;
use uilog_sinks::connect::Attempt;
use uilog_sinks::record::Record;
use uilog_sinks::redact;
use uilog_sinks::trial as sinks_trial;
use uilog_sinks::trial::DeliveryOutcome;

use crate::native;
use crate::output;
use crate::output::HEADLINE;
use crate::output::PLACE;
use crate::output::Presentation;
use crate::output::counted;
use crate::output::styled;
use crate::output::visible;
use crate::place::ConfigArguments;
use crate::place::tell;
use crate::suggest;

/// Exit status after Ctrl-C.
const INTERRUPTED: u8 = 130;

/// Exit status if no sink has the given name.
const NO_SUCH_SINK: u8 = 2;

/// Code of the finding that there is no script to run.
const WITHOUT_SCRIPT: &str = "run-without-script";

/// Find what is wrong with the configuration
///
/// Reads the configuration as hg would for this repository and user. Shows
/// which file and line enables each script and sink, and reports everything
/// that would keep an event from being delivered:
///
/// Scripts: missing, not executable, not trusted, or not valid shell.
///
/// Sinks: invalid URLs, unknown options, keys and tokens that cannot be read or
/// that other users can read, a spool that cannot be written or is not safe.
///
/// Settings: invalid values, values that another file overrides, events that
/// nothing emits, UILOG=off or `uilog.enabled = no`.
///
/// Installation: extensions that hg cannot load, a dispatcher that does not
/// start, a blackbox or a journal that cannot be written.
///
/// It also shows the failures of the last 24 hours from the journal, and why
/// collectors do not accept the records that wait for them.
///
/// Extensions are looked up as hg does, for the hg next to this program and,
/// if that is a different one, for the first hg on PATH.
///
/// Only a script's first program is checked, if it is a plain name. The shell
/// checks the syntax of the whole script. No script is run without --run. No
/// connection is opened without --run or --connect. Passwords in URLs are not
/// shown.
///
/// With --run EVENT, the event's script is run for a sample event, exactly as
/// the dispatcher would run it. Its environment, its output (up to 64 KiB), its
/// exit status and its duration are shown. uilog.script-timeout limits its
/// time; Ctrl-C terminates it. UILOG_CHECK=1 is set in its environment. Each
/// sink that tracks the event receives a sample record with the option
/// `uilog_check`, whatever :sample says; the record and the result are shown.
/// Sending to a collector also sends the records that already wait for it.
/// Nothing else is logged.
///
/// With --connect, each sink, or the named one, is tried without a record: can
/// the file be appended to, does a process listen at the socket, does the host
/// have an address, does it accept connections, is its certificate valid, does
/// the collector accept an empty export of spans and of log records. Each step
/// is shown with its result, for instance the first line of the collector's
/// answer. Records in a spool stay there. It takes a few seconds at most,
/// however many sinks there are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
  0    nothing is wrong (there may be notes)
  1    there are errors or warnings
  2    --connect names a sink that is not configured here
  130  Ctrl-C has ended the script of --run; no sink has been tried
  255  hg would not run with this configuration, for the reason given

Examples:
  uilog check                      the repository here, or none
  uilog check -R /srv/hg/main      as hg would run there
  uilog check --run commandfinish  try its script and its sinks
  uilog check --connect            try to reach all sinks
  uilog check --connect fleet      try to reach the sink `sink.fleet`
  uilog check -T json | jq '.findings[].code'

Files:
  the hgrc files of `hg help config`
  .hg/blackbox.log, .hg/.blackbox.log.kept
  $XDG_STATE_HOME/uilog/failures.jsonl, or below ~/.local/state")]
pub(crate) struct Arguments {
    /// Try the script and the sinks of this event, with a sample of it
    #[arg(
        long,
        value_name = "EVENT",
        value_parser = suggest::event(),
        hide_possible_values = true
    )]
    run: Option<std::ffi::OsString>,
    /// Try to reach each sink, or this one, without running a script
    #[arg(
        long,
        value_name = "SINK",
        num_args = 0..=1,
        conflicts_with = "run"
    )]
    #[expect(clippy::option_option, reason = "the option's value is optional")]
    connect: Option<Option<String>>,
    #[command(flatten)]
    presentation: Presentation,
    #[command(flatten)]
    place: ConfigArguments,
}

/// The JSON output.
#[derive(Serialize)]
struct Shown<'a> {
    root: Option<String>,
    hg: Option<String>,
    files: Vec<FileFacts>,
    #[serde(flatten)]
    report: &'a Report,
    sinks: &'a [SinkFacts],
    runs: &'a [Run],
    tries: &'a [Try],
    connects: &'a [Attempt],
}

#[derive(Serialize)]
struct FileFacts {
    path: String,
    layer: &'static str,
    state: &'static str,
    detail: Option<String>,
}

#[derive(Serialize)]
struct Run {
    event: String,
    script: String,
    environment: Vec<String>,
    output: String,
    output_bytes: u64,
    ending: Ending,
    duration: f64,
}

/// Result of sending a sample event to a sink.
#[derive(Serialize)]
struct Try {
    sink: String,
    url: String,
    event: String,
    record: Option<Box<Record>>,
    fate: DeliveryOutcome,
    duration: f64,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let environment = installation::environment()
        .context("cannot determine the current directory")?;
    let request = arguments.place.request();
    let loaded = match uilog_config::load(&request, &environment) {
        Ok(loaded) => loaded,
        Err(error) => {
            tell(error.warnings())?;
            tell(&[redact::text(&error.to_bytes())])?;
            return Ok(ExitCode::from(error.exit_status()));
        }
    };
    let block = native::environment_block();
    let cwd = environment
        .cwd()
        .join(request.cwd.as_deref().unwrap_or(Path::new("")));
    let subject = Subject {
        loaded: &loaded,
        environment: &environment,
        block: &block,
        cwd: &cwd,
    };
    let mut report = check::check(&subject);
    let checked = sinks_check::check(&subject);
    for finding in checked.findings {
        report.push(finding);
    }
    let sinks = checked.sinks;
    let (mut runs, mut tries) = (Vec::new(), Vec::new());
    if let Some(event) = &arguments.run {
        let event = event.as_bytes();
        let tried = try_script(&subject, event)?;
        runs.extend(tried.run);
        let is_interrupted =
            runs.iter().any(|run| run.ending == Ending::Interrupted);
        if !is_interrupted {
            tries = try_sinks(&subject, event);
        }
        if let Some(finding) = tried.finding {
            // One that only sinks want needs no script.
            if finding.code != WITHOUT_SCRIPT || tries.is_empty() {
                report.push(finding);
            }
        }
        for it in &tries {
            if let Some(finding) = finding_of(&subject, it) {
                report.push(finding);
            }
        }
    }
    let mut connects = Vec::new();
    if let Some(named) = &arguments.connect {
        connects = match try_to_reach(&subject, named.as_deref()) {
            Ok(attempts) => attempts,
            Err(problem) => {
                output::say(&problem);
                return Ok(ExitCode::from(NO_SUCH_SINK));
            }
        };
        for finding in connects.iter().filter_map(unreached) {
            report.push(placed(&subject, finding.0, finding.1));
        }
    }
    take_out_secrets(&mut report, &mut runs);
    let mut output = arguments.presentation.stdout();
    if arguments.presentation.is_json() {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let shown = Shown {
            root: loaded.root.as_deref().map(text),
            hg: environment.hg().map(text),
            files: loaded.files.iter().map(file_facts).collect(),
            report: &report,
            sinks: &sinks,
            runs: &runs,
            tries: &tries,
            connects: &connects,
        };
        output::write_json(&mut output, &shown)?;
    } else {
        if arguments.run.is_none() && arguments.connect.is_none() {
            write_configuration(&mut output, &loaded, &report, &sinks)?;
        }
        for run in &runs {
            write_run(&mut output, run)?;
        }
        for it in &tries {
            write_try(&mut output, it)?;
        }
        for it in &connects {
            write_attempt(&mut output, it)?;
        }
        write_findings(&mut output, &report)?;
    }
    output.flush()?;
    let is_interrupted =
        runs.iter().any(|run| run.ending == Ending::Interrupted);
    let is_wrong = report.count(Severity::Error) > 0
        || report.count(Severity::Warning) > 0;
    Ok(if is_interrupted {
        ExitCode::from(INTERRUPTED)
    } else {
        ExitCode::from(u8::from(is_wrong))
    })
}

/// Redacts the report by the same rules as records, because people paste it
/// into tickets.
fn take_out_secrets(report: &mut Report, runs: &mut [Run]) {
    for it in &mut report.findings {
        it.text = redact::shown(&it.text);
        it.advice = it.advice.as_deref().map(redact::shown);
    }
    for it in &mut report.scripts {
        it.script = redact::shown(&it.script);
    }
    for it in &mut report.settings {
        it.value = redact::shown(&it.value);
    }
    for run in runs {
        run.script = redact::shown(&run.script);
        run.output = redact::shown(&run.output);
        // Our own hold ids, which look like keys.
        let is_own = |it: &&mut String| it.starts_with("UILOG_");
        for variable in run.environment.iter_mut().filter(|it| !is_own(it)) {
            *variable = redact::shown(variable);
        }
    }
}

/// Result of --run.
struct Tried {
    run: Option<Run>,
    finding: Option<Finding>,
}

fn try_script(subject: &Subject<'_>, event: &[u8]) -> anyhow::Result<Tried> {
    let name = String::from_utf8_lossy(event).into_owned();
    let config = &subject.loaded.trusted;
    let settings = subject::settings(config);
    let items = config.items(b"logtoprocess");
    let items = items.map(|(name, entry)| (name, entry.value.as_slice()));
    let (sink, _faults) = Scripts::new(items);
    let Some((_, script)) = sink.events().find(|(it, _)| *it == event) else {
        let text =
            format!("the event '{name}' has neither a script nor a sink");
        let finding = Finding::error(WITHOUT_SCRIPT, text)
            .advise(format!("[logtoprocess] {name} = SCRIPT"));
        return Ok(Tried {
            run: None,
            finding: Some(finding),
        });
    };
    let outcome = trial::run(&Trial {
        event,
        script,
        settings: &settings,
        block: subject.block,
        hg: &native::hg_program(subject.environment),
        cwd: subject.cwd,
        root: subject.loaded.root.as_deref(),
    })
    .context("cannot run a script")?;
    let finding = (!outcome.ending.is_success()).then(|| {
        let how = outcome.ending.describe();
        let text = format!("the script of '{name}' has failed: {how}");
        let finding = Finding::error("run-failed", text);
        match config.get(b"logtoprocess", event) {
            Some(entry) => finding.at(&entry.source),
            None => finding,
        }
    });
    Ok(Tried {
        run: Some(run_of(name, &script.text, outcome)),
        finding,
    })
}

fn run_of(event: String, script: &[u8], outcome: Outcome) -> Run {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run {
        event,
        script: lossy(script),
        environment: outcome.variables.iter().map(|it| lossy(it)).collect(),
        output: lossy(&outcome.output),
        output_bytes: outcome.output_bytes,
        ending: outcome.ending,
        duration: outcome.duration.as_secs_f64(),
    }
}

/// Sends a sample record to each sink that tracks the event.
fn try_sinks(subject: &Subject<'_>, event: &[u8]) -> Vec<Try> {
    let (definitions, globals) = sinks_check::configured(subject);
    let hg = native::hg_program(subject.environment);
    let trial = sinks_trial::Trial {
        event,
        block: subject.block,
        hg: &hg,
        cwd: subject.cwd,
        root: subject.loaded.root.as_deref(),
    };
    let wanted = definitions.iter().filter(|it| it.tracked().contains(event));
    let tries = wanted.map(|it| {
        let outcome = sinks_trial::run(&trial, it, &globals);
        Try {
            sink: it.item(),
            url: it.shown_url(),
            event: String::from_utf8_lossy(event).into_owned(),
            record: outcome.record,
            fate: outcome.fate,
            duration: outcome.duration.as_secs_f64(),
        }
    });
    tries.collect()
}

fn finding_of(subject: &Subject<'_>, it: &Try) -> Option<Finding> {
    if it.fate == DeliveryOutcome::Delivered {
        return None;
    }
    let how = it.fate.describe();
    let text = format!("the sample of '{}' for {}: {how}", it.event, it.sink);
    Some(placed(
        subject,
        &it.sink,
        Finding::error("run-failed", text),
    ))
}

/// A finding about a sink, with the file and line that define the sink.
fn placed(subject: &Subject<'_>, sink: &str, finding: Finding) -> Finding {
    let config = &subject.loaded.trusted;
    match config.get(sink_config::SECTION.as_bytes(), sink.as_bytes()) {
        Some(entry) => finding.at(&entry.source),
        None => finding,
    }
}

/// Tries to reach the sinks, or the one of this name.
fn try_to_reach(
    subject: &Subject<'_>,
    named: Option<&str>,
) -> Result<Vec<Attempt>, String> {
    let (mut definitions, globals) = sinks_check::configured(subject);
    if let Some(named) = named {
        let name = named.strip_prefix(sink_config::PREFIX).unwrap_or(named);
        let names = definitions.iter().map(|it| it.name.clone());
        let names = names.collect::<Vec<_>>().join(", ");
        definitions.retain(|it| it.name == name);
        if definitions.is_empty() {
            let known = match names.as_str() {
                "" => "none is".to_owned(),
                names => format!("these are: {names}"),
            };
            return Err(format!(
                "uilog: no sink '{name}' is configured here ({known})"
            ));
        }
    }
    Ok(connect::run(definitions, &Arc::new(globals)))
}

/// A sink that could not be reached, and the finding about it.
fn unreached(it: &Attempt) -> Option<(&str, Finding)> {
    // A URL that is invalid is a finding already.
    let first = it.steps.iter().find(|it| !it.works && it.step != "url")?;
    let text = format!(
        "{}.{}: {}: {}",
        sink_config::SECTION,
        it.sink,
        first.step,
        first.text
    );
    Some((&it.sink, Finding::error("connect-failed", text)))
}

fn file_facts(file: &FileReport) -> FileFacts {
    let (state, detail) = match &file.state {
        FileState::Read => ("read", None),
        FileState::Missing => ("missing", None),
        FileState::Unreadable(reason) => ("unreadable", Some(reason.clone())),
        FileState::Untrusted { user, group } => {
            ("untrusted", Some(format!("user {user}, group {group}")))
        }
        FileState::Broken(error) => {
            ("broken", Some(redact::shown(&error.to_string())))
        }
    };
    FileFacts {
        path: file.path.to_string_lossy().into_owned(),
        layer: file.layer.name(),
        state,
        detail,
    }
}

/// Writes which file sets each value.
fn write_configuration(
    output: &mut impl Write,
    loaded: &Loaded,
    report: &Report,
    sinks: &[SinkFacts],
) -> io::Result<()> {
    let headline = |text: &str| styled(HEADLINE, text);
    output::write_switched_off(output, &report.switched_off)?;
    writeln!(output, "{}", headline("Files"))?;
    for file in loaded.files.iter().map(file_facts) {
        let style = match file.state {
            "read" => output::GOOD,
            "missing" => output::PLAIN,
            _ => output::WARNING,
        };
        let state = styled(style, &format!("{:<10}", file.state));
        let layer = file.layer;
        let path = visible(&file.path);
        write!(output, "  {state}  {layer:<12}  {path}")?;
        match &file.detail {
            Some(detail) => writeln!(output, "  ({})", visible(detail))?,
            None => writeln!(output)?,
        }
    }
    let none = if report.hgs.is_empty() { ": none" } else { "" };
    writeln!(output, "{}{none}", headline("Mercurial"))?;
    for hg in &report.hgs {
        write_hg(output, hg)?;
    }
    writeln!(output, "{}", headline("Extensions"))?;
    for it in &report.extensions {
        let state = if it.enabled {
            styled(output::GOOD, "on ")
        } else {
            "off".to_owned()
        };
        let place = it.source.as_deref().unwrap_or("not listed");
        let place = styled(PLACE, place);
        write!(output, "  {state}  {:<12}  {place}", it.name)?;
        if it.broken {
            let text = "  cannot be loaded: see below";
            write!(output, "{}", styled(output::ERROR, text))?;
        }
        writeln!(output)?;
    }
    let none = if report.scripts.is_empty() {
        ": none"
    } else {
        ""
    };
    writeln!(output, "{}{none}", headline("Scripts"))?;
    for it in &report.scripts {
        let place = styled(PLACE, &it.source);
        let (event, script) = (visible(&it.event), visible(&it.script));
        writeln!(output, "  {event} = {script}  {place}")?;
        if let Some(stdin) = it.stdin {
            writeln!(output, "    reads {stdin}")?;
        }
        let program = match &it.program {
            Program::Found(path) => visible(path),
            Program::Builtin(name) => format!("{name}, the shell's own"),
            Program::Unusable => "cannot be run: see below".to_owned(),
            Program::NotChecked => "not checked".to_owned(),
        };
        writeln!(output, "    program: {program}")?;
    }
    let none = if sinks.is_empty() { ": none" } else { "" };
    writeln!(output, "{}{none}", headline("Sinks"))?;
    for it in sinks {
        write_sink(output, it)?;
    }
    writeln!(output, "{}", headline("Settings"))?;
    for it in &report.settings {
        let place = styled(PLACE, it.source.as_deref().unwrap_or("default"));
        let value = visible(&it.value);
        let (section, name) = (it.section, it.name);
        writeln!(output, "  {section}.{name} = {value}  {place}")?;
    }
    Ok(())
}

fn write_hg(output: &mut impl Write, hg: &Hg) -> io::Result<()> {
    let path = styled(PLACE, &hg.path);
    let version = hg.version.as_deref().unwrap_or("version unknown");
    let found = hg.found.join(", ");
    writeln!(output, "  {path}  {}  {found}", visible(version))?;
    if let Some(uilog) = &hg.uilog {
        writeln!(output, "    uilog: {}", styled(PLACE, uilog))?;
    } else {
        writeln!(output, "    uilog: not found")?;
    }
    Ok(())
}

fn write_sink(output: &mut impl Write, it: &SinkFacts) -> io::Result<()> {
    let place = styled(PLACE, &it.source);
    let (name, url) = (visible(&it.name), visible(&it.url));
    writeln!(output, "  sink.{name} = {url}  {place}")?;
    let mut tracked = it.track.join(", ");
    if it.track.iter().any(|event| event == "*") && !it.ignore.is_empty() {
        tracked.push_str(" without ");
        tracked.push_str(&it.ignore.join(", "));
    }
    writeln!(output, "    tracks {}", visible(&tracked))?;
    if !it.usable {
        let text = "cannot be used: see below";
        writeln!(output, "    {}", styled(output::ERROR, text))?;
    }
    Ok(())
}

fn write_try(output: &mut impl Write, it: &Try) -> io::Result<()> {
    let headline = format!("{} = {}", it.sink, it.url);
    writeln!(output, "{}", styled(HEADLINE, &headline))?;
    if let Some(record) = &it.record {
        writeln!(output, "  record:")?;
        let text = serde_json::to_string_pretty(record)?;
        for line in text.lines() {
            writeln!(output, "    {}", visible(line))?;
        }
    }
    let style = if it.fate == DeliveryOutcome::Delivered {
        output::GOOD
    } else {
        output::ERROR
    };
    let fate = styled(style, &it.fate.describe());
    writeln!(output, "  {fate} after {:.3} s", it.duration)
}

fn write_attempt(output: &mut impl Write, it: &Attempt) -> io::Result<()> {
    let headline = format!("{} = {}", it.sink, it.url);
    writeln!(output, "{}", styled(HEADLINE, &headline))?;
    for step in &it.steps {
        let style = if step.works {
            output::GOOD
        } else {
            output::ERROR
        };
        let name = styled(style, step.step);
        writeln!(output, "  {name}: {}", visible(&step.text))?;
    }
    let fate = if it.works {
        styled(output::GOOD, "can be reached")
    } else {
        styled(output::ERROR, "cannot be used")
    };
    writeln!(output, "  {fate}, after {:.3} s", it.duration)
}

fn write_run(output: &mut impl Write, run: &Run) -> io::Result<()> {
    let headline = format!("{} = {}", run.event, run.script);
    writeln!(output, "{}", styled(HEADLINE, &headline))?;
    writeln!(output, "  environment:")?;
    for variable in &run.environment {
        writeln!(output, "    {}", visible(variable))?;
    }
    let none = if run.output.is_empty() { " none" } else { "" };
    writeln!(output, "  output:{none}")?;
    for line in run.output.lines() {
        writeln!(output, "    {}", visible(line))?;
    }
    let shown = trial::MAX_OUTPUT_BYTES as u64;
    if run.output_bytes > shown {
        let more = run.output_bytes - shown;
        writeln!(output, "    ... and {more} bytes more")?;
    }
    let style = if run.ending.is_success() {
        output::GOOD
    } else {
        output::ERROR
    };
    let ending = styled(style, &run.ending.describe());
    writeln!(output, "  {ending} after {:.3} s", run.duration)
}

fn write_findings(output: &mut impl Write, report: &Report) -> io::Result<()> {
    writeln!(output, "{}", styled(HEADLINE, "Findings"))?;
    for finding in &report.findings {
        let style = match finding.severity {
            Severity::Error => output::ERROR,
            Severity::Warning => output::WARNING,
            Severity::Note => output::PLAIN,
        };
        let severity = styled(style, finding.severity.name());
        write!(output, "  {severity}: ")?;
        if let Some(place) = &finding.place {
            write!(output, "{}: ", styled(PLACE, place))?;
        }
        writeln!(output, "{}", visible(&finding.text))?;
        if let Some(advice) = &finding.advice {
            writeln!(output, "    {}", visible(advice))?;
        }
    }
    let count = |severity: Severity| {
        counted(report.count(severity) as u64, severity.name())
    };
    let [errors, warnings, notes] =
        [Severity::Error, Severity::Warning, Severity::Note].map(count);
    writeln!(output, "{errors}, {warnings}, {notes}")
}
