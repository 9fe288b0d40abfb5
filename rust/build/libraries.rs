//! Static libraries in the place of shared ones, for the build scripts that
//! include this file.
//!
//! Responsible for linker scripts that bear the names of shared libraries and
//! name static ones: rustc asks the linker for shared ones, and cargo cannot
//! change that for one program. Must not know for which program they are. To
//! load a shared library costs whoever waits for a program as much as a hundred
//! system calls.

#![allow(dead_code, reason = "each build script needs some of it")]

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// What unwinds the stack: two libraries. Rust needs a few functions of them.
const UNWINDING: [&str; 2] = ["libgcc_eh.a", "libgcc.a"];
/// What else rustc may ask for in the place of the C library, and where its
/// contents may be: newer ones have all in one.
const C_LIBRARIES: [&str; 6] = ["c", "m", "rt", "pthread", "util", "dl"];

/// Its panic is caught, which takes the unwinding.
const PROBE: &str = "fn main() {
    let caught = std::panic::catch_unwind(|| {
        std::panic::resume_unwind(Box::new(1))
    });
    std::process::exit(i32::from(caught.is_ok()))
}
";

/// Tells cargo when to run the build script again.
pub(crate) fn rerun_if_changed() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../build/libraries.rs");
}

/// The argument by which the linker finds these functions elsewhere than in
/// libgcc_s; `None` if that does not work.
pub(crate) fn without_libgcc() -> Option<String> {
    let directory = directory()?;
    let [unwinding, gcc] = UNWINDING.map(place);
    replace(&directory, "gcc_s", &format!("{} {}", unwinding?, gcc?))?;
    let argument = format!("-L{}", directory.display());
    let works = works(&directory, &format!("-Clink-arg={argument}"));
    works.then_some(argument)
}

/// The argument by which the linker finds no shared library at all; `None` if
/// that does not work.
pub(crate) fn static_ones() -> Option<String> {
    let directory = directory()?;
    let [unwinding, gcc] = UNWINDING.map(place);
    let base = format!("{} {} {}", unwinding?, gcc?, place("libc.a")?);
    replace(&directory, "gcc_s", &base)?;
    for name in C_LIBRARIES {
        let more = place(&format!("lib{name}.a")).unwrap_or_default();
        replace(&directory, name, &format!("{more} {base}"))?;
    }
    let works = works(&directory, "-Ctarget-feature=+crt-static");
    works.then(|| format!("-L{}", directory.display()))
}

/// An empty directory for linker scripts, if what is built is for this machine's
/// kind of system and this is one that we know.
fn directory() -> Option<PathBuf> {
    let is =
        |name: &str, value: &str| env::var(name).is_ok_and(|it| it == value);
    let is_known = env::var_os("HOST") == env::var_os("TARGET")
        && is("CARGO_CFG_TARGET_OS", "linux")
        && is("CARGO_CFG_TARGET_ENV", "gnu");
    let out = env::var_os("OUT_DIR").filter(|_| is_known)?;
    let directory = Path::new(&out).join("libraries");
    // What an earlier version of the build script has left would be used.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).ok().map(|()| directory)
}

/// Whether a program that is linked with this argument is built, and runs.
fn works(directory: &Path, argument: &str) -> bool {
    let source = directory.join("probe.rs");
    let program = directory.join("probe");
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    fs::write(&source, PROBE).is_ok()
        && Command::new(rustc)
            .arg(argument)
            .arg("-o")
            .args([&program, &source])
            .output()
            .is_ok_and(|it| it.status.success())
        && Command::new(program)
            .output()
            .is_ok_and(|it| it.status.success())
}

/// Has the linker use these libraries where it is asked for the shared `name`.
fn replace(directory: &Path, name: &str, libraries: &str) -> Option<()> {
    let script = directory.join(format!("lib{name}.so"));
    fs::write(script, format!("GROUP({libraries})\n")).ok()
}

/// Where the compiler's driver, which links, finds a file.
fn place(name: &str) -> Option<String> {
    let found = Command::new("cc")
        .arg(format!("-print-file-name={name}"))
        .output()
        .ok()?;
    let path = String::from_utf8(found.stdout).ok()?.trim().to_owned();
    Path::new(&path).is_absolute().then_some(path)
}
