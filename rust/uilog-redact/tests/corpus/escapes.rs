//! The escapes in the corpus's texts.

/// The bytes that a text stands for.
pub(crate) fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (byte, len) = match after {
            [b'n', ..] => (b'\n', 1),
            [b'r', ..] => (b'\r', 1),
            [b't', ..] => (b'\t', 1),
            [b'0', ..] => (0, 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', ..] => {
                let digits = std::str::from_utf8(&after[1..3]).expect("digits");
                (u8::from_str_radix(digits, 16).expect("digits"), 3)
            }
            _ => unreachable!("no such escape: {text}"),
        };
        bytes.push(byte);
        rest = &rest[len..];
    }
    bytes
}
