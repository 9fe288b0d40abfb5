//! `uilog run`: arguments, and the order in which things happen.

use std::ffi::CString;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use anyhow::Context;
use clap::Args;
use nix::errno::Errno;
use uilog_sys::environ;
use uilog_sys::foreground;
use uilog_sys::foreground::How;

/// What `uilog run` is told.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The program and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
}

/// Runs the command, and ends as it ends.
///
/// # Errors
///
/// There is no process to be had.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let args = arguments.command.into_iter();
    let args = args.map(|arg| CString::new(arg.into_vec()));
    let args = args.collect::<Result<Vec<_>, _>>()?;
    let name = args[0].clone();
    let mut block = Vec::new();
    environ::append_to(&mut block);
    let env = block.split(|byte| *byte == 0).filter(|it| !it.is_empty());
    let env = env.map(CString::new).collect::<Result<Vec<_>, _>>()?;
    let command = foreground::Command::new(args, env);
    let mut running = command.start().context("cannot start a process")?;
    let end = loop {
        if let Some(end) = running.wait(None) {
            break end;
        }
    };
    if let How::NotStarted(errno) = end.how {
        let name = name.to_string_lossy();
        let why = Errno::from_raw(errno).desc();
        eprintln!("uilog: cannot run '{name}': {why}");
    }
    end.mirror()
}
