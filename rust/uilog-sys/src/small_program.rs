//! The start of a program that runs only for a short time.
//!
//! Rust's runtime takes a tenth of such a program's time before `main`: it
//! reads `/proc/self/maps` to find the end of the stack, allocates a stack for
//! a handler of stack overflows, and checks the standard descriptors. A program
//! that another program of uilog starts needs none of that.

/// Makes a program of `$main`, a function that returns an exit status. Of what
/// Rust does before `main`, SIGPIPE is ignored. The program is `no_main`.
#[macro_export]
macro_rules! small_program {
    ($main:path) => {
        /// The C library's beginning.
        // SAFETY: nothing else in a `no_main` program has this name.
        #[unsafe(no_mangle)]
        pub extern "C" fn main(
            _count: std::ffi::c_int,
            _arguments: *const *const std::ffi::c_char,
        ) -> std::ffi::c_int {
            $crate::small_program::ignore_sigpipe();
            $main()
        }
    };
}

/// Makes writing to a pipe without a reader an error, instead of killing the
/// process.
pub fn ignore_sigpipe() {
    // SAFETY: touches no memory but the table of dispositions.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}
