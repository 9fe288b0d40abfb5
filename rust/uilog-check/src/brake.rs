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
