//! Figures and changes of a report in words, as the page and the terminal show
//! them.
//!
//! Must not know where they stand.

use uilog_history::report::Change;
use uilog_history::report::Figures;
use uilog_history::report::Report;

use crate::output::duration;

/// `1.2 %` of a number.
pub(super) fn percent(part: f64, all: f64) -> String {
    match all > 0.0 {
        true => format!("{:.1} %", part * 100.0 / all),
        false => "-".to_owned(),
    }
}

/// By how much a number has changed: `+12 %`.
pub(super) fn change(before: f64, now: f64) -> String {
    if before <= 0.0 {
        return String::new();
    }
    let percent = (now / before - 1.0) * 100.0;
    match percent.abs() < 0.5 {
        true => "the same".to_owned(),
        false => format!("{percent:+.0} %"),
    }
}

/// How long commands took in the period before, if any ran.
pub(super) fn duration_before(count: u64, seconds: f64) -> String {
    match count {
        0 => String::new(),
        _ => duration(seconds),
    }
}

/// A figure of the overview: its name, now, and before.
pub(super) type Figure = (&'static str, String, String, String);

/// The figures of the overview.
pub(super) fn figures(report: &Report) -> Vec<Figure> {
    let (now, before) = (&report.overview, &report.overview_before);
    let count = |name, of: fn(&Figures) -> u64| -> Figure {
        let (now, before) = (of(now), of(before));
        let change = change(before as f64, now as f64);
        (name, now.to_string(), before.to_string(), change)
    };
    let time = |name, of: fn(&Figures) -> f64| -> Figure {
        let (now, before) = (of(now), of(before));
        (name, duration(now), duration(before), change(before, now))
    };
    let failing =
        |of: &Figures| percent(of.failures as f64, of.commands as f64);
    vec![
        count("commands", |it| it.commands),
        count("failures", |it| it.failures),
        ("failing", failing(now), failing(before), String::new()),
        time("time of all commands", |it| it.seconds),
        time("half took less than", |it| it.p50),
        time("95 % took less than", |it| it.p95),
        time("waited for locks", |it| it.lock_seconds),
        time("spent in hooks", |it| it.hook_seconds),
        time("waited for the network", |it| it.network_seconds),
        time("waited for people", |it| it.people_seconds),
        count("hooks that refused", |it| it.refusals),
        count("users", |it| it.users),
        count("machines", |it| it.hosts),
        count("repositories", |it| it.repositories),
    ]
}

/// `pull is 12 % slower (8 % to 15 %)`, and by how much time.
pub(super) fn how(change: &Change) -> String {
    let percent = |ratio: f64| format!("{:+.0} %", (ratio - 1.0) * 100.0);
    let mut parts = Vec::new();
    let is_slower = change.changes.iter().any(|it| it.ends_with("er"));
    if let (true, Some(ratio), Some(low), Some(high)) =
        (is_slower, change.ratio, change.ratio_low, change.ratio_high)
    {
        parts.push(format!(
            "{} ({} to {})",
            percent(ratio),
            percent(low),
            percent(high)
        ));
    }
    if change.changes.iter().any(|it| it.starts_with("fails")) {
        parts.push(format!(
            "{:.1} % failed, {:.1} % fail",
            change.failing_before * 100.0,
            change.failing * 100.0
        ));
    }
    parts.join("; ")
}
