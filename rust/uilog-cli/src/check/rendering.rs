//! Showing people what has been found out.
//!
//! Must not know how it was found out.

use std::io;
use std::io::Write;

use uilog_check::Hg;
use uilog_check::Program;
use uilog_check::Report;
use uilog_check::trial;
use uilog_config::Loaded;
use uilog_finding::finding::Severity;
use uilog_sinks::check::SinkFacts;
use uilog_sinks::connect::Attempt;
use uilog_sinks::trial::DeliveryOutcome;

use super::facts::Run;
use super::facts::Try;
use super::facts::file_facts;
use crate::output;
use crate::output::HEADLINE;
use crate::output::PLACE;
use crate::output::counted;
use crate::output::styled;
use crate::output::visible;

/// Writes which file sets each value.
pub(super) fn write_configuration(
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

pub(super) fn write_try(output: &mut impl Write, it: &Try) -> io::Result<()> {
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

pub(super) fn write_attempt(
    output: &mut impl Write,
    it: &Attempt,
) -> io::Result<()> {
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

pub(super) fn write_run(output: &mut impl Write, run: &Run) -> io::Result<()> {
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

pub(super) fn write_findings(
    output: &mut impl Write,
    report: &Report,
) -> io::Result<()> {
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
