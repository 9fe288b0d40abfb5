//! `uilog log --stats` and `--compare`: statistics of many commands.

use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::Style;
use serde_json::Value as Json;
use serde_json::json;
use uilog_blackbox::dates::DateFormat;
use uilog_blackbox::glob::Glob;
use uilog_history::compare;
use uilog_history::compare::Change;
use uilog_history::compare::LEAST;
use uilog_history::fields::Field;
use uilog_history::fields::FieldType;
use uilog_history::filter::Filters;
use uilog_history::filter::Query;
use uilog_history::places;
use uilog_history::places::Opened;
use uilog_history::scan::Problems;
use uilog_history::stats;
use uilog_history::stats::StatsQuery;
use uilog_history::when;

use super::arguments::Arguments;
use super::table::Table;
use crate::output::ERROR;
use crate::output::GOOD;
use crate::output::PLAIN;
use crate::output::bytes;
use crate::output::counted;
use crate::output::duration;
use crate::output::say;
use crate::select;
use crate::select::EXIT_USAGE;
use crate::select::with_clock;

/// How many groups are shown unless -n says so.
const SHOWN: usize = 20;
/// Bars of a sparkline.
const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const DIM: Style = Style::new().dimmed();

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq)]
enum Side {
    Span(when::Span),
    Versions(Vec<Glob>),
    Host(Glob),
    Files(Vec<PathBuf>),
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (filters, question, sides) = match prepared(arguments) {
        Ok(prepared) => prepared,
        Err(why) => {
            say(&format!("uilog: {why}"));
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    match sides {
        None => show_stats(arguments, filters, &question),
        Some(sides) => show_comparison(arguments, &filters, &question, sides),
    }
}

type Prepared = (Filters, StatsQuery, Option<(Side, Side)>);

fn prepared(arguments: &Arguments) -> Result<Prepared, String> {
    if let Some(format) = &arguments.template
        && !["json", "csv"].contains(&format.as_str())
    {
        return Err(format!(
            "-T {format}: the formats for numbers are json and \
            csv"
        ));
    }
    let compare = arguments.stats.compare.as_deref();
    Ok((
        arguments.selection.query()?.filters().clone(),
        arguments.stats.question()?,
        compare.map(sides).transpose()?,
    ))
}

/// The two sides that `A..B` names.
fn sides(text: &str) -> Result<(Side, Side), String> {
    let is_cut = |at: &usize| text[*at..].starts_with("..");
    let cuts = text.char_indices().map(|(at, _)| at).filter(is_cut);
    for at in cuts {
        let (a, b) = (text[..at].trim(), text[at + 2..].trim());
        if let Some(a) = side(a)
            && let Some(b) = side(b)
            && std::mem::discriminant(&a) == std::mem::discriminant(&b)
        {
            return Ok((a, b));
        }
    }
    Err(format!(
        "--compare {text}: it must be A..B, as in 'last week..this week', \
         7.1..7.2, build-1..build-2 or before.jsonl..after.jsonl"
    ))
}

fn side(text: &str) -> Option<Side> {
    if text.is_empty() {
        return None;
    }
    if Path::new(text).exists() {
        return Some(Side::Files(places::of_path(Path::new(text))));
    }
    let span = with_clock(|clock| when::span(text, clock));
    if let Ok(span) = span {
        return Some(Side::Span(span));
    }
    let is_version = text.starts_with(|it: char| it.is_ascii_digit())
        && text.contains('.')
        && !text.contains('/');
    if is_version {
        // 7.1 also matches 7.1.2 and 7.1rc0, but not 7.10.
        let globs = ["", ".*", "rc*", "+*"]
            .map(|end| Glob::new(format!("{text}{end}").as_bytes()));
        return Some(Side::Versions(globs.to_vec()));
    }
    let is_host = text
        .bytes()
        .all(|it| it.is_ascii_alphanumeric() || b"-_.*?[]".contains(&it));
    is_host.then(|| Side::Host(Glob::new(text.as_bytes())))
}

fn show_stats(
    arguments: &Arguments,
    filters: Filters,
    question: &StatsQuery,
) -> anyhow::Result<ExitCode> {
    let opened = arguments.selection.sources.open()?;
    let query = Query::new(filters);
    let (groups, problems) = stats::group(&opened.sources, &query, question);
    let is_troubled = select::say_problems(&opened.problems, &problems);
    if groups.is_empty() {
        arguments.selection.say_why_nothing_is_found(&opened);
    }
    let rows = stats::rows(&groups, question);
    let rows = limited(arguments, &rows);
    let mut output = arguments.colors.stdout();
    match arguments.template.as_deref() {
        Some("json") => {
            let rows = rows.iter().map(|row| {
                json!({
                    "group": row.name,
                    "count": row.count,
                    "failures": row.failures,
                    "total": row.total,
                    "p50": row.p50,
                    "p95": row.p95,
                    "p99": row.p99,
                    "max": row.max,
                    "over_time": row.sparks,
                })
            });
            write_json(&mut output, rows)?;
        }
        Some(_) => {
            let mut table = Table::new();
            for row in rows {
                let numbers = [row.total, row.p50, row.p95, row.p99, row.max];
                let counts = [row.count, row.failures];
                let cells = [row.name.clone()].into_iter();
                let cells = cells.chain(counts.map(|it| it.to_string()));
                let cells = cells.chain(numbers.map(|it| it.to_string()));
                table.row(cells.map(|it| (it, PLAIN)));
            }
            let heads = "group,count,failures,total,p50,p95,p99,max";
            table.write_csv(&mut output, heads)?;
        }
        None => {
            let mut table = Table::new();
            table.heads(&[
                ">count",
                ">fail",
                ">total",
                ">p50",
                ">p95",
                ">p99",
                ">max",
                "over time",
                "",
            ]);
            for row in rows {
                let number = |it| (shown(&question.of, it), PLAIN);
                let failed = if row.failures > 0 { ERROR } else { DIM };
                table.row([
                    (row.count.to_string(), PLAIN),
                    (row.failures.to_string(), failed),
                    number(row.total),
                    number(row.p50),
                    number(row.p95),
                    number(row.p99),
                    number(row.max),
                    (sparkline(&row.sparks), DIM),
                    (row.name.clone(), PLAIN),
                ]);
            }
            table.write(&mut output)?;
        }
    }
    output.flush()?;
    Ok(ExitCode::from(u8::from(is_troubled)))
}

/// The last rows, as many as may be shown; reports how many are left out.
fn limited<'r, T>(arguments: &Arguments, rows: &'r [T]) -> &'r [T] {
    let default = if arguments.template.is_some() {
        0
    } else {
        SHOWN
    };
    let from = match arguments.limit.unwrap_or(default) {
        0 => 0,
        limit => rows.len().saturating_sub(limit),
    };
    if from > 0 {
        say(&format!("{from} more (-n 0 shows all)"));
    }
    &rows[from..]
}

/// What belongs to one side.
fn group_side(
    arguments: &Arguments,
    filters: &Filters,
    question: &StatsQuery,
    side: Side,
) -> anyhow::Result<(stats::Groups, Problems, Opened)> {
    let mut filters = filters.clone();
    let mut opened = None;
    match side {
        Side::Span(span) => {
            filters.span.from = filters.span.from.max(span.from);
            filters.span.to = filters.span.to.min(span.to);
        }
        Side::Versions(globs) => filters.hg_versions = globs,
        Side::Host(glob) => filters.hosts = vec![glob],
        Side::Files(paths) => {
            opened = Some(places::open(paths, Some(&DateFormat::default())));
        }
    }
    let opened = match opened {
        Some(opened) => opened,
        None => arguments.selection.sources.open()?,
    };
    let query = Query::new(filters);
    let (groups, problems) = stats::group(&opened.sources, &query, question);
    Ok((groups, problems, opened))
}

fn show_comparison(
    arguments: &Arguments,
    filters: &Filters,
    question: &StatsQuery,
    sides: (Side, Side),
) -> anyhow::Result<ExitCode> {
    let (before, problems, opened) =
        group_side(arguments, filters, question, sides.0)?;
    let mut is_troubled = select::say_problems(&opened.problems, &problems);
    let (after, problems, opened) =
        group_side(arguments, filters, question, sides.1)?;
    is_troubled |= select::say_problems(&opened.problems, &problems);
    let rows = compare::compare(&before, &after);
    let mut output = arguments.colors.stdout();
    match arguments.template.as_deref() {
        Some("json") => {
            write_json(&mut output, rows.iter().map(comparison_as_json))?;
        }
        Some(_) => {
            let mut table = Table::new();
            for row in &rows {
                let json = comparison_as_json(row);
                let cells = CSV.split(',').map(|name| match &json[name] {
                    Json::Null => String::new(),
                    Json::String(text) => text.clone(),
                    Json::Array(all) => {
                        let all = all.iter().filter_map(Json::as_str);
                        all.collect::<Vec<_>>().join(" ")
                    }
                    other => other.to_string(),
                });
                table.row(cells.map(|it| (it, PLAIN)));
            }
            table.write_csv(&mut output, CSV)?;
        }
        None => write_comparison(arguments, question, &rows, &mut output)?,
    }
    output.flush()?;
    Ok(ExitCode::from(u8::from(is_troubled)))
}

const CSV: &str = "group,changes,before,after,p50_before,p50_after,ratio,\
                   ratio_low,ratio_high,p_numbers,failures_before,\
                   failures_after,p_failures,harm,more_failures";

fn comparison_as_json(row: &compare::Row) -> Json {
    let changes = row.changes.iter().map(|it| it.word());
    json!({
        "group": row.name,
        "changes": changes.collect::<Vec<_>>(),
        "before": row.before,
        "after": row.after,
        "p50_before": row.p50_before,
        "p50_after": row.p50_after,
        "ratio": row.ratio.map(|it| it.ratio),
        "ratio_low": row.ratio.map(|it| it.low),
        "ratio_high": row.ratio.map(|it| it.high),
        "p_numbers": row.p_numbers,
        "failures_before": row.failures_before,
        "failures_after": row.failures_after,
        "p_failures": row.p_failures,
        "harm": row.harm,
        "more_failures": row.more_failures,
    })
}

fn write_comparison(
    arguments: &Arguments,
    question: &StatsQuery,
    rows: &[compare::Row],
    output: &mut impl Write,
) -> io::Result<()> {
    let is_shown = |row: &&compare::Row| {
        !row.changes.is_empty() || arguments.limit == Some(0)
    };
    let shown_rows: Vec<_> = rows.iter().filter(is_shown).collect();
    say_hidden(rows, rows.len() - shown_rows.len());
    if shown_rows.is_empty() {
        return writeln!(output, "there is no significant change");
    }
    let mut table = Table::new();
    table.heads(&[
        ">before",
        ">after",
        ">p50",
        ">p50 now",
        ">change",
        ">95 %",
        ">fail",
        ">fail now",
        ">harm",
        "",
        "",
    ]);
    for row in limited(arguments, &shown_rows) {
        table.row(comparison_cells(&question.of, row));
    }
    table.write(output)
}

/// Says how many groups are not shown, and how many were too small.
fn say_hidden(rows: &[compare::Row], hidden: usize) {
    if hidden == 0 {
        return;
    }
    let is_small = |it: &&compare::Row| it.before.min(it.after) < LEAST as u64;
    let small = match rows.iter().filter(is_small).count() {
        0 => String::new(),
        small => format!("; {small} too small to compare"),
    };
    let hidden = counted(hidden as u64, "group");
    say(&format!(
        "{hidden} more without a significant change{small} (-n 0 shows all)"
    ));
}

fn comparison_cells(
    field: &Field,
    row: &compare::Row,
) -> [(String, Style); 11] {
    let number = |it| (shown(field, it), PLAIN);
    let is_worse = row
        .changes
        .iter()
        .any(|it| matches!(it, Change::Slower | Change::FailsMore));
    let style = match (is_worse, row.changes.is_empty()) {
        (true, _) => ERROR,
        (false, false) => GOOD,
        (false, true) => DIM,
    };
    let percent = |ratio: f64| format!("{:+.0} %", (ratio - 1.0) * 100.0);
    let change = row.ratio.map_or(String::new(), |it| percent(it.ratio));
    let range = row.ratio.map_or(String::new(), |it| {
        format!("{} .. {}", percent(it.low), percent(it.high))
    });
    let failures = |failures: u64, all: u64| {
        let part = failures as f64 * 100.0 / all.max(1) as f64;
        (format!("{part:.1} %"), PLAIN)
    };
    let harm = match row.ratio {
        Some(_) if row.harm < 0.0 => format!("-{}", shown(field, -row.harm)),
        Some(_) => shown(field, row.harm),
        None => String::new(),
    };
    let changes: Vec<_> = row.changes.iter().map(|it| it.word()).collect();
    [
        (row.before.to_string(), PLAIN),
        (row.after.to_string(), PLAIN),
        number(row.p50_before),
        number(row.p50_after),
        (change, style),
        (range, DIM),
        failures(row.failures_before, row.before),
        failures(row.failures_after, row.after),
        (harm, PLAIN),
        (changes.join(", "), style),
        (row.name.clone(), PLAIN),
    ]
}

fn write_json(
    output: &mut impl Write,
    rows: impl Iterator<Item = Json>,
) -> io::Result<()> {
    let rows: Vec<Json> = rows.collect();
    serde_json::to_writer_pretty(&mut *output, &rows)?;
    output.write_all(b"\n")
}

/// A number of a field, for people.
fn shown(field: &Field, number: f64) -> String {
    match field.kind {
        FieldType::Seconds => duration(number),
        FieldType::Bytes => bytes(number.round()),
        _ if number.fract() == 0.0 => number.to_string(),
        _ => format!("{number:.2}"),
    }
}

/// Bars over time, the highest for the greatest.
pub(crate) fn sparkline(counts: &[u64]) -> String {
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: u64| match count {
        0 => ' ',
        count => {
            let index = (count * SPARKS.len() as u64).div_ceil(most) - 1;
            SPARKS[(index as usize).min(SPARKS.len() - 1)]
        }
    };
    counts.iter().map(|count| bar(*count)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sides_are_of_one_kind() {
        let kind = |text: &str| {
            sides(text).map(|(a, _)| match a {
                Side::Span(_) => "span",
                Side::Versions(_) => "versions",
                Side::Host(_) => "host",
                Side::Files(_) => "files",
            })
        };
        assert_eq!(kind("last week..this week"), Ok("span"));
        assert_eq!(kind("2026-11-01..2026-11-30"), Ok("span"));
        assert_eq!(kind("7.1..7.2.4"), Ok("versions"));
        assert_eq!(kind("build-1..build-2.example"), Ok("host"));
        assert_eq!(kind("/dev/null../dev/null"), Ok("files"));
        for wrong in ["", "7.1", "..", "7.1..", "last week..7.2", "a b..c d"] {
            assert!(kind(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sparklines_rise() {
        assert_eq!(sparkline(&[0, 1, 4, 8]), " ▁▄█");
        assert_eq!(sparkline(&[0, 0]), "  ");
    }
}
