//! Several sinks: none affects another.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

mod numbers;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use uilog_channel::record_delivery::Items;
use uilog_channel::record_delivery::Queued;
use uilog_channel::record_delivery::RecordDelivery;
use uilog_channel::record_delivery::RecordLoss;
use uilog_channel::record_delivery::Source;
use uilog_channel::sink_config::SinkConfig;
use uilog_channel::wire::Frame;
use uilog_channel::wire::RecordFrame as WireRecord;
use uilog_event::event::Event;
use uilog_event::event::SessionId;
use uilog_event::event::Timestamp;
use uilog_sinks::globals::Globals;
use uilog_sinks::record::Record;
use uilog_sinks::sink::LossReport;
use uilog_sinks::sink::Open;
use uilog_sinks::sink::Sink;
use uilog_sinks::sink_threads::SinkThreads;

/// What is waited for comes within this time, or never.
const BOUND: Duration = Duration::from_secs(60);

/// The ids that each sink has delivered, by the sink's name.
static ARRIVED: Mutex<Option<HashMap<String, Vec<String>>>> = Mutex::new(None);
/// How many threads are parked.
static PARKED: AtomicUsize = AtomicUsize::new(0);
/// Lets go those that hang.
static RELEASED: AtomicBool = AtomicBool::new(false);

/// A sink of the tests, which does what its URL says.
struct Acting {
    name: String,
    role: String,
}

impl Sink for Acting {
    fn deliver(
        &mut self,
        records: &[Arc<Record>],
        _deadline: Instant,
    ) -> Result<(), LossReport> {
        match self.role.as_str() {
            "hang" => {
                while !RELEASED.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            "park" => {
                PARKED.fetch_add(1, Ordering::Relaxed);
                loop {
                    std::thread::park();
                }
            }
            "slow" => std::thread::sleep(Duration::from_millis(5)),
            "crawl" => std::thread::sleep(Duration::from_millis(20)),
            "panic" => panic!("as a test of it"),
            "fail" => {
                return Err(LossReport {
                    count: records.len() as u64,
                    reason: "nobody is there".to_owned(),
                });
            }
            _ => {}
        }
        let mut arrived = ARRIVED.lock().unwrap();
        let arrived = arrived.get_or_insert_default();
        let ids = records.iter().map(|record| record.id.clone());
        arrived.entry(self.name.clone()).or_default().extend(ids);
        Ok(())
    }

    fn finish(&mut self, _deadline: Instant) -> Result<(), LossReport> {
        Ok(())
    }
}

fn open(
    definition: &SinkConfig,
    _globals: &Globals,
) -> Result<Box<dyn Sink>, String> {
    let role = String::from_utf8_lossy(&definition.url).into_owned();
    if role == "broken" {
        return Err("its URL makes no sense".to_owned());
    }
    let name = definition.name.clone();
    Ok(Box::new(Acting { name, role }))
}

fn arrived(sink: &str) -> Vec<String> {
    let arrived = ARRIVED.lock().unwrap();
    let all = arrived.as_ref().and_then(|all| all.get(sink));
    all.cloned().unwrap_or_default()
}

/// The records of a queue; a position is an index.
#[derive(Default)]
struct Queue {
    records: Vec<Queued>,
    /// What stands before this has been given back.
    released: usize,
    /// How many records fit, if there is a limit.
    limit: Option<usize>,
}

impl Source for Queue {
    fn record_from(&mut self, at: u64) -> io::Result<Option<(Queued, u64)>> {
        let index = usize::try_from(at).unwrap();
        assert!(index >= self.released, "{at} has been given back");
        let found = self.records.get(index);
        Ok(found.map(|queued| (queued.clone(), at + 1)))
    }

    fn is_too_far_behind(&self, at: u64) -> bool {
        let waiting = self.records.len() - usize::try_from(at).unwrap();
        self.limit.is_some_and(|limit| waiting > limit)
    }
}

/// A fleet, and what has been heard from it.
struct Dispatcher {
    fleet: SinkThreads,
    queue: Queue,
    items: Arc<Items>,
    environment: Arc<[u8]>,
    done: u64,
    at_risk: u64,
    losses: HashMap<(String, String), u64>,
    session: SessionId,
    sent: u64,
}

impl Dispatcher {
    fn new(sinks: &[(&str, &str)]) -> Self {
        Self::with(open, sinks)
    }

    fn with(open: Open, sinks: &[(&str, &str)]) -> Self {
        let mut it = Self {
            fleet: SinkThreads::new(open),
            queue: Queue::default(),
            items: Arc::default(),
            environment: Arc::from(&b"HOME=/nonexistent\0"[..]),
            done: 0,
            at_risk: 0,
            losses: HashMap::new(),
            session: SessionId(7),
            sent: 0,
        };
        it.configure(sinks);
        it
    }

    fn configure(&mut self, items: &[(&str, &str)]) {
        let items = items.iter().map(|(name, value)| {
            (
                format!("sink.{name}").into_bytes(),
                value.as_bytes().to_vec(),
            )
        });
        self.items = items.collect();
    }

    /// From now on hg's environment has this as well.
    fn set(&mut self, variable: &str) {
        let block = format!("HOME=/nonexistent\0{variable}\0");
        self.environment = Arc::from(block.as_bytes());
    }

    /// Offers an event; its id.
    fn send(&mut self, event: &str) -> String {
        let session = self.session;
        self.sent += 1;
        let seq = self.sent;
        let frame = Frame::Record(WireRecord {
            environment_at: 1,
            items_at: 2,
            ..WireRecord::bare(Event {
                session,
                seq,
                time: Timestamp::now(),
                message: Cow::Borrowed(b"m\n"),
                ..Event::bare(event.as_bytes())
            })
        });
        let queued = Queued {
            position: self.queue.records.len() as u64,
            event: event.as_bytes().to_vec(),
            frame: Arc::from(postcard::to_stdvec(&frame).unwrap()),
            environment: Arc::clone(&self.environment),
            items: Arc::clone(&self.items),
        };
        self.queue.records.push(queued.clone());
        self.fleet.offer(&queued);
        self.settle();
        format!("{session}-{seq}")
    }

    fn settle(&mut self) {
        let settled = self.fleet.collect_results(&mut self.queue).unwrap();
        self.done += settled.done;
        self.at_risk = settled.at_risk;
        let oldest = settled.oldest.map(|it| usize::try_from(it).unwrap());
        self.queue.released = oldest.unwrap_or(self.queue.records.len());
        assert_eq!(self.done, self.queue.released as u64);
        for RecordLoss {
            sink,
            count,
            reason,
        } in settled.losses
        {
            *self.losses.entry((sink, reason)).or_default() += count;
        }
    }

    fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + BOUND;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}");
            self.settle();
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn until_done(&mut self) {
        self.until("all to be done", |it| (it.done == it.sent).then_some(()));
    }

    /// Ends it as its dispatcher does.
    fn finish(&mut self, bound: Duration) {
        self.fleet.finish(Instant::now() + bound);
        self.until("the end", |it| it.fleet.is_finished().then_some(()));
        self.settle();
        assert_eq!(self.done, self.sent, "some are neither done nor lost");
        assert_eq!(self.at_risk, 0);
    }

    fn lost(&self, sink: &str) -> u64 {
        let of = self.losses.iter().filter(|((name, _), _)| name == sink);
        of.map(|(_, count)| count).sum()
    }
}

#[test]
fn each_gets_what_it_wants_in_order() {
    let mut it = Dispatcher::new(&[
        ("wants.all", "take"),
        ("wants-all", "take"),
        ("wants-some", "take"),
        ("wants-some:track", "some, other"),
    ]);
    let ids: Vec<_> = (0..2000)
        .map(|n| it.send(if n % 3 == 0 { "some" } else { "more" }))
        .collect();
    it.finish(BOUND);
    assert_eq!(arrived("wants-all"), ids);
    let some: Vec<_> = ids.iter().step_by(3).cloned().collect();
    assert_eq!(arrived("wants-some"), some);
    assert!(it.losses.is_empty(), "{:?}", it.losses);
}

#[test]
fn one_that_fails_panics_or_makes_no_sense_costs_the_others_nothing() {
    let mut it = Dispatcher::new(&[
        ("sound", "take"),
        ("panics", "panic"),
        ("fails", "fail"),
        ("nonsense", "broken"),
        ("keyless", "take"),
        ("keyless:user", "hash"),
        ("choosy", "broken"),
        ("choosy:track", "some"),
    ]);
    let ids: Vec<_> = (0..100).map(|_| it.send("event")).collect();
    it.until_done();
    let more = it.send("event");
    it.finish(BOUND);
    let all: Vec<_> = ids.into_iter().chain([more]).collect();
    assert_eq!(arrived("sound"), all);
    for sink in ["panics", "fails", "nonsense", "keyless"] {
        assert_eq!(it.lost(sink), 101, "{sink}: {:?}", it.losses);
        assert_eq!(arrived(sink), [""; 0]);
    }
    assert_eq!(it.lost("choosy"), 0);
    let reasons: Vec<_> = it.losses.keys().map(|(_, why)| &**why).collect();
    for reason in ["it panicked", "nobody is there", "its URL makes no sense"] {
        assert!(reasons.contains(&reason), "{reasons:?}");
    }
}

/// More than a sink has room for.
const MANY: usize = 3000;

/// Sends that many, of which the sink `runs` gets each at once.
fn send_many(it: &mut Dispatcher) -> Vec<String> {
    let before = arrived("runs").len();
    let ids: Vec<_> = (0..MANY).map(|_| it.send("event")).collect();
    it.until("the one that runs", |_| {
        (arrived("runs").len() == before + ids.len()).then_some(())
    });
    assert_eq!(arrived("runs")[before..], ids);
    ids
}

#[test]
fn one_that_hangs_holds_up_nobody_and_loses_what_is_too_much() {
    let mut it = Dispatcher::new(&[("runs", "take"), ("hangs", "hang")]);
    let mut sent = send_many(&mut it).len() as u64;
    // The other one gets its own long before this one is given up: nothing has
    // been lost yet, and what it will read stays in the queue.
    assert_eq!(it.lost("hangs"), 0);
    assert_eq!(it.queue.released, 0);
    // Neither an environment nor items that change in between hold anybody up.
    it.set("PATH=/elsewhere");
    sent += send_many(&mut it).len() as u64;
    it.configure(&[("runs", "take"), ("hangs", "hang"), ("more", "take")]);
    sent += send_many(&mut it).len() as u64;
    it.until("the one that is new", |_| {
        (arrived("more").len() == MANY).then_some(())
    });
    assert_eq!(it.lost("hangs"), 0);
    // Then it is given up, what it has missed is lost, and nothing is kept for
    // it; what it has in hand is known to be at risk.
    it.until_done();
    assert!(it.lost("hangs") > 0, "nothing was counted");
    assert_eq!(arrived("hangs").len(), 0);
    assert_eq!(it.lost("hangs") + it.at_risk, sent);
    // It comes back, and what it had is not lost.
    RELEASED.store(true, Ordering::Relaxed);
    it.until("the one that hung", |it| {
        let lost = it.lost("hangs");
        (arrived("hangs").len() as u64 + lost >= sent).then_some(())
    });
    let last = it.send("event");
    it.finish(BOUND);
    assert_eq!(arrived("runs").last(), Some(&last));
    assert_eq!(arrived("hangs").last(), Some(&last));
    assert_eq!(arrived("hangs").len() as u64 + it.lost("hangs"), sent + 1);
}

#[test]
fn one_that_is_slow_reads_from_the_queue_what_it_has_no_room_for() {
    let mut it = Dispatcher::new(&[("slow", "slow"), ("quick", "take")]);
    let mut ids = Vec::new();
    for round in 0..3 {
        it.set(&format!("ROUND={round}"));
        ids.extend((0..MANY).map(|_| it.send("event")));
    }
    it.until("the quick one", |_| {
        (arrived("quick").len() == ids.len()).then_some(())
    });
    assert!(arrived("slow").len() < ids.len(), "it is not slow");
    it.until_done();
    assert_eq!(arrived("slow").len(), ids.len());
    assert!(arrived("slow") == ids, "not in order");
    assert_eq!(it.losses, HashMap::new());
    it.finish(BOUND);
}

#[test]
fn one_that_is_too_slow_leaves_room_for_others() {
    let mut it = Dispatcher::new(&[("creeps", "crawl"), ("hurries", "take")]);
    it.queue.limit = Some(2000);
    let mut ids = Vec::new();
    while ids.len() < 2 * MANY {
        ids.extend((0..100).map(|_| it.send("event")));
        // On a busy machine it is too slow as well, if it is given no time.
        it.until("the quick one", |_| {
            (arrived("hurries").len() + 1000 > ids.len()).then_some(())
        });
    }
    it.until("room", |it| {
        let waiting = it.queue.records.len() - it.queue.released;
        (waiting <= 2000 + 1100).then_some(())
    });
    it.until("the quick one", |_| {
        (arrived("hurries").len() == ids.len()).then_some(())
    });
    it.finish(BOUND);
    assert_eq!(it.lost("hurries"), 0);
    // What has been lost is the oldest that it had not come to.
    let lost = usize::try_from(it.lost("creeps")).unwrap();
    assert!(lost > 0);
    let arrived = arrived("creeps");
    assert_eq!(arrived.len() + lost, ids.len());
    assert_eq!(arrived.last(), ids.last());
}

#[test]
fn one_that_hangs_gets_no_more_threads_than_a_few() {
    let mut it = Dispatcher::new(&[("parks", "park"), ("walks", "take")]);
    let mut ids = Vec::new();
    for round in 0..200 {
        it.set(&format!("ROUND={round}"));
        ids.push(it.send("event"));
    }
    it.until("the one that does not hang", |_| {
        (arrived("walks").len() == ids.len()).then_some(())
    });
    let parked = PARKED.load(Ordering::Relaxed);
    assert!(parked < 10, "{parked} threads");
    it.finish(Duration::from_millis(100));
    assert_eq!(it.lost("parks"), 200);
    assert_eq!(it.lost("walks"), 0);
}

#[test]
fn the_end_does_not_wait_for_one_that_hangs() {
    let mut it = Dispatcher::new(&[("blocked", "park"), ("free", "take")]);
    let ids: Vec<_> = (0..10).map(|_| it.send("event")).collect();
    it.until("the free one", |_| (arrived("free") == ids).then_some(()));
    it.finish(Duration::from_millis(100));
    assert_eq!(arrived("free"), ids);
    assert_eq!(it.lost("blocked"), 10);
    let reason = "it did not end in time".to_owned();
    assert!(it.losses.contains_key(&("blocked".to_owned(), reason)));
}

#[test]
fn a_new_configuration_takes_over_without_a_gap() {
    let mut it = Dispatcher::new(&[("first", "take")]);
    let before: Vec<_> = (0..500).map(|_| it.send("event")).collect();
    it.configure(&[("second", "take")]);
    let after: Vec<_> = (0..500).map(|_| it.send("event")).collect();
    // The same once more opens nothing anew.
    it.configure(&[("second", "take")]);
    let last = it.send("event");
    it.finish(BOUND);
    assert_eq!(arrived("first"), before);
    let after: Vec<_> = after.into_iter().chain([last]).collect();
    assert_eq!(arrived("second"), after);
    assert!(it.losses.is_empty(), "{:?}", it.losses);
}
