//! What was appended and delivered, compared at the end.

use std::collections::HashMap;
use std::collections::HashSet;
use std::path::Path;

use uilog_spool::Ack;
use uilog_spool::Error;
use uilog_spool::Limits;
use uilog_spool::Options;
use uilog_spool::Record;
use uilog_spool::RecordId;
use uilog_spool::Sender;
use uilog_spool::Spool;
use uilog_spool::Stats;
use uilog_spool::SyncPolicy;
use uilog_spool::Writer;

use crate::disk::Disk;
use crate::disk::Process;

/// Bytes of a record in a file, beside its payload.
const OVERHEAD: usize = 28 + 16;

pub(crate) fn options(sync: SyncPolicy, max_bytes: u64) -> Options {
    Options {
        limits: Limits {
            max_bytes,
            max_rejected_bytes: max_bytes / 2,
            ..Limits::default()
        },
        sync,
        ..Options::default()
    }
}

pub(crate) fn open(process: &Process, options: &Options) -> Spool<Process> {
    let dir = Path::new("/spool");
    Spool::open_with(process.clone(), dir, options.clone()).unwrap()
}

struct Appended {
    payload: Vec<u8>,
    session: usize,
    number: usize,
    is_acknowledged: bool,
    is_durable: bool,
}

impl std::fmt::Debug for Appended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            session, number, ..
        } = self;
        write!(f, "number {number} of session {session}")
    }
}

/// Everything that has been appended and delivered.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    appended: HashMap<RecordId, Appended>,
    /// Records of each session.
    counts: HashMap<usize, usize>,
    accepted: HashMap<RecordId, usize>,
    rejected: HashSet<RecordId>,
    /// The last number that each session has had accepted for the first time.
    latest: HashMap<usize, usize>,
    /// What a power cut may have taken.
    excused: HashSet<RecordId>,
    /// Something has happened after which a record may come twice.
    pub(crate) may_repeat: bool,
    /// Something has happened after which the order may be another one.
    pub(crate) may_reorder: bool,
    /// Records that may be both evicted and delivered.
    pub(crate) may_be_both: u64,
    /// What is being tested, for whoever reads of a failure.
    pub(crate) what: String,
    /// Files have been damaged.
    pub(crate) is_damaged: bool,
}

impl Ledger {
    /// Where calls fail: what is sent may not be written down, and what cannot
    /// be read is sent later.
    pub(crate) fn of_a_faulty_system() -> Self {
        Self {
            may_repeat: true,
            may_reorder: true,
            ..Self::default()
        }
    }

    /// Appends a record that nobody else has.
    pub(crate) fn append(
        &mut self,
        writer: &mut Writer<Process>,
        session: usize,
        length: usize,
    ) -> Result<(), Error> {
        let (id, payload) = self.next(session, length);
        let result = writer.append(&id, &payload);
        self.note(id, result.as_ref().ok().copied());
        result.map(|_| ())
    }

    /// Appends such records, as many at a time as the writer takes. One that it
    /// does not take is left out.
    pub(crate) fn append_all(
        &mut self,
        writer: &mut Writer<Process>,
        session: usize,
        lengths: &[usize],
    ) {
        let lengths = lengths.iter();
        let records: Vec<_> =
            lengths.map(|length| self.next(session, *length)).collect();
        let mut rest = &records[..];
        while !rest.is_empty() {
            let result = writer.append_some(rest);
            let count = result.as_ref().map_or(1, |it| it.0);
            assert!(count > 0 && count <= rest.len());
            let (done, left) = rest.split_at(count);
            for (id, _) in done {
                self.note(*id, result.as_ref().ok().map(|it| it.1));
            }
            rest = left;
        }
    }

    /// A record of a session, which is about to be appended.
    fn next(&mut self, session: usize, length: usize) -> (RecordId, Vec<u8>) {
        let total = self.appended.len() as u64;
        let mut id = *b"0123456789abcdef";
        id[..8].copy_from_slice(&total.to_le_bytes());
        let id = RecordId::new(&id).unwrap();
        let payload = vec![(total % 251) as u8; length];
        let number = self.counts.entry(session).or_default();
        *number += 1;
        self.appended.insert(
            id,
            Appended {
                payload: payload.clone(),
                session,
                number: *number,
                is_acknowledged: false,
                is_durable: false,
            },
        );
        (id, payload)
    }

    /// Notes what the writer has said of a record.
    fn note(&mut self, id: RecordId, ack: Option<Ack>) {
        let appended = self.appended.get_mut(&id).unwrap();
        appended.is_acknowledged = ack.is_some();
        appended.is_durable = ack.is_some_and(|it| it.is_durable);
    }

    /// A session's records have been synced.
    pub(crate) fn synced(&mut self, session: usize) {
        for it in self.appended.values_mut() {
            it.is_durable |= it.session == session && it.is_acknowledged;
        }
    }

    /// The power has been cut; whether that loses only what is not durable
    /// depends on the policy.
    pub(crate) fn power_cut(&mut self, sync: SyncPolicy) {
        let is_excused = |it: &&RecordId| {
            !self.appended[*it].is_durable || sync == SyncPolicy::OnRequest
        };
        let excused = self.appended.keys().filter(is_excused);
        self.excused.extend(excused.copied());
        self.may_repeat = true;
        self.may_reorder = true;
    }

    pub(crate) fn check(&self, record: &Record) {
        let appended = self.appended.get(&record.id);
        let appended = appended.expect("what is delivered was appended");
        assert!(record.payload == appended.payload, "{:?}", record.id);
    }

    pub(crate) fn accept(&mut self, record: &Record) {
        self.check(record);
        let count = self.accepted.entry(record.id).or_default();
        *count += 1;
        assert!(
            *count == 1 || self.may_repeat,
            "{:?} comes twice",
            record.id
        );
        if *count == 1 {
            let appended = &self.appended[&record.id];
            let latest = self.latest.entry(appended.session).or_default();
            assert!(
                appended.number > *latest || self.may_reorder,
                "{:?}, {} of session {}, comes after {latest}",
                record.id,
                appended.number,
                appended.session
            );
            *latest = appended.number.max(*latest);
        }
    }

    pub(crate) fn reject(&mut self, record: &Record) {
        self.check(record);
        self.rejected.insert(record.id);
    }

    /// Empties the spool with a sender of a new process, and makes sure that
    /// everything that was acknowledged has been delivered or counted.
    pub(crate) fn finish(&mut self, disk: &Disk, options: &Options) -> Stats {
        let process = disk.process();
        let spool = open(&process, options);
        let exported: HashSet<RecordId> = spool
            .records()
            .unwrap()
            .map(|record| record.unwrap())
            .inspect(|record| self.check(record))
            .map(|record| record.id)
            .collect();
        let mut sender = Sender::try_lock(&spool).unwrap().unwrap();
        loop {
            let batch = sender.next_batch(7, 5000).unwrap();
            if batch.is_empty() {
                break;
            }
            for record in batch.records() {
                self.accept(record);
            }
            sender.accept(batch).unwrap();
        }
        assert_eq!(disk.files(".seg1"), [], "all are removed");
        let stats = spool.stats().unwrap();
        assert_eq!((stats.pending, stats.files), (0, 0));

        let mut aside = HashSet::new();
        for rejected in spool.rejected().unwrap() {
            let rejected = rejected.unwrap();
            self.check(&rejected.record);
            assert_eq!(rejected.reason, b"reason");
            aside.insert(rejected.record.id);
        }
        if !self.may_repeat {
            let kept = stats.rejected - stats.rejected_dropped;
            assert_eq!(aside.len() as u64, kept);
        }
        let is_missing = |(id, it): &(&RecordId, &Appended)| {
            it.is_acknowledged
                && !self.excused.contains(id)
                && !self.accepted.contains_key(id)
                && !self.rejected.contains(id)
                && !aside.contains(id)
        };
        let missing: Vec<_> = self.appended.iter().filter(is_missing).collect();
        let counted = stats.evicted + stats.damaged;
        let is_counted = if self.is_damaged {
            let bytes: usize = missing
                .iter()
                .map(|(_, it)| OVERHEAD + it.payload.len())
                .sum();
            bytes as u64 <= stats.evicted_bytes + stats.damaged_bytes
        } else {
            missing.len() as u64 <= counted
        };
        assert!(
            is_counted,
            "{}: {missing:#?} are missing, {exported:#?} were there to be \
             exported; {stats:#?}",
            self.what,
        );
        if !self.may_repeat && !self.is_damaged {
            let both = stats.evicted - missing.len() as u64;
            assert!(both <= self.may_be_both, "{both} too many: {stats:#?}");
            assert_eq!(stats.damaged_bytes, 0);
            assert_eq!(stats.sent, self.accepted.len() as u64);
        }
        stats
    }
}
