//! Appends records to a log file, as the arguments say.
//!
//! The tests run it where they need processes that race, are killed, or meet
//! system calls that fail.
//!
//! ```text
//! append_probe PATH MAX_BYTES OLD_FILES COUNT TAG KIND
//! ```
//!
//! KIND is `shared` for a log that strangers rotate, too, or `private`.
//! The records are `TAG NUMBER xxx` and of different lengths. Waits for the
//! end of standard input before it begins, so that several begin together.

use std::io::Read;

use uilog_sys::log_file::LogFile;
use uilog_sys::log_file::Rotation;

/// Records have up to so many bytes more than they need.
const MAX_PADDING: usize = 90;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, max_bytes, old_files, count, tag, kind] = &arguments[..] else {
        return Err("six arguments are needed".into());
    };
    let rotation = Rotation {
        max_bytes: max_bytes.parse()?,
        old_files: old_files.parse()?,
    };
    let log = LogFile::new(path.into()).rotated(rotation);
    let log = match kind.as_str() {
        "shared" => log.shared_with_mercurial(),
        "private" => log.with_mode(0o600).private(),
        _ => return Err("KIND is shared or private".into()),
    };
    std::io::stdin().read_to_end(&mut Vec::new())?;
    for number in 0..count.parse()? {
        let padding = "x".repeat(number * 7 % MAX_PADDING);
        let record = format!("{tag} {number} {padding}\n");
        let appended = log.append(record.as_bytes())?;
        if let Some(error) = appended.not_rotated {
            eprintln!("not rotated: {error}");
        }
    }
    Ok(())
}
