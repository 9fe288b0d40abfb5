//! Command lines as hg logs them.

/// The line of these arguments.
// hg: dispatch._formatargs over posix.shellquote
pub(crate) fn line_of<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let is_safe =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"._/+-".contains(byte);
    let quoted = arguments.iter().map(|argument| {
        let argument = argument.as_ref();
        if !argument.is_empty() && argument.iter().all(is_safe) {
            return argument.to_vec();
        }
        let parts: Vec<_> = argument.split(|byte| *byte == b'\'').collect();
        [&b"'"[..], &parts.join(&br"'\''"[..]), b"'"].concat()
    });
    quoted.collect::<Vec<_>>().join(&b' ')
}
