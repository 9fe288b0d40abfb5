//! `uilog open --follow`: keeps the terminal up to date.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::Duration;

use uilog_history::open::Watch;
use uilog_history::scan::Source;

use super::running::Running;
use super::screen::Happened;
use super::screen::Screen;
use super::tree;
use crate::output::counted;
use crate::select::Sources;

/// The interval between updates: durations of seconds have two digits, and
/// nobody reads faster.
const PAUSE: Duration = Duration::from_millis(500);
/// What a shell adds to the number of a signal that has ended a program.
const SIGNALLED: u8 = 128;
/// The last line.
const HELP: &str = "q: quit";

pub(super) fn run(sources: &Sources) -> anyhow::Result<ExitCode> {
    let mut files = Files::default();
    let mut watch = Watch::new(&uilog_sinks::globals::host_name());
    // Problems with files are reported before the screen is used.
    files.read(sources, &mut watch)?;
    let mut screen = Screen::enter()?;
    loop {
        let running = Running::now(&watch);
        screen.show(fitting(&running, Screen::size()))?;
        match screen.wait(PAUSE)? {
            Happened::Nothing | Happened::Resized => {}
            Happened::Quit => return Ok(ExitCode::SUCCESS),
            Happened::Signal(signal) => {
                drop(screen);
                let signal = u8::try_from(signal).unwrap_or_default();
                return Ok(ExitCode::from(SIGNALLED.wrapping_add(signal)));
            }
        }
        files.read(sources, &mut watch)?;
    }
}

/// As many lines as the terminal has, none wider than that.
fn fitting(
    running: &[Running],
    (width, height): (usize, usize),
) -> Vec<String> {
    let lines = tree::lines(running);
    let room = height.saturating_sub(1);
    let (mut shown, left) = match lines.len().checked_sub(room) {
        None | Some(0) => (lines.len(), 0),
        Some(more) => (room, more),
    };
    shown = shown.min(lines.len());
    let mut rows: Vec<_> =
        lines[..shown].iter().map(|it| it.shown(width)).collect();
    let last = match left {
        0 => HELP.to_owned(),
        left => format!("{} more; {HELP}", counted(left as u64, "line")),
    };
    rows.push(last.chars().take(width).collect());
    rows.truncate(height);
    rows
}

/// How much of each file has been read, by device and inode: a rotated file is
/// the same under another name.
#[derive(Default)]
struct Files(HashMap<(u64, u64), u64>);

impl Files {
    fn read(
        &mut self,
        sources: &Sources,
        watch: &mut Watch,
    ) -> anyhow::Result<()> {
        let mut new: Vec<Source> = Vec::new();
        let mut from = Vec::new();
        for source in sources.open_growing()?.sources {
            let Some(id) = source.id() else { continue };
            let source = source.until_line_end()?;
            let known = self.0.entry(id).or_default();
            // It may have been cut off.
            let start = if *known > source.len() { 0 } else { *known };
            *known = source.len();
            if start < source.len() {
                from.push(start);
                new.push(source);
            }
        }
        if !new.is_empty() {
            watch.read(&new, &from);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted() {
        let many = vec![Running::default(); 30];
        let rows = fitting(&many, (80, 24));
        assert_eq!(rows.len(), 24);
        assert!(rows[23].ends_with(" lines more; q: quit"), "{}", rows[23]);
        assert_eq!(fitting(&[], (80, 24)).len(), 2);
        assert_eq!(fitting(&many, (4, 1)), ["60 l"]);
        assert!(fitting(&many, (80, 0)).is_empty());
    }
}
