//! The machine, in OpenTelemetry's terms.
//!
//! Must not know sinks. It is determined once for each process.

use std::path::Path;
use std::sync::OnceLock;

use uilog_sys::foreign_file;

use crate::record::Host;

/// Where a machine's id is.
// semantic-conventions: docs/resource/host.md, "Non-privileged Machine ID
// Lookup"
const ID_FILES: [&str; 2] = ["/etc/machine-id", "/var/lib/dbus/machine-id"];
/// Its number of hexadecimal digits.
const ID_DIGITS: usize = 32;

/// The machine that this process runs on, called `name`.
pub(crate) fn host(name: &str) -> Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    let known = HOST.get_or_init(|| Host {
        name: String::new(),
        id: ID_FILES.iter().find_map(|path| id(Path::new(path))),
        arch: uname(|it| it.machine()).map(|it| arch(&it)),
        os: uname(|it| it.sysname()).map(|it| it.to_lowercase()),
    });
    Host {
        name: name.to_owned(),
        ..known.clone()
    }
}

fn uname(
    part: impl FnOnce(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr,
) -> Option<String> {
    let names = nix::sys::utsname::uname().ok()?;
    let text = part(&names).to_string_lossy().into_owned();
    (!text.is_empty()).then_some(text)
}

/// The ID in a file, if one was assigned: `uninitialized` and zeros are none.
fn id(path: &Path) -> Option<String> {
    const MAX_BYTES: u64 = 4096;
    let text = foreign_file::read_text(path, MAX_BYTES).ok()?;
    let text = text.trim();
    let is_id = text.len() == ID_DIGITS
        && text.bytes().all(|it| it.is_ascii_hexdigit())
        && text.bytes().any(|it| it != b'0');
    is_id.then(|| text.to_owned())
}

/// The conventions' name of what `uname -m` says, if they have one.
fn arch(machine: &str) -> String {
    let known = match machine {
        "x86_64" | "amd64" => "amd64",
        "i386" | "i486" | "i586" | "i686" | "x86" => "x86",
        "aarch64" | "aarch64_be" | "arm64" => "arm64",
        "ppc" => "ppc32",
        "ppc64" | "ppc64le" => "ppc64",
        other if other.starts_with("armv") || other == "arm" => "arm32",
        other => other,
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_32_digits() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("machine-id");
        assert_eq!(id(&path), None);
        let good = "fdbf79e8af94cb7f9e8df36789187052";
        for (text, expected) in [
            (format!("{good}\n"), Some(good)),
            (good.to_owned(), Some(good)),
            (String::new(), None),
            ("uninitialized\n".to_owned(), None),
            ("0".repeat(32), None),
            (good[1..].to_owned(), None),
        ] {
            std::fs::write(&path, &text).unwrap();
            assert_eq!(id(&path).as_deref(), expected, "{text}");
        }
        assert_eq!(id(Path::new("/dev/zero")), None);
    }

    #[test]
    fn processors_have_the_conventions_names() {
        for (machine, expected) in [
            ("x86_64", "amd64"),
            ("aarch64", "arm64"),
            ("armv7l", "arm32"),
            ("i686", "x86"),
            ("ppc64le", "ppc64"),
            ("s390x", "s390x"),
            ("riscv64", "riscv64"),
        ] {
            assert_eq!(arch(machine), expected);
        }
        let host = host("a");
        assert_eq!(host.name, "a");
        assert_eq!(host.os.as_deref(), Some(std::env::consts::OS));
        assert!(host.arch.is_some());
    }
}
