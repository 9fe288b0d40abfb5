//! `uilog log --follow`: new records as they are logged.

use std::collections::HashMap;
use std::io::Write;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use uilog_history::places::Opened;
use uilog_history::scan;
use uilog_history::scan::Source;

use super::arguments::Arguments;
use super::arguments::Request;
use super::hits::Hit;
use super::lines::Lines;

/// How long it is until files are looked at again. A look costs less than
/// 1 ms.
const PAUSE: Duration = Duration::from_millis(200);

/// Shows new records, until the process is ended or the reader of the output
/// has gone.
pub(super) fn run(
    arguments: &Arguments,
    request: &Request,
    opened: Opened,
    lines: &mut Lines,
    mut output: impl Write,
) -> anyhow::Result<ExitCode> {
    // How much of each file has been read, by device and inode: a rotated
    // file is the same under another name.
    let mut read: HashMap<(u64, u64), u64> = opened
        .sources
        .iter()
        .filter_map(|source| Some((source.id()?, whole(source))))
        .collect();
    loop {
        thread::sleep(PAUSE);
        let sources = arguments.selection.sources.open_growing()?.sources;
        let mut new = Vec::new();
        let mut from = Vec::new();
        for source in sources {
            let Some(id) = source.id() else { continue };
            let source = source.until_line_end()?;
            let known = read.entry(id).or_default();
            // It may have been cut off.
            let start = if *known > source.len() { 0 } else { *known };
            *known = source.len();
            if start < source.len() {
                from.push(start);
                new.push(source);
            }
        }
        if new.is_empty() {
            continue;
        }
        let (hits, _) = scan::scan_from(
            &new,
            &from,
            &request.query,
            |hits: &mut Vec<Hit>, found| hits.extend(Hit::of(&found, None)),
        );
        let mut hits = hits.concat();
        hits.sort_by_key(|hit| (hit.time, hit.place));
        let mut rows = Vec::new();
        for hit in hits {
            rows.push(scan::line_at(&new, hit.place)?);
        }
        lines.write(&mut output, &rows, false)?;
        output.flush()?;
    }
}

/// How much of a source has been shown: its whole lines.
fn whole(source: &Source) -> u64 {
    let whole = source.clone().until_line_end();
    whole.map_or(0, |it| it.len())
}
