//! `uilog emit`: logs a custom event, and reports whether it was delivered.

use std::borrow::Cow;
use std::env;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use uilog_config::Config;
use uilog_config::Loaded;
use uilog_config::brake;
use uilog_config::brake::Cause;
use uilog_config::installation;
use uilog_event::event::EventOption;
use uilog_event::event::Text;
use uilog_event::event::Value;
use uilog_event::events;
use uilog_event::suggest;
use uilog_logger::host::Draft;
use uilog_logger::host::Host;
use uilog_logger::host::Verdict;
use uilog_logger::sinks::scripts;

use crate::configured;
use crate::native as own;
use crate::output;
use crate::output::visible;
use crate::place::ConfigArguments;

/// The status if an event was lost.
const EXIT_LOST: u8 = 1;

/// Time limit for a sink to take the event, the same as for a delivery.
const VERDICT_BOUND: Duration = Duration::from_secs(10);

/// The status if the arguments are invalid, the same as clap's.
const EXIT_USAGE: u8 = 2;

/// The arguments of `uilog emit`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status:
    0    every sink that tracks the event has taken it; or no sink tracks it; or
       uilog is switched off (UILOG=off, or uilog.enabled = no)
  1    a sink has lost the event, or has not taken it within 10 seconds; with
       --require-sink also if no sink tracks the event or uilog is switched
       off; standard error has the reason
  2    the arguments are invalid
  255  the configuration cannot be read (with ui.detailed-exit-code, the
       status that hg has for the reason)

Examples:
  At the end of a cron job, log an event `backup` with its exit status:
    uilog emit backup 'backup of /repo done' --opt return_code=0 -R /repo

  In a hook of hg, log each push:
    [hooks]
    changegroup = uilog emit pushed \"$HG_URL\" --opt node=$HG_NODE

  See which sinks receive an event `test`:
    uilog emit -v test 'hello'")]
pub(crate) struct Arguments {
    /// The event's name, such as `backup`
    event: OsString,
    /// The message; a newline is appended if it has none
    message: OsString,
    /// An option of the event; scripts get it as the variable OPT_KEY
    #[arg(long = "opt", value_name = "KEY=VALUE")]
    options: Vec<OsString>,
    /// Show which sinks have received the event
    #[arg(short, long)]
    verbose: bool,
    /// Fail if no sink tracks the event
    #[arg(long)]
    require_sink: bool,
    #[command(flatten)]
    place: ConfigArguments,
}

/// Logs a custom event.
///
/// # Errors
///
/// A system call that logging needs fails.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.event.as_bytes().trim_ascii().is_empty() {
        output::say("uilog: the event's name is empty");
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let options = match event_options(&arguments.options) {
        Ok(options) => options,
        Err(problem) => {
            output::say(&problem);
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    if let Some(cause) = own::switched_off() {
        return Ok(switched_off(arguments, &cause));
    }
    let loaded = match arguments.place.load()? {
        Ok(loaded) => loaded,
        Err(error) => return Ok(ExitCode::from(error.exit_status())),
    };
    if let Some(cause) = brake::of_config(&loaded.trusted) {
        return Ok(switched_off(arguments, &cause));
    }
    if let Some(cwd) = &arguments.place.request().cwd {
        env::set_current_dir(cwd).context("change the working directory")?;
    }
    let environment = installation::environment()
        .context("cannot determine the current directory")?;
    let logger = configured::logger(&loaded.trusted, loaded.root.as_deref());
    let mut host = host_of(&loaded)?;
    let name = arguments.event.as_bytes();
    let hg = own::hg_program(&environment);
    let draft = Draft {
        name,
        message: Cow::Owned(line(&arguments.message)),
        options,
        hg: &hg,
        root: loaded.root.as_ref().map(|root| root.as_os_str().as_bytes()),
        time: None,
        pid: None,
    };
    logger.log(&mut host, draft);
    let verdict = host.await_verdict(VERDICT_BOUND);
    if let Some(wait) = host.begin_exit_wait() {
        host.deliver(wait);
    }
    host.finish();
    for problem in host.take_unseen() {
        output::say(&format!("uilog: {problem}"));
    }
    if arguments.verbose {
        let sinks = logger.sinks_of(name).join(", ");
        let sinks = if sinks.is_empty() { "no sink" } else { &sinks };
        let event = visible(&arguments.event.to_string_lossy());
        println!("{event}: {}", visible(sinks));
    }
    let is_wanted = logger.tracks(name);
    if !is_wanted {
        say_unwanted(name, &loaded.trusted, arguments.require_sink);
    }
    let is_taken = is_taken(&verdict, &host);
    if is_taken && (is_wanted || !arguments.require_sink) {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::from(EXIT_LOST))
    }
}

/// The options of the event, or what is wrong with one.
fn event_options(
    arguments: &[OsString],
) -> Result<Vec<EventOption<'_>>, String> {
    arguments.iter().map(event_option).collect()
}

fn event_option(argument: &OsString) -> Result<EventOption<'_>, String> {
    let bytes = argument.as_bytes();
    let Some(at) = bytes.iter().position(|byte| *byte == b'=') else {
        let shown = argument.to_string_lossy();
        return Err(format!("uilog: --opt {shown}: no '='"));
    };
    Ok(EventOption {
        key: Cow::Borrowed(&bytes[..at]),
        value: Value::Bytes(Text(Cow::Borrowed(&bytes[at + 1..]))),
    })
}

/// A message as a line.
fn line(message: &OsStr) -> Vec<u8> {
    let mut line = message.as_bytes().to_vec();
    if !line.ends_with(b"\n") {
        line.push(b'\n');
    }
    line
}

/// The host of this process, which is in the repository of the configuration.
fn host_of(loaded: &Loaded) -> anyhow::Result<Host> {
    let mut host = own::host(&own::environment_block())?;
    let program = env::current_exe().context("find this program")?;
    host.set_program(program.as_os_str().as_bytes(), false);
    if let Some(root) = &loaded.root {
        let url = loaded.trusted.value(b"paths", b"default");
        host.set_repository(root.as_os_str().as_bytes(), url);
    }
    Ok(host)
}

/// Whether all sinks have taken the event; says so if not.
fn is_taken(verdict: &Verdict, host: &Host) -> bool {
    match verdict {
        Verdict::Taken => host.counters().lost == 0,
        Verdict::Lost(reason) => {
            output::say(&format!("uilog: lost: {reason}"));
            false
        }
        Verdict::Open => {
            let seconds = VERDICT_BOUND.as_secs();
            output::say(&format!(
                "uilog: not delivered within {seconds} seconds"
            ));
            false
        }
    }
}

/// Handles an event while uilog is switched off: does nothing, and prints that
/// for users who want to know.
fn switched_off(arguments: &Arguments, cause: &Cause) -> ExitCode {
    let is_error = arguments.require_sink;
    if is_error || arguments.verbose || io::stderr().is_terminal() {
        output::say(&format!(
            "uilog: nothing is logged: uilog is switched off: {cause}"
        ));
    }
    ExitCode::from(if is_error { EXIT_LOST } else { 0 })
}

/// Says that no sink wants the event, if that is an error or looks like one:
/// the name is nearly one that a script or Mercurial has.
fn say_unwanted(name: &[u8], config: &Config, is_error: bool) {
    let scripts = config.items(scripts::SECTION.as_bytes());
    let scripts = scripts.map(|(name, _)| name);
    let scripts = scripts.filter(|name| !name.contains(&b':'));
    let scripts = scripts.filter_map(|name| std::str::from_utf8(name).ok());
    let known = events::KNOWN.iter().map(|known| known.name);
    let meant = suggest::meant(name, scripts.chain(known));
    if meant.is_none() && !is_error {
        return;
    }
    let name = String::from_utf8_lossy(name);
    let mut text = format!("uilog: no sink tracks the event '{name}'");
    if let Some(meant) = meant {
        text.push_str("; ");
        text.push_str(&suggest::did_you_mean(meant));
    }
    output::say(&text);
}
