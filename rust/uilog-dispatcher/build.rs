//! Links the program statically if possible: loading the C library and
//! resolving symbols would take a good part of its time. If any of this fails,
//! the program is linked dynamically, and works as well.

#[path = "../build/libraries.rs"]
mod libraries;

fn main() {
    libraries::rerun_if_changed();
    if let Some(argument) = libraries::static_ones() {
        // Not for the tests, which are programs as any other.
        println!("cargo::rustc-link-arg-bins={argument}");
        println!("cargo::rustc-link-arg-bins=-static");
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
