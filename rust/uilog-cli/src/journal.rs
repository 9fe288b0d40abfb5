//! `uilog journal`: shows losses and failures, and acknowledges them.

use std::io;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use uilog_channel::journal::Journal;
use uilog_channel::status;

use crate::native;
use crate::output;
use crate::output::Presentation;
use crate::output::counted;
use crate::status::write_journal;

/// Show or acknowledge losses and failures
///
/// Failures of the same kind, event and detail are shown as one line, with
/// their number and the time of the last one. -T json has each failure.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Exit status:
    0  there are no failures
  1  there are failures, or the journal's directory cannot be used

Examples:
  uilog journal                         show all failures
  uilog journal -T json | jq '.failures | map(.lost) | add'
  uilog journal forget                  acknowledge them

Files:
  $XDG_STATE_HOME/uilog/failures.jsonl      the journal, one failure per line
  $XDG_STATE_HOME/uilog/failures.jsonl.1    older lines of the journal
  $XDG_RUNTIME_DIR/uilog, /run/user/UID/uilog, /tmp/uilog-UID
                                            used if that directory cannot be
  If $XDG_STATE_HOME is not set, ~/.local/state is used."
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
    /// `uilog status`, `uilog check` and `hg debuguilog` no longer show them,
    /// and their counts restart at 0. The lines stay in the files until the
    /// files are rotated.
    #[command(after_help = "\
Exit status:
  0  all failures are acknowledged
  1  the journal cannot be written")]
    Forget,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let environment = native::environment_block();
    if matches!(arguments.action, Some(Action::Forget)) {
        let journal = Journal::for_environment(&environment)
            .context("there is no directory for a journal")?;
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
