//! Records as lines of JSON.

use crate::record::Record;

/// Appends a record as one line.
pub fn write(record: &Record, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, record)
        .expect("a Vec takes anything, and all keys are strings");
    out.push(b'\n');
}
