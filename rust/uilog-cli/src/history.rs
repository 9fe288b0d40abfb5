//! `uilog history`: where the history of commands is, and deleting it.

use std::io;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use uilog_config::installation;
use uilog_history::when;
use uilog_sinks::history;

use crate::output::bytes;
use crate::output::counted;
use crate::output::local;
use crate::output::say;
use crate::select::EXIT_USAGE;
use crate::select::with_clock;

/// Show where the history of commands is, or delete it
///
/// With `history = yes` in the section `uilog`, uilog keeps the records of your
/// commands on this machine, a file a day, without secrets; `uilog log` shows
/// them. `history-max-size` and `history-max-age` limit it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  uilog history path                    where it is
  uilog history delete                  all of it
  uilog history delete --before 30d     what is older than 30 days
  hg --config uilog.history=no COMMAND  a command that does not get into it

Exit status:
  0  it is done
  1  there is no place for a history, or a file cannot be removed
  2  an argument makes no sense

Files:
  $XDG_STATE_HOME/uilog/history, or below ~/.local/state: the history")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the directory of the history, even if it does not exist
    Path,
    /// Delete the history of this user on this machine
    ///
    /// Deletes whole days. Copies that another sink got stay.
    Delete {
        /// Only the days before this date: 30d, 'last week', 2026-11-30 or
        /// any date of `hg help dates`
        #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
        before: Option<String>,
    },
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let environment = installation::environment()
        .context("cannot determine the current directory")?;
    let dir = history::dir(&environment).context(
        "there is no directory for a history: neither XDG_STATE_HOME nor HOME \
         names a directory",
    )?;
    let mut output = io::stdout();
    let Action::Delete { before } = &arguments.action else {
        writeln!(output, "{}", dir.display())?;
        return Ok(ExitCode::SUCCESS);
    };
    let before = match before {
        None => None,
        Some(date) => match with_clock(|clock| when::span(date, clock)) {
            Ok(span) => {
                let first = local(span.from);
                first.get(..10).map(str::to_owned)
            }
            Err(why) => {
                say(&format!("uilog: --before {why}"));
                return Ok(ExitCode::from(EXIT_USAGE));
            }
        },
    };
    let deleted = history::delete(&dir, before.as_deref())
        .with_context(|| format!("{}", dir.display()))?;
    let files = counted(deleted.files, "file");
    writeln!(output, "{files} deleted, {}", bytes(deleted.bytes as f64))?;
    Ok(ExitCode::SUCCESS)
}
