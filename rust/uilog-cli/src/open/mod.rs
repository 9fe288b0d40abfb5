//! `uilog open`: the commands that are running.

mod follow;
mod running;
mod screen;
mod tree;

use std::io::Write;
use std::process::ExitCode;

use uilog_history::open::Watch;

use self::running::Running;
use crate::output;
use crate::output::Presentation;
use crate::output::say;
use crate::select;
use crate::select::EXIT_USAGE;
use crate::select::Sources;

/// The width if the output is not a terminal: nothing is truncated.
const ENDLESS: usize = usize::MAX;

/// Show the commands that have begun and have not ended, on this machine
///
/// Each command is shown with its duration, its activity (waiting for a lock,
/// another repository or an editor, running a hook), its child processes, the
/// locks that it holds, and below it the commands that wait for these; also its
/// running scripts and its undelivered records. uilog finds your own commands
/// that log through it, and running commands of other users whose beginning is
/// in a file of records.
///
/// With --follow, the terminal is updated until q or Ctrl-C is pressed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  uilog open                            what runs now
  uilog open --follow                   kept up to date, until q
  uilog open -T json | jq '.[] | select(.seconds > 60) | .command'
  uilog open -T json | jq '.[] | select(.phase == \"lock\")'

Exit status:
  0  it is done, whether or not anything runs
  1  a file cannot be read
  2  --follow without a terminal")]
pub(crate) struct Arguments {
    #[command(flatten)]
    sources: Sources,
    /// Update the terminal until q, Ctrl-C or SIGTERM
    #[arg(short, long, conflicts_with = "template")]
    follow: bool,
    #[command(flatten)]
    presentation: Presentation,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.follow {
        if screen::has_terminal() {
            return follow::run(&arguments.sources);
        }
        say("uilog: --follow: standard output is no terminal");
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let opened = arguments.sources.open()?;
    let mut watch = Watch::new(&uilog_sinks::globals::host_name());
    let problems = watch.read(&opened.sources, &vec![0; opened.sources.len()]);
    let is_troubled = select::say_problems(&opened.problems, &problems);
    let running = Running::now(&watch);
    let mut output = arguments.presentation.stdout();
    if arguments.presentation.is_json() {
        let json: Vec<_> = running.iter().map(Running::as_json).collect();
        output::write_json(&mut output, &json)?;
    } else {
        if running.is_empty() {
            arguments.sources.say_where_records_come_from(&opened);
        }
        for line in tree::lines(&running) {
            writeln!(output, "{}", line.shown(ENDLESS))?;
        }
    }
    output.flush()?;
    Ok(ExitCode::from(u8::from(is_troubled)))
}
