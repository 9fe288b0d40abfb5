//! Prints how values are parsed, to be compared with hg:
//! tests/helpers/config_values.py asks both.
//!
//! Reads lines `KIND HEX` from its standard input and answers each with one
//! line. An offset of the local zone in the environment variable `TZ` is
//! ignored: local time is UTC.

use std::io;
use std::io::BufRead;
use std::io::Write;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use uilog_config::date::Clock;
use uilog_config::date::parse_date;
use uilog_config::value::parse_bool;
use uilog_config::value::parse_int;
use uilog_config::value::parse_list;
use uilog_config::value::parse_size;

fn main() -> io::Result<()> {
    let mut output = io::BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (kind, hex) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = bytes_of(hex)
            .and_then(|value| answer(kind, &value))
            .unwrap_or_else(|| "invalid".to_owned());
        writeln!(output, "{answer}")?;
    }
    output.flush()
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()
    };
    pairs.map(byte).collect()
}

fn answer(kind: &str, value: &[u8]) -> Option<String> {
    match kind {
        "bool" => parse_bool(value).map(|on| format!("bool {}", u8::from(on))),
        "int" => parse_int(value).map(|number| format!("int {number}")),
        "bytes" => parse_size(value).map(|size| format!("bytes {size}")),
        "list" => {
            let words = parse_list(value).into_iter().map(|word| {
                let hex = word.iter().map(|byte| format!("{byte:02x}"));
                format!(" ={}", hex.collect::<String>())
            });
            Some(format!("list{}", words.collect::<String>()))
        }
        // hg: ui.configdate does not parse what is empty
        "date" if value.is_empty() => Some("date none".to_owned()),
        "date" => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
            let now = i64::try_from(now.as_secs()).ok()?;
            let local_offset = &|_| 0;
            let date = parse_date(value, &Clock { now, local_offset })?;
            Some(format!("date {} {}", date.seconds, date.offset))
        }
        _ => None,
    }
}
