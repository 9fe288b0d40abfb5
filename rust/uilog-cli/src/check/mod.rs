//! `uilog check`: what is wrong with the configuration.

mod facts;
mod rendering;
mod trying;

use std::io;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use uilog_check as check;
use uilog_check::Report;
use uilog_check::trial::Ending;
use uilog_config::installation;
use uilog_finding::finding::Severity;
use uilog_finding::subject::Subject;
use uilog_sinks::check as sinks_check;
use uilog_sinks::check::SinkFacts;
use uilog_sinks::connect::Attempt;
use uilog_sinks::redact;

use self::facts::Run;
use self::facts::Shown;
use self::facts::Try;
use self::facts::file_facts;
use self::facts::take_out_secrets;
use self::rendering::write_attempt;
use self::rendering::write_configuration;
use self::rendering::write_findings;
use self::rendering::write_run;
use self::rendering::write_try;
use self::trying::INTERRUPTED;
use self::trying::NO_SUCH_SINK;
use self::trying::WITHOUT_SCRIPT;
use self::trying::finding_of;
use self::trying::placed;
use self::trying::try_script;
use self::trying::try_sinks;
use self::trying::try_to_reach;
use self::trying::unreached;
use crate::native;
use crate::output;
use crate::output::Presentation;
use crate::place::ConfigArguments;
use crate::place::tell;
use crate::suggest;

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

/// What there is to find without running anything: of scripts and settings, and
/// of sinks.
pub(crate) fn examine(subject: &Subject<'_>) -> (Report, Vec<SinkFacts>) {
    let mut report = check::check(subject);
    let checked = sinks_check::check(subject);
    for finding in checked.findings {
        report.push(finding);
    }
    (report, checked.sinks)
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
    let mut results = Results::examined(&subject);
    if let Some(event) = &arguments.run {
        results.run(&subject, event.as_bytes())?;
    }
    if let Some(named) = &arguments.connect
        && let Err(problem) = results.connect(&subject, named.as_deref())
    {
        output::say(&problem);
        return Ok(ExitCode::from(NO_SUCH_SINK));
    }
    take_out_secrets(&mut results.report, &mut results.runs);
    let mut output = arguments.presentation.stdout();
    if arguments.presentation.is_json() {
        results.write_json(&mut output, &subject)?;
    } else {
        if arguments.run.is_none() && arguments.connect.is_none() {
            let Results { report, sinks, .. } = &results;
            write_configuration(&mut output, &loaded, report, sinks)?;
        }
        results.write(&mut output)?;
    }
    output.flush()?;
    Ok(ExitCode::from(results.exit_status()))
}

/// What has been found and tried.
struct Results {
    report: Report,
    sinks: Vec<SinkFacts>,
    runs: Vec<Run>,
    tries: Vec<Try>,
    connects: Vec<Attempt>,
}

impl Results {
    fn examined(subject: &Subject<'_>) -> Self {
        let (report, sinks) = examine(subject);
        Self {
            report,
            sinks,
            runs: Vec::new(),
            tries: Vec::new(),
            connects: Vec::new(),
        }
    }

    /// Tries the script of an event, and, unless that is interrupted, its
    /// sinks.
    fn run(
        &mut self,
        subject: &Subject<'_>,
        event: &[u8],
    ) -> anyhow::Result<()> {
        let tried = try_script(subject, event)?;
        self.runs.extend(tried.run);
        if !self.is_interrupted() {
            self.tries = try_sinks(subject, event);
        }
        if let Some(finding) = tried.finding {
            // One that only sinks want needs no script.
            if finding.code != WITHOUT_SCRIPT || self.tries.is_empty() {
                self.report.push(finding);
            }
        }
        for it in &self.tries {
            if let Some(finding) = finding_of(subject, it) {
                self.report.push(finding);
            }
        }
        Ok(())
    }

    /// Tries to reach all sinks, or the one of this name.
    fn connect(
        &mut self,
        subject: &Subject<'_>,
        named: Option<&str>,
    ) -> Result<(), String> {
        self.connects = try_to_reach(subject, named)?;
        for finding in self.connects.iter().filter_map(unreached) {
            self.report.push(placed(subject, finding.0, finding.1));
        }
        Ok(())
    }

    fn is_interrupted(&self) -> bool {
        self.runs.iter().any(|it| it.ending == Ending::Interrupted)
    }

    fn write_json(
        &self,
        output: &mut impl Write,
        subject: &Subject<'_>,
    ) -> io::Result<()> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let shown = Shown {
            root: subject.loaded.root.as_deref().map(text),
            hg: subject.environment.hg().map(text),
            files: subject.loaded.files.iter().map(file_facts).collect(),
            report: &self.report,
            sinks: &self.sinks,
            runs: &self.runs,
            tries: &self.tries,
            connects: &self.connects,
        };
        output::write_json(output, &shown)
    }

    fn write(&self, output: &mut impl Write) -> io::Result<()> {
        for it in &self.runs {
            write_run(output, it)?;
        }
        for it in &self.tries {
            write_try(output, it)?;
        }
        for it in &self.connects {
            write_attempt(output, it)?;
        }
        write_findings(output, &self.report)
    }

    fn exit_status(&self) -> u8 {
        if self.is_interrupted() {
            return INTERRUPTED;
        }
        let is_wrong = self.report.count(Severity::Error) > 0
            || self.report.count(Severity::Warning) > 0;
        u8::from(is_wrong)
    }
}
