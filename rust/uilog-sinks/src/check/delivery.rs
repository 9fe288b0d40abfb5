//! Findings about delivery, from the journal and the spools.
//!
//! Even if a sink is configured correctly, its collector may answer 401 to
//! everything. Responsible for which failures become findings. Opens no
//! connection and takes no lock: the files are only read.

use std::time::Duration;
use std::time::SystemTime;

use uilog_channel::sink_config;
use uilog_channel::sink_config::SinkConfig;
use uilog_finding::failures;
use uilog_finding::failures::Failed;
use uilog_finding::failures::Group;
use uilog_finding::finding::Finding;

use super::Found;
use crate::globals::Globals;
use crate::otlp::sender::UNNOTED;
use crate::spools;
use crate::spools::SpoolFacts;

/// For how long something may wait in a spool without a word: a command that
/// comes sends it.
const MAX_QUIET: Duration = Duration::from_secs(60 * 60);

impl Found<'_> {
    /// Reports recent failures to deliver, and the state of the spools.
    pub(super) fn deliveries(
        &mut self,
        definitions: &[SinkConfig],
        globals: &Globals,
    ) {
        // It is reported for each sink that the directory cannot be listed.
        let spools = spools::find(definitions, globals).unwrap_or_default();
        let now = SystemTime::now();
        let spools: Vec<_> =
            spools.iter().map(|it| it.facts(globals, now)).collect();
        for facts in &spools {
            if facts.url.is_some() {
                self.spooled(facts);
            } else {
                self.unconfigured_spool(facts);
            }
        }
        let (groups, _) = failures::read(self.subject);
        for group in groups {
            let Failed::Sink(name) = &group.subject else {
                continue;
            };
            // Sinks that are configured here were reported already.
            let mut known = spools.iter().filter(|it| it.sink == *name);
            if group.lost == 0 && known.any(|it| is_known(&group, it)) {
                continue;
            }
            let is_here = definitions.iter().any(|it| it.name == *name);
            self.failed(name, &group, is_here);
        }
    }

    fn failed(&mut self, name: &str, group: &Group, is_here: bool) {
        let item = format!("{}{name}", sink_config::PREFIX);
        let Group { lost, detail, .. } = group;
        let when = group.when();
        // It begins with the item's name.
        let text = if *lost > 0 {
            format!("{detail}: {lost} lost, {when}")
        } else {
            format!("{detail}: {when}")
        };
        let finding = if !is_here {
            Finding::note("sink-failing", text)
                .advise("this sink is not configured here")
        } else {
            Finding::warning("sink-failing", text).advise("see `uilog status`")
        };
        self.add(&item, finding);
    }

    /// The spool of a sink that is configured.
    fn spooled(&mut self, facts: &SpoolFacts) {
        let item = format!("{}{}", sink_config::PREFIX, facts.sink);
        let full = format!("{}.{item}", sink_config::SECTION);
        for (holder, consequence) in facts.stuck() {
            let pid = holder.process.pid;
            let holder = holder.describe();
            let text = format!("{full}: {consequence} because of {holder}");
            let finding = Finding::error("sink-stuck", text).advise(format!(
                "continue it: kill -CONT {pid}; or kill it, which loses \
                 nothing: kill -KILL {pid}"
            ));
            self.add(&item, finding);
        }
        if facts.held_back > 0 {
            let text = format!(
                "{full}: {} waiting for a later version of uilog, which has \
                 written them",
                facts.held_back
            );
            let finding = Finding::warning("sink-newer", text)
                .advise("send them with that version: uilog spool flush");
            self.add(&item, finding);
        }
        let waiting = format!("{} waiting", facts.pending);
        if let Some(retry) = &facts.retry {
            let times = match retry.failures {
                1 => "once".to_owned(),
                count => format!("{count} times in a row"),
            };
            let finding = if retry.reason == UNNOTED {
                let text = format!("{full}: {UNNOTED}; {waiting}");
                Finding::error("sink-failing", text).advise(
                    "make room where the spool is, then: uilog spool flush",
                )
            } else {
                let text = format!(
                    "{full}: {}, {times}: {}; {waiting}",
                    retry.failing(),
                    retry.reason
                );
                Finding::error("sink-failing", text)
                    .advise("retry now: uilog spool flush")
            };
            self.add(&item, finding);
        } else if facts.pending > 0
            && facts.oldest.is_some_and(|it| it > MAX_QUIET.as_secs_f64())
        {
            let text = format!(
                "{full}: {waiting}, for more than an hour, and no reason is \
                 known"
            );
            let finding = Finding::warning("sink-idle", text).advise(
                "no command has run that would send it, or its dispatcher \
                 hangs (uilog status); send it: uilog spool flush",
            );
            self.add(&item, finding);
        }
        let lost = losses(facts);
        if !lost.is_empty() {
            let text = format!("{full}: {}", lost.join("; "));
            let name = &facts.sink;
            let finding = Finding::warning("sink-lost", text).advise(format!(
                "see `uilog spool`; once you know: uilog spool forget {name}"
            ));
            self.add(&item, finding);
        }
    }

    /// A spool whose sink is not configured here: perhaps in another
    /// repository.
    fn unconfigured_spool(&mut self, facts: &SpoolFacts) {
        let mut told = losses(facts);
        if facts.pending > 0 {
            told.insert(0, format!("{} waiting", facts.pending));
        }
        if told.is_empty() {
            return;
        }
        let text = format!(
            "a spool of '{}', a sink that is not configured here: {}",
            facts.sink,
            told.join("; ")
        );
        let finding = Finding::note("spool-left", text);
        let finding = match &facts.dir {
            Some(dir) => finding.at(dir),
            None => finding,
        };
        self.add("", finding.advise("see `uilog spool`"));
    }
}

/// Whether a problem in the journal with a sink's settings also exists here.
fn is_known(group: &Group, facts: &SpoolFacts) -> bool {
    let mut told = facts.warnings.iter().chain(&facts.unsendable);
    told.any(|it| group.detail.contains(it.as_str()))
}

/// The losses, in words.
fn losses(facts: &SpoolFacts) -> Vec<String> {
    let reason = match facts.reasons.last() {
        Some(reason) => format!(": {reason}"),
        None => String::new(),
    };
    let counted = [
        (facts.rejected, format!("rejected by the collector{reason}")),
        (
            facts.evicted,
            "evicted unsent (spool-max-size, spool-max-age)".to_owned(),
        ),
        (facts.damaged, "lost to damaged files".to_owned()),
    ];
    let counted = counted.into_iter().filter(|(count, _)| *count > 0);
    let mut told: Vec<_> = counted
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if facts.unreadable > 0 {
        told.push(format!("files that cannot be read: {}", facts.unreadable));
    }
    if facts.counts_lost > 0 {
        told.push("the counts were damaged and restarted".to_owned());
    }
    told
}
