//! A table with aligned columns.

use std::fmt::Write as _;
use std::io;
use std::io::Write;

use anstyle::Style;

use crate::output::HEADLINE;
use crate::output::cut;
use crate::output::visible;

/// What a head begins with whose column is aligned to the right.
const RIGHT: char = '>';
/// Blanks between columns.
const GAP: usize = 2;
/// The least that is shown of a text that has to be cut.
const LEAST: usize = 10;

/// Cells with their styles.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rights: Vec<bool>,
    rows: Vec<Vec<(String, Style)>>,
}

impl Table {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The first row, which determines the alignment of columns.
    pub(crate) fn heads(&mut self, heads: &[&str]) {
        self.rights = heads.iter().map(|it| it.starts_with(RIGHT)).collect();
        let heads = heads.iter().map(|it| it.trim_start_matches(RIGHT));
        self.row(heads.map(|it| (it.to_owned(), HEADLINE)));
    }

    /// Another row.
    pub(crate) fn row(
        &mut self,
        cells: impl IntoIterator<Item = (String, Style)>,
    ) {
        let cells = cells.into_iter();
        self.rows.push(cells.collect());
    }

    /// Writes it for people.
    pub(crate) fn write(&self, output: &mut impl Write) -> io::Result<()> {
        self.write_within(output, usize::MAX)
    }

    /// The same in lines of this width: wide columns of text are cut, the
    /// last one first.
    pub(crate) fn write_within(
        &self,
        output: &mut impl Write,
        max_width: usize,
    ) -> io::Result<()> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        let texts: Vec<Vec<_>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|cell| visible(&cell.0)).collect())
            .collect();
        for row in &texts {
            for (width, text) in widths.iter_mut().zip(row) {
                *width = (*width).max(text.chars().count());
            }
        }
        self.narrow(&mut widths, max_width);
        for (row, texts) in self.rows.iter().zip(&texts) {
            let mut line = String::new();
            for (index, (text, (_, style))) in texts.iter().zip(row).enumerate()
            {
                let text = cut(text, widths[index]);
                let pad = " ".repeat(widths[index] - text.chars().count());
                let is_right =
                    self.rights.get(index).copied().unwrap_or_default();
                let (before, after) = match is_right {
                    true => (pad.as_str(), ""),
                    false => ("", pad.as_str()),
                };
                line.push_str(if index > 0 { "  " } else { "" });
                line.push_str(before);
                // Otherwise blanks at the end of the line would be lost.
                if !text.is_empty() {
                    let _ = write!(line, "{style}{text}{style:#}");
                }
                line.push_str(after);
            }
            writeln!(output, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn narrow(&self, widths: &mut [usize], max_width: usize) {
        let between = GAP * widths.len().saturating_sub(1);
        let all = widths.iter().sum::<usize>() + between;
        let mut excess = all.saturating_sub(max_width);
        for (index, width) in widths.iter_mut().enumerate().rev() {
            // Half of a number is another number.
            if self.rights.get(index).copied().unwrap_or_default() {
                continue;
            }
            let less = excess.min(width.saturating_sub(LEAST));
            *width -= less;
            excess -= less;
        }
    }

    /// Writes it as comma-separated values.
    // RFC 4180
    pub(crate) fn write_csv(
        &self,
        output: &mut impl Write,
        heads: &str,
    ) -> io::Result<()> {
        writeln!(output, "{heads}")?;
        for row in &self.rows {
            let cells = row.iter().map(|cell| quoted(&cell.0));
            writeln!(output, "{}", cells.collect::<Vec<_>>().join(","))?;
        }
        Ok(())
    }
}

/// A value as CSV has it.
pub(crate) fn quoted(text: &str) -> String {
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}
