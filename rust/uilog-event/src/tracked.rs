//! Which events a sink tracks, by its options `track` and `ignore`.

/// The events that a sink tracks: a few names, compared one by one, which is
/// faster than hashing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracked {
    all: bool,
    named: Vec<Vec<u8>>,
    ignored: Vec<Vec<u8>>,
}

impl Tracked {
    /// `track` names events, `*` being all but those that `ignore` names. An
    /// event that `track` names is never ignored.
    // hg: blackboxlogger.tracked
    pub fn new(
        track: impl IntoIterator<Item = Vec<u8>>,
        ignore: impl IntoIterator<Item = Vec<u8>>,
    ) -> Self {
        let named: Vec<_> = track.into_iter().collect();
        Self {
            all: named.iter().any(|name| name == b"*"),
            named,
            ignored: ignore.into_iter().collect(),
        }
    }

    /// Whether an event of this name is one of them.
    pub fn contains(&self, event: &[u8]) -> bool {
        let is_in = |names: &[Vec<u8>]| names.iter().any(|name| name == event);
        self.all && !is_in(&self.ignored) || is_in(&self.named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<Vec<u8>> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    #[test]
    fn events_are_tracked_as_by_hg() {
        let tracks = |track: &[&str], ignore: &[&str], event: &str| {
            Tracked::new(names(track), names(ignore)).contains(event.as_bytes())
        };
        assert!(tracks(&["*"], &["extension"], "command"));
        assert!(!tracks(&["*"], &["extension"], "extension"));
        assert!(tracks(&["*", "extension"], &["extension"], "extension"));
        assert!(tracks(&["command"], &["command"], "command"));
        assert!(!tracks(&["command"], &[], "commandfinish"));
        assert!(!tracks(&[], &[], "command"));
    }
}
