//! The report as a file for a browser, without anything outside of it.
//!
//! Responsible for what stands in which table and for what a browser may do:
//! the page loads nothing, and runs only the script in it. The template escapes
//! all texts; whatever comes from records is a stranger's. Must not know where
//! the file is written.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest;
use sha2::Sha256;
use uilog_history::report::Change;
use uilog_history::report::Period;
use uilog_history::report::Report;
use uilog_history::report::Slot;
use uilog_history::report::Table as Rows;

use super::pictures::Heat;
use super::pictures::Percentiles;
use super::pictures::Timeline;
use super::pictures::shown;
use super::text;
use crate::output::counted;
use crate::output::cut;
use crate::output::duration;
use crate::output::local;

const STYLE: &str = include_str!("../../templates/report.css");
const SCRIPT: &str = include_str!("../../templates/report.js");

/// How many characters a name has at most, and a longer text.
const MAX_NAME: usize = 80;
const MAX_TEXT: usize = 300;

/// The page.
#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    policy: String,
    style: &'static str,
    script: &'static str,
    version: &'static str,
    period: String,
    before: String,
    made: String,
    records: String,
    figures: Vec<Figure>,
    timeline: Option<WithTable<Timeline>>,
    heat: WithTable<Heat>,
    sections: Vec<Section>,
}

/// A picture, and the same as a table.
struct WithTable<P> {
    picture: P,
    table: Table,
}

impl<P> std::ops::Deref for WithTable<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.picture
    }
}

struct Figure {
    name: &'static str,
    now: String,
    before: String,
    change: String,
}

struct Section {
    id: &'static str,
    title: &'static str,
    picture: Option<Percentiles>,
    tables: Vec<Table>,
}

struct Table {
    id: &'static str,
    title: &'static str,
    caption: &'static str,
    empty: &'static str,
    heads: Vec<Head>,
    rows: Vec<Vec<Cell>>,
    note: Option<String>,
}

struct Head {
    text: &'static str,
    is_number: bool,
}

struct Cell {
    text: String,
    class: &'static str,
}

fn name(text: &str) -> Cell {
    Cell {
        text: cut(&shown(text), MAX_NAME),
        class: "text",
    }
}

fn long(text: &str) -> Cell {
    Cell {
        text: cut(&shown(text), MAX_TEXT),
        class: "text",
    }
}

fn number(text: impl ToString) -> Cell {
    Cell {
        text: text.to_string(),
        class: "number",
    }
}

fn bad(count: u64) -> Cell {
    Cell {
        text: count.to_string(),
        class: if count > 0 { "number bad" } else { "number" },
    }
}

fn seconds(number: f64) -> Cell {
    Cell {
        text: duration(number),
        class: "number",
    }
}

impl Table {
    /// One whose numbers have `>` in front of their heads.
    fn new(
        id: &'static str,
        title: &'static str,
        caption: &'static str,
        empty: &'static str,
        heads: &[&'static str],
        rows: Vec<Vec<Cell>>,
    ) -> Self {
        let head = |text: &&'static str| Head {
            text: text.trim_start_matches('>'),
            is_number: text.starts_with('>'),
        };
        Self {
            id,
            title,
            caption,
            empty,
            heads: heads.iter().map(head).collect(),
            rows,
            note: None,
        }
    }

    /// With a note on what is missing.
    fn of<R>(mut self, table: &Rows<R>) -> Self {
        let mut notes = Vec::new();
        if table.more > 0 {
            notes.push(format!("{} more", counted(table.more, "row")));
        }
        if table.left_out > 0 {
            let records = counted(table.left_out, "record");
            notes.push(format!(
                "there are too many different names: {records} in no row"
            ));
        }
        self.note = (!notes.is_empty()).then(|| notes.join("; "));
        self
    }
}

/// The page's text.
pub(super) fn page(report: &Report) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |it| it.as_micros() as i64);
    let figures = text::figures(report).into_iter();
    let page = Page {
        policy: policy(),
        style: STYLE,
        script: SCRIPT,
        version: env!("CARGO_PKG_VERSION"),
        period: period(report.period),
        before: period(report.before),
        made: local(now),
        records: counted(report.records, "record"),
        figures: figures
            .map(|(name, now, before, change)| Figure {
                name,
                now,
                before,
                change,
            })
            .collect(),
        timeline: Timeline::new(&report.timeline).map(|picture| WithTable {
            picture,
            table: timeline_table(&report.timeline),
        }),
        heat: WithTable {
            picture: Heat::new(&report.hours),
            table: hours_table(&report.hours),
        },
        sections: sections(report),
    };
    page.render().context("the report's template")
}

/// What a browser may do: use this style and this script, and nothing else.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; \
         base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

fn period(period: Period) -> String {
    format!("{} to {}", local(period.from), local(period.to))
}

fn timeline_table(slots: &[Slot]) -> Table {
    let row = |slot: &Slot| {
        vec![
            number(local(slot.from)),
            number(slot.commands),
            bad(slot.failures),
        ]
    };
    Table::new(
        "timeline-table",
        "Commands over time",
        "Each row is a part of the period.",
        "",
        &[">from", ">commands", ">failures"],
        slots.iter().map(row).collect(),
    )
}

fn hours_table(hours: &[Vec<u64>]) -> Table {
    const HEADS: [&str; 25] = [
        "day", ">0", ">1", ">2", ">3", ">4", ">5", ">6", ">7", ">8", ">9",
        ">10", ">11", ">12", ">13", ">14", ">15", ">16", ">17", ">18", ">19",
        ">20", ">21", ">22", ">23",
    ];
    let rows = hours.iter().enumerate().map(|(day, hours)| {
        let day = Cell {
            text: Heat::day(day).to_owned(),
            class: "",
        };
        let hours = hours.iter().map(number);
        [day].into_iter().chain(hours).collect()
    });
    Table::new(
        "hours-table",
        "Commands by day and hour",
        "Each column is an hour.",
        "",
        &HEADS,
        rows.collect(),
    )
}

fn sections(report: &Report) -> Vec<Section> {
    let section = |id, title, tables| Section {
        id,
        title,
        picture: None,
        tables,
    };
    vec![
        section("changes", "Changes", vec![changes(report)]),
        Section {
            picture: Percentiles::new(&report.commands.rows),
            ..section("slow", "Slow", vec![commands(report), slowest(report)])
        },
        section("failures", "Failures", vec![failures(report)]),
        section("hooks", "Hooks", vec![hooks(report)]),
        section("locks", "Locks", vec![locks(report), holders(report)]),
        section("waits", "Waiting", vec![users(report), people(report)]),
        section(
            "versions",
            "Versions",
            vec![versions(report), regressions(report)],
        ),
    ]
}

fn change_cells(change: &Change) -> Vec<Cell> {
    let harm = match change.harm < 0.0 {
        true => format!("-{}", duration(-change.harm)),
        false => duration(change.harm),
    };
    let class = if change.is_worse() { "bad" } else { "good" };
    vec![
        name(&change.command),
        Cell {
            text: change.changes.join(", "),
            class,
        },
        Cell {
            text: text::how(change),
            class: "",
        },
        number(harm),
        number(change.count_before),
        number(change.count),
        seconds(change.p50_before),
        seconds(change.p50),
    ]
}

const CHANGE_HEADS: [&str; 8] = [
    "command",
    "change",
    "by how much (95 % confidence)",
    ">more time in all",
    ">count before",
    ">count",
    ">p50 before",
    ">p50",
];

fn changes(report: &Report) -> Table {
    Table::new(
        "changes-table",
        "Since the period before",
        "Changes that are unlikely to be chance, the greatest harm first.",
        "Nothing has changed for certain.",
        &CHANGE_HEADS,
        report.changes.iter().map(change_cells).collect(),
    )
}

fn commands(report: &Report) -> Table {
    let rows = report.commands.rows.iter().map(|it| {
        let before = |seconds: f64| match it.count_before {
            0 => number(""),
            _ => number(duration(seconds)),
        };
        vec![
            name(&it.name),
            number(it.count),
            bad(it.failures),
            seconds(it.total),
            seconds(it.p50),
            seconds(it.p95),
            seconds(it.p99),
            seconds(it.max),
            number(it.count_before),
            before(it.p50_before),
            before(it.p95_before),
        ]
    });
    Table::new(
        "commands-table",
        "What takes the time",
        "Commands, the greatest total first. Half of them took less than p50.",
        "No command has ended.",
        &[
            "command",
            ">count",
            ">failures",
            ">total",
            ">p50",
            ">p95",
            ">p99",
            ">longest",
            ">count before",
            ">p50 before",
            ">p95 before",
        ],
        rows.collect(),
    )
    .of(&report.commands)
}

fn slowest(report: &Report) -> Table {
    let rows = report.slowest.iter().map(|it| {
        vec![
            long(&it.command),
            seconds(it.seconds),
            number(it.exit.map_or(String::new(), |it| it.to_string())),
            number(local(it.time)),
            name(&it.user),
            name(&it.host),
            name(&it.repository),
            name(&it.trace),
        ]
    });
    Table::new(
        "slowest-table",
        "The slowest",
        "Single commands; `uilog trace` shows what one spent its time on.",
        "No command has ended.",
        &[
            "command",
            ">duration",
            ">exit",
            ">when",
            "user",
            "machine",
            "repository",
            "trace",
        ],
        rows.collect(),
    )
}

fn failures(report: &Report) -> Table {
    let rows = report.failures.rows.iter().map(|it| {
        vec![
            name(&it.command),
            name(&it.error_type),
            long(&it.error),
            bad(it.count),
            number(it.count_before),
            number(it.users),
            number(local(it.last)),
            name(&it.repository),
        ]
    });
    Table::new(
        "failures-table",
        "What fails, and why",
        "Failures of one wording, with the newest one.",
        "Nothing has failed.",
        &[
            "command",
            "class",
            "error",
            ">count",
            ">before",
            ">users",
            ">last",
            "repository",
        ],
        rows.collect(),
    )
    .of(&report.failures)
}

fn hooks(report: &Report) -> Table {
    let rows = report.hooks.rows.iter().map(|it| {
        vec![
            name(&it.name),
            number(it.count),
            bad(it.refusals),
            seconds(it.total),
            seconds(it.p50),
            seconds(it.p95),
            seconds(it.max),
            number(it.count_before),
            number(it.refusals_before),
            name(&it.reason),
        ]
    });
    Table::new(
        "hooks-table",
        "What hooks take, and what they refuse",
        "Hooks, the greatest total first.",
        "No hook has run.",
        &[
            "hook",
            ">count",
            ">refused",
            ">total",
            ">p50",
            ">p95",
            ">longest",
            ">count before",
            ">refused before",
            "not run because",
        ],
        rows.collect(),
    )
    .of(&report.hooks)
}

fn locks(report: &Report) -> Table {
    let rows = report.locks.rows.iter().map(|it| {
        vec![
            name(&it.repository),
            name(&it.lock),
            number(it.count),
            bad(it.in_vain),
            seconds(it.total),
            seconds(it.p95),
            seconds(it.max),
            number(it.users),
        ]
    });
    Table::new(
        "locks-table",
        "Waiting for locks",
        "Locks, the greatest total first.",
        "Nobody has waited for a lock.",
        &[
            "repository",
            "lock",
            ">waits",
            ">in vain",
            ">total",
            ">p95",
            ">longest",
            ">users",
        ],
        rows.collect(),
    )
    .of(&report.locks)
}

fn holders(report: &Report) -> Table {
    let rows = report.lock_holders.rows.iter().map(|it| {
        vec![
            name(&it.holder),
            name(&it.command),
            number(it.count),
            seconds(it.total),
            seconds(it.max),
            number(it.users),
        ]
    });
    Table::new(
        "holders-table",
        "Who held them",
        "The machine and the command; the process if its command is not known.",
        "Nobody has waited for a lock.",
        &[
            "holder", "command", ">waits", ">total", ">longest", ">users",
        ],
        rows.collect(),
    )
    .of(&report.lock_holders)
}

fn users(report: &Report) -> Table {
    let rows = report.users.rows.iter().map(|it| {
        vec![
            name(&it.user),
            number(it.commands),
            bad(it.failures),
            seconds(it.seconds),
            seconds(it.locks),
            seconds(it.hooks),
            seconds(it.network),
            seconds(it.people),
        ]
    });
    Table::new(
        "users-table",
        "What users waited for",
        "Of the time of all commands: locks, hooks, other repositories, people.",
        "No command has ended.",
        &[
            "user", ">commands", ">failures", ">time", ">locks", ">hooks",
            ">network", ">people",
        ],
        rows.collect(),
    )
    .of(&report.users)
}

fn people(report: &Report) -> Table {
    let rows = report.people.rows.iter().map(|it| {
        vec![
            name(&it.kind),
            number(it.count),
            seconds(it.total),
            seconds(it.p50),
            seconds(it.max),
            number(it.users),
        ]
    });
    Table::new(
        "people-table",
        "Waiting for people",
        "Editors, prompts, merge tools and pagers.",
        "No command has waited for a person.",
        &["for", ">waits", ">total", ">p50", ">longest", ">users"],
        rows.collect(),
    )
    .of(&report.people)
}

fn versions(report: &Report) -> Table {
    let rows = report.versions.rows.iter().map(|it| {
        vec![
            name(&it.version),
            number(it.count),
            bad(it.failures),
            seconds(it.p50),
            seconds(it.p95),
            number(it.users),
            number(it.hosts),
        ]
    });
    Table::new(
        "versions-table",
        "Versions of Mercurial",
        "The newest first.",
        "No command has ended.",
        &[
            "version",
            ">commands",
            ">failures",
            ">p50",
            ">p95",
            ">users",
            ">machines",
        ],
        rows.collect(),
    )
    .of(&report.versions)
}

fn regressions(report: &Report) -> Table {
    let rows = report.regressions.iter().map(|it| {
        let versions = name(&format!("{} to {}", it.from, it.to));
        let cells = change_cells(&it.change).into_iter();
        [versions].into_iter().chain(cells).collect()
    });
    let heads: Vec<_> = ["versions"].into_iter().chain(CHANGE_HEADS).collect();
    Table::new(
        "regressions-table",
        "From version to version",
        "Changes that are unlikely to be chance.",
        "Nothing has changed for certain.",
        &heads,
        rows.collect(),
    )
}
