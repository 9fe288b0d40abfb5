//! Starts one program as the arguments say, and prints how that went.
//!
//! The tests run it where they need a process of its own: under strace, with
//! limits, as another user.
//!
//! ```text
//! spawn_probe [posix] [wait] [child] [nofile=N] [nproc=N] [as=BYTES]
//!             [uid=N] [refuse] [times=N] [more] [foreground]
//!             -- PROGRAM [ARGUMENT]...
//! ```
//!
//! `foreground` runs it in the place of this process, and prints nothing.
//! `refuse` has a seccomp filter refuse what posix_spawn does not need.

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
    let mut foreground = false;
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
            "foreground" => foreground = true,
            "nofile" => limit(Resource::RLIMIT_NOFILE)?,
            "nproc" => limit(Resource::RLIMIT_NPROC)?,
            "as" => limit(Resource::RLIMIT_AS)?,
            "refuse" => refuse_clone()?,
            "uid" => nix::unistd::setuid((value as u32).into())?,
            "--" => break,
            _ => return Err(format!("unknown option {option}").into()),
        }
    }
    let program = arguments.next().ok_or("no program")?;
    let rest = arguments.map(CString::new).collect::<Result<Vec<_>, _>>()?;
    if foreground {
        return run_foreground(program, rest);
    }
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

/// Runs a program in our place.
#[cfg(target_os = "linux")]
fn run_foreground(
    program: String,
    rest: Vec<CString>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut args = vec![CString::new(program)?];
    args.extend(rest);
    let env = vec![c"PATH=/bin".to_owned()];
    let command = uilog_sys::foreground::Command::new(args, env);
    match command.start()?.wait(None) {
        Some(end) => end.mirror(),
        None => Err("it has not ended".into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn run_foreground(
    _: String,
    _: Vec<CString>,
) -> Result<(), Box<dyn std::error::Error>> {
    Err("this is for Linux".into())
}

/// Refuses `clone` with shared memory unless it is a thread or a vfork.
fn refuse_clone() -> std::io::Result<()> {
    // Offsets in struct seccomp_data: the number, and the first argument.
    const NUMBER: u32 = 0;
    const FLAGS: u32 = 16;
    let telling = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_THREAD;
    let statement = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let and = libc::BPF_ALU | libc::BPF_AND | libc::BPF_K;
    let ret = libc::BPF_RET | libc::BPF_K;
    let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let mut filter = [
        statement(load, 0, 0, NUMBER),
        statement(equal, 0, 4, libc::SYS_clone as u32),
        statement(load, 0, 0, FLAGS),
        statement(and, 0, 0, telling as u32),
        statement(equal, 0, 1, libc::CLONE_VM as u32),
        statement(ret, 0, 0, refused),
        statement(ret, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: touches no memory.
    let promised =
        unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    // SAFETY: reads the program, which is alive.
    let filtered = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const program,
        )
    };
    if promised == 0 && filtered == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}
