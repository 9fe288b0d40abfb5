//! Shows what starting a program costs its caller, for `bench/run.py`.
//!
//! `spawn_bench SCHEME BYTES COUNT PAUSE_MS` touches that much memory, starts
//! `/bin/true` so many times, and prints the nanoseconds of each start on a
//! line. SCHEME is `nowait`, `wait` or `posix`. It compares nothing and knows
//! nothing of hg: that is `bench/`.

use std::error::Error;
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use uilog_sys::spawn::Command;
use uilog_sys::spawn::Scheme;
use uilog_sys::spawn::Start;

/// The smallest page of any system we run on.
const PAGE_BYTES: usize = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [scheme, bytes, count, pause_ms] = arguments.as_slice() else {
        return Err("usage: spawn_bench SCHEME BYTES COUNT PAUSE_MS".into());
    };
    let (scheme, start) = match scheme.as_str() {
        "nowait" => (Scheme::Auto, Start::NoWait),
        "wait" => (Scheme::Auto, Start::Wait(Duration::from_secs(10))),
        "posix" => (Scheme::PosixSpawn, Start::NoWait),
        _ => return Err("SCHEME is nowait, wait or posix".into()),
    };
    let pause = Duration::from_millis(pause_ms.parse()?);
    let mut memory = vec![0_u8; bytes.parse()?];
    for page in memory.chunks_mut(PAGE_BYTES) {
        page[0] = 1;
    }
    let mut nanoseconds = Vec::new();
    for _ in 0..count.parse()? {
        let begin = Instant::now();
        let mut command = Command::new(Path::new("/bin/true"))?;
        command.scheme(scheme);
        command.spawn_detached(start)?;
        nanoseconds.push(begin.elapsed().as_nanos());
        // Until the program has ended: it would compete with the next start.
        thread::sleep(pause);
    }
    black_box(&memory);
    let mut stdout = std::io::stdout().lock();
    for each in nanoseconds {
        writeln!(stdout, "{each}")?;
    }
    Ok(())
}
