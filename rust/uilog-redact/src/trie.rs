//! Finds words in a text, all in one pass: a tree of their letters, built when
//! this crate is compiled, so that a process that redacts one line need not
//! build an automaton first.
//!
//! At most positions, two bytes show that no word begins there. Must not know
//! what the words mean.

/// What no node and no word has as its number.
const NONE: u16 = 0;

/// A letter in the tree.
#[derive(Clone, Copy)]
struct Node {
    /// In lower case.
    byte: u8,
    /// The first of the letters that may follow.
    child: u16,
    /// The next of the possible letters here.
    sibling: u16,
    /// The first of the words that end here.
    word: u16,
}

/// How many different bytes the first two letters of words may be.
const CLASSES: usize = 64;

/// Says that the words which begin with a byte have to be looked for from its
/// node on: one of them has no second letter.
const FROM_ROOT: u16 = u16::MAX;

/// Words, in upper or lower case. The numbers of nodes and words begin with
/// one.
pub(crate) struct Trie<const NODES: usize, const WORDS: usize> {
    /// For each byte, its row and column in the next; zero if no word has it
    /// among its first two letters.
    classes: [u8; 256],
    /// For each two first letters, the node of the second.
    pairs: [[u16; CLASSES]; CLASSES],
    /// For each byte in lower case, the node of the words that begin with it.
    roots: [u16; 256],
    nodes: [Node; NODES],
    /// For each word, the next that is spelt the same.
    same: [u16; WORDS],
    used: usize,
}

/// More nodes than a tree of these words has.
pub(crate) const fn most_nodes(words: &[&str]) -> usize {
    let mut nodes = 1;
    let mut at = 0;
    while at < words.len() {
        nodes += words[at].len();
        at += 1;
    }
    nodes
}

#[expect(clippy::cast_possible_truncation, reason = "a check follows")]
const fn number(number: usize) -> u16 {
    assert!(number < FROM_ROOT as usize, "too many nodes or words");
    number as u16
}

impl<const NODES: usize, const WORDS: usize> Trie<NODES, WORDS> {
    pub(crate) const fn new(words: &[&str; WORDS]) -> Self {
        let none = Node {
            byte: 0,
            child: NONE,
            sibling: NONE,
            word: NONE,
        };
        let mut trie = Self {
            classes: [0; 256],
            pairs: [[NONE; CLASSES]; CLASSES],
            roots: [NONE; 256],
            nodes: [none; NODES],
            same: [NONE; WORDS],
            used: 1,
        };
        let mut classes = 1;
        let mut at = 0;
        while at < WORDS {
            let word = words[at].as_bytes();
            let mut letter = 0;
            while letter < word.len() && letter < 2 {
                classes = trie.add_class(word[letter], classes);
                letter += 1;
            }
            at += 1;
        }
        at = 0;
        while at < WORDS {
            trie.add(words[at].as_bytes(), at);
            at += 1;
        }
        trie
    }

    /// How many nodes there are.
    pub(crate) const fn len(&self) -> usize {
        self.used
    }

    const fn add(&mut self, word: &[u8], index: usize) {
        assert!(!word.is_empty(), "a word has a letter");
        let mut node = NONE;
        let mut at = 0;
        while at < word.len() {
            node = self.child_or_new(node, word[at].to_ascii_lowercase());
            if at == 1 || word.len() == 1 {
                self.add_pair(word, node);
            }
            at += 1;
        }
        let new = number(index + 1);
        let first = self.nodes[node as usize].word;
        if first == NONE {
            self.nodes[node as usize].word = new;
            return;
        }
        let mut last = first;
        while self.same[last as usize - 1] != NONE {
            last = self.same[last as usize - 1];
        }
        self.same[last as usize - 1] = new;
    }

    /// Assigns a class to a byte without one; returns the number of classes.
    #[expect(clippy::cast_possible_truncation, reason = "a check precedes")]
    const fn add_class(&mut self, byte: u8, classes: usize) -> usize {
        let lower = byte.to_ascii_lowercase();
        if self.classes[lower as usize] != 0 {
            return classes;
        }
        assert!(classes < CLASSES, "too many different letters");
        self.classes[lower as usize] = classes as u8;
        self.classes[lower.to_ascii_uppercase() as usize] = classes as u8;
        classes + 1
    }

    const fn add_pair(&mut self, word: &[u8], second: u16) {
        let row = &mut self.pairs[self.classes[word[0] as usize] as usize];
        if word.len() == 1 {
            *row = [FROM_ROOT; CLASSES];
            return;
        }
        let pair = &mut row[self.classes[word[1] as usize] as usize];
        if *pair == NONE {
            *pair = second;
        }
    }

    const fn child_or_new(&mut self, parent: u16, byte: u8) -> u16 {
        let known = self.child(parent, byte);
        if known != NONE {
            return known;
        }
        let new = number(self.used);
        self.used += 1;
        self.nodes[new as usize].byte = byte;
        if parent == NONE {
            self.roots[byte as usize] = new;
        } else {
            self.nodes[new as usize].sibling =
                self.nodes[parent as usize].child;
            self.nodes[parent as usize].child = new;
        }
        new
    }

    /// The node of a lower-case letter after another.
    const fn child(&self, parent: u16, byte: u8) -> u16 {
        if parent == NONE {
            return self.roots[byte as usize];
        }
        let mut child = self.nodes[parent as usize].child;
        while child != NONE {
            let node = &self.nodes[child as usize];
            if node.byte == byte {
                break;
            }
            child = node.sibling;
        }
        child
    }

    /// The words in a text, by their beginnings, and the shorter first. They
    /// may overlap.
    pub(crate) fn find<'t>(
        &'t self,
        text: &'t [u8],
    ) -> Words<'t, NODES, WORDS> {
        self.find_from(text, 0, text.len())
    }

    /// The words that begin here.
    pub(crate) fn find_at<'t>(
        &'t self,
        text: &'t [u8],
        start: usize,
    ) -> Words<'t, NODES, WORDS> {
        self.find_from(text, start, start + 1)
    }

    fn find_from<'t>(
        &'t self,
        text: &'t [u8],
        start: usize,
        stop: usize,
    ) -> Words<'t, NODES, WORDS> {
        Words {
            trie: self,
            text,
            start,
            stop,
            end: start,
            node: NONE,
            word: NONE,
        }
    }

    /// The node of the second of two letters, or [`FROM_ROOT`].
    fn pair(&self, first: u8, second: u8) -> u16 {
        let class = |byte| usize::from(self.classes[usize::from(byte)]);
        self.pairs[class(first)][class(second)]
    }
}

/// A word in a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct WordMatch {
    /// Which word, counted from zero.
    pub(crate) word: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Iterates over the words in a text.
pub(crate) struct Words<'t, const NODES: usize, const WORDS: usize> {
    trie: &'t Trie<NODES, WORDS>,
    text: &'t [u8],
    start: usize,
    /// Where no word begins any more.
    stop: usize,
    /// Up to where the letters from the start on are in the tree.
    end: usize,
    node: u16,
    /// The next of the words that end there.
    word: u16,
}

impl<const NODES: usize, const WORDS: usize> Words<'_, NODES, WORDS> {
    /// Advances to the next place where a word may begin; returns whether there
    /// is one.
    fn begin(&mut self) -> bool {
        while self.start < self.stop {
            let first = self.text[self.start];
            let node = match self.text.get(self.start + 1) {
                Some(second) => self.trie.pair(first, *second),
                None => FROM_ROOT,
            };
            if node == FROM_ROOT {
                self.node =
                    self.trie.roots[usize::from(first.to_ascii_lowercase())];
                self.end = self.start + 1;
            } else {
                self.node = node;
                self.end = self.start + 2;
            }
            if self.node != NONE {
                self.word = self.trie.nodes[usize::from(self.node)].word;
                return true;
            }
            self.start += 1;
        }
        false
    }
}

impl<const NODES: usize, const WORDS: usize> Iterator
    for Words<'_, NODES, WORDS>
{
    type Item = WordMatch;

    fn next(&mut self) -> Option<WordMatch> {
        loop {
            if let Some(word) = usize::from(self.word).checked_sub(1) {
                self.word = self.trie.same[word];
                return Some(WordMatch {
                    word,
                    start: self.start,
                    end: self.end,
                });
            }
            if self.node == NONE && !self.begin() {
                return None;
            }
            if self.word != NONE {
                continue;
            }
            self.node = match self.text.get(self.end) {
                Some(byte) => {
                    self.trie.child(self.node, byte.to_ascii_lowercase())
                }
                None => NONE,
            };
            if self.node == NONE {
                self.start += 1;
            } else {
                self.end += 1;
                self.word = self.trie.nodes[usize::from(self.node)].word;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 9] = [
        "pass", "password", "ss", "?", "Key", "key", "a-b", "ñ", "wor",
    ];
    static TRIE: Trie<{ most_nodes(&WORDS) }, 9> = Trie::new(&WORDS);

    fn found(text: &str) -> Vec<(&'static str, usize, usize)> {
        TRIE.find(text.as_bytes())
            .map(|found| (WORDS[found.word], found.start, found.end))
            .collect()
    }

    /// What looking for each word at each place finds.
    fn expected(text: &str) -> Vec<(&'static str, usize, usize)> {
        let text = text.as_bytes();
        let mut found = Vec::new();
        for start in 0..text.len() {
            let mut here: Vec<_> = WORDS
                .into_iter()
                .filter(|word| {
                    text[start..].get(..word.len()).is_some_and(|t| {
                        t.eq_ignore_ascii_case(word.as_bytes())
                    })
                })
                .collect();
            here.sort_by_key(|word| word.len());
            found.extend(
                here.into_iter()
                    .map(|word| (word, start, start + word.len())),
            );
        }
        found
    }

    #[test]
    fn every_word_is_found() {
        for text in [
            "",
            "?",
            "k",
            "ke",
            "key",
            "xPASSWORDkEy",
            "passpasswo",
            "?a-ba-bñ??",
            "keykeyss",
            "the quick brown fox",
        ] {
            assert_eq!(found(text), expected(text), "{text}");
        }
        assert_eq!(found("Password").len(), 4);
    }

    #[test]
    fn words_are_looked_for_at_one_place() {
        let at = |start| TRIE.find_at(b"passkey", start).count();
        assert_eq!([at(0), at(1), at(2), at(4), at(6)], [1, 0, 1, 2, 0]);
    }
}
