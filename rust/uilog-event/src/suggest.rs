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

/// Advice for a name that is not a candidate: a similar candidate, else all of
/// them, which are called `what`.
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
