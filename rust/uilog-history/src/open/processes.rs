//! What /proc shows of commands: whether their processes live, their children,
//! and the holders of their repository's locks.
//!
//! Read-only; never blocks. Must not know records.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use uilog_channel::running_hg;
use uilog_sinks::redact;
use uilog_sys::process_stat::ProcessStat;

use super::command::Open;
use super::command::Phase;

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

/// The processes in /proc.
#[derive(Debug, Default)]
pub(super) struct Processes {
    /// Children by their parents.
    children: BTreeMap<u64, Vec<u64>>,
    uptime: f64,
    now: i64,
    /// The name of this machine.
    host: String,
}

impl Processes {
    pub(super) fn read(host: &str) -> Self {
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
    pub(super) fn complete(&self, mut open: Open, heard: i64) -> Option<Open> {
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
    pub(super) fn unrecorded(&self, pid: u64) -> Option<Open> {
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
