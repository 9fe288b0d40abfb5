//! What all manual pages have in common.

/// The manual's name, in each page's head.
pub(crate) const MANUAL: &str = "uilog manual";
pub(crate) const NAME: &str = "uilog";
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A line of text that roff prints unchanged.
pub(crate) fn escaped(line: &str) -> String {
    let escaped = line
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq");
    if escaped.starts_with('.') {
        format!("\\&{escaped}")
    } else {
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roff_takes_lines_as_text() {
        assert_eq!(escaped(".a \\n -x"), "\\&.a \\en \\-x");
        assert_eq!(escaped("'a'"), "\\(aqa\\(aq");
        assert_eq!(escaped("a 'b'"), "a \\(aqb\\(aq");
    }
}
