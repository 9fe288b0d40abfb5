//! Waits for the dispatchers of commands, running or ended: their scripts, and
//! records without a queue of their own.
//!
//! Responsible for the time limit. Must not know queues and spools.

use std::thread;
use std::time::Instant;

use uilog_channel::living_pages;
use uilog_channel::living_pages::LivingPage;

use crate::flush::part::LOOK_EVERY;
use crate::flush::part::Part;
use crate::output::counted;

/// Waits until dispatchers are done with the events that they have now.
pub(super) fn wait(
    environment: &[u8],
    is_all: bool,
    deadline: Instant,
) -> Part {
    let mut pages = living_pages::find(environment, is_all);
    let mut part = Part::default();
    loop {
        pages.retain(|page| !account_if_done(page, &mut part));
        if pages.is_empty() {
            return part;
        }
        if Instant::now() >= deadline {
            for page in &pages {
                account_left(page, &mut part);
            }
            return part;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Adds up a page whose jobs are done; whether they are.
fn account_if_done(page: &LivingPage, part: &mut Part) -> bool {
    let Ok(counts) = page.counts() else {
        return true;
    };
    if counts.left > 0 {
        return false;
    }
    let before = page.before();
    part.done += counts.done.saturating_sub(before.done);
    // Losses of a dead page happened before, and were not known.
    part.lost += match before.is_dead {
        true => counts.lost,
        false => counts.lost.saturating_sub(before.lost),
    };
    true
}

fn account_left(page: &LivingPage, part: &mut Part) {
    let Ok(counts) = page.counts() else { return };
    let before = page.before();
    part.done += counts.done.saturating_sub(before.done);
    part.lost += counts.lost.saturating_sub(before.lost);
    part.left += counts.left;
    let pid = counts.reader_pid;
    let reason = match counts.running {
        0 => format!("process {pid} has not begun them"),
        running => format!(
            "{} of process {pid} still running",
            counted(running, "script")
        ),
    };
    part.reason.get_or_insert(reason);
}
