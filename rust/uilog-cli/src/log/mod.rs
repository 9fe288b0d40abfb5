//! `uilog log`: the commands that were run, newest last.

mod arguments;
mod follow;
pub(crate) mod hits;
pub(crate) mod lines;
mod stats;
mod table;
pub(crate) mod template;

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;

use uilog_history::scan;
use uilog_sys::terminal;

pub(crate) use self::arguments::Arguments;
use self::hits::find;
use self::lines::Lines;
pub(crate) use self::stats::sparkline;
pub(crate) use self::table::Table;
use crate::output::say;
use crate::select;
use crate::select::EXIT_USAGE;

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.stats.is_asked() {
        return stats::run(arguments);
    }
    let request = match arguments.request() {
        Ok(request) => request,
        Err(why) => {
            say(&format!("uilog: {why}"));
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let opened = arguments.selection.sources.open()?;
    let (hits, problems) =
        find(&opened.sources, &request.query, request.sort.as_ref());
    let is_troubled = select::say_problems(&opened.problems, &problems);
    let from = match request.limit {
        0 => 0,
        limit => hits.len().saturating_sub(limit),
    };
    if from > 0 {
        say(&format!("{from} more (-n 0 shows all)"));
    }
    if hits.is_empty() {
        arguments.selection.say_why_nothing_is_found(&opened);
    }
    let mut output = arguments.colors.stdout();
    let mut rows = Vec::new();
    for hit in &hits[from..] {
        rows.push(scan::line_at(&opened.sources, hit.place)?);
    }
    let mut lines = Lines::new(request.format.clone(), width());
    lines.write(&mut output, &rows, !arguments.follow)?;
    output.flush()?;
    if arguments.follow {
        if opened.blackboxes > 0 {
            say("uilog: new lines of a blackbox are not shown here: use \
                 'hg blackbox --follow'");
        }
        return follow::run(arguments, &request, opened, &mut lines, output);
    }
    Ok(ExitCode::from(u8::from(is_troubled)))
}

/// How wide a line may be, on a terminal.
fn width() -> Option<usize> {
    let stdout = io::stdout();
    let is_terminal = stdout.is_terminal();
    is_terminal.then(|| terminal::size(&stdout).map_or(80, |it| it.0))
}
