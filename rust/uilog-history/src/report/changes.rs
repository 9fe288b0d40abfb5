//! Changes: what is slower, faster or fails more often, for certain.
//!
//! Must not know how a change is shown.

use std::collections::HashMap;

use super::gather::Gathered;
use super::numbers::Numbers;
use super::rows::Change;
use super::rows::Regression;
use super::rows::Version;
use super::tables::order;
use super::tables::versions;
use crate::compare;
use crate::compare::LEAST;
use crate::stats;

/// So many commands are compared with those of the period before, those with
/// the greatest totals. Each comparison takes 10 ms.
const MAX_COMPARED: usize = 40;
/// So many versions are compared with those before them.
const MAX_VERSIONS: usize = 4;
/// And of each so many commands.
const MAX_OF_VERSION: usize = 20;

/// Compares two sets of groups; only what is certain stays, the greatest harm
/// first.
fn compared(
    before: &HashMap<&str, &Numbers>,
    now: &HashMap<&str, &Numbers>,
    max: usize,
) -> Vec<Change> {
    let mut names: Vec<_> = now
        .iter()
        .filter(|(name, now)| {
            let before = before.get(*name).map_or(0, |it| it.count);
            before.min(now.count) >= LEAST as u64
        })
        .map(|(name, now)| (*name, now.total))
        .collect();
    order(&mut names, |it| it.1, |it| it.0);
    names.truncate(max);
    let side = |numbers: &HashMap<&str, &Numbers>| -> stats::Groups {
        let all = names.iter().map(|(name, _)| {
            let samples = numbers.get(name).map(|it| it.samples());
            ((*name).to_owned(), samples.unwrap_or_default())
        });
        all.collect()
    };
    let mut changes: Vec<_> = compare::compare(&side(before), &side(now))
        .into_iter()
        .filter(|row| !row.changes.is_empty())
        .filter_map(|row| {
            let before = before.get(row.name.as_str())?;
            let now = now.get(row.name.as_str())?;
            Some(change(row, before, now))
        })
        .collect();
    order(&mut changes, |it| it.harm, |it| it.command.clone());
    changes.sort_by_key(|it| !it.is_worse());
    changes
}

fn change(row: compare::Row, before: &Numbers, now: &Numbers) -> Change {
    // What was compared is a sample of what there is.
    let part = row.after.max(1) as f64 / now.count.max(1) as f64;
    let failing = |it: &Numbers| it.failures as f64 / it.count.max(1) as f64;
    Change {
        command: row.name,
        changes: row.changes.iter().map(|it| it.word()).collect(),
        count_before: before.count,
        count: now.count,
        p50_before: before.percentiles().p50,
        p50: now.percentiles().p50,
        ratio: row.ratio.map(|it| it.ratio),
        ratio_low: row.ratio.map(|it| it.low),
        ratio_high: row.ratio.map(|it| it.high),
        failing_before: failing(before),
        failing: failing(now),
        harm: row.harm / part,
    }
}

pub(super) fn changes(gathered: &Gathered) -> Vec<Change> {
    let all = || gathered.commands.of.iter();
    let before = all().map(|(name, both)| (name.as_str(), &both.before));
    let now = all().map(|(name, both)| (name.as_str(), &both.now));
    compared(&before.collect(), &now.collect(), MAX_COMPARED)
}

pub(super) fn regressions(gathered: &Gathered) -> Vec<Regression> {
    let is_enough = |it: &&Version| it.count >= LEAST as u64;
    let versions = versions(gathered).rows;
    let versions: Vec<_> = versions.iter().filter(is_enough).collect();
    let of = |version: &str| -> HashMap<&str, &Numbers> {
        let all = gathered.by_version.of.iter();
        all.filter(|((own, _), _)| own == version)
            .map(|((_, command), numbers)| (command.as_str(), numbers))
            .collect()
    };
    let pairs = versions.windows(2).take(MAX_VERSIONS);
    pairs
        .flat_map(|pair| {
            let (to, from) = (&pair[0].version, &pair[1].version);
            let changes = compared(&of(from), &of(to), MAX_OF_VERSION);
            changes.into_iter().map(|change| Regression {
                from: from.clone(),
                to: to.clone(),
                change,
            })
        })
        .collect()
}
