//! What sending to a collector costs: a spool is shipped to a receiver on
//! loopback that takes everything and looks at nothing.
//!
//! `cargo run --release -p uilog-sinks --example otlp_bench [RECORDS]`
//!
//! The time is processor time of this process without the receiver's thread,
//! so that it is of one core whatever the machine has.

use std::error::Error;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::sys::resource::UsageWho;
use nix::sys::resource::getrusage;
use nix::sys::time::TimeValLike;
use serde_json::json;
use uilog_channel::sink_config::SinkConfig;
use uilog_sinks::globals::Globals;
use uilog_sinks::otlp;
use uilog_sinks::record::Record;
use uilog_spool::Writer;

const RECORDS: u64 = 100_000;
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let records = std::env::args().nth(1);
    let records = records.map_or(Ok(RECORDS), |it| it.parse())?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let bytes = Arc::new(AtomicU64::new(0));
    let received = Arc::clone(&bytes);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let received = Arc::clone(&received);
            thread::spawn(move || receive(stream, &received));
        }
    });
    println!("{records} records, half of them commands' ends:");
    for compression in ["none", "gzip"] {
        let mut rates = Vec::new();
        let mut per_record = 0.0;
        for _ in 0..ROUNDS {
            bytes.store(0, Ordering::SeqCst);
            let (wall, own) = ship(&address.to_string(), compression, records)?;
            let count = records as f64;
            rates.push((count / own.as_secs_f64(), count / wall.as_secs_f64()));
            per_record = bytes.load(Ordering::SeqCst) as f64 / count;
        }
        rates.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (own, wall) = rates[ROUNDS / 2];
        println!(
            "{compression}: {own:.0} records/s of the sender's processor \
             time, {wall:.0} records/s by the clock, {per_record:.0} bytes \
             a record on the wire"
        );
    }
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    println!("peak memory of all that: {} kB", usage.max_rss());
    Ok(())
}

/// Returns the time that it takes and the sender's processor time.
fn ship(
    address: &str,
    compression: &str,
    records: u64,
) -> Result<(Duration, Duration), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let spool = dir.path().as_os_str().as_encoded_bytes().to_vec();
    let items = [
        (b"spool".to_vec(), spool),
        (b"spool-max-size".to_vec(), b"1 GB".to_vec()),
    ];
    let globals = Globals::new(&items, b"");
    let definition = SinkConfig {
        name: "bench".to_owned(),
        url: format!("otlp:http://{address}").into_bytes(),
        options: vec![(
            b"compression".to_vec(),
            compression.as_bytes().to_vec(),
        )],
    };
    let mut writer = Writer::new(&otlp::spool(&definition, &globals)?);
    for seq in 1..=records {
        let record = record(seq)?;
        let id = otlp::appender::id(&record).ok_or("no id")?;
        writer.append(&id, &serde_json::to_vec(&record)?)?;
    }
    writer.close()?;
    let start = Instant::now();
    let before = own_time()?;
    let flushed = otlp::flush(&definition, &globals, &mut |_| {})?;
    let own = own_time()?.saturating_sub(before);
    if flushed.progress.sent != records {
        return Err(format!("{flushed:?}").into());
    }
    Ok((start.elapsed(), own))
}

fn own_time() -> Result<Duration, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD)?;
    let micros = usage.user_time() + usage.system_time();
    Ok(Duration::from_micros(micros.num_microseconds().try_into()?))
}

/// As a developer's machine has them.
fn record(seq: u64) -> Result<Record, Box<dyn Error>> {
    let session = 0x0123_4567_89ab_cdef_u128 * u128::from(seq / 2 + 1);
    let session = format!("{session:032x}");
    let span = session[16..].to_owned();
    let duration = (seq % 977) as f64 / 100.0;
    let is_end = seq.is_multiple_of(2);
    let mut all = json!({
        "schema": 1,
        "id": format!("{session}-{}", seq % 2 + 1),
        "event": if is_end { "commandfinish" } else { "command" },
        "time": format!("2026-01-02T03:04:05.{:06}+01:00", seq % 1_000_000),
        "trace_id": session,
        "span_id": span,
        "session": session,
        "seq": seq % 2 + 1,
        "message": "status -mar src/lib",
        "process": {
            "pid": 1000 + seq % 30_000,
            "executable": "/usr/bin/hg",
            "hg_version": "7.2.4",
            "cwd": "/home/somebody/src/repository",
            "user": "somebody",
            "uid": 1000,
            "command": "status",
            "command_line": "status -mar src/lib",
        },
        "host": {"name": "desk-1234.example.com"},
        "repository": {
            "root": "/home/somebody/src/repository",
            "name": "repository",
        },
    });
    if is_end {
        all["message"] = json!(format!(
            "status -mar src/lib exited 0 after {duration:.2} seconds"
        ));
        all["duration"] = json!(duration);
        all["process"]["exit_code"] = json!(0);
        all["options"] = json!({
            "return_code": 0,
            "duration": duration,
            "canonical_command": "status",
        });
        all["usage"] = json!({
            "peak_memory_bytes": 50_000_000 + seq,
            "user_cpu_seconds": duration / 2.0,
            "system_cpu_seconds": duration / 8.0,
        });
    }
    Ok(serde_json::from_value(all)?)
}

/// Takes everything.
fn receive(stream: TcpStream, bytes: &AtomicU64) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            let read = stream.read_line(&mut line)?;
            bytes.fetch_add(read as u64, Ordering::SeqCst);
            if read == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let copied = std::io::copy(
            &mut (&mut stream).take(length),
            &mut std::io::sink(),
        )?;
        bytes.fetch_add(copied, Ordering::SeqCst);
        out.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}
