//! Statistics of many commands: how many, how long, how often they failed.
//!
//! Responsible for grouping, and for the numbers of a group. Must not know how
//! they are shown.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;

use chrono::DateTime;
use chrono::Datelike;

use crate::fields::Field;
use crate::fields::FieldType;
use crate::fields::Value;
use crate::filter::Query;
use crate::rank::quantile;
use crate::record::Record;
use crate::scan;
use crate::scan::Match;
use crate::scan::Problems;
use crate::scan::Source;
use crate::when::Span;

/// How many columns a sparkline has.
pub const SPARKS: usize = 12;
/// What stands for what is not known.
pub(crate) const UNKNOWN: &str = "-";

/// By what records are grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The value of a field.
    Field(Field),
    /// A span of the calendar.
    Calendar(Calendar),
}

/// A span of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calendar {
    /// `2026-11-30 14h`.
    Hour,
    /// `2026-11-30`.
    Day,
    /// `2026-W49`.
    Week,
    /// `2026-11`.
    Month,
}

/// Other names than those of columns.
const GROUPS: [&str; 15] = [
    "command",
    "repo",
    "repository",
    "user",
    "host",
    "hg-version",
    "hook",
    "error-type",
    "event",
    "exit",
    "ci",
    "hour",
    "day",
    "week",
    "month",
];

impl By {
    /// The group of this name.
    ///
    /// # Errors
    ///
    /// There is none; the text has a suggestion.
    pub fn named(name: &str) -> Result<Self, String> {
        let field = match name.trim() {
            "hour" => return Ok(Self::Calendar(Calendar::Hour)),
            "day" => return Ok(Self::Calendar(Calendar::Day)),
            "week" => return Ok(Self::Calendar(Calendar::Week)),
            "month" => return Ok(Self::Calendar(Calendar::Month)),
            // The whole command line is different each time.
            "command" => "name",
            "repo" => "repository",
            other => other,
        };
        Field::named(field).map(Self::Field).map_err(|_| {
            let names = GROUPS.into_iter();
            let advice = uilog_event::suggest::advice(name, names, "groups");
            format!("--by {name}: there is no such group: {advice}")
        })
    }

    fn key<'r>(
        &self,
        record: &'r Record<'_>,
        time: i64,
        offset: i32,
    ) -> Cow<'r, str> {
        match self {
            Self::Field(field) => match field.of(record) {
                Value::None => UNKNOWN.into(),
                Value::Text(text) => text,
                Value::Number(number) => number.to_string().into(),
            },
            Self::Calendar(calendar) => {
                let local = time + i64::from(offset) * 1_000_000;
                let Some(date) = DateTime::from_timestamp_micros(local) else {
                    return UNKNOWN.into();
                };
                match calendar {
                    Calendar::Hour => date.format("%Y-%m-%d %Hh").to_string(),
                    Calendar::Day => date.format("%Y-%m-%d").to_string(),
                    Calendar::Week => {
                        let week = date.iso_week();
                        format!("{:04}-W{:02}", week.year(), week.week())
                    }
                    Calendar::Month => date.format("%Y-%m").to_string(),
                }
                .into()
            }
        }
    }
}

/// The values that are read from each record.
#[derive(Clone, Debug, PartialEq)]
pub struct StatsQuery {
    /// By what records are grouped: one or more.
    pub by: Vec<By>,
    /// The number of which there are statistics.
    pub of: Field,
}

impl StatsQuery {
    /// Checks that there are statistics of a field.
    ///
    /// # Errors
    ///
    /// It is no number.
    pub fn new(by: Vec<By>, of: Field) -> Result<Self, String> {
        match of.kind {
            FieldType::Time | FieldType::Text
                if !of.name.starts_with("option.") =>
            {
                Err(format!("--of {}: not a number", of.name))
            }
            _ => Ok(Self { by, of }),
        }
    }
}

/// One record, as far as it counts.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    id: u64,
    time: i64,
    /// The number, if it is known.
    pub number: Option<f64>,
    /// Whether it is a failure.
    pub is_failure: bool,
}

impl Sample {
    /// One that is compared with others only.
    pub(crate) fn of(number: Option<f64>, is_failure: bool) -> Self {
        Self {
            id: 0,
            time: 0,
            number,
            is_failure,
        }
    }
}

/// The records of each group, each once, in the order of time.
pub type Groups = HashMap<String, Vec<Sample>>;

/// Groups the records that are wanted.
pub fn group(
    sources: &[Source],
    query: &Query,
    question: &StatsQuery,
) -> (Groups, Problems) {
    let each = |groups: &mut Groups, found: Match<'_>| {
        let record = &found.record;
        let keys = question.by.iter();
        let keys = keys.map(|by| by.key(record, found.time, found.offset));
        let key = keys.collect::<Vec<_>>().join("  ");
        let mut hasher = DefaultHasher::new();
        record.id.as_str().hash(&mut hasher);
        let sample = Sample {
            id: hasher.finish(),
            time: found.time,
            number: match question.of.of(record) {
                Value::Number(number) => Some(number),
                _ => None,
            },
            is_failure: record.is_failure(),
        };
        groups.entry(key).or_default().push(sample);
    };
    let (states, problems) = scan::scan(sources, query, each);
    let mut groups = Groups::new();
    for state in states {
        for (key, samples) in state {
            groups.entry(key).or_default().extend(samples);
        }
    }
    for samples in groups.values_mut() {
        samples.sort_by_key(|it| (it.time, it.id));
        // One record at several places has one time.
        samples.dedup_by_key(|it| (it.time, it.id));
    }
    (groups, problems)
}

/// The statistics of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The group.
    pub name: String,
    /// How many there are.
    pub count: u64,
    /// How many of these have failed.
    pub failures: u64,
    /// The sum of all numbers.
    pub total: f64,
    /// Half of them are below.
    pub p50: f64,
    /// 95 % of them are below.
    pub p95: f64,
    /// 99 % of them are below.
    pub p99: f64,
    /// The most.
    pub max: f64,
    /// How many there are in each part of all the time.
    pub sparks: [u64; SPARKS],
}

impl Row {
    fn new(name: &str, samples: &[Sample], span: Span) -> Self {
        let mut numbers = numbers(samples);
        numbers.sort_by(f64::total_cmp);
        let mut sparks = [0; SPARKS];
        let width = (span.to - span.from).max(1) as f64;
        for sample in samples {
            let part = (sample.time - span.from) as f64 / width;
            let index = (part * SPARKS as f64) as usize;
            sparks[index.min(SPARKS - 1)] += 1;
        }
        Self {
            name: name.to_owned(),
            count: samples.len() as u64,
            failures: samples.iter().filter(|it| it.is_failure).count() as u64,
            total: numbers.iter().sum(),
            p50: quantile(&numbers, 0.50),
            p95: quantile(&numbers, 0.95),
            p99: quantile(&numbers, 0.99),
            max: numbers.last().copied().unwrap_or(0.0),
            sparks,
        }
    }
}

/// The numbers that are known.
pub fn numbers(samples: &[Sample]) -> Vec<f64> {
    samples.iter().filter_map(|it| it.number).collect()
}

/// The statistics of each group; the greatest total last, or in the order of
/// the calendar.
pub fn rows(groups: &Groups, question: &StatsQuery) -> Vec<Row> {
    let times = || groups.values().flatten().map(|it| it.time);
    let span = Span {
        from: times().min().unwrap_or(0),
        to: times().max().unwrap_or(0),
    };
    let mut rows: Vec<_> = groups
        .iter()
        .map(|(name, samples)| Row::new(name, samples, span))
        .collect();
    if matches!(question.by[..], [By::Calendar(_), ..]) {
        rows.sort_by(|a, b| a.name.cmp(&b.name));
    } else {
        rows.sort_by(|a, b| {
            a.total
                .total_cmp(&b.total)
                .then_with(|| b.name.cmp(&a.name))
        });
    }
    rows
}
