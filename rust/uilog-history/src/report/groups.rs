//! Values by group, by period, and sets of names, each of a limited size.
//!
//! Must not know what is grouped.

use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;

use super::numbers::Numbers;

/// How many groups of a kind there are at most.
const MAX_GROUPS: usize = 1000;

/// How many different names are counted at most.
const MAX_NAMES: usize = 1 << 16;

/// In which of the two periods something was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    Before,
    Now,
}

/// Groups by their names.
#[derive(Debug)]
pub(super) struct Groups<K, V> {
    pub(super) of: HashMap<K, V>,
    /// Records whose group has found no room.
    pub(super) left_out: u64,
}

impl<K, V> Default for Groups<K, V> {
    fn default() -> Self {
        Self {
            of: HashMap::new(),
            left_out: 0,
        }
    }
}

impl<K: Eq + Hash, V: Default> Groups<K, V> {
    /// The group of a name; none if there are too many.
    pub(super) fn get(&mut self, key: K) -> Option<&mut V> {
        if self.of.len() >= MAX_GROUPS && !self.of.contains_key(&key) {
            self.left_out += 1;
            return None;
        }
        Some(self.of.entry(key).or_default())
    }

    pub(super) fn merge(
        &mut self,
        other: Self,
        mut merge: impl FnMut(&mut V, V),
    ) {
        self.left_out += other.left_out;
        for (key, value) in other.of {
            if let Some(own) = self.get(key) {
                merge(own, value);
            }
        }
    }
}

/// Hashes of names, to count them.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<u64>);

impl Names {
    pub(super) fn add(&mut self, name: &str) {
        if !name.is_empty() && self.0.len() < MAX_NAMES {
            self.0.insert(hash(name));
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }
}

/// A value of each period.
#[derive(Debug, Default)]
pub(super) struct Both<V> {
    pub(super) before: V,
    pub(super) now: V,
}

impl<V> Both<V> {
    pub(super) fn of(&mut self, era: Era) -> &mut V {
        match era {
            Era::Before => &mut self.before,
            Era::Now => &mut self.now,
        }
    }
}

impl Both<Numbers> {
    pub(super) fn merge(&mut self, other: Self) {
        self.before.merge(other.before);
        self.now.merge(other.now);
    }
}

/// Tells texts apart.
pub(super) fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_bounded_and_what_has_no_room_is_counted() {
        let mut groups = Groups::<u64, u64>::default();
        for number in 0..MAX_GROUPS as u64 + 7 {
            if let Some(count) = groups.get(number) {
                *count += 1;
            }
        }
        *groups.get(3).unwrap() += 1;
        assert_eq!(groups.of.len(), MAX_GROUPS);
        assert_eq!(groups.left_out, 7);
        assert_eq!(groups.of[&3], 2);
    }
}
