//! `uilog log`: the commands that were run, newest last.

mod follow;
mod lines;
mod stats;
pub(crate) mod table;
mod template;

use std::collections::HashSet;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;

use lines::Lines;
pub(crate) use lines::bytes;
pub(crate) use lines::local;
use template::Format;
use uilog_history::fields::Field;
use uilog_history::filter::Query;
use uilog_history::record::Record;
use uilog_history::record::parse_time;
use uilog_history::scan;
use uilog_history::scan::Found;
use uilog_history::scan::Place;
use uilog_history::scan::Problems;
use uilog_history::scan::Source;
use uilog_sys::terminal;

use crate::output::Colors;
use crate::output::say;
use crate::select;
use crate::select::EXIT_USAGE;
use crate::select::Selection;

/// How many are shown unless -n says so.
const SHOWN: usize = 10;
/// What is shown of each.
const COLUMNS: &str = "when,duration,exit,command,repository";
/// What a table of values has, for programs.
const CSV_COLUMNS: &str = "when,duration,exit,name,command,repository,user,\
                           host,hg-version,error-type,error,trace,session";

/// Show the commands that were run, newest last
///
/// Reads the records that sinks `file:` have written, and the history: of one
/// or many users, machines and repositories. Each command is one line: when it
/// ended, how long it took, its exit status, the command and the repository.
/// Below a command that has failed stands the reason, where hg has told one.
///
/// Options that are given more than once take any of their values; different
/// options must all be met.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  uilog log                                 the last ten commands
  uilog log --failed --since yesterday      what has failed, and why
  uilog log --command strip --since 30d     who ran strip, and when
  uilog log --since 'last week' --sort duration
                                            the slowest, the slowest one last
  uilog log --stats --command pull --by week
                                            how long pulls take, by week
  uilog log --stats --by hook --hook '*' --failed
                                            which hooks refuse commands
  uilog log --compare 'last week..this week'
                                            what has become slower
  uilog log --columns when,user,host,command
  uilog log -n 0 -T csv >commands.csv       all of them, for a spreadsheet
  uilog log -T json --failed | jq -r '.[].process.command_line'
  uilog log -T '{when} {command}\\n'         as you like it
  uilog log /srv/logs/*.jsonl --user alice  from other files
  uilog log --follow                        these, and then new ones

Columns, which -T, --columns and --sort take:
  when, duration, exit, command, name, repository, root, user, host, error,
  error-type, event, message, hook, id, trace, span, session, pid, cwd,
  hg-version, ci, peak-memory, cpu, user-cpu, system-cpu, lock-wait, user-wait,
  bytes-sent, bytes-received, roundtrips; option.NAME is an option of the event

Exit status:
  0  it is done
  1  a file cannot be read
  2  an argument makes no sense")]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// How many are shown; 0: all. By default ten, twenty groups, and all with
    /// -T
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    /// Show those with the most of this, the most last, instead of the newest
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// What is shown of each
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    columns: Vec<String>,
    /// How to show them: json, csv, or a template such as '{when} {command}\n'
    #[arg(short = 'T', long, value_name = "FORMAT")]
    template: Option<String>,
    /// Go on with new ones as they are logged, until Ctrl-C; with -T json,
    /// each is a line
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    stats: stats::Options,
    #[command(flatten)]
    colors: Colors,
}

/// What the arguments ask for, and it makes sense.
struct Request {
    query: Query,
    sort: Option<Field>,
    limit: usize,
    format: Format,
}

/// A record that has been found.
#[derive(Clone, Copy, Debug)]
struct Hit {
    /// What it is sorted by, if that is known.
    key: f64,
    time: i64,
    /// Of its id.
    hash: u64,
    place: Place,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.stats.is_asked() {
        return stats::run(arguments);
    }
    let request = match arguments.request() {
        Ok(request) => request,
        Err(why) => {
            say(&format!("uilog: {why}"));
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let opened = arguments.selection.sources.open()?;
    let (hits, problems) = find(&opened.sources, &request);
    let is_troubled = select::say_problems(&opened.problems, &problems);
    let from = match request.limit {
        0 => 0,
        limit => hits.len().saturating_sub(limit),
    };
    if from > 0 {
        say(&format!("{from} more (-n 0 shows all)"));
    }
    if hits.is_empty() {
        arguments.selection.say_why_nothing_is_found(&opened);
    }
    let mut output = arguments.colors.stdout();
    let mut rows = Vec::new();
    for hit in &hits[from..] {
        rows.push(scan::line_at(&opened.sources, hit.place)?);
    }
    let mut lines = Lines::new(request.format.clone(), width());
    lines.write(&mut output, &rows, !arguments.follow)?;
    output.flush()?;
    if arguments.follow {
        return follow::run(arguments, &request, opened, &mut lines, output);
    }
    Ok(ExitCode::from(u8::from(is_troubled)))
}

/// How wide a line may be, on a terminal.
fn width() -> Option<usize> {
    let stdout = io::stdout();
    let is_terminal = stdout.is_terminal();
    is_terminal.then(|| terminal::size(&stdout).map_or(80, |it| it.0))
}

impl Arguments {
    fn request(&self) -> Result<Request, String> {
        let sort = self.sort.as_deref().map(Field::named).transpose()?;
        if let Some(field) = sort.as_ref().filter(|it| !it.is_sortable()) {
            return Err(format!(
                "--sort {}: that is no number, and no time",
                field.name
            ));
        }
        let default = match self.template.as_deref() {
            Some("csv") => CSV_COLUMNS,
            _ => COLUMNS,
        };
        let named: Vec<_> = if self.columns.is_empty() {
            default.split(',').collect()
        } else {
            self.columns.iter().map(String::as_str).collect()
        };
        let columns: Result<Vec<_>, _> =
            named.into_iter().map(Field::named).collect();
        let columns = columns?;
        let format = match self.template.as_deref() {
            None => Format::Text(columns),
            Some("json") if self.columns.is_empty() => Format::Json(None),
            Some("json") => Format::Json(Some(columns)),
            Some("csv") => Format::Csv(columns),
            Some(text) => Format::template(text)?,
        };
        let all = if self.template.is_some() { 0 } else { SHOWN };
        Ok(Request {
            query: self.selection.query()?,
            sort,
            limit: self.limit.unwrap_or(all),
            format,
        })
    }
}

/// What is asked for, in the order in which it is shown, each record once.
fn find(sources: &[Source], request: &Request) -> (Vec<Hit>, Problems) {
    let (hits, problems) =
        scan::scan(sources, &request.query, |hits: &mut Vec<Hit>, found| {
            hits.extend(Hit::of(&found, request.sort.as_ref()));
        });
    let mut hits = hits.concat();
    hits.sort_by(|a, b| (a.time, a.place).cmp(&(b.time, b.place)));
    let mut known = HashSet::with_capacity(hits.len());
    hits.retain(|hit| known.insert(hit.hash));
    if request.sort.is_some() {
        hits.sort_by(|a, b| a.key.total_cmp(&b.key));
    }
    (hits, problems)
}

impl Hit {
    /// None if it has nothing to be sorted by.
    fn of(found: &Found<'_>, sort: Option<&Field>) -> Option<Self> {
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

/// A line as a record; what has been found is one.
fn parsed(line: &[u8]) -> Option<(Record<'_>, i64)> {
    let record = Record::parse(line).ok()?;
    let time = parse_time(record.time.as_str())?.0;
    Some((record, time))
}
