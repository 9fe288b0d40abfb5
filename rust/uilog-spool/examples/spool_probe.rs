//! A process of the tests that appends to a spool or empties it.
//!
//! `append DIR TAG COUNT` appends numbered records and prints each number once
//! it is acknowledged; `send DIR` prints what it has taken before it accepts.
//! Both begin when their input ends.

use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;

use uilog_spool::Options;
use uilog_spool::RecordId;
use uilog_spool::Sender;
use uilog_spool::Spool;
use uilog_spool::SyncPolicy;
use uilog_spool::Writer;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (["append", dir, ..] | ["send", dir]) = words[..] else {
        return Err("append DIR TAG COUNT, or send DIR".into());
    };
    let options = Options {
        sync: SyncPolicy::OnRequest,
        ..Options::default()
    };
    let spool = Spool::open(Path::new(dir), options)?;
    io::stdin().read_to_end(&mut Vec::new())?;
    match words[..] {
        ["append", _, tag, count] => append(&spool, tag, count.parse()?),
        _ => send(&spool),
    }
}

/// A line with one write, so that a kill does not tear it.
fn say(line: &str) -> io::Result<()> {
    io::stdout().write_all(format!("{line}\n").as_bytes())
}

fn append(
    spool: &Spool,
    tag: &str,
    count: u64,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut writer = Writer::new(spool);
    for number in 0..count {
        let text = format!("{tag}-{number}");
        let id = RecordId::new(format!("{text:0>20}").as_bytes());
        let id = id.ok_or("an id of another length")?;
        let padding = "x".repeat(number as usize % 700);
        writer.append(&id, format!("{text} {padding}").as_bytes())?;
        say(&text)?;
    }
    Ok(())
}

fn send(spool: &Spool) -> Result<(), Box<dyn std::error::Error>> {
    let Some(mut sender) = Sender::try_lock(spool)? else {
        return say("busy").map_err(Into::into);
    };
    loop {
        let batch = sender.next_batch(50, 1 << 20)?;
        if batch.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for record in batch.records() {
            let text = String::from_utf8_lossy(&record.payload);
            let text = text.split(' ').next().unwrap_or_default();
            lines.push_str(text);
            lines.push('\n');
        }
        io::stdout().write_all(lines.as_bytes())?;
        sender.accept(batch)?;
    }
}
