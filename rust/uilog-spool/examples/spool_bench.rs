//! How long an append takes with each policy, and how fast a spool is read.
//!
//! `spool_bench [DIR]`; without a directory one for temporary files is used,
//! which may be in memory: then syncs cost nothing.

use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use uilog_spool::Limits;
use uilog_spool::Options;
use uilog_spool::RecordId;
use uilog_spool::Sender;
use uilog_spool::Spool;
use uilog_spool::SyncPolicy;
use uilog_spool::Writer;

const PAYLOAD_BYTES: usize = 1024;
const BATCH_RECORDS: usize = 512;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = match std::env::args().nth(1) {
        Some(dir) => tempfile::tempdir_in(PathBuf::from(dir))?,
        None => tempfile::tempdir()?,
    };
    println!(
        "records of {PAYLOAD_BYTES} bytes in {}",
        place.path().display()
    );
    let second = Duration::from_secs(1);
    let policies = [
        ("on request", SyncPolicy::OnRequest, 50_000),
        ("every second", SyncPolicy::Every(second), 50_000),
        ("each", SyncPolicy::Each, 500),
    ];
    for (name, sync, count) in policies {
        let options = Options {
            limits: Limits {
                max_bytes: 1 << 30,
                ..Limits::default()
            },
            sync,
            ..Options::default()
        };
        let dir = place.path().join(name);
        let spool = Spool::open(&dir, options)?;
        append(name, &spool, count)?;
        read(name, &spool)?;
    }
    Ok(())
}

fn append(
    name: &str,
    spool: &Spool,
    count: u64,
) -> Result<(), Box<dyn std::error::Error>> {
    let payload = [b'x'; PAYLOAD_BYTES];
    let mut writer = Writer::new(spool);
    let mut times = Vec::new();
    let start = Instant::now();
    for number in 0..count {
        let id = RecordId::new(format!("{number:020}").as_bytes());
        let before = Instant::now();
        writer.append(&id.ok_or("no id")?, &payload)?;
        times.push(before.elapsed());
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    times.sort_unstable();
    let micros = |part: usize| {
        let index = times.len() * part / 100;
        times[index.min(times.len() - 1)].as_secs_f64() * 1e6
    };
    println!(
        "append, sync {name}: median {:.1} µs, 99 % {:.1} µs, {rate:.0}/s",
        micros(50),
        micros(99)
    );
    Ok(())
}

fn read(name: &str, spool: &Spool) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let count = spool.records()?.count();
    let rate = count as f64 / start.elapsed().as_secs_f64();
    println!("read, {name}: {rate:.0}/s");
    let mut sender = Sender::try_lock(spool)?.ok_or("busy")?;
    let start = Instant::now();
    let mut count = 0;
    loop {
        let batch = sender.next_batch(BATCH_RECORDS, 1 << 20)?;
        if batch.is_empty() {
            break;
        }
        count += batch.records().len();
        sender.accept(batch)?;
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    println!("take out in batches of {BATCH_RECORDS}, {name}: {rate:.0}/s");
    Ok(())
}
