//! Has the program linked statically where that works: loading the C library
//! and resolving symbols would be a good part of all that it does. Where any of
//! this fails, the program is a dynamic one, and works as well.

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
