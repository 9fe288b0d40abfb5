//! Words in a text, separated by one blank each.

/// Whether this is one of the words in a list with blanks between them.
pub(super) fn is_word_of(list: &str, word: &[u8]) -> bool {
    list.split(' ').any(|it| it.as_bytes() == word)
}
