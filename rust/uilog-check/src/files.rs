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

#[cfg(test)]
mod tests {
    use uilog_config::FileReport;
    use uilog_config::Layer;

    use super::*;
    use crate::testing::Checked;

    #[test]
    fn each_file_that_does_not_count_is_found_with_the_reason() {
        let mut checked = Checked::new("");
        let states = [
            FileState::Read,
            FileState::Missing,
            FileState::Unreadable("Permission denied".to_owned()),
            FileState::Untrusted {
                user: "joe".to_owned(),
                group: "staff".to_owned(),
            },
        ];
        checked.loaded.files = states
            .into_iter()
            .map(|state| FileReport {
                path: "/r/.hg/hgrc".into(),
                layer: Layer::Repository,
                state,
            })
            .collect();
        checked.loaded.warnings = vec![
            b"not trusting file /r/.hg/hgrc from ...".to_vec(),
            b"ignored /r/.hg/hgrc:1: x".to_vec(),
            b"(deprecated ...)".to_vec(),
        ];
        assert_eq!(
            checked.found(files),
            [
                "warning file-unreadable: hg ignores this file: Permission \
                 denied [/r/.hg/hgrc] (make it readable, or remove it)",
                "warning file-untrusted: belongs to user joe, group staff, \
                 whom you do not trust: its settings are ignored \
                 [/r/.hg/hgrc] (if you do, add to your own hgrc: [trusted] \
                 users = joe)",
                "warning hg-warning: hg warns: (deprecated ...)",
            ]
        );
    }
}
