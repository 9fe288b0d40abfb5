//! Lists of `KEY=VALUE`: headers, and attributes of the resource.

use ureq::http::HeaderName;
use ureq::http::HeaderValue;
use ureq::http::header;

/// Headers that say what a request is, and are uilog's to write.
pub(super) const OWN_HEADERS: [HeaderName; 8] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::EXPECT,
    header::TE,
    header::UPGRADE,
];

/// Parses headers. Errors do not quote them: they are secrets, and a text that
/// looks like a name may be the beginning of one.
pub(super) fn headers(
    text: &str,
) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let header = |(at, (key, value)): (usize, (String, String))| {
        let at = at + 1;
        let name = HeaderName::from_bytes(key.as_bytes())
            .map_err(|_| format!("entry {at} has no header name"))?;
        let mut value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| format!("entry {at} has no header value"))?;
        value.set_sensitive(true);
        Ok((name, value))
    };
    pairs(text)?.into_iter().enumerate().map(header).collect()
}

/// Reads `KEY=VALUE,KEY=VALUE`, values in percent encoding.
// W3C Baggage, without its properties
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    text.split(',')
        .filter(|pair| !pair.trim().is_empty())
        .enumerate()
        .map(|(at, pair)| {
            let at = at + 1;
            let (key, value) = pair
                .split_once('=')
                .ok_or("it must be KEY=VALUE,KEY=VALUE")?;
            let key = key.trim();
            if key.is_empty() {
                return Err(format!("entry {at} has no key"));
            }
            let value = decoded(value.trim())
                .ok_or_else(|| format!("entry {at} is not UTF-8"))?;
            Ok((key.to_owned(), value))
        })
        .collect()
}

/// Decodes percent encoding; an invalid percent sign stays.
fn decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|digits| {
            bytes[at] == b'%' && digits.iter().all(u8::is_ascii_hexdigit)
        });
        let byte = digits.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        plain.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8(plain).ok()
}
