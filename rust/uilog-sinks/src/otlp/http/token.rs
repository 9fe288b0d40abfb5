//! The header with the token from a file.

use std::path::Path;

use uilog_sys::foreign_file;
use ureq::http::HeaderValue;

/// Bytes of a token.
const MAX_TOKEN_BYTES: u64 = 64 * 1024;

/// The header with the token in a file.
pub(super) fn bearer(path: &Path) -> Result<HeaderValue, String> {
    let failed = |why: &dyn std::fmt::Display| {
        format!("cannot read token-file {}: {why}", path.display())
    };
    let text = foreign_file::read_text(path, MAX_TOKEN_BYTES)
        .map_err(|error| failed(&error))?;
    let token = token(&text);
    if token.is_empty() {
        return Err(failed(&"it is empty"));
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| failed(&"there is no token in it"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// The token in a file's text: editors add a byte order mark and ends of lines,
/// people the scheme.
pub(super) fn token(text: &str) -> &str {
    let text = text.trim_start_matches('\u{feff}').trim();
    let (scheme, rest) = text.split_at_checked(6).unwrap_or((text, ""));
    let is_scheme = scheme.eq_ignore_ascii_case("bearer")
        && (rest.is_empty() || rest.starts_with(char::is_whitespace));
    if is_scheme { rest.trim_start() } else { text }
}
