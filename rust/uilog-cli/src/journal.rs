//! `uilog journal`: what has been lost or has failed, and that it is known.

use std::io;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use uilog_core::journal::Journal;
use uilog_core::status;

use crate::native;
use crate::output;
use crate::output::Presentation;
use crate::output::counted;
use crate::status::write_journal;

/// Show what has been lost or has failed, or acknowledge it
///
/// Failures of the same kind, event and detail are one line: the last one's
/// time, and how many there are; with -T json each stands for itself.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Exit status:
  0  there are no failures
  1  there are some, or the journal cannot be used where it ought to be

Examples:
  uilog journal                         all kinds of failures
  uilog journal -T json | jq '.failures | map(.lost) | add'
  uilog journal forget                  acknowledge them

Files:
  $XDG_STATE_HOME/uilog/failures.jsonl, or below ~/.local/state: the journal,
  one failure a line, and failures.jsonl.1, the one before
  $XDG_RUNTIME_DIR/uilog, /run/user/UID/uilog, /tmp/uilog-UID: where it is if
  that directory cannot be used"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    presentation: Presentation,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Acknowledge all failures so far
    ///
    /// `uilog status`, `uilog check` and `hg debuguilog` show them no more, and
    /// count anew. The lines stay in the files until these are replaced.
    #[command(after_help = "\
Exit status:
  0  it is done
  1  the journal cannot be written")]
    Forget,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let environment = native::environment_block();
    if matches!(arguments.action, Some(Action::Forget)) {
        let journal = Journal::for_environment(&environment)
            .context("there is no place for a journal")?;
        let forgotten = journal.forget().context("cannot write the journal")?;
        let failures = counted(forgotten, "failure");
        writeln!(io::stdout(), "{failures} forgotten")?;
        return Ok(ExitCode::SUCCESS);
    }
    let facts = status::read_journal(&environment);
    let mut output = arguments.presentation.stdout();
    if arguments.presentation.is_json() {
        output::write_json(&mut output, &facts)?;
    } else {
        write_journal(&mut output, &facts, usize::MAX)?;
    }
    output.flush()?;
    Ok(ExitCode::from(u8::from(facts.is_troubled())))
}
