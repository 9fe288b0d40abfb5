//! Has the program load no libgcc beside the C library: every `uilog run` waits
//! for that. The C library itself stays a shared one, since it is asked for
//! users and for hosts. Where this fails, all is as rustc does it, and works as
//! well.

#[path = "../build/libraries.rs"]
mod libraries;

fn main() {
    libraries::rerun_if_changed();
    if let Some(argument) = libraries::without_libgcc() {
        // Not for the tests, which are programs as any other.
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
