//! The tables of the page: their columns and rows.
//!
//! Must not know where on the page a table is.

use uilog_history::report::Change;
use uilog_history::report::Report;
use uilog_history::report::Slot;

use super::table::Cell;
use super::table::Table;
use super::table::bad;
use super::table::long;
use super::table::name;
use super::table::number;
use super::table::seconds;
use crate::output::duration;
use crate::output::local;
use crate::report::pictures::Heat;
use crate::report::wording;

pub(super) fn timeline(slots: &[Slot]) -> Table {
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

pub(super) fn hours(hours: &[Vec<u64>]) -> Table {
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
            text: wording::how(change),
            class: "",
        },
        number(harm),
        number(change.count_before),
        number(change.count),
        seconds(change.p50_before),
        seconds(change.p50),
    ]
}

pub(super) fn changes(report: &Report) -> Table {
    Table::new(
        "changes-table",
        "Since the period before",
        "Changes that are unlikely to be chance, the greatest harm first.",
        "Nothing has changed for certain.",
        &CHANGE_HEADS,
        report.changes.iter().map(change_cells).collect(),
    )
}

pub(super) fn commands(report: &Report) -> Table {
    let rows = report.commands.rows.iter().map(|it| {
        let before = |seconds: f64| {
            number(wording::duration_before(it.count_before, seconds))
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

pub(super) fn slowest(report: &Report) -> Table {
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

pub(super) fn failures(report: &Report) -> Table {
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

pub(super) fn hooks(report: &Report) -> Table {
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

pub(super) fn locks(report: &Report) -> Table {
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

pub(super) fn holders(report: &Report) -> Table {
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

pub(super) fn users(report: &Report) -> Table {
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

pub(super) fn people(report: &Report) -> Table {
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

pub(super) fn versions(report: &Report) -> Table {
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

pub(super) fn regressions(report: &Report) -> Table {
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
