//! Events that are logged while the blackbox is read.

use std::sync::Arc;

use super::Reader;
use super::search::Piece;
use super::search::search;
use super::source::Source;
use crate::files;
use crate::files::FileId;
use crate::files::ReadError;
use crate::scan::EventPosition;
use crate::scan::LeadingLines;

impl Reader {
    /// Looks for events that have been logged since the last look; they can
    /// then be had as before. All that was ready must have been taken.
    ///
    /// Every file is read on to its end, also when it has been rotated: a
    /// writer that has opened it before still writes to it.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn poll(&mut self) -> Result<(), ReadError> {
        let known: Vec<FileId> =
            self.sources.iter().map(|s| s.log.id).collect();
        let opened = files::open(&self.path, &known)?;
        // Somebody may have cut a file off and begun it anew.
        self.ahead.forget();
        self.sources
            .extend(opened.files.into_iter().map(|log| Source {
                read_to: 0,
                ..Source::whole(log)
            }));
        let newest = self.sources.len().saturating_sub(1);
        for at in 0..self.sources.len() {
            let source = &mut self.sources[at];
            let log = Arc::clone(&source.log);
            let Some(range) = source.news(at == newest)? else {
                continue;
            };
            let end = range.end;
            let piece = |found| Piece {
                log: Arc::clone(&log),
                found,
                ends_line: true,
            };
            if self.is_plain {
                self.ready.push_back(piece(EventPosition {
                    start: range.start,
                    end,
                    is_damaged: false,
                }));
                continue;
            }
            let lead = if range.start == 0 {
                LeadingLines::Judge
            } else {
                LeadingLines::Skip
            };
            let findings = search(&log, range.clone(), end, lead, &self.query)
                .map_err(|error| ReadError::new(&log.path, error))?;
            self.undated += findings.undated;
            let first = findings.first.unwrap_or(end);
            if lead == LeadingLines::Skip
                && source.is_last_shown
                && first > range.start
            {
                self.ready.push_back(piece(EventPosition {
                    start: range.start,
                    end: first,
                    is_damaged: false,
                }));
            }
            if lead == LeadingLines::Judge || first < end {
                source.is_last_shown =
                    findings.found.last().is_some_and(|f| f.end == end);
            }
            self.ready.extend(findings.found.into_iter().map(piece));
        }
        let mut at = 0;
        self.sources.retain(|source| {
            at += 1;
            at > newest || !source.is_gone()
        });
        Ok(())
    }
}
