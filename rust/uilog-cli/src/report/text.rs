//! The report as a page on a terminal.

use std::io;
use std::io::Write;

use anstyle::Style;
use uilog_history::report;
use uilog_history::report::Change;
use uilog_history::report::Report;
use uilog_history::report::Table as Rows;

use super::arguments::Section;
use super::wording::duration_before;
use super::wording::figures;
use super::wording::how;
use crate::log::Table;
use crate::log::sparkline;
use crate::output::ERROR;
use crate::output::GOOD;
use crate::output::HEADLINE;
use crate::output::PLAIN;
use crate::output::WARNING;
use crate::output::cut;
use crate::output::duration;
use crate::output::local;

const DIM: Style = Style::new().dimmed();
/// So many columns of the time line.
const SPARKS: usize = 42;
/// How wide a command of the slowest may be, and an error.
const MAX_COMMAND: usize = 200;

/// A report, and how much of it is shown.
pub(super) struct Page<'r> {
    pub(super) report: &'r Report,
    pub(super) sections: Vec<Section>,
    /// How many rows a table has at most.
    pub(super) rows: usize,
    /// How wide a line may be.
    pub(super) width: usize,
}

type Cell = (String, Style);

fn plain(text: impl ToString) -> Cell {
    (text.to_string(), PLAIN)
}

fn seconds(number: f64) -> Cell {
    (duration(number), PLAIN)
}

/// One with colour if it is not 0.
fn bad(count: u64) -> Cell {
    (count.to_string(), if count > 0 { ERROR } else { PLAIN })
}

impl Page<'_> {
    /// Writes the sections, a line between them.
    pub(super) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let report = self.report;
        let (period, before) = (report.period, report.before);
        let head = format!(
            "{} to {}, compared with {} to {}",
            local(period.from),
            local(period.to),
            local(before.from),
            local(before.to)
        );
        writeln!(output, "{DIM}{}{DIM:#}", cut(&head, self.width))?;
        for section in &self.sections {
            match section {
                Section::Overview => self.write_overview(output)?,
                Section::Changes => self.write_changes(output)?,
                Section::Slow => self.write_slow(output)?,
                Section::Failures => self.write_failures(output)?,
                Section::Hooks => self.write_hooks(output)?,
                Section::Locks => self.write_locks(output)?,
                Section::Waits => self.write_waits(output)?,
                Section::Versions => self.write_versions(output)?,
            }
        }
        Ok(())
    }

    /// Writes a table below its headline, or why there is none.
    fn write_table(
        &self,
        output: &mut impl Write,
        title: &str,
        empty: &str,
        heads: &[&str],
        rows: impl Iterator<Item = Vec<Cell>>,
        hidden: u64,
    ) -> io::Result<()> {
        writeln!(output, "\n{HEADLINE}{title}{HEADLINE:#}")?;
        let rows: Vec<_> = rows.collect();
        if rows.is_empty() {
            return writeln!(output, "{empty}");
        }
        let more = rows.len().saturating_sub(self.rows) as u64 + hidden;
        let mut table = Table::new();
        table.heads(heads);
        for row in rows.into_iter().take(self.rows) {
            table.row(row);
        }
        table.write_within(output, self.width)?;
        if more > 0 {
            writeln!(output, "{DIM}{more} more{DIM:#}")?;
        }
        Ok(())
    }

    /// The same of a table of the report.
    fn write_rows<R>(
        &self,
        output: &mut impl Write,
        title: &str,
        empty: &str,
        heads: &[&str],
        table: &Rows<R>,
        row: impl Fn(&R) -> Vec<Cell>,
    ) -> io::Result<()> {
        let rows = table.rows.iter().map(row);
        self.write_table(output, title, empty, heads, rows, table.more)?;
        if table.left_out > 0 {
            writeln!(
                output,
                "{WARNING}there are too many different names: {} records are \
                 in no row{WARNING:#}",
                table.left_out
            )?;
        }
        Ok(())
    }

    fn write_overview(&self, output: &mut impl Write) -> io::Result<()> {
        let figures = figures(self.report).into_iter();
        let rows = figures.map(|(name, now, before, change)| {
            vec![plain(now), (before, DIM), (change, DIM), plain(name)]
        });
        let heads = [">now", ">before", ">change", ""];
        // All of it, however few rows other tables have.
        let page = Page {
            rows: usize::MAX,
            sections: Vec::new(),
            ..*self
        };
        page.write_table(output, "Overview", "", &heads, rows, 0)?;
        let timeline = &self.report.timeline;
        if let (Some(first), Some(last)) = (timeline.first(), timeline.last()) {
            let width = timeline.len().div_ceil(SPARKS);
            let sums = |of: fn(&report::Slot) -> u64| -> Vec<u64> {
                let parts = timeline.chunks(width);
                parts.map(|part| part.iter().map(of).sum()).collect()
            };
            let commands = sparkline(&sums(|it| it.commands));
            let failures = sparkline(&sums(|it| it.failures));
            writeln!(output, "commands  {commands}")?;
            writeln!(output, "failures  {ERROR}{failures}{ERROR:#}")?;
            let dates =
                format!("{} .. {}", local(first.from), local(last.from));
            writeln!(output, "          {DIM}{dates}{DIM:#}")?;
        }
        Ok(())
    }

    fn write_changes(&self, output: &mut impl Write) -> io::Result<()> {
        let rows = self.report.changes.iter();
        let rows = rows.map(|it| change_row(it, None));
        self.write_table(
            output,
            "Changed since the period before",
            "nothing has changed for certain",
            &CHANGE_HEADS[1..],
            rows,
            0,
        )
    }

    fn write_slow(&self, output: &mut impl Write) -> io::Result<()> {
        self.write_rows(
            output,
            "What takes the time",
            "no command has ended",
            &[
                ">count",
                ">fail",
                ">total",
                ">p50",
                ">p95",
                ">p99",
                ">max",
                ">p50 before",
                "command",
            ],
            &self.report.commands,
            |it| {
                let before = duration_before(it.count_before, it.p50_before);
                vec![
                    plain(it.count),
                    bad(it.failures),
                    seconds(it.total),
                    seconds(it.p50),
                    seconds(it.p95),
                    seconds(it.p99),
                    seconds(it.max),
                    (before, DIM),
                    plain(&it.name),
                ]
            },
        )?;
        let rows = self.report.slowest.iter().map(|it| {
            let exit = it.exit.map_or(String::new(), |it| it.to_string());
            vec![
                (local(it.time), DIM),
                (duration(it.seconds), WARNING),
                plain(exit),
                plain(&it.user),
                plain(&it.repository),
                plain(cut(&it.command, MAX_COMMAND)),
            ]
        });
        self.write_table(
            output,
            "The slowest",
            "no command has ended",
            &[
                "when",
                ">duration",
                ">exit",
                "user",
                "repository",
                "command",
            ],
            rows,
            0,
        )
    }

    fn write_failures(&self, output: &mut impl Write) -> io::Result<()> {
        self.write_rows(
            output,
            "What fails, and why",
            "nothing has failed",
            &[
                ">count", ">before", ">users", "last", "command", "class",
                "error",
            ],
            &self.report.failures,
            |it| {
                vec![
                    (it.count.to_string(), ERROR),
                    (it.count_before.to_string(), DIM),
                    plain(it.users),
                    (local(it.last), DIM),
                    plain(&it.command),
                    plain(&it.error_type),
                    plain(cut(
                        it.error.lines().next().unwrap_or_default(),
                        MAX_COMMAND,
                    )),
                ]
            },
        )
    }

    fn write_hooks(&self, output: &mut impl Write) -> io::Result<()> {
        self.write_rows(
            output,
            "Hooks",
            "no hook has run",
            &[
                ">count", ">refused", ">total", ">p50", ">p95", ">max",
                ">before", ">refused", "hook",
            ],
            &self.report.hooks,
            |it| {
                let name = match it.reason.as_str() {
                    "" => it.name.clone(),
                    reason => format!("{} ({reason})", it.name),
                };
                vec![
                    plain(it.count),
                    bad(it.refusals),
                    seconds(it.total),
                    seconds(it.p50),
                    seconds(it.p95),
                    seconds(it.max),
                    (it.count_before.to_string(), DIM),
                    (it.refusals_before.to_string(), DIM),
                    plain(name),
                ]
            },
        )
    }

    fn write_locks(&self, output: &mut impl Write) -> io::Result<()> {
        self.write_rows(
            output,
            "Waiting for locks",
            "nobody has waited for a lock",
            &[
                ">count",
                ">in vain",
                ">total",
                ">p95",
                ">max",
                ">users",
                "lock",
                "repository",
            ],
            &self.report.locks,
            |it| {
                vec![
                    plain(it.count),
                    bad(it.in_vain),
                    seconds(it.total),
                    seconds(it.p95),
                    seconds(it.max),
                    plain(it.users),
                    plain(&it.lock),
                    plain(&it.repository),
                ]
            },
        )?;
        if self.report.lock_holders.rows.is_empty() {
            return Ok(());
        }
        self.write_rows(
            output,
            "Who held them",
            "",
            &[">count", ">total", ">max", ">users", "command", "holder"],
            &self.report.lock_holders,
            |it| {
                vec![
                    plain(it.count),
                    seconds(it.total),
                    seconds(it.max),
                    plain(it.users),
                    plain(&it.command),
                    plain(&it.holder),
                ]
            },
        )
    }

    fn write_waits(&self, output: &mut impl Write) -> io::Result<()> {
        self.write_rows(
            output,
            "What users waited for",
            "no command has ended",
            &[
                ">commands",
                ">time",
                ">locks",
                ">hooks",
                ">network",
                ">people",
                "user",
            ],
            &self.report.users,
            |it| {
                vec![
                    plain(it.commands),
                    seconds(it.seconds),
                    seconds(it.locks),
                    seconds(it.hooks),
                    seconds(it.network),
                    seconds(it.people),
                    plain(&it.user),
                ]
            },
        )?;
        self.write_rows(
            output,
            "Waiting for people",
            "no command has waited for a person",
            &[">count", ">total", ">p50", ">max", ">users", "for"],
            &self.report.people,
            |it| {
                vec![
                    plain(it.count),
                    seconds(it.total),
                    seconds(it.p50),
                    seconds(it.max),
                    plain(it.users),
                    plain(&it.kind),
                ]
            },
        )
    }

    fn write_versions(&self, output: &mut impl Write) -> io::Result<()> {
        self.write_rows(
            output,
            "Versions of Mercurial",
            "no command has ended",
            &[
                ">count",
                ">fail",
                ">p50",
                ">p95",
                ">users",
                ">machines",
                "version",
            ],
            &self.report.versions,
            |it| {
                vec![
                    plain(it.count),
                    bad(it.failures),
                    seconds(it.p50),
                    seconds(it.p95),
                    plain(it.users),
                    plain(it.hosts),
                    plain(&it.version),
                ]
            },
        )?;
        let rows = self.report.regressions.iter().map(|it| {
            let versions = format!("{} to {}", it.from, it.to);
            change_row(&it.change, Some(versions))
        });
        self.write_table(
            output,
            "Changed from version to version",
            "nothing has changed for certain",
            &CHANGE_HEADS,
            rows,
            0,
        )
    }
}

const CHANGE_HEADS: [&str; 8] = [
    "versions", ">before", ">now", ">p50", ">p50 now", ">harm", "command",
    "change",
];

fn change_row(change: &Change, versions: Option<String>) -> Vec<Cell> {
    let style = if change.is_worse() { ERROR } else { GOOD };
    let harm = match change.harm < 0.0 {
        true => format!("-{}", duration(-change.harm)),
        false => duration(change.harm),
    };
    let what = format!("{}: {}", change.changes.join(", "), how(change));
    let cells = [
        plain(change.count_before),
        plain(change.count),
        seconds(change.p50_before),
        seconds(change.p50),
        plain(harm),
        plain(&change.command),
        (what, style),
    ];
    versions.map(plain).into_iter().chain(cells).collect()
}
