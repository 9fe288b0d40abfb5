//! `uilog flush`: nothing is to be left when a job ends.

use std::io;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;
use uilog_core::agent_address;
use uilog_core::agent_start;
use uilog_core::journal::Journal;
use uilog_core::record_queues;
use uilog_core::record_queues::RecordQueue;

use crate::native;
use crate::output;
use crate::output::Presentation;
use crate::output::counted;
use crate::output::styled;
use crate::place::Place;
use crate::spool::Spools;
use crate::spool::flush::Flushed;
use crate::spool::flush::flush_until;
use crate::spool::flush::write_one;

/// How often it is looked what is left.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Deliver what waits, before this machine or container goes away
///
/// Starts the process that delivers records, if none runs, and waits until
/// every record that has been logged so far has got to its sink; then sends
/// what waits for collectors, as `uilog spool flush` does. It never waits for
/// longer than it is told, and says what is left.
///
/// The last step of a CI job, or of a container. What is left stays where it
/// is; if that goes away as well, it is lost.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status:
  0    nothing is left
  1    something is left, has been rejected or is lost
  255  the configuration cannot be read (or what hg has for that reason, with
       ui.detailed-exit-code)

Examples:
  uilog flush                       what this user's commands have logged
  uilog flush --wait 5              five seconds at most
  uilog flush -T json | jq .left    how many records are left")]
pub(crate) struct Arguments {
    /// For how long it may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    wait: f64,
    /// Also what lies where other environments of this user keep it, and
    /// what processes in other containers have left there
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    presentation: Presentation,
    #[command(flatten)]
    place: Place,
}

/// What there was and what is left, for programs.
#[derive(Serialize)]
struct Shown<'a> {
    /// Records in queues and spools that are left.
    left: u64,
    queues: &'a Queues,
    spools: &'a [Flushed],
}

/// The queues of records.
#[derive(Default, Serialize)]
struct Queues {
    /// Records that have been delivered, or are in spools now.
    done: u64,
    left: u64,
    lost: u64,
    /// Why something is left.
    reason: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let wait = Duration::try_from_secs_f64(arguments.wait)
        .context("--wait: not a number of seconds")?;
    let deadline = Instant::now() + wait;
    let spools = match Spools::load(&arguments.place)? {
        Ok(spools) => spools,
        Err(status) => return Ok(status),
    };
    let environment = native::environment_block();
    let queues = drain(&environment, arguments.all, deadline)?;
    if let Some(journal) = Journal::for_environment(&environment) {
        let left = deadline.saturating_duration_since(Instant::now());
        // What scripts have not been run may be told nowhere else soon.
        journal.claim_abandoned(left);
    }
    let flushed = flush_until(spools, deadline);
    let left: u64 = flushed.iter().map(|it| it.left).sum();
    let mut output = arguments.presentation.stdout();
    if arguments.presentation.is_json() {
        let shown = Shown {
            left: left + queues.left,
            queues: &queues,
            spools: &flushed,
        };
        output::write_json(&mut output, &shown)?;
    } else {
        write_queues(&mut output, &queues)?;
        for it in &flushed {
            write_one(&mut output, it)?;
        }
    }
    output.flush()?;
    let is_done =
        queues.left + queues.lost == 0 && flushed.iter().all(Flushed::is_done);
    Ok(ExitCode::from(u8::from(!is_done)))
}

/// What is to be waited for: a queue, and how many of its records.
struct Target {
    queue: RecordQueue,
    records: u64,
}

/// Waits until the records that are in queues now are done with.
fn drain(
    environment: &[u8],
    is_all: bool,
    deadline: Instant,
) -> anyhow::Result<Queues> {
    let find = || record_queues::find(environment, !is_all);
    let is_ours = |it: &RecordQueue| is_all || it.is_near;
    let mut targets: Vec<_> = find()
        .into_iter()
        .filter(|it| is_ours(it) && it.waiting() > 0)
        .map(|queue| Target {
            records: queue.records,
            queue,
        })
        .collect();
    let mut queues = Queues::default();
    let program = std::env::current_exe().context("find this program")?;
    loop {
        let now = find();
        targets.retain_mut(|target| {
            let found = now.iter().find(|it| it.path == target.queue.path);
            let Some(found) = found else {
                // Whoever was done with it has removed it.
                queues.done += target.records - target.queue.done;
                return false;
            };
            let done = found.done.min(target.records);
            queues.done += done.saturating_sub(target.queue.done);
            queues.lost += found.lost.saturating_sub(target.queue.lost);
            target.queue = found.clone();
            target.queue.done = done;
            done < target.records
        });
        if targets.is_empty() {
            return Ok(queues);
        }
        let problem = start_agent(environment, &program);
        if Instant::now() > deadline {
            queues.left =
                targets.iter().map(|it| it.records - it.queue.done).sum();
            queues.reason = Some(problem.unwrap_or_else(|| reason(&targets)));
            return Ok(queues);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Starts an agent where queues of this environment lie; why there is none.
fn start_agent(environment: &[u8], program: &Path) -> Option<String> {
    let mut directories = agent_address::directories(environment).into_iter();
    let directory = directories.next()?;
    agent_start::start(&directory, program, None, environment).err()
}

/// Why something is left.
fn reason(targets: &[Target]) -> String {
    let is_far = |it: &Target| !it.queue.is_near;
    if targets.iter().any(is_far) {
        return "processes in other containers have left it: flush there"
            .to_owned();
    }
    "there was no time for more".to_owned()
}

fn write_queues(output: &mut impl Write, queues: &Queues) -> io::Result<()> {
    writeln!(output, "queues: {} done", counted(queues.done, "record"))?;
    if queues.lost > 0 {
        let text = format!("{} lost", counted(queues.lost, "record"));
        writeln!(output, "  {}", styled(output::ERROR, &text))?;
    }
    if let Some(reason) = &queues.reason {
        let left = counted(queues.left, "record");
        let text = format!("{left} left: {reason}");
        writeln!(output, "  {}", styled(output::WARNING, &text))?;
    }
    Ok(())
}
