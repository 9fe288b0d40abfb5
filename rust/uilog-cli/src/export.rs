//! `uilog export`: records in the formats of other programs.

use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use clap::ValueHint;
use uilog_history::fields::Field;
use uilog_history::fields::NAMES;
use uilog_history::scan;
use uilog_sinks::spools::Translator;

use crate::log::hits::find;
use crate::log::lines::Lines;
use crate::log::template::Format as Table;
use crate::output;
use crate::output::counted;
use crate::output::say;
use crate::select;
use crate::select::EXIT_USAGE;
use crate::select::Selection;

/// How many records are in memory at a time.
const RECORDS: usize = 1000;

/// Export records for other programs: OpenTelemetry's JSON, or CSV
///
/// Reads what `uilog log` reads, and takes the same options. Exports all
/// events, the oldest first, each record once; `--event` and `--hook` select
/// some.
///
/// With `--format otlp-json`, each line is a request of OTLP: the spans or the
/// log record that a sink `otlp:` would send for the record. The receiver
/// `otlpjsonfile` of the OpenTelemetry Collector reads such files; docs/fleet.md
/// shows how they get into ClickHouse. With `--format csv`, each line is a
/// record, with all columns of `uilog log`.
///
/// Texts are exported as they were recorded: secrets have been removed, but
/// command lines are not reduced to their structure, as they are for a
/// collector by default.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  uilog export --format otlp-json --since 30d -o hg.jsonl
                                        a month of history for a collector
  uilog export --format csv --event commandfinish -o commands.csv
  uilog export --format csv --columns when,user,name,duration
                                        only these columns
  uilog export --format otlp-json /srv/logs/*.jsonl | gzip >hg.jsonl.gz
                                        from files of other machines

Exit status:
  0  everything was exported
  1  a file cannot be read or written, or a record cannot be mapped
  2  an argument makes no sense")]
pub(crate) struct Arguments {
    #[command(flatten)]
    selection: Selection,
    /// The format
    #[arg(long, value_name = "FORMAT")]
    format: Format,
    /// Columns of the CSV, instead of all
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    columns: Vec<String>,
    /// A new file; default: standard output. An existing file is never
    /// overwritten
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Spans and log records in OTLP's JSON, a request a line
    OtlpJson,
    /// Comma-separated values, a record a line
    Csv,
}

/// Writes records in one of the formats.
enum Writer {
    Otlp(Translator),
    Csv(Lines),
}

impl Writer {
    /// Writes records; returns how many this format cannot represent.
    fn write(
        &mut self,
        output: &mut dyn Write,
        rows: &[Vec<u8>],
    ) -> io::Result<u64> {
        let mut unmapped = 0;
        match self {
            Self::Csv(lines) => {
                lines.write(&mut &mut *output, rows, false)?;
            }
            Self::Otlp(translator) => {
                for row in rows {
                    match translator.line(row) {
                        Ok((_, line)) => output.write_all(&line)?,
                        Err(_) => unmapped += 1,
                    }
                }
            }
        }
        Ok(unmapped)
    }
}

impl Arguments {
    fn writer(&self) -> Result<Writer, String> {
        if self.format == Format::OtlpJson {
            return match self.columns.is_empty() {
                true => Ok(Writer::Otlp(Translator::default())),
                false => Err("--columns is for --format csv".to_owned()),
            };
        }
        let named = self.columns.iter().map(String::as_str);
        let all = NAMES.iter().map(|known| known.0);
        let fields: Result<Vec<_>, _> = match self.columns.is_empty() {
            true => all.map(Field::named).collect(),
            false => named.map(Field::named).collect(),
        };
        Ok(Writer::Csv(Lines::new(Table::Csv(fields?), None)))
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let asked = arguments.selection.query_of_all();
    let asked = asked.and_then(|query| Ok((query, arguments.writer()?)));
    let (query, mut writer) = match asked {
        Ok(asked) => asked,
        Err(why) => {
            say(&format!("uilog: {why}"));
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let opened = arguments.selection.sources.open()?;
    let (hits, problems) = find(&opened.sources, &query, None);
    let is_troubled = select::say_problems(&opened.problems, &problems);
    if hits.is_empty() {
        arguments.selection.say_why_nothing_is_found(&opened);
    }
    let mut output: Box<dyn Write> = match &arguments.output {
        None => Box::new(BufWriter::new(io::stdout().lock())),
        Some(path) => Box::new(BufWriter::new(output::create(path)?)),
    };
    let mut unmapped = 0;
    // A table without rows has a head, too.
    unmapped += writer.write(&mut output, &[])?;
    for hits in hits.chunks(RECORDS) {
        let rows: io::Result<Vec<_>> = hits
            .iter()
            .map(|hit| scan::line_at(&opened.sources, hit.place))
            .collect();
        unmapped += writer.write(&mut output, &rows?)?;
    }
    output.flush()?;
    if unmapped > 0 {
        let records = counted(unmapped, "record");
        say(&format!("uilog: {records} left out: OTLP cannot tell them"));
    }
    Ok(ExitCode::from(u8::from(is_troubled || unmapped > 0)))
}
