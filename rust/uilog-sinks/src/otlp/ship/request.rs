//! Requests: which records of a batch are sent together, and how a refused
//! request is divided.
//!
//! Must not know the collector.

use std::collections::VecDeque;
use std::slice;

use crate::otlp::request;
use crate::otlp::request::Mapped;
use crate::otlp::request::SignalType;

/// Records of a request at most.
pub(super) const MAX_RECORDS: usize = 512;
/// Bytes of their payloads.
pub(super) const MAX_BYTES: usize = 256 * 1024;
/// Into how many parts a request is divided that is refused.
const PARTS: usize = 4;
/// Records of a request that is divided into single ones.
const FEW: usize = 7;

/// Records that are sent together, and those among them that are none.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// With their indices in the batch.
    pub(super) records: Vec<(usize, Mapped)>,
    pub(super) unreadable: Vec<(usize, String)>,
    /// Of their payloads.
    bytes: usize,
    /// The index after the last one.
    pub(super) end: usize,
}

impl Request {
    pub(super) fn body(&self, resource: &[(String, String)]) -> Vec<u8> {
        request::encode(self.records.iter().map(|it| &it.1), resource)
    }

    /// Smaller ones, in order.
    pub(super) fn divide(self) -> VecDeque<Self> {
        let count = self.records.len();
        let size = if count <= FEW {
            1
        } else {
            count.div_ceil(PARTS)
        };
        let mut parts = VecDeque::new();
        let mut records = self.records.into_iter().peekable();
        let mut unreadable = self.unreadable.into_iter().peekable();
        while records.peek().is_some() {
            let records_of_it: Vec<_> = records.by_ref().take(size).collect();
            let end = records.peek().map_or(self.end, |it| it.0);
            let mut part = Self {
                records: records_of_it,
                end,
                ..Self::default()
            };
            while let Some(it) = unreadable.next_if(|it| it.0 < end) {
                part.unreadable.push(it);
            }
            parts.push_back(part);
        }
        parts
    }
}

/// Makes requests of the records of a batch, one by one.
pub(super) struct Requests<'a> {
    records: std::iter::Enumerate<slice::Iter<'a, uilog_spool::Record>>,
    kind: SignalType,
    begun: Request,
}

impl<'a> Requests<'a> {
    pub(super) fn new(
        records: &'a [uilog_spool::Record],
        kind: SignalType,
    ) -> Self {
        Self {
            records: records.iter().enumerate(),
            kind,
            begun: Request::default(),
        }
    }

    pub(super) fn next(&mut self) -> Option<Request> {
        for (index, record) in self.records.by_ref() {
            let before = self.begun.records.last().map(|it| &it.1);
            let mapped = match read(&record.payload, self.kind, before) {
                Ok(mapped) => mapped,
                Err(why) => {
                    self.begun.unreadable.push((index, why));
                    self.begun.end = index + 1;
                    continue;
                }
            };
            let bytes = self.begun.bytes + record.payload.len();
            let is_full = self.begun.records.len() >= MAX_RECORDS
                || bytes > MAX_BYTES && !self.begun.records.is_empty();
            let full = is_full.then(|| std::mem::take(&mut self.begun));
            self.begun.bytes += record.payload.len();
            self.begun.records.push((index, mapped));
            self.begun.end = index + 1;
            if full.is_some() {
                return full;
            }
        }
        let rest = std::mem::take(&mut self.begun);
        (rest.end > 0).then_some(rest)
    }
}

fn read(
    payload: &[u8],
    kind: SignalType,
    before: Option<&Mapped>,
) -> Result<Mapped, String> {
    let mapped = Mapped::read(payload, before)?;
    if mapped.kind() == kind {
        Ok(mapped)
    } else {
        // `signal` and `mapping` have one opinion; a test sees to that.
        Err(format!("it is not one of the {}", kind.name()))
    }
}
