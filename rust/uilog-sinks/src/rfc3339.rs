//! Times as records have them.
//!
//! Must not know what a record says.

use uilog_event::event::Timestamp;

/// The first and the last microsecond that RFC 3339 can represent.
const TIMES: [i64; 2] = [-62_167_132_800_000_000, 253_402_214_400_000_000];

/// RFC 3339, for any value of the clock.
pub(crate) fn time(time: Timestamp) -> String {
    const SECONDS_PER_MINUTE: i32 = 60;
    let [first, last] = TIMES;
    let time = Timestamp {
        micros: time.micros.clamp(first, last),
        offset: time.offset - time.offset % SECONDS_PER_MINUTE,
    };
    time.to_rfc3339()
}
