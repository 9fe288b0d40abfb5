//! A program to execute, as a child finds it in our memory.

use std::ffi::CString;
use std::ffi::c_char;
use std::ffi::c_void;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::ptr;
use std::ptr::NonNull;
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering;

use super::child;
use super::child::Outcome;
use super::child::Plan;
use super::inherited;
use crate::search_path;
use crate::spawn::Region;
use crate::valgrind;

/// The directories that are searched for programs if there is no `PATH`.
// glibc: confstr(_CS_PATH)
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// A program to run in our place.
#[derive(Clone, Debug)]
pub struct Command {
    pub(super) args: Vec<CString>,
    pub(super) env: Vec<CString>,
}

/// The paths at which a program may be, in the order to try them.
// glibc: execvpe
pub(super) fn candidates(name: &CString, env: &[CString]) -> Vec<CString> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.contains(&b'/') {
        return vec![name.clone()];
    }
    let path = env
        .iter()
        .find_map(|it| it.to_bytes().strip_prefix(b"PATH="));
    let files = search_path::candidates(bytes, path.unwrap_or(DEFAULT_PATH));
    files
        .filter_map(|it| CString::new(it.into_os_string().into_vec()).ok())
        .collect()
}

/// A program to execute, as the child finds it in our memory.
pub(super) struct Program {
    pub(super) plan: Box<Plan>,
    pub(super) outcome: Shared,
    _strings: Strings,
}

/// What the pointers in the plan point at.
struct Strings {
    _paths: Vec<CString>,
    _args: Vec<CString>,
    _env: Vec<CString>,
    _pointers: [Vec<*const c_char>; 4],
}

impl Program {
    pub(super) fn new(
        command: &Command,
        mask: u64,
        is_chld_ignored: bool,
    ) -> io::Result<Self> {
        let Command { args, env } = command.clone();
        let Some(name) = args.first() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let paths = candidates(name, &env);
        let pointers = |strings: &[CString]| {
            let pointers = strings.iter().map(|string| string.as_ptr());
            pointers.chain([ptr::null()]).collect::<Vec<_>>()
        };
        let argv = pointers(&args);
        let mut shell_argv = vec![c"sh".as_ptr(), ptr::null()];
        shell_argv.extend_from_slice(&argv[1..]);
        let mut pointers = [pointers(&paths), argv, pointers(&env), shell_argv];
        let outcome = Shared::new()?;
        let plan = Box::new(Plan {
            paths: pointers[0].as_ptr(),
            argv: pointers[1].as_ptr(),
            envp: pointers[2].as_ptr(),
            shell_argv: pointers[3].as_mut_ptr(),
            parent: std::process::id() as i32,
            mask,
            is_pipe_ignored: inherited::is_pipe_ignored(),
            is_file_size_ignored: inherited::is_file_size_ignored(),
            is_chld_ignored,
            closed: inherited::closed(),
            outcome: outcome.0.as_ptr(),
        });
        Ok(Self {
            plan,
            outcome,
            _strings: Strings {
                _paths: paths,
                _args: args,
                _env: env,
                _pointers: pointers,
            },
        })
    }
}

/// The memory that the child shares with this process. It is kept until the
/// child has ended.
pub(super) struct Launch {
    region: Region,
    pub(super) program: Program,
}

impl Launch {
    pub(super) fn new(program: Program) -> io::Result<Self> {
        let region = Region::new()?;
        Ok(Self { region, program })
    }

    /// Makes the child; its process id.
    pub(super) fn start(&self) -> io::Result<i32> {
        if valgrind::is_there() {
            return self.fork();
        }
        let plan = (&raw const *self.program.plan).cast_mut();
        let plan = plan.cast::<c_void>();
        // Memory is shared and we go on at once: who waited for the exec, as
        // CLONE_VFORK does, could not be stopped with the child if Ctrl-Z
        // came first.
        // SAFETY: the stack and the plan belong to this launch, which is kept
        // until the child has ended.
        let pid = unsafe {
            libc::clone(
                child::run,
                self.region.child_stack(),
                libc::CLONE_VM | libc::SIGCHLD,
                plan,
            )
        };
        if pid > 0 {
            // Whatever else we have to do can wait: on a busy machine both
            // are on one processor.
            // SAFETY: touches no memory.
            unsafe { libc::sched_yield() };
            return Ok(pid);
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            // By a seccomp filter (EPERM, ENOSYS) or an emulator (EINVAL).
            Some(libc::EPERM | libc::ENOSYS | libc::EINVAL) => self.fork(),
            _ => Err(error),
        }
    }

    /// The same where sharing memory is refused.
    fn fork(&self) -> io::Result<i32> {
        // SAFETY: this thread is the only one, so the child may go on with
        // anything.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let plan = (&raw const *self.program.plan).cast_mut();
                let status = child::run(plan.cast());
                // SAFETY: ends this process.
                unsafe { libc::_exit(status) }
            }
            pid => Ok(pid),
        }
    }
}

/// An [`Outcome`] in memory that a forked child shares, too.
pub(super) struct Shared(NonNull<Outcome>);

impl Shared {
    fn new() -> io::Result<Self> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                size_of::<Outcome>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        match NonNull::new(base.cast::<Outcome>()) {
            Some(outcome) if base != libc::MAP_FAILED => Ok(Self(outcome)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    pub(super) fn errno(&self) -> i32 {
        // SAFETY: mapped by `new`; zeros are a valid outcome.
        let errno: &AtomicI32 = unsafe { &self.0.as_ref().errno };
        errno.load(Ordering::Acquire)
    }
}
