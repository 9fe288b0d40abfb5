//! Has the module load no library that hg does not have already: hg waits for
//! each. Where this fails, all is as rustc does it, and works as well.

#[path = "../build/libraries.rs"]
mod libraries;

fn main() {
    libraries::rerun_if_changed();
    if let Some(argument) = libraries::without_libgcc() {
        println!("cargo::rustc-link-arg-cdylib={argument}");
    }
}
