//! Searching the files as they were at the beginning, on several threads.

use std::collections::VecDeque;
use std::sync::Arc;

use super::MAX_STEP;
use super::Reader;
use super::Stage;
use super::search::Piece;
use super::search::search;
use super::search::search_all;
use super::source::Part;
use crate::files::ReadError;
use crate::query::Filters;
use crate::query::Query;
use crate::scan::EventPosition;
use crate::scan::LeadingLines;
use crate::tail;
use crate::tail::Tail;

impl Reader {
    pub(super) fn count_back(
        &mut self,
        left: usize,
        tail: Option<Tail>,
        want: usize,
    ) -> Result<Stage, ReadError> {
        let Some(source) = left.checked_sub(1).map(|at| &self.sources[at])
        else {
            return self.hand_out_from(0, 0).map(|()| Stage::Done);
        };
        let mut tail = tail.unwrap_or_else(|| Tail::new(source.read_to));
        let step = tail
            .step(&source.log.file, want, self.query.format())
            .map_err(|error| ReadError::new(&source.log.path, error))?;
        Ok(match step {
            tail::Step::Counted(count) => Stage::Tail {
                left,
                tail: Some(tail),
                want: want - count,
            },
            tail::Step::All(count) => Stage::Tail {
                left: left - 1,
                tail: None,
                want: want - count,
            },
            tail::Step::Found(start) => {
                self.hand_out_from(left - 1, start)?;
                Stage::Done
            }
        })
    }

    /// Hands out everything from a place on, as it is.
    pub(super) fn hand_out_from(
        &mut self,
        first: usize,
        start: u64,
    ) -> Result<(), ReadError> {
        let newest = self.sources.len().saturating_sub(1);
        let mut from = start;
        for at in first..self.sources.len() {
            let source = &mut self.sources[at];
            let end = source.read_to;
            source.is_last_shown = true;
            let found = EventPosition {
                start: std::mem::take(&mut from),
                end,
                is_damaged: false,
            };
            if self.count_damaged {
                let all =
                    Query::new(Filters::default(), self.query.format().clone());
                let range = found.start..end;
                let log = &source.log;
                let findings =
                    search(log, range, end, LeadingLines::Judge, &all)
                        .map_err(|error| ReadError::new(&log.path, error))?;
                let found = findings.found.iter();
                self.damaged +=
                    found.filter(|found| found.is_damaged).count() as u64;
            }
            self.ready.push_back(Piece {
                log: Arc::clone(&source.log),
                found,
                ends_line: at < newest,
            });
        }
        Ok(())
    }

    pub(super) fn search_back(
        &mut self,
        mut parts: Vec<Part>,
        step: usize,
        mut found: VecDeque<Piece>,
    ) -> Result<Stage, ReadError> {
        let taken = parts.split_off(parts.len().saturating_sub(step));
        for piece in self.search_parts(&taken)?.into_iter().rev() {
            found.push_front(piece);
        }
        if parts.is_empty() || found.len() >= self.limit {
            let surplus = found.len().saturating_sub(self.limit);
            found.drain(..surplus);
            self.surplus = surplus as u64;
            self.unsearched = parts;
            self.ready.append(&mut found);
            return Ok(Stage::Done);
        }
        let step = (step * 2).min(MAX_STEP);
        Ok(Stage::Backwards { parts, step, found })
    }

    pub(super) fn search_on(
        &mut self,
        mut parts: Vec<Part>,
    ) -> Result<Stage, ReadError> {
        let mut taken = parts.split_off(parts.len().saturating_sub(MAX_STEP));
        taken.reverse();
        let pieces = self.search_parts(&taken)?;
        self.ready.extend(pieces);
        Ok(if parts.is_empty() {
            Stage::Done
        } else {
            Stage::Forwards { parts }
        })
    }

    /// What is wanted in these parts, in their order.
    pub(super) fn search_parts(
        &mut self,
        parts: &[Part],
    ) -> Result<Vec<Piece>, ReadError> {
        let mut pieces = Vec::new();
        let newest = self.sources.last().map(|newest| newest.log.id);
        for (part, findings) in parts.iter().zip(search_all(parts, &self.query))
        {
            let findings = findings
                .map_err(|error| ReadError::new(&part.log.path, error))?;
            self.undated += findings.undated;
            if findings.found.last().is_some_and(|f| f.end == part.len) {
                let mut sources = self.sources.iter_mut();
                if let Some(source) = sources.find(|s| s.log.id == part.log.id)
                {
                    source.is_last_shown = true;
                }
            }
            let is_newest = newest == Some(part.log.id);
            pieces.extend(findings.found.into_iter().map(|found| Piece {
                log: Arc::clone(&part.log),
                ends_line: !(is_newest && found.end == part.len),
                found,
            }));
        }
        Ok(pieces)
    }
}
