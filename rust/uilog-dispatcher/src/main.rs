//! The program `uilog-dispatcher`, which runs scripts; it is `uilog dispatch`
//! without sinks.
//!
//! Responsible for being small, because a command with one script pays for each
//! library that is loaded here. So it has no sinks, no network code and no
//! options, and is linked statically where that works (`build.rs`). Must not
//! query the user database, which would load parts of another C library:
//! `uilog` does that for it.

#![cfg_attr(not(test), no_main)]

mod scripts_only;

use std::env;
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use scripts_only::ScriptsOnly;
use uilog_channel::journal;
use uilog_dispatcher::serve;
use uilog_dispatcher::serve::Callbacks;
use uilog_dispatcher::stderr;
#[cfg(target_os = "linux")]
use uilog_sys::foreground;

/// The argument that hg passes, as it does to `uilog`.
const DISPATCH: &str = "dispatch";
/// The program in the same directory.
const UILOG: &str = "uilog";

#[cfg(not(test))]
uilog_sys::small_program!(run);

/// The exit status.
#[cfg_attr(test, expect(dead_code, reason = "tests have another beginning"))]
fn run() -> i32 {
    journal::redact_with(uilog_redact::redact_text);
    // `ulimit -f` is an error of a write, and counted like any other.
    #[cfg(target_os = "linux")]
    foreground::survive_file_size_limit();
    let argument = env::args_os().nth(1);
    let argument = argument.as_ref().and_then(|it| it.to_str());
    let result = match argument {
        Some(DISPATCH) => {
            let callbacks = Callbacks {
                redact: uilog_redact::redact_text,
                name_of,
            };
            let records = Box::<ScriptsOnly>::default();
            serve::run_by_standard(records, callbacks)
                .map_err(|error| format!("dispatch: {error}"))
        }
        Some(stderr::ARGUMENT) => keep_stderr().map_err(|error| {
            format!("stderr: this is started by itself: {error}")
        }),
        _ => Err(
            "hg starts this to run the scripts of its events; it is not for \
             use by hand"
                .to_owned(),
        ),
    };
    match result {
        Ok(()) => 0,
        Err(text) => {
            // There is no other way to report it.
            let _ = writeln!(io::stderr(), "uilog-dispatcher: {text}");
            1
        }
    }
}

fn keep_stderr() -> io::Result<()> {
    stderr::run(io::stdin().as_fd().try_clone_to_owned()?)
}

/// A user's name in the user database, from `uilog`.
fn name_of(uid: u32) -> Option<Vec<u8>> {
    let own = env::current_exe().ok()?;
    let uilog = own.parent().unwrap_or(Path::new("/")).join(UILOG);
    let output = Command::new(uilog)
        .args(["user-name", &uid.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let is_known = output.status.success() && !output.stdout.is_empty();
    is_known.then_some(output.stdout)
}
