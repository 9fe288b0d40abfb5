//! The arguments of `uilog report`, and what they ask for.

use std::path::PathBuf;

use clap::ValueEnum;
use clap::ValueHint;
use uilog_history::filter::Filters;
use uilog_history::when;
use uilog_history::when::Span;

use crate::output::Presentation;
use crate::select::Origins;
use crate::select::Sources;
use crate::select::with_clock;

/// The period if none is named.
const SINCE: &str = "7d";
/// How many rows a table has unless -n says so.
const ROWS: usize = 8;

/// Show what was slow, what failed and why, and what was waited for
///
/// Reads the same records as `uilog log`, and makes one page from them: an
/// overview; what has changed since the period before, which is as long; the
/// slow commands; failures and their reasons; hooks; locks and who held them;
/// what users waited for; versions of Mercurial, and what each has changed.
///
/// A change is shown only if it is unlikely to be chance (see `uilog log
/// --compare`). Percentiles of more than 1,024 commands are exact to 1 %.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  uilog report                              the last seven days
  uilog report --since 'last week'          since Monday of last week
  uilog report --user alice --only waits    what alice waited for
  uilog report --only versions --since 90d  which version regressed
  uilog report --only locks                 who held locks
  uilog report --html report.html           the same for a browser
  uilog report --for-support uilog.tar.gz   to attach to a report of a fault
  uilog report -T json | jq '.commands.rows[0]'
  uilog report /srv/logs/*.jsonl            of other files

Exit status:
  0  it is done
  1  a file cannot be read or written, or the answer was no
  2  an argument makes no sense")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(super) sources: Sources,
    /// The period begins at this date: 7d, 2h, yesterday, 'last week',
    /// 2026-11-30 or any date of `hg help dates`
    #[arg(
        long,
        value_name = "DATE",
        default_value = SINCE,
        allow_hyphen_values = true
    )]
    since: String,
    /// It ends with this date; without it, now
    #[arg(long, value_name = "DATE", allow_hyphen_values = true)]
    until: Option<String>,
    #[command(flatten)]
    origins: Origins,
    /// Show only these sections
    #[arg(
        long,
        value_name = "SECTION",
        value_delimiter = ',',
        conflicts_with_all = ["template", "html"]
    )]
    only: Vec<Section>,
    /// How many rows a table has; 0: all that there are, at most 100
    #[arg(short = 'n', long, value_name = "N", default_value_t = ROWS)]
    rows: usize,
    /// Write all sections into this file, for a browser: it has pictures and a
    /// filter, and loads nothing. Only you can read it
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with = "template"
    )]
    pub(super) html: Option<PathBuf>,
    /// Write an archive to attach to a report of a fault: versions, settings,
    /// what `uilog check` finds, the last commands, losses. It has no paths and
    /// no names of users, machines and repositories. Shows all that is in it,
    /// and asks before it writes
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with_all = ["template", "html", "only"]
    )]
    pub(super) for_support: Option<PathBuf>,
    /// With --for-support, write without a question
    #[arg(short, long, requires = "for_support")]
    pub(super) yes: bool,
    #[command(flatten)]
    pub(super) presentation: Presentation,
}

/// A section of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Section {
    /// The figures, and those of the period before
    Overview,
    /// What has changed for certain since the period before
    Changes,
    /// Commands by their time, and the slowest ones
    Slow,
    /// What failed, and why
    Failures,
    /// Hooks, and which refused
    Hooks,
    /// Waits for locks, and who held them
    Locks,
    /// What users waited for, and waits for people
    Waits,
    /// Versions of Mercurial, and what each has changed
    Versions,
}

impl Arguments {
    /// What is asked for.
    ///
    /// # Errors
    ///
    /// A date makes no sense.
    pub(super) fn request(&self) -> Result<(Filters, Span), String> {
        let (mut period, now) = with_clock(|clock| {
            let until = self.until.as_deref();
            let period = when::between(Some(&self.since), until, clock);
            period.map(|it| (it, clock.now * 1_000_000 + 999_999))
        })?;
        if self.until.is_none() {
            period.to = now;
        }
        if period.to < period.from {
            return Err("--since: it is later than the end".to_owned());
        }
        Ok((self.origins.filters(), period))
    }

    /// The sections that are asked for.
    pub(super) fn sections(&self) -> Vec<Section> {
        match self.only.is_empty() {
            true => Section::value_variants().to_vec(),
            false => self.only.clone(),
        }
    }

    /// How many rows a table has.
    pub(super) fn rows(&self) -> usize {
        match self.rows {
            0 => usize::MAX,
            rows => rows,
        }
    }
}
