//! Links the program without a shared libgcc, for which every `uilog run` would
//! wait. The C library stays a shared one, because it is needed for users and
//! hosts. If this fails, the program is linked as usual, and works as well.

#[path = "../build/libraries.rs"]
mod libraries;

fn main() {
    libraries::rerun_if_changed();
    if let Some(argument) = libraries::without_libgcc() {
        // Not for the tests, which are programs as any other.
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
