//! What switches uilog off, and what hg's own extensions do then.

use uilog_config::brake;
use uilog_config::brake::Cause;
use uilog_config::brake::ITEM;
use uilog_config::brake::SECTION;
use uilog_config::brake::VARIABLE;
use uilog_event::environment_block;
use uilog_finding::finding::Finding;
use uilog_finding::subject::Subject;

use super::extensions::listed;
use super::text::first_line;

/// All that switches uilog off here.
pub(super) fn causes(subject: &Subject<'_>) -> Vec<Cause> {
    let of_variable = brake::of_variable(variable(subject));
    let of_config = brake::of_config(&subject.loaded.trusted);
    of_variable.into_iter().chain(of_config).collect()
}

fn variable<'a>(subject: &Subject<'a>) -> Option<&'a [u8]> {
    environment_block::lookup(subject.block, VARIABLE.as_bytes())
}

pub(super) fn check(
    subject: &Subject<'_>,
    causes: &[Cause],
    found: &mut Vec<Finding>,
) {
    for cause in causes {
        let finding = |by: String| {
            let text = format!("uilog is switched off: {by}");
            Finding::warning("switched-off", text)
        };
        found.push(match cause {
            Cause::Variable(_) => finding(cause.to_string())
                .advise(format!("nothing is logged until {VARIABLE} is unset")),
            Cause::Item { value, source } => {
                finding(format!("{SECTION}.{ITEM} = {value}"))
                    .at(source)
                    .advise("nothing is logged as long as that is set")
            }
        });
    }
    if !causes.is_empty() {
        own_extensions(subject, found);
    }
    let nonsense = variable(subject).filter(|it| brake::is_nonsense(it));
    if let Some(value) = nonsense {
        let value = first_line(value);
        let text = format!("{VARIABLE}={value} is invalid, uilog is on");
        found.push(
            Finding::warning("variable-nonsense", text)
                .advise(format!("use {VARIABLE}=off, or unset it")),
        );
    }
}

/// hg's own extensions that uilog replaces while it is on.
fn own_extensions(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let config = &subject.loaded.trusted;
    for (name, what) in [
        ("logtoprocess", "runs the scripts itself"),
        ("blackbox", "writes the blackbox itself"),
    ] {
        if config.extension(name.as_bytes()).is_none() {
            continue;
        }
        let text = format!(
            "hg's own extension {name} is enabled, and {what} while uilog is \
             switched off"
        );
        let finding = Finding::note("switched-off-stock", text);
        found.push(match listed(config, name) {
            Some(place) => finding.at(place),
            None => finding,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Checked;

    fn found(checked: &Checked) -> Vec<String> {
        checked.found(|subject, found| {
            check(subject, &causes(subject), found);
        })
    }

    #[test]
    fn what_switches_uilog_off_is_found_and_what_runs_instead() {
        let checked = Checked::new(
            "[uilog]\nenabled = no\n[extensions]\nlogtoprocess =\n",
        );
        assert_eq!(
            found(&checked.with("UILOG=off")),
            [
                "warning switched-off: uilog is switched off: UILOG=off in \
                 the environment (nothing is logged until UILOG is unset)",
                "warning switched-off: uilog is switched off: \
                 uilog.enabled = no [/hgrc:2] (nothing is logged as long as \
                 that is set)",
                "note switched-off-stock: hg's own extension logtoprocess is \
                 enabled, and runs the scripts itself while uilog is \
                 switched off [/hgrc:4]",
            ]
        );
    }

    #[test]
    fn nothing_is_found_while_it_is_on() {
        let on = Checked::new("[extensions]\nlogtoprocess =\n");
        assert_eq!(found(&on.with("UILOG=on")), [""; 0]);
    }

    #[test]
    fn a_variable_that_means_nothing_is_found() {
        assert_eq!(
            found(&Checked::new("").with("UILOG=of")),
            [
                "warning variable-nonsense: UILOG=of is invalid, uilog is on \
              (use UILOG=off, or unset it)"
            ]
        );
    }
}
