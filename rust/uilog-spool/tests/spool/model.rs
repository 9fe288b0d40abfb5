//! Random histories: writers and senders come and go, die and meet each other,
//! calls fail, files are damaged, clocks jump and the power goes. In the end
//! everything that was acknowledged has been delivered or counted.

use std::time::Duration;

use nix::libc;
use proptest::prelude::*;
use uilog_spool::Batch;
use uilog_spool::Sender;
use uilog_spool::SyncPolicy;
use uilog_spool::Writer;

use crate::disk::Disk;
use crate::disk::Left;
use crate::disk::Plan;
use crate::disk::Process;
use crate::disk::Random;
use crate::ledger::Ledger;
use crate::ledger::open;
use crate::ledger::options;

const WRITERS: usize = 3;
const MAX_BYTES: u64 = 40_000;
/// What the spool makes of that.
const SEGMENT_BYTES: u64 = 4096;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[derive(Clone, Debug)]
enum Step {
    Append {
        writer: usize,
        lengths: Vec<usize>,
    },
    Sync(usize),
    Close(usize),
    /// The writer is gone, in good order; another one takes its place.
    Replace(usize),
    KillWriter(usize),
    Take {
        max_records: usize,
        max_bytes: usize,
    },
    Accept,
    Reject(u64),
    Retry,
    Forget,
    SecondSender,
    ReplaceSender,
    KillSender,
    PowerCut(u64),
    SetWall(u64),
    Advance(u64),
    Damage {
        seed: u64,
        is_zeros: bool,
    },
    DamageProgress(u64),
    Fault {
        writer: Option<usize>,
        plan: u64,
    },
}

fn step(is_rough: bool) -> BoxedStrategy<Step> {
    let writer = 0..WRITERS;
    let length = prop_oneof![8 => 0..400_usize, 2 => 400..1500_usize, 1 => 4000..6000_usize];
    let lengths = prop::collection::vec(length, 1..8);
    let take = (1..20_usize, prop_oneof![Just(100_usize), Just(100_000)]);
    let gentle = prop_oneof![
        12 => (writer.clone(), lengths)
            .prop_map(|(writer, lengths)| Step::Append { writer, lengths }),
        2 => writer.clone().prop_map(Step::Sync),
        2 => writer.clone().prop_map(Step::Close),
        2 => writer.clone().prop_map(Step::Replace),
        6 => take.prop_map(|(max_records, max_bytes)| Step::Take {
            max_records,
            max_bytes,
        }),
        6 => Just(Step::Accept),
        1 => any::<u64>().prop_map(Step::Reject),
        1 => Just(Step::SecondSender),
        1 => Just(Step::ReplaceSender),
        1 => (0..4 * DAY_MS).prop_map(Step::SetWall),
        2 => (0..2 * DAY_MS).prop_map(Step::Advance),
    ];
    if !is_rough {
        return gentle.boxed();
    }
    prop_oneof![
        20 => gentle,
        1 => writer.prop_map(Step::KillWriter),
        1 => Just(Step::KillSender),
        1 => Just(Step::Retry),
        1 => Just(Step::Forget),
        1 => any::<u64>().prop_map(Step::PowerCut),
        1 => (any::<u64>(), any::<bool>())
            .prop_map(|(seed, is_zeros)| Step::Damage { seed, is_zeros }),
        1 => any::<u64>().prop_map(Step::DamageProgress),
        4 => (prop::option::of(0..WRITERS), any::<u64>())
            .prop_map(|(writer, plan)| Step::Fault { writer, plan }),
    ]
    .boxed()
}

fn policy() -> impl Strategy<Value = SyncPolicy> {
    prop_oneof![
        Just(SyncPolicy::Each),
        Just(SyncPolicy::OnRequest),
        Just(SyncPolicy::Every(Duration::from_secs(60))),
    ]
}

struct World {
    disk: Disk,
    options: uilog_spool::Options,
    ledger: Ledger,
    writers: Vec<(Process, usize, Writer<Process>)>,
    sessions: usize,
    sender: Option<(Process, Sender<Process>)>,
    batch: Option<Batch>,
}

impl World {
    fn new(sync: SyncPolicy) -> Self {
        let mut world = Self {
            disk: Disk::new(),
            options: options(sync, MAX_BYTES),
            ledger: Ledger::default(),
            writers: Vec::new(),
            sessions: 0,
            sender: None,
            batch: None,
        };
        for _ in 0..WRITERS {
            let writer = world.new_writer();
            world.writers.push(writer);
        }
        world
    }

    fn new_writer(&mut self) -> (Process, usize, Writer<Process>) {
        let process = self.disk.process();
        let writer = Writer::new(&open(&process, &self.options));
        self.sessions += 1;
        (process, self.sessions, writer)
    }

    fn replace(&mut self, writer: usize) {
        self.writers[writer] = self.new_writer();
    }

    /// The sender, if one can be had.
    fn sender(&mut self) -> Option<&mut Sender<Process>> {
        if self.sender.is_none() {
            let process = self.disk.process();
            let spool = open(&process, &self.options);
            let sender = Sender::try_lock(&spool).unwrap();
            self.sender = Some((process, sender.expect("nobody else is")));
        }
        self.sender.as_mut().map(|(_, sender)| sender)
    }

    fn drop_sender(&mut self) {
        // What it had taken out comes again.
        if self.batch.take().is_some() {
            self.ledger.may_repeat = true;
        }
        self.sender = None;
    }

    fn settle(&mut self, mask: Option<u64>) {
        let Some(batch) = self.batch.take() else {
            return;
        };
        let mask = mask.unwrap_or(0);
        let is_rejected = |index: usize| mask >> (index % 64) & 1 == 1;
        let rejected: Vec<_> = (0..batch.records().len())
            .filter(|it| is_rejected(*it))
            .collect();
        for (index, record) in batch.records().iter().enumerate() {
            if is_rejected(index) {
                self.ledger.reject(record);
            } else {
                self.ledger.accept(record);
            }
        }
        let (_, sender) = self.sender.as_mut().expect("it has the batch");
        let result = sender.reject(batch, &rejected, b"reason");
        assert!(result.is_ok() || self.ledger.may_repeat, "{result:?}");
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Append {
                writer,
                ref lengths,
            } => {
                // What goes now may be on its way.
                let on_its_way = self.batch.as_ref();
                self.ledger.may_be_both +=
                    on_its_way.map_or(0, |it| it.records().len() as u64);
                for length in lengths {
                    let (_, session, writer) = &mut self.writers[writer];
                    let result = self.ledger.append(writer, *session, *length);
                    // Two others may have all there is to evict.
                    let is_expected = self.ledger.may_repeat
                        || result.as_ref().is_err_and(|it| it.is_full());
                    assert!(result.is_ok() || is_expected, "{result:?}");
                }
            }
            Step::Sync(writer) => {
                let (_, session, writer) = &mut self.writers[writer];
                if writer.sync().is_ok() {
                    self.ledger.synced(*session);
                }
            }
            Step::Close(writer) => {
                let _ = self.writers[writer].2.close();
            }
            Step::Replace(writer) => self.replace(writer),
            Step::KillWriter(writer) => {
                self.writers[writer].0.kill();
                self.replace(writer);
            }
            Step::Take {
                max_records,
                max_bytes,
            } => {
                if self.batch.is_some() {
                    return;
                }
                let Some(sender) = self.sender() else {
                    return;
                };
                match sender.next_batch(max_records, max_bytes) {
                    Ok(batch) => {
                        let count = batch.records().len();
                        assert!(count <= max_records);
                        assert!(count == 1 || batch.bytes() <= max_bytes);
                        self.batch = Some(batch);
                    }
                    result => assert!(self.ledger.may_repeat, "{result:?}"),
                }
            }
            Step::Accept => self.settle(None),
            Step::Reject(mask) => self.settle(Some(mask)),
            Step::Retry => {
                let is_exact = !self.ledger.may_repeat;
                let has_batch = self.batch.is_some();
                let Some(sender) = self.sender().filter(|_| !has_batch) else {
                    return;
                };
                if let Ok(batch) = sender.next_batch(5, 1000) {
                    let before = batch.records().to_vec();
                    sender.retry(batch);
                    let again = sender.next_batch(5, 1000);
                    if let Some(again) =
                        again.as_ref().ok().filter(|_| is_exact)
                    {
                        assert!(again.records() == before, "another batch");
                    }
                    self.batch = again.ok();
                }
            }
            Step::Forget => self.batch = None,
            Step::SecondSender => {
                if self.sender.is_some() {
                    let spool = open(&self.disk.process(), &self.options);
                    assert!(Sender::try_lock(&spool).unwrap().is_none());
                }
            }
            Step::ReplaceSender => self.drop_sender(),
            Step::KillSender => {
                if let Some((process, _)) = &self.sender {
                    process.kill();
                }
                self.drop_sender();
            }
            Step::PowerCut(seed) => self.power_cut(seed),
            Step::SetWall(ahead) => {
                self.disk.set_wall(|wall| wall - 2 * DAY_MS + ahead);
            }
            Step::Advance(ms) => self.disk.advance(ms),
            Step::Damage { seed, is_zeros } => self.damage(seed, is_zeros),
            Step::DamageProgress(seed) => self.damage_progress(seed),
            Step::Fault { writer, plan } => self.fault(writer, plan),
        }
    }

    fn power_cut(&mut self, seed: u64) {
        for (process, _, _) in &self.writers {
            process.kill();
        }
        if let Some((process, _)) = &self.sender {
            process.kill();
        }
        self.drop_sender();
        let left = match seed % 8 {
            0 => Left::Nothing,
            1 => Left::Everything,
            _ => Left::Some(seed),
        };
        self.disk.power_cut(left);
        self.ledger.power_cut(self.options.sync);
        for writer in 0..WRITERS {
            self.replace(writer);
        }
    }

    fn damage(&mut self, seed: u64, is_zeros: bool) {
        let mut random = Random::new(seed);
        let files = self.disk.files(".seg1");
        if files.is_empty() {
            return;
        }
        let (path, data) = &files[random.below(files.len())];
        let start = random.below(data.len());
        let end = (start + 1 + random.below(200)).min(data.len());
        self.disk.damage(path, |data| {
            for byte in &mut data[start..end] {
                *byte = if is_zeros { 0 } else { random.next() as u8 };
            }
        });
        self.ledger.is_damaged = true;
        // A writer may be called off from what it was writing to.
        self.ledger.may_repeat = true;
        self.ledger.may_reorder = true;
    }

    /// No record is lost by that, and nothing that tells of one.
    fn damage_progress(&mut self, seed: u64) {
        let mut random = Random::new(seed);
        for (path, data) in self.disk.files(".progress") {
            let start = random.below(data.len());
            self.disk.damage(&path, |data| {
                for byte in &mut data[start..] {
                    *byte = random.next() as u8;
                }
            });
        }
        self.ledger.may_repeat = true;
        self.ledger.may_reorder = true;
    }

    fn fault(&mut self, writer: Option<usize>, plan: u64) {
        let process = match (writer, &self.sender) {
            (Some(writer), _) => &self.writers[writer].0,
            (None, Some((process, _))) => process,
            (None, None) => return,
        };
        let mut random = Random::new(plan);
        let ahead = random.below(30);
        let bytes = random.below(60);
        let errnos = [libc::EIO, libc::ENOSPC, libc::EINTR, libc::EMFILE];
        let errno = errnos[random.below(errnos.len())];
        let kind = random.below(3);
        process.plan_from_now(|now| match kind {
            0 => Plan::Short {
                call: now + ahead,
                bytes,
            },
            1 => Plan::Die {
                call: now + ahead,
                bytes,
            },
            _ => Plan::Fail {
                call: now + ahead,
                errno,
                bytes,
            },
        });
        self.ledger.may_repeat = true;
        self.ledger.may_reorder = true;
    }

    /// Who has died is replaced; the spool keeps its bounds.
    fn tidy(&mut self) {
        for writer in 0..WRITERS {
            if self.writers[writer].0.is_dead() {
                self.replace(writer);
            }
        }
        if self.sender.as_ref().is_some_and(|(it, _)| it.is_dead()) {
            self.drop_sender();
        }
        let files = self.disk.files(".seg1");
        let bytes: usize = files.iter().map(|(_, data)| data.len()).sum();
        // A record may be longer than a segment.
        let live = WRITERS as u64 * (2 * SEGMENT_BYTES);
        assert!(bytes as u64 <= MAX_BYTES + MAX_BYTES / 4 + live);
        let files = self.disk.files(".rej1");
        let bytes: usize = files.iter().map(|(_, data)| data.len()).sum();
        assert!(bytes as u64 <= MAX_BYTES / 2 + 20 * 2 * SEGMENT_BYTES);
    }

    fn finish(mut self) {
        for (process, _, _) in &self.writers {
            process.plan(Plan::Work);
        }
        self.writers.clear();
        self.drop_sender();
        self.ledger.finish(&self.disk, &self.options);
    }
}

fn run(sync: SyncPolicy, steps: &[Step]) {
    let mut world = World::new(sync);
    for step in steps {
        world.take(step);
        world.tidy();
    }
    world.finish();
}

proptest! {
    /// Where nothing goes wrong, everything comes once and in order, or is
    /// counted to the record.
    #[test]
    fn a_quiet_life(
        sync in policy(),
        steps in prop::collection::vec(step(false), 1..80),
    ) {
        run(sync, &steps);
    }

    #[test]
    fn a_rough_life(
        sync in policy(),
        steps in prop::collection::vec(step(true), 1..80),
    ) {
        run(sync, &steps);
    }
}
