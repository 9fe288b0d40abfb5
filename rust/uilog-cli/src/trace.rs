//! `uilog trace`: one trace as a tree with a waterfall.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;

use anstyle::Style;
use serde_json::Value as Json;
use serde_json::json;
use uilog_history::filter::Filters;
use uilog_history::filter::Query;
use uilog_history::places::Opened;
use uilog_history::record::Record;
use uilog_history::scan;
use uilog_history::scan::Match;
use uilog_history::scan::Source;
use uilog_history::trace::Builder;
use uilog_history::trace::NodeKind;
use uilog_history::trace::Span;
use uilog_history::trace::Trace;
use uilog_history::when;
use uilog_sys::terminal;

use crate::output;
use crate::output::ERROR;
use crate::output::HEADLINE;
use crate::output::PLAIN;
use crate::output::Presentation;
use crate::output::WARNING;
use crate::output::duration;
use crate::output::local;
use crate::output::say;
use crate::output::visible;
use crate::select;
use crate::select::EXIT_USAGE;
use crate::select::Selection;
use crate::select::Sources;

/// The name of the newest one.
const LAST: &str = "last";
/// The width if the output is not a terminal.
const WIDTH: usize = 100;
/// The least that a waterfall has.
const LEAST: usize = 10;
/// The part of a line that names take up at most.
const NAMES: usize = 2;
const DIM: Style = Style::new().dimmed();

/// Show one trace as a tree: which spans contain which, and what took the time
///
/// A trace contains a command with its hooks, the hg commands that these run,
/// connections, locks and other spans; and all commands of a CI job, if the job
/// passes TRACEPARENT on. Each line has the duration, a bar that shows when the
/// span ran, and, if it is on the critical path (marked with `*`), how much
/// time would be saved without it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  uilog trace last                      what the last command did
  uilog trace last --command pull --slower 60
                                        of the last pull that took a minute
  uilog trace 4bf92f35                  a trace by the beginning of its id
  uilog trace last -T json | jq .critical

Exit status:
  0  it is done
  1  there is no such trace, or a file cannot be read
  2  an argument makes no sense")]
pub(crate) struct Arguments {
    /// The beginning of a trace's id, or `last`: the newest one with a command
    /// that matches the options
    #[arg(value_name = "ID|last")]
    id: String,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    presentation: Presentation,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let query = match arguments.selection.query() {
        Ok(query) => query,
        Err(why) => {
            say(&format!("uilog: {why}"));
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let opened = arguments.selection.sources.open()?;
    let id = match arguments.id.as_str() {
        LAST => last(&opened.sources, &query),
        id => Ok(id.to_ascii_lowercase()),
    };
    let (id, lines) = match id.and_then(|id| lines_of(&opened, &id)) {
        Ok(found) => found,
        Err(why) => {
            say(&format!("uilog: {why}"));
            arguments.selection.say_why_nothing_is_found(&opened);
            return Ok(ExitCode::FAILURE);
        }
    };
    let mut builder = Builder::default();
    let mut known = HashSet::new();
    for (time, line) in &lines {
        let Ok(record) = Record::parse(line) else {
            continue;
        };
        if known.insert(record.id.as_str().to_owned()) {
            builder.add(&record, *time);
        }
    }
    let trace = builder.finish();
    let mut output = arguments.presentation.stdout();
    if arguments.presentation.is_json() {
        let (start, end) = trace.bounds();
        let json = json!({
            "trace": id,
            "start": local(start),
            "seconds": seconds(end - start),
            "spans": as_json(&trace, &trace.roots),
            "critical": critical(&trace),
        });
        output::write_json(&mut output, &json)?;
    } else {
        write_tree(&mut output, &id, &trace)?;
    }
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The id of the newest trace with something that is asked for.
fn last(sources: &[Source], query: &Query) -> Result<String, String> {
    let each = |newest: &mut Option<(i64, String)>, found: Match<'_>| {
        let id = found.record.trace_id.as_str();
        let is_newer = newest.as_ref().is_none_or(|it| it.0 < found.time);
        if !id.is_empty() && is_newer {
            *newest = Some((found.time, id.to_owned()));
        }
    };
    let (newest, problems) = scan::scan(sources, query, each);
    select::say_problems(&[], &problems);
    let newest = newest.into_iter().flatten().max();
    newest
        .map(|it| it.1)
        .ok_or_else(|| "there is no such trace".to_owned())
}

/// The ids of the newest traces of the last day, for a shell that completes
/// them; none if they cannot be read.
pub(crate) fn newest(count: usize) -> Vec<String> {
    let Ok(opened) = Sources::default().open() else {
        return Vec::new();
    };
    let span =
        select::with_clock(|clock| when::between(Some("1d"), None, clock));
    let Ok(span) = span else {
        return Vec::new();
    };
    let query = Query::new(Filters {
        span,
        ..Filters::default()
    });
    let each = |times: &mut BTreeMap<String, i64>, found: Match<'_>| {
        let id = found.record.trace_id.as_str();
        if !id.is_empty() {
            let time = times.entry(id.to_owned()).or_default();
            *time = found.time.max(*time);
        }
    };
    let (states, _) = scan::scan(&opened.sources, &query, each);
    let times: BTreeMap<String, i64> = states.into_iter().flatten().collect();
    let mut times: Vec<_> =
        times.into_iter().map(|(id, at)| (at, id)).collect();
    times.sort_unstable_by(|a, b| b.cmp(a));
    times.into_iter().take(count).map(|(_, id)| id).collect()
}

type Lines = Vec<(i64, Vec<u8>)>;

/// All records of a trace whose id begins like this, and the id.
fn lines_of(opened: &Opened, id: &str) -> Result<(String, Lines), String> {
    let query = Query::new(Filters {
        traces: vec![id.to_owned()],
        ..Filters::default()
    });
    let each = |all: &mut BTreeMap<String, Lines>, found: Match<'_>| {
        let id = found.record.trace_id.as_str().to_owned();
        let line = (found.time, found.line.to_vec());
        all.entry(id).or_default().push(line);
    };
    let (states, problems) = scan::scan(&opened.sources, &query, each);
    select::say_problems(&opened.problems, &problems);
    let mut traces: BTreeMap<String, Lines> = BTreeMap::new();
    for (id, lines) in states.into_iter().flatten() {
        traces.entry(id).or_default().extend(lines);
    }
    match traces.len() {
        0 => Err(format!("there is no trace {id}")),
        1 => {
            let (id, mut lines) = traces.pop_first().unwrap_or_default();
            lines.sort();
            Ok((id, lines))
        }
        count => {
            let ids: Vec<_> =
                traces.keys().take(5).map(String::as_str).collect();
            Err(format!(
                "{count} traces begin with '{id}', such as {}",
                ids.join(", ")
            ))
        }
    }
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

fn as_json(trace: &Trace, spans: &[usize]) -> Json {
    let spans = spans.iter().map(|index| {
        let span = &trace.spans[*index];
        json!({
            "name": span.name,
            "kind": kind(span.kind),
            "host": span.host,
            "start": local(span.start),
            "seconds": seconds(span.end - span.start),
            "open": span.is_open,
            "failed": span.is_failure,
            "error": span.error,
            "saves": seconds(span.critical),
            "spans": as_json(trace, &span.children),
        })
    });
    spans.collect()
}

fn kind(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Outside => "outside",
        NodeKind::Command => "command",
        NodeKind::Hook => "hook",
        NodeKind::Step => "step",
    }
}

/// Spans on the critical path with their own share, the largest first.
fn critical(trace: &Trace) -> Json {
    let mut spans: Vec<&Span> = trace
        .spans
        .iter()
        .filter(|it| it.own_critical > 0)
        .collect();
    spans.sort_by_key(|it| -it.own_critical);
    let spans = spans.into_iter().map(|span| {
        json!({"name": span.name, "seconds": seconds(span.own_critical)})
    });
    spans.collect()
}

/// A line of the tree.
struct Line<'t> {
    label: String,
    span: &'t Span,
}

fn lines<'t>(
    trace: &'t Trace,
    spans: &[usize],
    before: &str,
    is_root: bool,
    all: &mut Vec<Line<'t>>,
) {
    for (position, index) in spans.iter().enumerate() {
        let span = &trace.spans[*index];
        let is_last = position + 1 == spans.len();
        let (branch, below) = match (is_root, is_last) {
            (true, _) => ("", ""),
            (false, true) => ("└─ ", "   "),
            (false, false) => ("├─ ", "│  "),
        };
        let name = visible(&span.name);
        all.push(Line {
            label: format!("{before}{branch}{name}"),
            span,
        });
        let before = format!("{before}{below}");
        lines(trace, &span.children, &before, false, all);
    }
}

fn write_tree(
    output: &mut impl Write,
    id: &str,
    trace: &Trace,
) -> io::Result<()> {
    let stdout = io::stdout();
    let width = match stdout.is_terminal() {
        true => terminal::size(&stdout).map_or(WIDTH, |it| it.0),
        false => WIDTH,
    };
    let (start, end) = trace.bounds();
    writeln!(
        output,
        "{HEADLINE}trace {}{HEADLINE:#}  {}  {}",
        visible(id),
        local(start),
        duration(seconds(end - start))
    )?;
    let mut all = Vec::new();
    lines(trace, &trace.roots, "", true, &mut all);
    let longest = all.iter().map(|it| it.label.chars().count()).max();
    let names = longest.unwrap_or(0).min(width / NAMES);
    // A mark, the name, a duration, the bar, the possible saving.
    let bar = width.saturating_sub(names + 2 + 11 + 2 + 2 + 18).max(LEAST);
    for line in all {
        let span = line.span;
        let label = output::cut(&line.label, names);
        let pad = " ".repeat(names - label.chars().count());
        let is_critical = span.critical > 0;
        let style = match (span.is_failure, is_critical) {
            (true, _) => ERROR,
            (false, true) => PLAIN,
            (false, false) => DIM,
        };
        let mark = if is_critical { "*" } else { " " };
        let time = match span.is_open {
            true => format!("{} +", duration(seconds(span.end - span.start))),
            false => duration(seconds(span.end - span.start)),
        };
        let waterfall = waterfall(span, (start, end), bar);
        let of_bar = if is_critical { WARNING } else { DIM };
        let saves = match span.critical {
            0 => String::new(),
            micros => format!("saves {}", duration(seconds(micros))),
        };
        let text = format!(
            "{mark} {style}{label}{style:#}{pad} {time:>11}  \
             {of_bar}{waterfall}{of_bar:#}  {saves}"
        );
        writeln!(output, "{}", text.trim_end())?;
        if let Some(reason) = span.error.trim().lines().next() {
            let reason = output::cut(&visible(reason), width - 4);
            writeln!(output, "    {ERROR}{reason}{ERROR:#}")?;
        }
    }
    let no_end = trace.spans.iter().any(|it| it.is_open);
    if no_end {
        writeln!(output, "+ its end has not been logged yet")?;
    }
    Ok(())
}

/// When something was, as a part of all the time.
fn waterfall(span: &Span, (start, end): (i64, i64), width: usize) -> String {
    let all = (end - start).max(1) as f64;
    let place = |time: i64| {
        let part = (time - start) as f64 / all;
        (part * width as f64).round() as usize
    };
    let from = place(span.start).min(width - 1);
    let to = place(span.end).clamp(from + 1, width);
    let (before, after) = (" ".repeat(from), " ".repeat(width - to));
    let bar = if span.end - span.start == 0 {
        "▏"
    } else {
        "█"
    };
    format!("{before}{}{after}", bar.repeat(to - from))
}

#[cfg(test)]
mod tests {
    use uilog_history::record::parse_time;

    use super::*;

    fn trace(lines: &[&str]) -> Trace {
        let mut builder = Builder::default();
        for line in lines {
            let record = Record::parse(line.as_bytes()).unwrap();
            let time = parse_time(record.time.as_str()).unwrap().0;
            builder.add(&record, time);
        }
        builder.finish()
    }

    #[test]
    fn a_tree_has_a_waterfall_and_reasons() {
        let trace = trace(&[
            r#"{"schema":1,"id":"1","event":"exthook","time":"2026-11-30T09:00:09Z","duration":5,"span_id":"h","parent_span_id":"a","hook":{"name":"ci","has_span":true}}"#,
            r#"{"schema":1,"id":"2","event":"commandfinish","time":"2026-11-30T09:00:10Z","duration":10,"span_id":"a","options":{"error":"abort: no"},"process":{"command":"push","exit_code":255}}"#,
        ]);
        let mut output = Vec::new();
        write_tree(&mut output, "t1", &trace).unwrap();
        let text = String::from_utf8(output).unwrap();
        let text = anstream::adapter::strip_str(&text).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("trace t1  2026-11-30"), "{text}");
        assert!(lines[0].ends_with("  10.00 s"), "{text}");
        assert!(lines[1].starts_with("* hg push        10.00 s  ███"));
        assert!(lines[1].ends_with("██  saves 10.00 s"), "{text}");
        assert_eq!(lines[2], "    abort: no");
        assert!(lines[3].starts_with("* └─ hook ci      5.00 s      "));
        assert!(lines[3].ends_with("saves 5.00 s"), "{text}");
        assert_eq!(lines.len(), 4);
    }
}
