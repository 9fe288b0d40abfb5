//! Nothing is allocated or freed between clone and exec: under an allocator
//! that aborts when it is called in any process but this one.

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::ffi::CString;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use uilog_sys::spawn::Command;
use uilog_sys::spawn::Start;
use uilog_sys::spawn::Stdio;

/// The process that may allocate; 0 before it is known.
static OWNER: AtomicU32 = AtomicU32::new(0);
/// Calls made by others. They share this memory, so that they can be seen.
static STRANGERS: AtomicU64 = AtomicU64::new(0);

struct Watched;

fn watch() {
    let owner = OWNER.load(Ordering::Relaxed);
    if owner != 0 && std::process::id() != owner {
        STRANGERS.fetch_add(1, Ordering::Relaxed);
        std::process::abort();
    }
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        watch();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        watch();
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

#[test]
fn a_child_never_allocates() {
    OWNER.store(std::process::id(), Ordering::Relaxed);
    let wait = Start::Wait(Duration::from_secs(60));
    let null = std::fs::File::open("/dev/null").unwrap();
    for program in ["/bin/true", "/no/such"] {
        for detached in [true, false] {
            let mut command = Command::new(Path::new(program)).unwrap();
            command.arg(CString::new("argument").unwrap());
            command.env(vec![c"NAME=value".to_owned()]);
            command.cwd(Some(c"/".to_owned())).umask(Some(0o22));
            command
                .stdin(Stdio::Fd(null.as_fd()))
                .stderr(Stdio::Inherit);
            command.ignore_signal(2);
            let spawned = if detached {
                command.spawn_detached(wait)
            } else {
                command.spawn_child(wait)
            };
            assert_eq!(spawned.is_ok(), program == "/bin/true");
            if let (Ok(process), false) = (spawned, detached) {
                let pid = nix::unistd::Pid::from_raw(process.pid);
                let status = nix::sys::wait::waitpid(pid, None).unwrap();
                let expected = nix::sys::wait::WaitStatus::Exited(pid, 0);
                assert_eq!(status, expected);
            }
        }
    }
    #[cfg(target_os = "linux")]
    for program in [c"true", c"/no/such"] {
        use uilog_sys::foreground;
        use uilog_sys::foreground::ExitKind;
        let args = vec![program.to_owned(), c"argument".to_owned()];
        let env = vec![c"PATH=/no:/bin".to_owned()];
        let mut running = foreground::Command::new(args, env).start().unwrap();
        let expected = match program.to_bytes() {
            b"true" => ExitKind::Exited(0),
            _ => ExitKind::NotStarted(2),
        };
        assert_eq!(running.wait(None).map(|end| end.how), Some(expected));
    }
    #[cfg(target_os = "linux")]
    append_lines(Path::new("/no/such"), Path::new("/tmp"));
    assert_eq!(STRANGERS.load(Ordering::Relaxed), 0);
}

/// Lets children append lines that no place takes, or that one does.
#[cfg(target_os = "linux")]
fn append_lines(missing: &Path, temporary: &Path) {
    use std::ffi::OsStr;

    use uilog_sys::append::GuardedPath;
    use uilog_sys::append::Plan;
    use uilog_sys::append::Root;

    let name = format!("uilog-sys-test-{}", std::process::id());
    let steps = [OsStr::new(&name), OsStr::new("inner")];
    let no_place = GuardedPath::new(missing, Root::Chosen, &steps, "lines");
    let a_place =
        GuardedPath::new(temporary, Root::Everybodys, &steps, "lines");
    for places in [vec![no_place.clone()], vec![no_place, a_place]] {
        let places: Vec<_> = places.into_iter().map(Option::unwrap).collect();
        let takes_it = places.len() == 2;
        let plan = Plan::new(places, b"line".to_vec(), 4);
        let plan = plan.slots(["slot".to_owned()].into_iter());
        plan.start().map_err(|(_, error)| error).expect("a child");
        assert!(uilog_sys::append::wait(Duration::from_secs(60)));
        let failure = uilog_sys::append::take_failure();
        assert_eq!(failure.is_none(), takes_it);
    }
    std::fs::remove_dir_all(temporary.join(name)).expect("removed");
}
