//! Runs a program in its own place, and ends as that ends.
//!
//! ```text
//! foreground_probe PROGRAM [ARGUMENT]...
//! ```

#[cfg(target_os = "linux")]
fn main() {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStringExt;

    use uilog_sys::foreground::Command;
    use uilog_sys::foreground::How;

    let args = std::env::args_os().skip(1);
    let args = args.map(|arg| CString::new(arg.into_vec()));
    let args: Result<Vec<_>, _> = args.collect();
    let mut block = Vec::new();
    uilog_sys::environ::append_to(&mut block);
    let env = block.split(|byte| *byte == 0).filter(|it| !it.is_empty());
    let env: Result<Vec<_>, _> = env.map(CString::new).collect();
    let command = Command::new(args.expect("no NUL"), env.expect("no NUL"));
    let mut running = command.start().expect("a process");
    let end = running.wait(None).expect("it has ended");
    if let How::NotStarted(errno) = end.how {
        eprintln!("probe: {}", std::io::Error::from_raw_os_error(errno));
    }
    end.mirror()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this is for Linux");
}
