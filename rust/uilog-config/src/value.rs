//! Values with types, as Mercurial reads them.

use std::time::Duration;

use crate::syntax::is_space;

/// The text without surrounding white space.
pub(crate) fn trimmed(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_space(byte));
    let Some(start) = start else { return b"" };
    let end = text.iter().rposition(|byte| !is_space(byte));
    &text[start..end.map_or(text.len(), |end| end + 1)]
}

/// `1`, `yes`, `true`, `on`, `always`, and what means the opposite, in any
/// case.
// hg: stringutil.parsebool
pub fn parse_bool(text: &[u8]) -> Option<bool> {
    const ON: [&[u8]; 5] = [b"1", b"yes", b"true", b"on", b"always"];
    const OFF: [&[u8]; 5] = [b"0", b"no", b"false", b"off", b"never"];
    let is = |word: &&[u8]| word.eq_ignore_ascii_case(text);
    if ON.iter().any(is) {
        Some(true)
    } else if OFF.iter().any(is) {
        Some(false)
    } else {
        None
    }
}

/// A decimal integer with surrounding white space, a sign, and single
/// underscores between digits. Python: int(bytes), which has no limit of 128
/// bits
pub fn parse_int(text: &[u8]) -> Option<i128> {
    let text = trimmed(text);
    let (sign, digits) = match text {
        [b'-', digits @ ..] => ("-", digits),
        [b'+', digits @ ..] => ("", digits),
        digits => ("", digits),
    };
    let plain = without_underscores(digits)?;
    let is_number =
        !plain.is_empty() && plain.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number {
        return None;
    }
    format!("{sign}{plain}").parse().ok()
}

/// A number of bytes such as `1048576`, `64 MB`, `1.5g`.
// hg: util.sizetoint
pub fn parse_size(text: &[u8]) -> Option<i128> {
    // In hg's order: `kb` ends in `b`, so `b` comes last.
    const UNITS: [(&[u8], u32); 7] = [
        (b"m", 20),
        (b"k", 10),
        (b"g", 30),
        (b"kb", 10),
        (b"mb", 20),
        (b"gb", 30),
        (b"b", 0),
    ];
    let text = trimmed(text).to_ascii_lowercase();
    for (unit, shift) in UNITS {
        if let Some(number) = text.strip_suffix(unit) {
            let bytes = parse_float(number)? * f64::from(1_u32 << shift);
            let limit = i128::MAX as f64;
            return (bytes.abs() < limit).then_some(bytes as i128);
        }
    }
    parse_int(&text)
}

/// A time with its unit, such as `90 seconds`, `12 hours`, `7d`. A number alone
/// is invalid: a user who writes `7` where the default is `7 days` does not
/// mean seconds.
pub fn parse_age(text: &[u8]) -> Option<Duration> {
    const UNITS: [(&str, &str, f64); 4] = [
        ("s", "second", 1.0),
        ("m", "minute", 60.0),
        ("h", "hour", 60.0 * 60.0),
        ("d", "day", 24.0 * 60.0 * 60.0),
    ];
    let text = trimmed(text).to_ascii_lowercase();
    let end = text.iter().position(u8::is_ascii_alphabetic);
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let unit = std::str::from_utf8(unit).ok()?;
    let is_unit = |(short, long, _): &&(&str, &str, f64)| {
        unit == *short || unit.strip_suffix('s').unwrap_or(unit) == *long
    };
    let (_, _, seconds) = UNITS.iter().find(is_unit)?;
    Duration::try_from_secs_f64(parse_float(number)? * seconds).ok()
}

/// A number as Python's `float` reads it.
pub fn parse_float(text: &[u8]) -> Option<f64> {
    // Rust knows the same names, in any case: inf, infinity, nan.
    without_underscores(trimmed(text))?.parse().ok()
}

/// The text without underscores, each of which must be between digits.
fn without_underscores(text: &[u8]) -> Option<String> {
    let is_digit = |index: usize| {
        text.get(index).is_some_and(|byte| byte.is_ascii_digit())
    };
    let mut plain = String::with_capacity(text.len());
    for (index, byte) in text.iter().enumerate() {
        if *byte == b'_' {
            if index == 0 || !is_digit(index - 1) || !is_digit(index + 1) {
                return None;
            }
        } else if byte.is_ascii() {
            plain.push(char::from(*byte));
        } else {
            return None;
        }
    }
    Some(plain)
}

/// Bytes in quotes, with unprintable ones escaped as in Python.
// hg: pycompat.bytestr.__repr__
pub(crate) fn quoted(text: &[u8]) -> Vec<u8> {
    let has_single = text.contains(&b'\'');
    let quote = if has_single && !text.contains(&b'"') {
        b'"'
    } else {
        b'\''
    };
    let mut quoted = vec![quote];
    for byte in text {
        match byte {
            b'\t' => quoted.extend_from_slice(b"\\t"),
            b'\n' => quoted.extend_from_slice(b"\\n"),
            b'\r' => quoted.extend_from_slice(b"\\r"),
            b'\\' => quoted.extend_from_slice(b"\\\\"),
            byte if *byte == quote => quoted.extend_from_slice(&[b'\\', quote]),
            b' '..=b'~' => quoted.push(*byte),
            byte => {
                quoted.extend_from_slice(format!("\\x{byte:02x}").as_bytes())
            }
        }
    }
    quoted.push(quote);
    quoted
}

/// Words between commas and white space; quotes hold together, and `\"` is a
/// quote.
// hg: stringutil.parselist
pub fn parse_list(text: &[u8]) -> Vec<Vec<u8>> {
    let lead = |byte: &u8| matches!(byte, b' ' | b',' | b'\n');
    let start = text.iter().position(|byte| !lead(byte));
    let text = start.map_or(&b""[..], |start| &text[start..]);
    let mut list = Vec::new();
    let mut rest = split_list(text, &mut list);
    // How many quotes have been opened in front of one another.
    let mut quotes = Vec::new();
    while let Some(tail) = rest {
        list.pop();
        quotes.push(b'"');
        let mut more = Vec::new();
        rest = split_list(&tail, &mut more);
        if rest.is_none() || more.len() > 1 {
            if more.is_empty() {
                more.push(Vec::new());
            }
            more[0].splice(0..0, quotes.drain(..));
        }
        list.append(&mut more);
    }
    list
}

/// Appends the words to the list. What a quote without its end holds is the
/// last one, and is returned to be split as well.
fn split_list(text: &[u8], list: &mut Vec<Vec<u8>>) -> Option<Vec<u8>> {
    let is_end = |byte: &u8| !matches!(byte, b' ' | b',');
    let end = text.iter().rposition(is_end).map_or(0, |end| end + 1);
    let text = &text[..end];
    if text.is_empty() {
        return None;
    }
    let is_between = |byte: &u8| is_space(byte) || *byte == b',';
    let mut word = Vec::new();
    let mut at = 0;
    loop {
        // Outside of quotes.
        let start = at;
        while text.get(at).is_some_and(is_between) {
            at += 1;
        }
        let Some(byte) = text.get(at) else {
            list.push(word);
            return None;
        };
        if at > start {
            list.push(std::mem::take(&mut word));
        }
        at += 1;
        if *byte != b'"' {
            word.push(*byte);
            continue;
        }
        if !word.is_empty() {
            if word.last() == Some(&b'\\') {
                word.pop();
            }
            word.push(b'"');
            continue;
        }
        // Inside of quotes.
        if text.get(at) == Some(&b'"') {
            list.push(std::mem::take(&mut word));
            at += 1;
            while text.get(at).is_some_and(is_between) {
                at += 1;
            }
            continue;
        }
        while text.get(at).is_some_and(|byte| *byte != b'"') {
            if text[at..].starts_with(b"\\\"") {
                at += 1;
            }
            word.push(text[at]);
            at += 1;
        }
        if at >= text.len() {
            list.push(word.clone());
            return Some(word);
        }
        at += 1;
        while matches!(text.get(at), Some(b' ' | b',')) {
            at += 1;
        }
        if at >= text.len() {
            list.push(word);
            return None;
        }
        if at + 1 == text.len() && text[at] == b'"' {
            word.push(b'"');
            at += 1;
        } else {
            list.push(std::mem::take(&mut word));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans() {
        assert_eq!(parse_bool(b"Always"), Some(true));
        assert_eq!(parse_bool(b"OFF"), Some(false));
        assert_eq!(parse_bool(b" 1"), None);
    }

    #[test]
    fn ages() {
        let seconds = |text: &[u8]| parse_age(text).map(|it| it.as_secs_f64());
        assert_eq!(seconds(b"90s"), Some(90.0));
        assert_eq!(seconds(b" 7 Days "), Some(604_800.0));
        assert_eq!(seconds(b"1.5h"), Some(5400.0));
        assert_eq!(seconds(b"2 minutes"), Some(120.0));
        assert_eq!(seconds(b"1 second"), Some(1.0));
        for text in [
            "", "7", "0", "90.5", "days", "-1 d", "3 weeks", "1 ss", "inf",
            "nan",
        ] {
            assert_eq!(seconds(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn quotes() {
        assert_eq!(quoted(b"a\t\\\xff~"), br"'a\t\\\xff~'");
        assert_eq!(quoted(b"a\r\n\x1b"), br"'a\r\n\x1b'");
        assert_eq!(quoted(b"it's"), b"\"it's\"");
        assert_eq!(quoted(b"'\""), br#"'\'"'"#);
    }

    #[test]
    fn numbers() {
        assert_eq!(parse_int(b" -0_42\n"), Some(-42));
        assert_eq!(parse_int(b"4__2"), None);
        assert_eq!(parse_int(b"+-1"), None);
        assert_eq!(parse_size(b"42.5 kB"), Some(43520));
        assert_eq!(parse_size(b"1e3"), None);
        assert_eq!(parse_size(b"1e3b"), Some(1000));
        assert_eq!(parse_size(b"nan k"), None);
        assert_eq!(parse_float(b"1_0.5"), Some(10.5));
        assert_eq!(parse_float(b" .5 "), Some(0.5));
        assert_eq!(parse_float(b"-INF"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_float(b"+infinity"), Some(f64::INFINITY));
        assert!(parse_float(b"NaN").is_some_and(f64::is_nan));
        for text in ["x1", "e5", "1e", ".", "", "+-1", "infinite", "1\u{b2}"] {
            assert_eq!(parse_float(text.as_bytes()), None, "{text}");
        }
        // Each underscore is between digits.
        for text in ["_1", "1_", "_", "1_.5", "1._5", "-_1", "1__0"] {
            assert_eq!(parse_float(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("7", 7),
            ("7b", 7),
            ("7k", 7 << 10),
            ("7 KB", 7 << 10),
            ("7m", 7 << 20),
            ("7mb", 7 << 20),
            ("1.5g", 3 << 29),
            ("7gb", 7 << 30),
            ("-7k", -7 << 10),
        ] {
            assert_eq!(parse_size(text.as_bytes()), Some(bytes), "{text}");
        }
        // 2 to the power of 127, and a half of it.
        let (large, half) =
            ("170141183460469231731687303715884105728", 1 << 126);
        assert_eq!(parse_size(format!("{large}b").as_bytes()), None);
        let text = format!("{half} b");
        assert_eq!(parse_size(text.as_bytes()), Some(half));
    }

    fn list(text: &str) -> Vec<String> {
        let words = parse_list(text.as_bytes()).into_iter();
        words.map(|word| String::from_utf8(word).unwrap()).collect()
    }

    // hg: tests/test-ui-config.py
    #[test]
    fn lists_as_in_the_tests_of_hg() {
        for (text, words) in [
            ("foo", &["foo"][..]),
            (
                "foo bar baz alice, bob",
                &["foo", "bar", "baz", "alice", "bob"],
            ),
            ("abc d\"ef\"g \"hij def\"", &["abc", "d\"ef\"g", "hij def"]),
            (
                "\"hello world\", \"how are you?\"",
                &["hello world", "how are you?"],
            ),
            ("Do\"Not\"Separate", &["Do\"Not\"Separate"]),
            ("\"Do\"Separate", &["Do", "Separate"]),
            ("\"Do\\\"NotSeparate\"", &["Do\"NotSeparate"]),
            (
                "string \"with extraneous\" quotation mark\"",
                &["string", "with extraneous", "quotation", "mark\""],
            ),
            ("x, y", &["x", "y"]),
            ("\"x\", \"y\"", &["x", "y"]),
            (
                "\"\"\" key = \"x\", \"y\" \"\"\"",
                &["", " key = ", "x\"", "y", "", "\""],
            ),
            (",,,,     ", &[]),
            (
                "\" just with starting quotation",
                &["\"", "just", "with", "starting", "quotation"],
            ),
            (
                "\"longer quotation\" with \"no ending quotation",
                &["longer quotation", "with", "\"no", "ending", "quotation"],
            ),
            (
                "this is \\\"not a quotation mark\\\"",
                &["this", "is", "\"not", "a", "quotation", "mark\""],
            ),
            ("\n \n\nding\ndong", &["ding", "dong"]),
            // Not of hg's tests: a quote that is the last.
            ("\"a\"\"", &["a\""]),
            ("\"a\" \"", &["a\""]),
        ] {
            assert_eq!(list(text), words, "{text}");
        }
    }

    #[test]
    fn lists_as_in_the_doctests_of_hg() {
        assert_eq!(
            list("this,is \"a small\" ,test"),
            ["this", "is", "a small", "test"]
        );
        assert_eq!(list("\"\\\"a b\" c"), ["\"a b", "c"]);
        assert_eq!(list("\"a, b"), ["\"a", "b"]);
        assert_eq!(list("\"\\\"a b"), ["\"\"a", "b"]);
        assert_eq!(list("\""), ["\""]);
        assert_eq!(list(" , \n"), [""; 0]);
    }
}
