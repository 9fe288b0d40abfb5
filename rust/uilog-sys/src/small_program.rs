//! The beginning of a program that is over before others have begun.
//!
//! What Rust does before `main` is a tenth of all that such a program does: it
//! reads `/proc/self/maps` to know the end of the stack, prepares a stack for a
//! handler that would tell of an overflow, and looks whether the standard
//! descriptors are open. A program that is started by another one of ours needs
//! none of that.

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

/// Has writing to what nobody reads be an error, and not the end.
pub fn ignore_sigpipe() {
    // SAFETY: touches no memory but the table of dispositions.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}
