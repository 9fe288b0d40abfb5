//! Formats records for people and programs.

use std::fmt::Write as _;
use std::io;
use std::io::Write;

use anstyle::AnsiColor;
use anstyle::Style;
use serde_json::Map;
use serde_json::Value as Json;
use uilog_history::fields::Field;
use uilog_history::fields::FieldType;
use uilog_history::fields::Value;
use uilog_history::record::Record;

use super::hits::parsed;
use super::table::quoted;
use super::template::Format;
use super::template::Piece;
use crate::output::ERROR;
use crate::output::PLACE;
use crate::output::PLAIN;
use crate::output::WARNING;
use crate::output::bytes;
use crate::output::cut;
use crate::output::duration;
use crate::output::local;
use crate::output::visible;

/// How many columns of the terminal a bar has.
const BAR: usize = 10;
/// Eighths of a column.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
/// From how many seconds on a duration is long, and very long.
const LONG: f64 = 10.0;
const VERY_LONG: f64 = 60.0;
/// The least that is shown of a command on a narrow terminal.
const LEAST: usize = 12;
/// How many lines of a reason are shown.
const REASON: usize = 4;
const DIM: Style = Style::new().dimmed();
const REFUSED: Style = AnsiColor::Red.on_default();

/// Writes records, a few at a time.
#[derive(Debug)]
pub(crate) struct Lines {
    format: Format,
    /// That of the terminal, if it is one.
    width: Option<usize>,
    /// How wide each column has become.
    widths: Vec<usize>,
    /// The longest duration, which gets a full bar.
    longest: f64,
    has_begun: bool,
}

/// A cell of the table.
struct Cell {
    text: String,
    style: Style,
    is_right: bool,
}

impl Lines {
    pub(crate) fn new(format: Format, width: Option<usize>) -> Self {
        Self {
            format,
            width,
            widths: Vec::new(),
            longest: 0.0,
            has_begun: false,
        }
    }

    /// Writes some. `is_all` if there are no more: JSON is a list then.
    pub(crate) fn write(
        &mut self,
        output: &mut impl Write,
        rows: &[Vec<u8>],
        is_all: bool,
    ) -> io::Result<()> {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let records: Vec<_> =
            rows.iter().filter_map(|line| parsed(line)).collect();
        match &self.format {
            Format::Text(columns) => {
                let columns = columns.clone();
                self.write_table(output, &columns, &records)
            }
            Format::Json(columns) => {
                write_json(output, columns.as_deref(), rows, &records, is_all)
            }
            Format::Csv(columns) => {
                write_csv(output, columns, &records, is_first)
            }
            Format::Template(pieces) => {
                let mut text = String::new();
                for (record, _) in &records {
                    for piece in pieces {
                        match piece {
                            Piece::Text(plain) => text.push_str(plain),
                            Piece::Field(field) => {
                                text.push_str(&plain(&field.of(record)));
                            }
                        }
                    }
                }
                output.write_all(text.as_bytes())
            }
        }
    }

    fn write_table(
        &mut self,
        output: &mut impl Write,
        columns: &[Field],
        records: &[(Record<'_>, i64)],
    ) -> io::Result<()> {
        let longest = records.iter().filter_map(|(it, _)| it.duration);
        self.longest = longest.fold(self.longest, f64::max);
        let table: Vec<Vec<Cell>> = records
            .iter()
            .map(|(record, time)| {
                let cell = |field| self.cell(field, record, *time);
                columns.iter().map(cell).collect()
            })
            .collect();
        self.widths.resize(columns.len(), 0);
        for row in &table {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.chars().count());
            }
        }
        let widths = self.fitting(columns);
        for (row, (record, _)) in table.iter().zip(records) {
            let mut line = String::new();
            for (index, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if index > 0 {
                    line.push_str("  ");
                }
                let text = cut(&cell.text, *width);
                let pad = " ".repeat(width - text.chars().count());
                let style = cell.style;
                if cell.is_right {
                    line.push_str(&pad);
                }
                // Otherwise blanks at the end of the line would be lost.
                if !text.is_empty() {
                    let _ = write!(line, "{style}{text}{style:#}");
                }
                if !cell.is_right && index + 1 < row.len() {
                    line.push_str(&pad);
                }
            }
            writeln!(output, "{}", line.trim_end())?;
            self.write_reason(output, record)?;
        }
        Ok(())
    }

    /// Why a command has failed, below it.
    fn write_reason(
        &self,
        output: &mut impl Write,
        record: &Record<'_>,
    ) -> io::Result<()> {
        let reason = record.error().trim();
        if reason.is_empty() || !record.is_failure() {
            return Ok(());
        }
        let width = self.width.map_or(usize::MAX, |it| it.saturating_sub(4));
        for line in reason.lines().take(REASON) {
            let line = visible(line);
            let line = cut(&line, width.max(LEAST));
            writeln!(output, "    {REFUSED}{line}{REFUSED:#}")?;
        }
        Ok(())
    }

    /// The widths of all columns, with the command cut so that a line fits
    /// the terminal.
    fn fitting(&self, columns: &[Field]) -> Vec<usize> {
        let mut widths = self.widths.clone();
        let Some(terminal) = self.width else {
            return widths;
        };
        let all: usize =
            widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        let too_much = all.saturating_sub(terminal);
        let is_long = |it: &Field| {
            matches!(&*it.name, "command" | "message" | "error" | "root")
        };
        let mut long = columns.iter().zip(&mut widths);
        if let Some((_, width)) = long.find(|(field, _)| is_long(field)) {
            *width = width.saturating_sub(too_much).max(LEAST.min(*width));
        }
        widths
    }

    fn cell(&self, field: &Field, record: &Record<'_>, time: i64) -> Cell {
        let value = field.of(record);
        let is_right =
            field.kind != FieldType::Text && field.kind != FieldType::Time;
        let (text, style) = match (field.kind, &value) {
            (FieldType::Time, _) => (local(time), DIM),
            (FieldType::Seconds, Value::Number(seconds)) => {
                let style = match *seconds {
                    it if it >= VERY_LONG => ERROR,
                    it if it >= LONG => WARNING,
                    _ => PLAIN,
                };
                let mut text = duration(*seconds);
                if field.name == "duration" && self.width.is_some() {
                    text = format!("{text} {}", self.bar(*seconds));
                }
                (text, style)
            }
            (FieldType::Bytes, Value::Number(count)) => (bytes(*count), PLAIN),
            (FieldType::Number, _) if field.name == "exit" => {
                let style = if record.is_failure() { ERROR } else { DIM };
                let exit = match value {
                    Value::None => record.error_type().into_owned(),
                    value => plain(&value),
                };
                (exit, style)
            }
            (_, value) => {
                let style = match &*field.name {
                    "repository" | "root" | "host" | "user" => PLACE,
                    "error" | "error-type" => REFUSED,
                    _ => PLAIN,
                };
                (plain(value), style)
            }
        };
        Cell {
            text: visible(&text),
            style,
            is_right,
        }
    }

    /// A duration as a part of the longest.
    fn bar(&self, seconds: f64) -> String {
        let part = match self.longest > 0.0 {
            true => (seconds / self.longest).clamp(0.0, 1.0),
            false => 0.0,
        };
        let eighths = (part * (BAR * 8) as f64).round() as usize;
        let mut bar = "█".repeat(eighths / 8);
        bar.push_str(EIGHTHS[eighths % 8]);
        let missing = BAR - bar.chars().count().min(BAR);
        bar + &" ".repeat(missing)
    }
}

/// A value as programs read it; nothing if it is not known.
fn plain(value: &Value<'_>) -> String {
    match value {
        Value::None => String::new(),
        Value::Text(text) => text.to_string(),
        Value::Number(number) => number.to_string(),
    }
}

fn write_json(
    output: &mut impl Write,
    columns: Option<&[Field]>,
    rows: &[Vec<u8>],
    records: &[(Record<'_>, i64)],
    is_all: bool,
) -> io::Result<()> {
    let (begin, between, end): (&[u8], &[u8], &[u8]) = match is_all {
        true => (b"[\n", b",\n", b"\n]\n"),
        false => (b"", b"\n", b"\n"),
    };
    if !is_all && rows.is_empty() {
        return Ok(());
    }
    output.write_all(begin)?;
    let count = rows.len();
    for index in 0..count {
        match columns {
            None => output.write_all(rows[index].trim_ascii())?,
            Some(columns) => {
                let record = &records[index].0;
                let values = columns.iter().map(|field| {
                    let value = match field.of(record) {
                        Value::None => Json::Null,
                        Value::Text(text) => Json::String(text.into_owned()),
                        Value::Number(it) if it.fract() == 0.0 => {
                            Json::from(it as i64)
                        }
                        Value::Number(it) => Json::from(it),
                    };
                    (field.name.to_string(), value)
                });
                let object: Map<_, _> = values.collect();
                serde_json::to_writer(&mut *output, &object)?;
            }
        }
        if index + 1 < count {
            output.write_all(between)?;
        }
    }
    output.write_all(if count == 0 { b"]\n" } else { end })
}

// RFC 4180
fn write_csv(
    output: &mut impl Write,
    columns: &[Field],
    records: &[(Record<'_>, i64)],
    is_first: bool,
) -> io::Result<()> {
    if is_first {
        let names: Vec<_> = columns.iter().map(|it| &*it.name).collect();
        writeln!(output, "{}", names.join(","))?;
    }
    for (record, _) in records {
        let values = columns.iter().map(|it| quoted(&plain(&it.of(record))));
        writeln!(output, "{}", values.collect::<Vec<_>>().join(","))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: &str = r#"{"schema":1,"id":"a-1","event":"commandfinish","time":"2026-11-30T09:12:44.1+01:00","duration":3.41,"process":{"pid":1,"user":"al","command":"pull","command_line":"pull -r 'a,b'","exit_code":0},"repository":{"name":"main","root":"/main"}}"#;
    const FAILED: &str = r#"{"schema":1,"id":"a-2","event":"commandfinish","time":"2026-11-30T09:13:44.1+01:00","duration":61,"options":{"error":"abort: no\n(try \u001b[1m again)"},"process":{"pid":1,"command":"push","exit_code":255}}"#;

    fn shown(format: Format, width: Option<usize>) -> String {
        let rows = [DONE, FAILED].map(|it| it.as_bytes().to_vec());
        let mut output = Vec::new();
        let mut lines = Lines::new(format, width);
        lines.write(&mut output, &rows, true).unwrap();
        let text = String::from_utf8(output).unwrap();
        anstream::adapter::strip_str(&text).to_string()
    }

    fn fields(names: &str) -> Vec<Field> {
        let names = names.split(',');
        names.map(|it| Field::named(it).unwrap()).collect()
    }

    #[test]
    fn a_table_is_aligned_and_tells_why() {
        let format = Format::Text(fields("duration,exit,command,repository"));
        assert_eq!(
            shown(format.clone(), None),
            " 3.41 s    0  pull -r 'a,b'  main\n\
             1.0 min  255  push\n    \
             abort: no\n    \
             (try \\u{1b}[1m again)\n"
        );
        let narrow = shown(format, Some(40));
        let first = narrow.lines().next().unwrap();
        assert_eq!(first, " 3.41 s ▌             0  pull -r 'a,…  main");
    }

    #[test]
    fn programs_get_values_as_they_are() {
        let columns = fields("duration,exit,command,user");
        assert_eq!(
            shown(Format::Csv(columns.clone()), None),
            "duration,exit,command,user\n3.41,0,\"pull -r 'a,b'\",al\n\
             61,255,push,\n"
        );
        assert_eq!(
            shown(Format::Json(None), None),
            format!("[\n{DONE},\n{FAILED}\n]\n")
        );
        let json = shown(Format::Json(Some(columns)), None);
        let json: Json = serde_json::from_str(&json).unwrap();
        assert_eq!(json[1]["user"], Json::Null);
        assert_eq!(json[1]["duration"], 61);
        let format = Format::template("{exit} {command}\\n").unwrap();
        assert_eq!(shown(format, None), "0 pull -r 'a,b'\n255 push\n");
    }

    #[test]
    fn an_empty_list_is_a_list() {
        let mut output = Vec::new();
        let mut lines = Lines::new(Format::Json(None), None);
        lines.write(&mut output, &[], true).unwrap();
        assert_eq!(output, b"[\n]\n");
    }
}
