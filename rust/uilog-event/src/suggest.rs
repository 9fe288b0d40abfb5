//! Suggestions for misspelled names.

/// The candidate that is most similar to a name which is not a candidate, if
/// one is similar.
pub fn meant<'a>(
    name: &[u8],
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let name = std::str::from_utf8(name).ok()?;
    // One mistake in four letters.
    let limit = (name.chars().count() / 4).max(1);
    candidates
        .map(|it| (strsim::osa_distance(name, it), it))
        .filter(|(distance, _)| (1..=limit).contains(distance))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The same, as advice.
pub fn did_you_mean(meant: &str) -> String {
    format!("did you mean '{meant}'?")
}

/// Advice for a name that is not a candidate: a similar candidate, otherwise
/// all of them, with the heading `what`.
pub fn advice<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str> + Clone,
    what: &str,
) -> String {
    match meant(name.as_bytes(), candidates.clone()) {
        Some(meant) => did_you_mean(meant),
        None => {
            let all: Vec<_> = candidates.collect();
            format!("the {what} are {}", all.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["command", "commandfinish", "update"];

    #[test]
    fn one_mistake_in_four_letters_is_forgiven() {
        let meant = |name: &str| meant(name.as_bytes(), NAMES.into_iter());
        assert_eq!(meant("comand"), Some("command"));
        assert_eq!(meant("commadnfinish"), Some("commandfinish"));
        assert_eq!(meant("commnfinihs"), None);
        assert_eq!(meant("comandfinihs"), Some("commandfinish"));
        assert_eq!(meant("up"), None);
        // It is one.
        assert_eq!(meant("update"), None);
        assert_eq!(super::meant(b"\xff", NAMES.into_iter()), None);
        // The most similar one.
        let close = ["updates", "updat", "updote"].into_iter();
        assert_eq!(super::meant(b"updateses", close), Some("updates"));
    }

    #[test]
    fn advice_names_the_similar_one_or_all() {
        let advice = |name| advice(name, NAMES.into_iter(), "events");
        assert_eq!(advice("comand"), "did you mean 'command'?");
        assert_eq!(
            advice("x"),
            "the events are command, commandfinish, update"
        );
    }
}
