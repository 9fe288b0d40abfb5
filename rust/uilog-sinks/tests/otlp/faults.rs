//! No fault loses a record, and duplicates have one ID.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use uilog_sinks::otlp::sender::SendResult;
use uilog_sinks::sink::Sink;

use crate::support::*;

/// Numbers that look random, and are the same each time.
// SplitMix64
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[test]
fn of_thousands_of_records_none_is_lost_through_fifty_faults() {
    const RECORDS: u64 = 3_000;
    const FAULTS: usize = 50;
    // What has arrived, as the collector sees it: even where it says nothing.
    let arrived: Arc<Mutex<HashMap<String, u64>>> = Arc::default();
    let faults = Arc::new(AtomicUsize::new(0));
    let server = Server::start({
        let (arrived, faults) = (arrived.clone(), faults.clone());
        let state = Mutex::new(1);
        move |request| {
            let number = random(&mut state.lock().unwrap());
            let is_fault = number.is_multiple_of(3)
                && faults.fetch_add(1, Ordering::SeqCst) < FAULTS;
            let take = || {
                let mut arrived = arrived.lock().unwrap();
                for id in request.ids() {
                    *arrived.entry(id).or_default() += 1;
                }
            };
            if !is_fault {
                take();
                return accepted();
            }
            match (number >> 8) % 8 {
                0 => status(429),
                1 => status(503),
                2 => status(502),
                3 => status(404),
                4 => Reply::Bytes(b"garbage\r\n\r\n".to_vec()),
                5 => Reply::Close,
                // It has it, and we do not know.
                6 => {
                    take();
                    Reply::HalfWay
                }
                _ => {
                    take();
                    Reply::Hang
                }
            }
        }
    });
    let sink = TestSink::new(&server.url(), &[("timeout", "0.3")]);
    let mut state = 2;
    let mut seq = 0;
    while seq < RECORDS {
        let more = (random(&mut state) % 60).min(RECORDS - seq);
        let records: Vec<_> =
            (seq + 1..=seq + more).map(|seq| numbered(0, seq)).collect();
        sink.append(&records);
        seq += more;
        sink.flush();
    }
    wait_until(|| sink.flush().end == SendResult::Drained);
    assert!(faults.load(Ordering::SeqCst) >= FAULTS);
    let arrived = arrived.lock().unwrap();
    for seq in 1..=RECORDS {
        assert!(arrived.contains_key(&numbered(0, seq).id), "{seq} is lost");
    }
    assert_eq!(arrived.len() as u64, RECORDS);
    assert!(arrived.values().any(|times| *times > 1), "no duplicates");
    let stats = sink.stats();
    let counts = (stats.pending, stats.sent, stats.rejected);
    assert_eq!(counts, (0, RECORDS, 0));
}

#[test]
fn many_write_and_one_sends() {
    const THREADS: u64 = 8;
    const EACH: u64 = 200;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::default());
    let server = Server::start({
        let (now, most): (_, Arc<AtomicUsize>) =
            (Arc::clone(&now), Arc::clone(&most));
        move |_| {
            let count = now.fetch_add(1, Ordering::SeqCst) + 1;
            most.fetch_max(count, Ordering::SeqCst);
            thread::yield_now();
            now.fetch_sub(1, Ordering::SeqCst);
            accepted()
        }
    });
    let sink = TestSink::new(&server.url(), &[]);
    let start = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let (sink, start) = (&sink, &start);
            scope.spawn(move || {
                let mut opened = sink.open();
                start.wait();
                for seq in 1..=EACH {
                    let record = numbered(number, seq);
                    opened.deliver(&[record], soon()).unwrap();
                }
                opened.finish(soon()).unwrap();
            });
        }
    });
    // Nobody has been asked for it: who held the lock has looked once more.
    let stats = sink.stats();
    assert_eq!((stats.pending, stats.sent), (0, THREADS * EACH));
    let mut ids: Vec<_> =
        server.requests().iter().flat_map(Request::ids).collect();
    ids.sort();
    let all = ids.len();
    ids.dedup();
    assert_eq!((all, ids.len() as u64), (ids.len(), THREADS * EACH));
    // One for each signal.
    assert!(most.load(Ordering::SeqCst) <= 2);
}
