//! The encoding in which Mercurial reads texts, which is the default of some of
//! its items.
//!
//! Python determines it when hg starts; this module does the same. Must not
//! know configuration files.

use std::path::Path;

use uilog_config::Environment;
use uilog_sys::locale;

/// What the C library calls ASCII, and what hg calls that.
// hg: encoding._encodingrewrites
const ASCII: [&str; 2] = ["646", "ANSI_X3.4-1968"];
const HGS_ASCII: &str = "ascii";
/// The first Python 3 that calls UTF-8 by its small letters in its UTF-8 mode.
const SMALL_SINCE: u32 = 11;

/// The encoding of the hg with this package and environment.
// hg: encoding.encoding
pub(crate) fn of(package: Option<&Path>, environment: &Environment) -> Vec<u8> {
    let set = |name: &str| {
        environment
            .var(name.as_bytes())
            .filter(|value| !value.is_empty())
    };
    if let Some(encoding) = set("HGENCODING") {
        return encoding.to_vec();
    }
    let codeset = locale::codeset();
    let is_c = ASCII.contains(&&*codeset);
    let encoding = preferred(
        set("PYTHONUTF8"),
        is_c,
        set("LC_ALL").is_none() && set("PYTHONCOERCECLOCALE") != Some(b"0"),
        package.and_then(minor_version),
        &codeset,
    );
    encoding.as_bytes().to_vec()
}

// Python: locale.getpreferredencoding, PEP 538, PEP 540
fn preferred<'a>(
    utf8_mode: Option<&[u8]>,
    is_c: bool,
    is_coerced: bool,
    minor_version: Option<u32>,
    codeset: &'a str,
) -> &'a str {
    let is_utf8_mode = match utf8_mode {
        Some(b"1") => true,
        Some(b"0") => false,
        _ => is_c,
    };
    if is_utf8_mode {
        let is_small = minor_version.is_none_or(|it| it >= SMALL_SINCE);
        return if is_small { "utf-8" } else { "UTF-8" };
    }
    match is_c {
        true if is_coerced => "UTF-8",
        true => HGS_ASCII,
        false => codeset,
    }
}

/// The N of the Python 3.N that a package belongs to.
fn minor_version(package: &Path) -> Option<u32> {
    package
        .iter()
        .find_map(|part| part.to_str()?.strip_prefix("python3.")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_python_prefers() {
        let ascii = "ANSI_X3.4-1968";
        for (utf8_mode, codeset, is_coerced, minor, expected) in [
            (None, ascii, true, Some(11), "utf-8"),
            (None, ascii, false, Some(13), "utf-8"),
            (None, ascii, true, Some(10), "UTF-8"),
            (None, "UTF-8", true, Some(11), "UTF-8"),
            (None, "ISO-8859-1", true, None, "ISO-8859-1"),
            (Some(&b"1"[..]), "ISO-8859-1", true, Some(12), "utf-8"),
            (Some(&b"0"[..]), ascii, true, Some(11), "UTF-8"),
            (Some(&b"0"[..]), ascii, false, Some(11), "ascii"),
        ] {
            let is_c = ASCII.contains(&codeset);
            let found = preferred(utf8_mode, is_c, is_coerced, minor, codeset);
            assert_eq!(found, expected, "{utf8_mode:?} {codeset} {minor:?}");
        }
        let package = Path::new("/venv/lib/python3.9/site-packages/mercurial");
        assert_eq!(minor_version(package), Some(9));
        let package = Path::new("/usr/lib/python3/dist-packages/mercurial");
        assert_eq!(minor_version(package), None);
    }
}
