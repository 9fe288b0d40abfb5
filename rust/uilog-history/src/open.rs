//! Commands that have begun and have not ended.
//!
//! Responsible for finding them among records and processes of this machine,
//! and for what they wait for, as far as the system shows: their child
//! processes, and the holders of their repository's locks. Read-only; never
//! blocks. Must not know how that is shown.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::path::Path;

use uilog_channel::phase;
use uilog_channel::running_hg;
use uilog_event::event::Value;
use uilog_sinks::redact;
use uilog_sys::process_stat::ProcessStat;

use crate::filter::Filters;
use crate::filter::Query;
use crate::record::Record;
use crate::scan;
use crate::scan::Match;
use crate::scan::Problems;
use crate::scan::Source;

/// Clock ticks in a second: what Linux shows to programs.
// Linux: USER_HZ
const TICKS: f64 = 100.0;
/// By how many seconds a process may be younger than its log, since both times
/// are rounded.
const ROUNDED: f64 = 2.0;
/// The locks of a repository, below its root.
// hg: localrepo.wlock, localrepo.lock
const LOCKS: [(&str, &str); 2] =
    [("wlock", ".hg/wlock"), ("lock", ".hg/store/lock")];
/// How the kernel calls what hg does while it waits for a lock: it sleeps.
// hg: lock.trylock calls time.sleep
const NAPS: [&str; 2] = ["hrtimer_nanosleep", "do_nanosleep"];
/// How deep children of children are looked at.
const MAX_DEPTH: usize = 8;

/// A command.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Open {
    /// hg's process.
    pub pid: u64,
    /// As it was called.
    pub command: String,
    /// Who runs it.
    pub user: String,
    /// The repository's root.
    pub root: String,
    /// Its trace.
    pub trace: String,
    /// When it began, in microseconds since 1970.
    pub start: i64,
    /// The last event that it has logged.
    pub last_event: String,
    /// What the process does: `running`, `sleeping`, `stopped`, ...
    pub state: &'static str,
    /// The locks of its repository that it holds.
    pub holds: Vec<String>,
    /// The locks of its repository that others hold, and their processes.
    pub held_by_others: Vec<(String, u64)>,
    /// Whether it looks as if it waits for one of those.
    pub waits_for_lock: bool,
    /// Its descendants, with their depth and process.
    pub children: Vec<(usize, u64, String)>,
    /// Its reported phase.
    pub phase: Option<Phase>,
}

/// What a command does at the moment, if that may take long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phase {
    /// `lock`, `wire`, `hook`, `editor`, `mergetool` or `program`.
    pub kind: String,
    /// In words.
    pub text: String,
    /// Of a lock the process that holds it, if that is one of this machine.
    pub holder: Option<u64>,
}

impl Phase {
    /// The phase that hg has stored; `host` is this machine.
    fn of(phase: &phase::Phase<'_>, host: &str) -> Self {
        let option = |name: &str| {
            let mut all = phase.options.iter();
            let found = all.find(|it| *it.key == *name.as_bytes())?;
            match &found.value {
                Value::Int(text)
                | Value::Float(text)
                | Value::Bytes(text)
                | Value::Str(text) => {
                    let text = String::from_utf8_lossy(&text.0);
                    Some(text.into_owned()).filter(|it| !it.is_empty())
                }
                Value::Null | Value::Bool(_) => None,
            }
        };
        let kind = String::from_utf8_lossy(&phase.kind.0).into_owned();
        let mut holder = None;
        let mut words = match kind.as_str() {
            "lock" => {
                let is_here =
                    option("holder_host").is_some_and(|it| it == host);
                let pid = option("holder_pid").and_then(|it| it.parse().ok());
                holder = pid.filter(|_| is_here);
                let lock =
                    option("lock").unwrap_or_else(|| "a lock".to_owned());
                vec![format!("waits for {lock}")]
            }
            "wire" => vec!["waits for another repository".to_owned()],
            "hook" => vec!["runs a hook".to_owned()],
            "editor" => vec!["waits for an editor".to_owned()],
            "mergetool" => vec!["waits for a merge tool".to_owned()],
            _ => vec!["waits for a program".to_owned()],
        };
        let more = [
            ("holder", "held by"),
            ("holder_command", "which runs"),
            ("wire_command", "command"),
            ("url", "at"),
            ("hook", "named"),
        ];
        for (name, before) in more {
            words.extend(option(name).map(|it| format!("{before} {it}")));
        }
        Self {
            kind,
            text: words.join(" "),
            holder,
        }
    }
}

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

/// The processes in /proc.
#[derive(Debug, Default)]
struct Processes {
    /// Children by their parents.
    children: BTreeMap<u64, Vec<u64>>,
    uptime: f64,
    now: i64,
    /// The name of this machine.
    host: String,
}

impl Processes {
    fn read(host: &str) -> Self {
        let uptime = fs::read_to_string("/proc/uptime").ok();
        let uptime =
            uptime.and_then(|it| it.split(' ').next()?.parse::<f64>().ok());
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |it| it.as_micros() as i64);
        let mut processes = Self {
            uptime: uptime.unwrap_or(0.0),
            now,
            host: host.to_owned(),
            ..Self::default()
        };
        let Ok(entries) = fs::read_dir("/proc") else {
            return processes;
        };
        let pids = entries.filter_map(|entry| {
            entry.ok()?.file_name().to_str()?.parse::<u64>().ok()
        });
        for pid in pids {
            if let Some(stat) = stat(pid) {
                processes
                    .children
                    .entry(stat.parent.unsigned_abs().into())
                    .or_default()
                    .push(pid);
            }
        }
        processes
    }

    /// Completes the facts about a command; none if it has ended, even if
    /// another process has its number now.
    fn complete(&self, mut open: Open, heard: i64) -> Option<Open> {
        let stat = stat(open.pid)?;
        let age = self.uptime - stat.start as f64 / TICKS;
        let since = (self.now - heard) as f64 / 1e6;
        if stat.is_zombie() || age + ROUNDED < since {
            return None;
        }
        let hg = u32::try_from(open.pid).ok().and_then(running_hg::of);
        let phase = hg.and_then(|it| it.phase);
        open.phase = phase.map(|it| Phase::of(&it, &self.host));
        self.look_at(&mut open, &stat);
        Some(open)
    }

    /// A command without a record; none if the process runs none.
    fn unrecorded(&self, pid: u64) -> Option<Open> {
        let stat = stat(pid)?;
        let hg = running_hg::of(u32::try_from(pid).ok()?)?;
        let phase = hg.phase.map(|it| Phase::of(&it, &self.host));
        let cwd = fs::read_link(format!("/proc/{pid}/cwd")).ok();
        let mut dirs = cwd.iter().flat_map(|it| it.ancestors());
        let root = dirs.find(|it| it.join(".hg").is_dir());
        let mut open = Open {
            pid,
            command: redact::shown(&hg.command?),
            root: root.map_or_else(String::new, |it| it.display().to_string()),
            start: hg.began?,
            last_event: "command".to_owned(),
            phase,
            ..Open::default()
        };
        self.look_at(&mut open, &stat);
        Some(open)
    }

    /// Adds the system's facts about a process.
    fn look_at(&self, open: &mut Open, stat: &ProcessStat) {
        open.state = state(char::from(stat.state));
        if !open.root.is_empty() {
            for (name, path) in LOCKS {
                match holder(&Path::new(&open.root).join(path)) {
                    Some(pid) if pid == open.pid => {
                        open.holds.push(name.to_owned());
                    }
                    Some(pid) => {
                        open.held_by_others.push((name.to_owned(), pid));
                    }
                    None => {}
                }
            }
        }
        self.add_children(open.pid, 0, &mut open.children);
        // If hg reports its phase, nothing has to be guessed.
        open.waits_for_lock = match &open.phase {
            Some(phase) => phase.kind == "lock",
            None => {
                !open.held_by_others.is_empty()
                    && open.children.is_empty()
                    && naps(open.pid)
            }
        };
    }

    fn add_children(
        &self,
        pid: u64,
        depth: usize,
        all: &mut Vec<(usize, u64, String)>,
    ) {
        if depth == MAX_DEPTH {
            return;
        }
        for child in self.children.get(&pid).into_iter().flatten() {
            let command = command_line(*child);
            // What delivers records is no part of what the command does.
            let is_ours = command.split(' ').next().is_some_and(|program| {
                let name = program.rsplit('/').next().unwrap_or_default();
                ["uilog", "uilog-dispatcher"].contains(&name)
            });
            if !command.is_empty() && !is_ours {
                all.push((depth, *child, command));
                self.add_children(*child, depth + 1, all);
            }
        }
    }
}

fn stat(pid: u64) -> Option<ProcessStat> {
    ProcessStat::read(i32::try_from(pid).ok()?).ok()
}

fn state(letter: char) -> &'static str {
    match letter {
        'R' => "running",
        'D' => "waiting for a disk",
        'T' | 't' => "stopped",
        _ => "sleeping",
    }
}

fn command_line(pid: u64) -> String {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = text.split(|byte| *byte == 0);
    let words = words.map(String::from_utf8_lossy);
    let line = words.collect::<Vec<_>>().join(" ");
    line.trim_end().to_owned()
}

fn naps(pid: u64) -> bool {
    let place = fs::read_to_string(format!("/proc/{pid}/wchan"));
    place.is_ok_and(|place| NAPS.contains(&place.trim()))
}

/// Who holds a lock, if it is a process of this machine that lives.
// hg: lock.lock._lock makes a link to HOST:PID, or HOST/NAMESPACE:PID
fn holder(lock: &Path) -> Option<u64> {
    let text = match fs::read_link(lock) {
        Ok(text) => text.to_string_lossy().into_owned(),
        Err(_) => fs::read_to_string(lock).ok()?,
    };
    let (_, pid) = text.rsplit_once(':')?;
    let pid = pid.trim().parse().ok()?;
    stat(pid).map(|_| pid)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::process;
    use std::process::Command;

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
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let lines = [line("command", "a", own, &root.display().to_string())];
        let found = open(&lines);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found[0].holds, ["wlock"]);
        assert_eq!(found[0].held_by_others, [("lock".to_owned(), 1)]);
        let children = found[0].children.iter().map(|it| &it.2[..]);
        assert!(children.into_iter().any(|it| it == "sleep 1000"));
        assert!(!found[0].waits_for_lock);
    }
}
