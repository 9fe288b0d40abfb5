//! Findings about the configuration's files themselves.

use uilog_config::FileState;
use uilog_finding::finding::Finding;
use uilog_finding::subject::Subject;

use super::text::lossy;

/// What there is to say of the files themselves.
pub(super) fn files(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for file in &subject.loaded.files {
        let place = file.path.display();
        match &file.state {
            FileState::Read | FileState::Missing => {}
            FileState::Unreadable(reason) => found.push(
                Finding::warning(
                    "file-unreadable",
                    format!("hg ignores this file: {reason}"),
                )
                .at(place)
                .advise("make it readable, or remove it"),
            ),
            FileState::Untrusted { user, group } => found.push(
                Finding::warning(
                    "file-untrusted",
                    format!(
                        "belongs to user {user}, group {group}, whom you do \
                         not trust: its settings are ignored"
                    ),
                )
                .at(place)
                .advise(format!(
                    "if you do, add to your own hgrc: [trusted] users = \
                     {user}"
                )),
            ),
            FileState::Broken(error) => found.push(
                Finding::warning("file-broken", error.to_string())
                    .at(place)
                    .advise(
                        "hg continues, because the file is not trusted; its \
                         owner has to correct it",
                    ),
            ),
        }
    }
    for warning in &subject.loaded.warnings {
        let is_told = [&b"not trusting file "[..], b"ignored "]
            .iter()
            .any(|begin| warning.starts_with(begin));
        if !is_told {
            let text = format!("hg warns: {}", lossy(warning));
            found.push(Finding::warning("hg-warning", text));
        }
    }
}
