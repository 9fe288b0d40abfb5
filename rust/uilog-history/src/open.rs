//! Commands that have begun and have not ended.
//!
//! Responsible for finding them among records and processes of this machine,
//! and for what they wait for, as far as the system shows: their child
//! processes, and the holders of their repository's locks. Read-only; never
//! blocks. Must not know how that is shown.

mod command;
mod processes;

use std::collections::HashMap;
use std::collections::HashSet;

pub use self::command::Open;
pub use self::command::Phase;
use self::processes::Processes;
use crate::filter::Filters;
use crate::filter::Query;
use crate::record::Record;
use crate::scan;
use crate::scan::Match;
use crate::scan::Problems;
use crate::scan::Source;

/// A command's beginning, and the time of its last event.
#[derive(Clone, Debug)]
struct BegunCommand {
    open: Open,
    heard: i64,
}

#[derive(Debug, Default)]
struct Seen {
    begun: HashMap<String, BegunCommand>,
    ended: HashSet<String>,
    heard: HashMap<String, (i64, String)>,
}

/// Keeps up with the commands of this machine.
#[derive(Debug)]
pub struct Watch {
    seen: Seen,
    /// Its name.
    host: String,
}

/// The commands of this machine, the oldest first. `host` is its name.
pub fn find(sources: &[Source], host: &str) -> (Vec<Open>, Problems) {
    let mut watch = Watch::new(host);
    let problems = watch.read(sources, &vec![0; sources.len()]);
    (watch.commands(&[]), problems)
}

impl Watch {
    /// Of a machine of this name, which is this one.
    pub fn new(host: &str) -> Self {
        Self {
            seen: Seen::default(),
            host: host.to_owned(),
        }
    }

    /// Reads records, each source from its place on.
    pub fn read(&mut self, sources: &[Source], from: &[u64]) -> Problems {
        // All records must be read before the result is known.
        let query = Query::new(Filters::default());
        let each = |seen: &mut Seen, found: Match<'_>| {
            let record = &found.record;
            if record.host.name.as_str() == self.host {
                seen.add(record, found.time);
            }
        };
        let (states, problems) = scan::scan_from(sources, from, &query, each);
        for state in states {
            self.seen.merge(state);
        }
        self.seen.forget_ended();
        problems
    }

    /// The running commands, the oldest first; `processes` are further hg
    /// processes according to their queues, whether or not they were recorded.
    pub fn commands(&self, processes: &[u64]) -> Vec<Open> {
        let system = Processes::read(&self.host);
        let begun = self.seen.begun.iter();
        let mut open: Vec<_> = begun
            .filter_map(|(span, begin)| {
                let mut open = begin.open.clone();
                if let Some((_, event)) = self.seen.heard.get(span) {
                    open.last_event.clone_from(event);
                }
                system.complete(open, begin.heard)
            })
            .collect();
        for pid in processes {
            if !open.iter().any(|it| it.pid == *pid) {
                open.extend(system.unrecorded(*pid));
            }
        }
        open.sort_by_key(|it| (it.start, it.pid));
        open
    }
}

impl Seen {
    fn add(&mut self, record: &Record<'_>, time: i64) {
        let span = record.span_id.as_str();
        if span.is_empty() {
            return;
        }
        match record.event.as_str() {
            "commandfinish" | "commandlost" => {
                self.ended.insert(span.to_owned());
                return;
            }
            "command" => {
                let begin = BegunCommand {
                    open: Open {
                        pid: record.process.pid,
                        command: record.command_line().to_owned(),
                        user: record.process.user.as_str().to_owned(),
                        root: record.root().to_owned(),
                        trace: record.trace_id.as_str().to_owned(),
                        start: time,
                        ..Open::default()
                    },
                    heard: time,
                };
                self.begun.insert(span.to_owned(), begin);
            }
            _ => {}
        }
        self.note_event(span.to_owned(), time, record.event.as_str());
    }

    fn note_event(&mut self, span: String, time: i64, event: &str) {
        let latest = self.heard.entry(span).or_default();
        if latest.0 <= time {
            *latest = (time, event.to_owned());
        }
    }

    fn merge(&mut self, other: Self) {
        self.begun.extend(other.begun);
        self.ended.extend(other.ended);
        for (span, (time, event)) in other.heard {
            self.note_event(span, time, &event);
        }
    }

    /// Keeps only commands that have begun and not ended.
    fn forget_ended(&mut self) {
        let Self {
            begun,
            ended,
            heard,
        } = self;
        begun.retain(|span, _| !ended.contains(span));
        heard.retain(|span, _| begun.contains_key(span));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::io::Write;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::process;
    use std::process::Command;
    use std::process::Stdio;

    use super::*;

    fn line(event: &str, span: &str, pid: u32, root: &str) -> String {
        let now = chrono::Utc::now().to_rfc3339();
        format!(
            r#"{{"schema":1,"id":"{event}-{span}","event":"{event}","time":"{now}","span_id":"{span}","process":{{"pid":{pid},"command_line":"pull {span}"}},"host":{{"name":"here"}},"repository":{{"root":"{root}"}}}}"#
        )
    }

    fn open(lines: &[String]) -> Vec<Open> {
        let text = lines.join("\n").into_bytes();
        let source = Source::memory(Path::new("-"), text);
        find(&[source], "here").0
    }

    #[test]
    fn what_has_begun_and_lives_is_open() {
        let own = process::id();
        let lines = [
            line("command", "a", own, "/nowhere"),
            line("incoming", "a", own, "/nowhere"),
            line("command", "b", own, "/nowhere"),
            line("commandfinish", "b", own, "/nowhere"),
            // There is no such process.
            line("command", "c", 4_194_304, "/nowhere"),
        ];
        let found = open(&lines);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].command, "pull a");
        assert_eq!(found[0].last_event, "incoming");
        assert_eq!(open(&[]), []);
    }

    #[test]
    fn a_process_that_is_younger_than_its_event_is_another_one() {
        let mut old = line("command", "a", process::id(), "/nowhere");
        let now = chrono::Utc::now();
        let day = now - chrono::TimeDelta::days(1);
        old = old.replace(&now.to_rfc3339()[..10], &day.to_rfc3339()[..10]);
        assert_eq!(open(&[old]), []);
    }

    #[test]
    fn locks_have_holders_and_commands_have_children() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("r");
        fs::create_dir_all(root.join(".hg/store")).unwrap();
        let own = process::id();
        symlink(format!("here:{own}"), root.join(".hg/wlock")).unwrap();
        symlink("here:1", root.join(".hg/store/lock")).unwrap();
        let mut child = Command::new("cat")
            .arg("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Its words can be read as soon as it does anything.
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        let echoed = child.stdout.as_mut().unwrap().read_exact(&mut [0]);
        echoed.unwrap();
        let lines = [line("command", "a", own, &root.display().to_string())];
        let found = open(&lines);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found[0].holds, ["wlock"]);
        assert_eq!(found[0].held_by_others, [("lock".to_owned(), 1)]);
        let children = found[0].children.iter().map(|it| &it.2[..]);
        assert!(children.into_iter().any(|it| it == "cat -"));
        assert!(!found[0].waits_for_lock);
    }
}
