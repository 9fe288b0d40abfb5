//! The records that `uilog log` has found.

use std::collections::HashSet;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;

use uilog_history::fields::Field;
use uilog_history::filter::Query;
use uilog_history::record::Record;
use uilog_history::record::parse_time;
use uilog_history::scan;
use uilog_history::scan::LinePosition;
use uilog_history::scan::Match;
use uilog_history::scan::Problems;
use uilog_history::scan::Source;

/// A record that has been found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    /// The sort key, if known.
    pub(super) key: f64,
    pub(super) time: i64,
    /// Of its id.
    pub(super) hash: u64,
    pub(crate) place: LinePosition,
}

/// The requested records, in the order of the output, each once.
pub(crate) fn find(
    sources: &[Source],
    query: &Query,
    sort: Option<&Field>,
) -> (Vec<Hit>, Problems) {
    let (hits, problems) =
        scan::scan(sources, query, |hits: &mut Vec<Hit>, found| {
            hits.extend(Hit::of(&found, sort));
        });
    let mut hits = hits.concat();
    hits.sort_by_key(|hit| (hit.time, hit.place));
    let mut known = HashSet::with_capacity(hits.len());
    hits.retain(|hit| known.insert(hit.hash));
    if sort.is_some() {
        hits.sort_by(|a, b| a.key.total_cmp(&b.key));
    }
    (hits, problems)
}

impl Hit {
    /// None if it has nothing to be sorted by.
    pub(super) fn of(found: &Match<'_>, sort: Option<&Field>) -> Option<Self> {
        let key = match sort {
            None => 0.0,
            Some(field) => field.key(&found.record, found.time)?,
        };
        Some(Self {
            key,
            time: found.time,
            hash: hash(found.record.id.as_str()),
            place: found.place,
        })
    }
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// Parses the line of a found record.
pub(super) fn parsed(line: &[u8]) -> Option<(Record<'_>, i64)> {
    let record = Record::parse(line).ok()?;
    let time = parse_time(record.time.as_str())?.0;
    Some((record, time))
}
