//! Prepares texts for a record: truncates them, and converts them to Unicode.
//!
//! Remembers which texts were truncated or were not UTF-8. The redactor is a
//! parameter. Must not know events or policies.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Map;
use serde_json::Value as Json;
use uilog_redact::Redacted;
use uilog_redact::Rule;

/// Maximum length of a text.
pub(crate) const MAX_TEXT_BYTES: usize = 64 * 1024;
/// Maximum length of a text that is searched for secrets: the redactor may need
/// a second for 4 MB.
const LOOKED_AT_BYTES: usize = 2 * MAX_TEXT_BYTES;
/// Bytes that are dropped before the part that was not examined: half of a
/// secret, which only the other half would have revealed, is within them.
const DOUBTFUL_BYTES: usize = 32 * 1024;

/// How much longer the JSON of bytes that are not UTF-8 may be: six times for
/// control characters, and base64.
const RAW_GROWTH: usize = 8;

/// A truncated text.
#[derive(Clone, Debug)]
pub(crate) struct TruncatedText<'t> {
    bytes: Cow<'t, [u8]>,
    /// How long it was.
    full_bytes: usize,
    is_cut: bool,
}

impl<'t> TruncatedText<'t> {
    /// A text that holds no secrets, of at most `max` bytes.
    pub(crate) fn plain(text: impl Into<Cow<'t, [u8]>>, max: usize) -> Self {
        let bytes = text.into();
        let mut shown = Self {
            full_bytes: bytes.len(),
            bytes,
            is_cut: false,
        };
        shown.cut_to(max);
        shown
    }

    /// A text without its secrets, of at most [`MAX_TEXT_BYTES`].
    pub(crate) fn redacted(
        text: &'t [u8],
        redact: impl FnOnce(&'t [u8]) -> Redacted<Cow<'t, [u8]>>,
    ) -> Self {
        let looked_at = &text[..text.len().min(LOOKED_AT_BYTES)];
        let Redacted {
            text: bytes,
            places,
        } = redact(looked_at);
        let mut shown = Self {
            bytes,
            full_bytes: text.len(),
            is_cut: false,
        };
        if looked_at.len() < text.len() {
            shown.is_cut = true;
            // A commit message that continues there is removed as a whole.
            let ends_in_message = places.last().is_some_and(|place| {
                place.rule == Rule::MESSAGE
                    && place.range.end >= looked_at.len()
            });
            if !ends_in_message {
                let len = shown.bytes.len();
                shown.cut_to(len.saturating_sub(DOUBTFUL_BYTES));
            }
        }
        if text.len() > MAX_TEXT_BYTES {
            shown.cut_to(MAX_TEXT_BYTES);
        }
        shown
    }

    /// The harmless parts of a text. The word at the end of the examined part
    /// is left out, because half of it may look harmless.
    pub(crate) fn reduced(
        text: &'t [u8],
        reduce: impl FnOnce(&'t [u8]) -> Redacted<Cow<'t, [u8]>>,
    ) -> Self {
        let mut looked_at = &text[..text.len().min(LOOKED_AT_BYTES)];
        let is_cut = looked_at.len() < text.len();
        if is_cut {
            let last = |it: u8| looked_at.iter().rposition(|byte| *byte == it);
            let quotes = looked_at.iter().filter(|it| **it == b'\'').count();
            let is_quoted = quotes % 2 == 1;
            let end = last(if is_quoted { b'\'' } else { b' ' });
            looked_at = &looked_at[..end.unwrap_or(0)];
        }
        let mut shown = Self {
            bytes: reduce(looked_at).text,
            full_bytes: text.len(),
            is_cut,
        };
        shown.cut_to(MAX_TEXT_BYTES);
        shown
    }

    /// Like this text, followed by another.
    pub(crate) fn followed_by(mut self, end: &[u8]) -> Self {
        self.bytes.to_mut().extend_from_slice(end);
        self.full_bytes += end.len();
        self
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Cuts it, not within a character.
    fn cut_to(&mut self, max: usize) {
        if self.bytes.len() <= max {
            return;
        }
        let is_inside = |at: usize| self.bytes[at] & 0xc0 == 0x80;
        let end = (max.saturating_sub(3)..=max)
            .rev()
            .find(|at| !is_inside(*at))
            .unwrap_or(max);
        self.is_cut = true;
        match &mut self.bytes {
            Cow::Borrowed(bytes) => *bytes = &bytes[..end],
            Cow::Owned(bytes) => bytes.truncate(end),
        }
    }
}

/// Remembers which texts were truncated, and which were not UTF-8.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    /// Lengths of truncated texts.
    pub(crate) truncated: Map<String, Json>,
    /// Bytes of texts that were not UTF-8.
    pub(crate) base64: Map<String, Json>,
    /// How much JSON there is so far, without names.
    pub(crate) spent: usize,
}

impl Texts {
    /// Prepares the text for this place in the record; its JSON with the
    /// replaced values has at most `max` bytes, apart from names.
    pub(crate) fn put(
        &mut self,
        place: &[&str],
        mut shown: TruncatedText<'_>,
        max: usize,
    ) -> String {
        if std::str::from_utf8(&shown.bytes).is_err() {
            shown.cut_to(max / RAW_GROWTH);
        }
        let text = match std::str::from_utf8(&shown.bytes) {
            Ok(text) => {
                let fitting = fitting(text, max);
                shown.is_cut |= fitting.len() < text.len();
                fitting.to_owned()
            }
            Err(_) => {
                let raw = STANDARD.encode(&shown.bytes);
                self.spent += raw.len();
                insert(&mut self.base64, place, raw.into());
                String::from_utf8_lossy(&shown.bytes).into_owned()
            }
        };
        if shown.is_cut {
            let full = shown.full_bytes.into();
            insert(&mut self.truncated, place, full);
        }
        self.spent += json_len(&text);
        text
    }
}

fn insert(map: &mut Map<String, Json>, place: &[&str], value: Json) {
    let Some((first, rest)) = place.split_first() else {
        return;
    };
    if rest.is_empty() {
        map.insert((*first).to_owned(), value);
        return;
    }
    let inner = map
        .entry((*first).to_owned())
        .or_insert_with(|| Map::new().into());
    if let Json::Object(inner) = inner {
        insert(inner, rest, value);
    }
}

/// The beginning of the text that fits into `max` bytes of JSON.
fn fitting(text: &str, max: usize) -> &str {
    const MAX_GROWTH: usize = 6;
    if text.len() * MAX_GROWTH <= max {
        return text;
    }
    let mut left = max;
    for (at, char) in text.char_indices() {
        match left.checked_sub(json_bytes(char)) {
            Some(less) => left = less,
            None => return &text[..at],
        }
    }
    text
}

/// The length of a text in JSON, without quotes.
pub(crate) fn json_len(text: &str) -> usize {
    text.chars().map(json_bytes).sum()
}

fn json_bytes(char: char) -> usize {
    match char {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use uilog_redact::Policy;
    use uilog_redact::Redactor;

    use super::*;

    fn put(shown: TruncatedText<'_>, max: usize) -> (String, Json) {
        let mut texts = Texts::default();
        let text = texts.put(&["a", "b"], shown, max);
        let raw = json_len(&text);
        assert!(texts.spent >= raw && texts.spent <= max, "{}", texts.spent);
        let told = [texts.truncated, texts.base64].map(Json::from);
        (text, told.to_vec().into())
    }

    #[test]
    fn what_is_whole_is_not_told_of() {
        let told = put(TruncatedText::plain(&b"text"[..], 9), 100);
        assert_eq!(told, ("text".to_owned(), serde_json::json!([{}, {}])));
    }

    #[test]
    fn what_is_cut_tells_its_length() {
        let told = put(TruncatedText::plain("aéb".as_bytes(), 2), 100);
        let expected = serde_json::json!([{"a": {"b": 4}}, {}]);
        assert_eq!(told, ("a".to_owned(), expected.clone()));
        // Eleven bytes of JSON.
        let told = put(TruncatedText::plain(&b"\x01\"\n-"[..], 9), 10);
        assert_eq!(told, ("\u{1}\"\n".to_owned(), expected));
    }

    #[test]
    fn bytes_are_kept() {
        let told = put(TruncatedText::plain(&b"a\xffb"[..], 9), 100);
        let expected = serde_json::json!([{}, {"a": {"b": "Yf9i"}}]);
        assert_eq!(told, ("a\u{fffd}b".to_owned(), expected));
    }

    fn redacted(text: &[u8]) -> (String, bool) {
        let redactor = Redactor::new(&Policy::default());
        let shown =
            TruncatedText::redacted(text, |text| redactor.redact_command(text));
        let is_cut = shown.is_cut;
        (String::from_utf8(shown.bytes.into_owned()).unwrap(), is_cut)
    }

    #[test]
    fn half_a_secret_does_not_stay() {
        let secret = "https://joe:hunter2hunter2@hg.example/";
        // The end of what is looked at lies within the secret.
        for shift in (0..secret.len()).step_by(9) {
            let before = "x ".repeat((LOOKED_AT_BYTES - shift) / 2);
            let after = " y".repeat(LOOKED_AT_BYTES);
            let text = format!("{before}{secret}{after}");
            let (text, is_cut) = redacted(text.as_bytes());
            assert!(is_cut && text.len() <= MAX_TEXT_BYTES);
            assert!(text.len() > MAX_TEXT_BYTES / 2);
            assert!(!text.contains("hunter"));
        }
        // The end of what stays does.
        for shift in (0..secret.len()).step_by(9) {
            let before = "x".repeat(MAX_TEXT_BYTES - shift);
            let text = format!("{before} {secret}");
            let (text, is_cut) = redacted(text.as_bytes());
            assert!(is_cut && !text.contains("hunter"));
        }
    }

    #[test]
    fn a_long_message_of_a_commit_is_no_doubt() {
        let text = format!("commit -m '{}", "word ".repeat(LOOKED_AT_BYTES));
        let (text, is_cut) = redacted(text.as_bytes());
        assert_eq!(text, "commit -m <redacted:message>");
        assert!(is_cut);
    }
}
