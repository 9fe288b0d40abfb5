//! Has the program linked statically where that works: loading the C library
//! and resolving symbols would be a good part of all that it does.
//!
//! Cargo cannot switch `crt-static` on for one program only. Without that,
//! rustc asks the linker for the shared C library and for libgcc_s. So it
//! finds, under the names of these, linker scripts that name the static ones.
//! Where any of this fails, the program is a dynamic one, and works as well.

use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// What rustc may ask for, and where else its contents may be: newer C
/// libraries have all in one.
const LIBRARIES: [&str; 6] = ["c", "m", "rt", "pthread", "util", "dl"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is =
        |name: &str, value: &str| env::var(name).is_ok_and(|it| it == value);
    let is_native = env::var_os("HOST") == env::var_os("TARGET");
    if !is_native
        || !is("CARGO_CFG_TARGET_OS", "linux")
        || !is("CARGO_CFG_TARGET_ENV", "gnu")
    {
        return;
    }
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        return;
    };
    if links_statically(&out) && write_scripts(&out).is_some() {
        // Not for the tests, which are programs as any other.
        println!("cargo::rustc-link-arg-bins=-L{}", out.display());
        println!("cargo::rustc-link-arg-bins=-static");
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}

/// Whether a program that is linked statically can be built, and runs.
fn links_statically(out: &Path) -> bool {
    let source = out.join("probe.rs");
    let program = out.join("probe");
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let text = "fn main() { print!(\"{}\", std::process::id()) }\n";
    fs::write(&source, text).is_ok()
        && Command::new(rustc)
            .arg("-Ctarget-feature=+crt-static")
            .arg("-o")
            .args([&program, &source])
            .output()
            .is_ok_and(|it| it.status.success())
        && Command::new(program)
            .output()
            .is_ok_and(|it| it.status.success())
}

fn write_scripts(out: &Path) -> Option<()> {
    let own = ["libgcc_eh.a", "libgcc.a", "libc.a"].map(place);
    let [Some(unwinding), Some(gcc), Some(c)] = &own else {
        return None;
    };
    let base = format!("{unwinding} {gcc} {c}");
    let write = |name: &str, text: String| {
        fs::write(out.join(format!("lib{name}.so")), text).ok()
    };
    write("gcc_s", format!("GROUP({base})\n"))?;
    for name in LIBRARIES {
        let more = place(&format!("lib{name}.a")).unwrap_or_default();
        write(name, format!("GROUP({more} {base})\n"))?;
    }
    Some(())
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
