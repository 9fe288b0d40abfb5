//! Links the module without libraries that hg has not loaded already, for which
//! hg would wait. If this fails, it is linked as usual, and works as well.

#[path = "../build/libraries.rs"]
mod libraries;

fn main() {
    libraries::rerun_if_changed();
    if let Some(argument) = libraries::without_libgcc() {
        println!("cargo::rustc-link-arg-cdylib={argument}");
    }
}
