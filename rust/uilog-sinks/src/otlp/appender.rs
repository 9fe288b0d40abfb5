//! Appends records to a spool, each with its number.
//!
//! Must not know who sends them.

use std::path::PathBuf;

use uilog_spool::RecordId;
use uilog_spool::Spool;
use uilog_spool::Writer;

use crate::numbers;
use crate::numbers::Number;
use crate::numbers::Numbers;
use crate::otlp::mapping;
use crate::record::Record;

/// How many bytes of a hash of the machine's name are in file names.
const HOST_BYTES: usize = 4;
/// Bytes of records that are appended together, about.
const GROUP_BYTES: usize = 64 * 1024;
/// Bytes that most records have at most.
const PAYLOAD_BYTES: usize = 1536;

/// Appends records to a spool, each with its number.
#[derive(Debug)]
pub(crate) struct Appender {
    /// The sink's name, as JSON.
    sink: String,
    dir: PathBuf,
    pub(super) writer: Writer,
    numbers: Option<Numbers>,
}

impl Appender {
    pub(crate) fn new(spool: &Spool) -> Self {
        let sink = spool.dir().file_name().unwrap_or_default();
        let sink = serde_json::Value::from(sink.to_string_lossy());
        Self {
            sink: sink.to_string(),
            dir: spool.dir().to_owned(),
            writer: Writer::new(spool),
            numbers: None,
        }
    }

    pub(crate) fn append(&mut self, record: &Record) -> Result<(), String> {
        match self.append_all([record]).pop() {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    }

    /// Appends records, many of them with one write; returns why some are lost,
    /// a reason for each.
    pub(crate) fn append_all<'r>(
        &mut self,
        records: impl IntoIterator<Item = &'r Record>,
    ) -> Vec<String> {
        let mut lost = Vec::new();
        let mut group = Vec::new();
        let mut bytes = 0;
        for record in records {
            match encode(record) {
                Ok((id, payload)) => {
                    bytes += payload.len();
                    group.push((id, payload));
                    self.open_numbers(&record.host.name);
                }
                Err(reason) => lost.push(reason),
            }
            if bytes >= GROUP_BYTES {
                self.put(&mut group, &mut lost);
                group.clear();
                bytes = 0;
            }
        }
        self.put(&mut group, &mut lost);
        lost
    }

    fn put(
        &mut self,
        group: &mut [(RecordId, Vec<u8>)],
        lost: &mut Vec<String>,
    ) {
        self.number(group);
        let mut rest = &*group;
        while !rest.is_empty() {
            let done = match self.writer.append_some(rest) {
                Ok((count, _)) => count,
                Err(error) => {
                    lost.push(error.to_string());
                    1
                }
            };
            rest = &rest[done..];
        }
    }

    /// There are no numbers if nothing can be written to the directory: then no
    /// record can, either.
    fn open_numbers(&mut self, host: &str) {
        if self.numbers.is_none() {
            let key = numbers::key(host.as_bytes(), HOST_BYTES);
            self.numbers = Numbers::open(&self.dir, &key).ok();
        }
    }

    /// Assigns numbers to records, all with one write.
    fn number(&mut self, group: &mut [(RecordId, Vec<u8>)]) {
        let Some(numbers) = &mut self.numbers else {
            return;
        };
        let hashes = group.iter().map(|(id, _)| numbers::hash(id.as_bytes()));
        let (taken, _) = numbers.number(&hashes.collect::<Vec<_>>());
        for ((_, payload), number) in group.iter_mut().zip(taken) {
            let Some(Number { stream, number }) = number else {
                continue;
            };
            let sink = &self.sink;
            let numbered = format!(
                ",\"sink\":{{\"name\":{sink},\"stream\":\"{stream}\",\
                 \"number\":{number}}}}}"
            );
            // An object that is not empty.
            payload.pop();
            payload.extend_from_slice(numbered.as_bytes());
        }
    }

    pub(super) fn close(&mut self) -> Result<(), uilog_spool::Error> {
        self.writer.close()
    }
}

/// A record as it is in the spool, but for its number.
fn encode(record: &Record) -> Result<(RecordId, Vec<u8>), String> {
    let id = id(record).ok_or("the record has no id")?;
    let mut payload = Vec::with_capacity(PAYLOAD_BYTES);
    serde_json::to_writer(&mut payload, record)
        .map_err(|error| format!("the record as JSON: {error}"))?;
    Ok((id, payload))
}

/// A record's id in the spool: the session's and the number in it.
pub fn id(record: &Record) -> Option<RecordId> {
    let session: [u8; 16] = mapping::hex(&record.session)?;
    let seq = record.seq.to_be_bytes();
    RecordId::new(&[&session[..], &seq].concat())
}
