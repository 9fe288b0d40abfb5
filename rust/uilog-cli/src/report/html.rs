//! The report as a file for a browser, without anything outside of it.
//!
//! Responsible for what stands where, and for what a browser may do:
//! the page loads nothing, and runs only the script in it. The template escapes
//! all texts; whatever comes from records is a stranger's. Must not know where
//! the file is written.

mod table;
mod tables;

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest;
use sha2::Sha256;
use uilog_history::report::Period;
use uilog_history::report::Report;

use self::table::Table;
use super::pictures::Heat;
use super::pictures::Percentiles;
use super::pictures::Timeline;
use super::wording;
use crate::output::counted;
use crate::output::local;

const STYLE: &str = include_str!("../../templates/report.css");
const SCRIPT: &str = include_str!("../../templates/report.js");

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

/// The page's text.
pub(super) fn page(report: &Report) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |it| it.as_micros() as i64);
    let figures = wording::figures(report).into_iter();
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
            table: tables::timeline(&report.timeline),
        }),
        heat: WithTable {
            picture: Heat::new(&report.hours),
            table: tables::hours(&report.hours),
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

fn sections(report: &Report) -> Vec<Section> {
    let section = |id, title, tables| Section {
        id,
        title,
        picture: None,
        tables,
    };
    vec![
        section("changes", "Changes", vec![tables::changes(report)]),
        Section {
            picture: Percentiles::new(&report.commands.rows),
            ..section(
                "slow",
                "Slow",
                vec![tables::commands(report), tables::slowest(report)],
            )
        },
        section("failures", "Failures", vec![tables::failures(report)]),
        section("hooks", "Hooks", vec![tables::hooks(report)]),
        section(
            "locks",
            "Locks",
            vec![tables::locks(report), tables::holders(report)],
        ),
        section(
            "waits",
            "Waiting",
            vec![tables::users(report), tables::people(report)],
        ),
        section(
            "versions",
            "Versions",
            vec![tables::versions(report), tables::regressions(report)],
        ),
    ]
}
