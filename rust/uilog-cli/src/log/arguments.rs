//! The arguments of `uilog log`, converted to a query.

use clap::Args;
use uilog_history::fields::Field;
use uilog_history::filter::Query;
use uilog_history::stats::By;
use uilog_history::stats::StatsQuery;

use super::template::Format;
use crate::output::Colors;
use crate::select::Selection;

/// How many are shown unless -n says so.
const SHOWN: usize = 10;
/// The default columns.
const COLUMNS: &str = "when,duration,exit,command,repository";
/// What a table of values has, for programs.
const CSV_COLUMNS: &str = "when,duration,exit,name,command,repository,user,\
                           host,hg-version,error-type,error,trace,session";

/// Show the commands that were run, newest last
///
/// Reads the history and the files of sinks `file:`, of one or many users,
/// machines and repositories. Each command is one line: when it ended, how long
/// it took, its exit status, the command and the repository. A failed command
/// is followed by the reason, if hg has reported one.
///
/// If an option is repeated, any of its values may match; different options
/// must all match.
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
    pub(super) selection: Selection,
    /// Maximum number of lines; 0: all. Default: ten, twenty groups, and all
    /// with -T
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) limit: Option<usize>,
    /// Sort by this column and show the highest, the highest last, instead of
    /// the newest
    #[arg(long, value_name = "COLUMN")]
    pub(super) sort: Option<String>,
    /// Columns to show
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(super) columns: Vec<String>,
    /// Output format: json, csv, or a template such as '{when} {command}\n'
    #[arg(short = 'T', long, value_name = "FORMAT")]
    pub(super) template: Option<String>,
    /// Continue with new records as they are logged, until Ctrl-C; with
    /// -T json, each is a line
    #[arg(short, long)]
    pub(super) follow: bool,
    #[command(flatten)]
    pub(super) stats: Options,
    #[command(flatten)]
    pub(super) colors: Colors,
}

/// The parsed options.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Show statistics of all commands instead: count, failures, total,
    /// percentiles, maximum, and the number over time
    #[arg(long)]
    pub(super) stats: bool,
    /// Group the statistics by this: command, repo, user, host, hg-version, hook,
    /// error-type, event, exit, ci, hour, day, week, month, or any column
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    pub(super) by: Vec<String>,
    /// The statistics are of this column: duration, lock-wait, user-wait,
    /// peak-memory, cpu, bytes-sent, bytes-received, ...
    #[arg(long, value_name = "COLUMN", default_value = "duration")]
    pub(super) of: String,
    /// Show what has become slower, or fails more often, from A to B: two
    /// dates, two versions of Mercurial, two machines, or two files
    #[arg(long, value_name = "A..B")]
    pub(super) compare: Option<String>,
}

impl Options {
    /// Whether numbers are asked for.
    pub(super) fn is_asked(&self) -> bool {
        self.stats || self.compare.is_some()
    }

    pub(super) fn question(&self) -> Result<StatsQuery, String> {
        let by: Vec<_> = match self.by.is_empty() {
            true => vec!["command"],
            false => self.by.iter().map(String::as_str).collect(),
        };
        let by: Result<_, _> = by.into_iter().map(By::named).collect();
        StatsQuery::new(by?, Field::named(&self.of)?)
    }
}

/// The request of valid arguments.
pub(super) struct Request {
    pub(super) query: Query,
    pub(super) sort: Option<Field>,
    pub(super) limit: usize,
    pub(super) format: Format,
}

impl Arguments {
    pub(super) fn request(&self) -> Result<Request, String> {
        let sort = self.sort.as_deref().map(Field::named).transpose()?;
        if let Some(field) = sort.as_ref().filter(|it| !it.is_sortable()) {
            return Err(format!(
                "--sort {}: not a number or a time",
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
