//! Splits the bytes of standard error into lines.

/// Longer lines are returned in pieces, in bytes: the other side must not be
/// able to fill our memory.
pub(crate) const MAX_LINE_BYTES: usize = 1 << 20;

/// Collects bytes until they make a line.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to where there is no end of a line.
    searched: usize,
}

impl Lines {
    /// Appends received bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole line, with its newline.
    pub(crate) fn next_line(&mut self) -> Option<Vec<u8>> {
        let unseen = self.bytes.get(self.searched..).unwrap_or_default();
        let end = match unseen.iter().position(|byte| *byte == b'\n') {
            Some(index) => self.searched + index + 1,
            None if self.bytes.len() - self.start >= MAX_LINE_BYTES => {
                self.bytes.len()
            }
            None => {
                self.searched = self.bytes.len();
                return None;
            }
        };
        Some(self.take(end))
    }

    /// The rest at the end: a line without its newline.
    pub(crate) fn rest(&mut self) -> Option<Vec<u8>> {
        (self.start < self.bytes.len()).then(|| self.take(self.bytes.len()))
    }

    fn take(&mut self, end: usize) -> Vec<u8> {
        let line = self.bytes.get(self.start..end).unwrap_or_default();
        let line = line.to_vec();
        self.start = end;
        self.searched = end;
        line
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(lines: &mut Lines) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| lines.next_line()).collect()
    }

    #[test]
    fn a_line_is_whole_or_the_last() {
        let mut lines = Lines::default();
        lines.push(b"one\ntw");
        assert_eq!(all(&mut lines), [b"one\n"]);
        lines.push(b"o\n\nthr");
        assert_eq!(all(&mut lines), [&b"two\n"[..], b"\n"]);
        assert_eq!(lines.rest().as_deref(), Some(&b"thr"[..]));
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn a_line_without_end_is_given_out_in_pieces() {
        let mut lines = Lines::default();
        let chunk = vec![b'x'; MAX_LINE_BYTES - 1];
        lines.push(&chunk);
        assert_eq!(lines.next_line(), None);
        lines.push(b"yz");
        let piece = lines.next_line().expect("a piece");
        assert_eq!(piece.len(), MAX_LINE_BYTES + 1);
        assert_eq!(lines.rest(), None);
        // What was given out before it does not count.
        lines.push(&[b"one\n", &chunk[..]].concat());
        assert_eq!(all(&mut lines), [b"one\n"]);
        assert_eq!(lines.rest(), Some(chunk));
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_and_none_comes_twice(
            chunks in prop::collection::vec("[ab\n]{0,9}", 0..20)
        ) {
            let mut lines = Lines::default();
            let mut shown = Vec::new();
            for chunk in &chunks {
                lines.push(chunk.as_bytes());
                for line in all(&mut lines) {
                    prop_assert!(line.ends_with(b"\n"));
                    let inner = line.iter().filter(|b| **b == b'\n');
                    prop_assert_eq!(inner.count(), 1);
                    shown.extend(line);
                }
            }
            shown.extend(lines.rest().unwrap_or_default());
            prop_assert_eq!(shown, chunks.concat().into_bytes());
        }
    }
}
