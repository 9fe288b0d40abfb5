//! Starts one program as the arguments say, and prints how that went.
//!
//! The tests run it where they need a process of its own: under strace, with
//! limits, as another user.
//!
//! ```text
//! spawn_probe [posix] [wait] [child] [nofile=N] [nproc=N] [as=BYTES]
//!             [uid=N] [times=N] [more] -- PROGRAM [ARGUMENT]...
//! ```

use std::ffi::CString;
use std::path::Path;
use std::time::Duration;

use nix::sys::resource::Resource;
use nix::sys::resource::setrlimit;
use uilog_sys::spawn::Command;
use uilog_sys::spawn::Scheme;
use uilog_sys::spawn::Start;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut start = Start::NoWait;
    let mut scheme = Scheme::Auto;
    let mut detached = true;
    let mut more = false;
    let mut times = 1;
    for option in arguments.by_ref() {
        let (name, value) = option.split_once('=').unwrap_or((&option, "0"));
        let value: u64 = value.parse()?;
        let limit = |resource| setrlimit(resource, value, value);
        match name {
            "posix" => scheme = Scheme::PosixSpawn,
            "wait" => start = Start::Wait(Duration::from_secs(10)),
            "child" => detached = false,
            "times" => times = value,
            "more" => more = true,
            "nofile" => limit(Resource::RLIMIT_NOFILE)?,
            "nproc" => limit(Resource::RLIMIT_NPROC)?,
            "as" => limit(Resource::RLIMIT_AS)?,
            "uid" => nix::unistd::setuid((value as u32).into())?,
            "--" => break,
            _ => return Err(format!("unknown option {option}").into()),
        }
    }
    let program = arguments.next().ok_or("no program")?;
    let rest = arguments.map(CString::new).collect::<Result<Vec<_>, _>>()?;
    let spawn = || -> Result<(), Box<dyn std::error::Error>> {
        let mut command = Command::new(Path::new(&program))?;
        for argument in &rest {
            command.arg(argument.clone());
        }
        command.scheme(scheme);
        let spawned = if detached {
            command.spawn_detached(start)
        } else {
            command.spawn_child(start)
        };
        match spawned {
            Ok(process) => println!("ok {:?} {}", process.started, process.pid),
            Err(error) => {
                println!("error {:?} {}", error.stage(), error.errno());
            }
        }
        Ok(())
    };
    for _ in 0..times {
        spawn()?;
    }
    if more {
        // Once more for each line, until whoever started it has had enough.
        for line in std::io::stdin().lines() {
            line?;
            spawn()?;
        }
    }
    Ok(())
}
