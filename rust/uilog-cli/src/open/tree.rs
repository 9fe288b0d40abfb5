//! Commands as a tree: those that wait for a lock are below its holder.
//!
//! Responsible for the lines and their styles. Must not know where they are
//! written.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::Style;
use uilog_sinks::redact;

use super::running::Running;
use crate::output::HEADLINE;
use crate::output::PLACE;
use crate::output::PLAIN;
use crate::output::WARNING;
use crate::output::counted;
use crate::output::duration;
use crate::output::visible;

const DIM: Style = Style::new().dimmed();
/// Columns that a duration takes up.
const TIME: usize = 9;

/// A line: texts with their styles.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Line(Vec<(String, Style)>);

impl Line {
    /// One with this indentation.
    fn at(before: &str) -> Self {
        Self(vec![(before.to_owned(), DIM)])
    }

    fn put(mut self, text: &str, style: Style) -> Self {
        self.0.push((visible(text), style));
        self
    }

    /// In at most so many characters.
    pub(super) fn shown(&self, width: usize) -> String {
        let all: usize = self.0.iter().map(|it| it.0.chars().count()).sum();
        let is_cut = all > width;
        let mut left = width - usize::from(is_cut).min(width);
        let mut shown = String::new();
        for (text, style) in &self.0 {
            let part: String = text.chars().take(left).collect();
            left -= part.chars().count();
            if !part.is_empty() {
                let _ = write!(shown, "{style}{part}{style:#}");
            }
        }
        if is_cut && width > 0 {
            shown.push('…');
        }
        shown
    }
}

/// The commands, line by line.
pub(super) fn lines(commands: &[Running]) -> Vec<Line> {
    if commands.is_empty() {
        return vec![Line::default().put("no command is running", PLAIN)];
    }
    let places: BTreeMap<u64, usize> = commands
        .iter()
        .enumerate()
        .map(|(place, it)| (it.command.pid, place))
        .collect();
    let mut waiters: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut roots = Vec::new();
    for (place, command) in commands.iter().enumerate() {
        let holder = command.waits_for().and_then(|it| places.get(&it));
        match holder.filter(|it| **it != place) {
            Some(holder) => waiters.entry(*holder).or_default().push(place),
            None => roots.push(place),
        }
    }
    let mut tree = Tree {
        commands,
        waiters,
        is_drawn: vec![false; commands.len()],
        lines: Vec::new(),
    };
    for root in roots {
        tree.draw(root, "", "");
    }
    // Commands that wait for each other are not below another one.
    for place in 0..commands.len() {
        tree.draw(place, "", "");
    }
    tree.lines
}

struct Tree<'c> {
    commands: &'c [Running],
    /// Who waits for whom, by their places.
    waiters: BTreeMap<usize, Vec<usize>>,
    is_drawn: Vec<bool>,
    lines: Vec<Line>,
}

impl Tree<'_> {
    /// Draws a command, and below it the commands that wait for it.
    fn draw(&mut self, place: usize, first: &str, others: &str) {
        if std::mem::replace(&mut self.is_drawn[place], true) {
            return;
        }
        let waiters = self.waiters.remove(&place).unwrap_or_default();
        let below = if waiters.is_empty() { " " } else { "│" };
        self.describe(place, first, &format!("{others}{below}"));
        let last = waiters.len().saturating_sub(1);
        for (number, waiter) in waiters.into_iter().enumerate() {
            let (branch, below) = match number == last {
                true => ("└─ ", "   "),
                false => ("├─ ", "│  "),
            };
            let first = format!("{others}{branch}");
            self.draw(waiter, &first, &format!("{others}{below}"));
        }
    }

    fn describe(&mut self, place: usize, first: &str, others: &str) {
        let running = &self.commands[place];
        let command = &running.command;
        let time = duration(running.seconds);
        let mut line = Line::at(first)
            .put(&format!("{time:>TIME$}  "), PLAIN)
            .put(&format!("pid {}  ", command.pid), DIM)
            .put(&format!("hg {}", command.command), HEADLINE);
        if !command.root.is_empty() {
            line = line.put("  ", PLAIN).put(&command.root, PLACE);
        }
        let state = format!("  {}", command.state);
        self.lines.push(line.put(&state, DIM));
        let indent = format!("{others}{}", " ".repeat(TIME + 1));
        let mut add = |text: &str, style| {
            self.lines.push(Line::at(&indent).put(text, style));
        };
        for lock in &command.holds {
            add(&format!("holds {lock}"), PLAIN);
        }
        if let Some(phase) = &command.phase {
            let is_lock = phase.kind == "lock";
            let style = if is_lock { WARNING } else { PLAIN };
            add(&redact::shown(&phase.text), style);
        }
        let is_told = command.waits_for_lock && command.phase.is_some();
        for (lock, pid) in command.held_by_others.iter().filter(|_| !is_told) {
            match command.waits_for_lock {
                true => {
                    add(&format!("waits for {lock}, held by {pid}"), WARNING)
                }
                false => add(&format!("{lock} is held by {pid}"), DIM),
            }
        }
        for (depth, pid, line) in &command.children {
            let space = "  ".repeat(*depth);
            let line = redact::shown(line);
            add(&format!("{space}{line}  pid {pid}"), DIM);
        }
        for (pid, event) in &running.scripts {
            add(&format!("script of {event}  pid {pid}"), DIM);
        }
        if running.scripts_waiting > 0 {
            let events = counted(running.scripts_waiting, "event");
            add(&format!("{events} waiting for scripts"), DIM);
        }
        if running.records_waiting > 0 {
            let records = counted(running.records_waiting, "record");
            add(&format!("{records} waiting for delivery"), DIM);
        }
        let is_quiet = command.children.is_empty() && command.phase.is_none();
        if is_quiet && command.last_event != "command" {
            add(&format!("after {}", command.last_event), DIM);
        }
    }
}

#[cfg(test)]
mod tests {
    use uilog_history::open::Open;

    use super::*;

    fn running(pid: u64, name: &str, waits_for: Option<u64>) -> Running {
        let others = waits_for.map(|it| ("wlock".to_owned(), it));
        let command = Open {
            pid,
            command: name.to_owned(),
            root: "/src/a".to_owned(),
            state: "sleeping",
            last_event: "command".to_owned(),
            held_by_others: others.into_iter().collect(),
            waits_for_lock: waits_for.is_some(),
            ..Open::default()
        };
        Running {
            command,
            seconds: 2.5,
            ..Running::default()
        }
    }

    fn shown(commands: &[Running], width: usize) -> Vec<String> {
        let lines = lines(commands).into_iter();
        let lines = lines.map(|it| it.shown(width));
        lines
            .map(|it| anstream::adapter::strip_str(&it).to_string())
            .collect()
    }

    #[test]
    fn who_waits_stands_below_who_holds() {
        let mut holder = running(1, "commit -m 'a rather long message'", None);
        holder.command.holds.push("wlock".to_owned());
        holder.command.children.push((0, 9, "sleep 100".to_owned()));
        holder.scripts.push((8, "commandfinish".to_owned()));
        holder.records_waiting = 1;
        let commands = [
            running(3, "update", Some(2)),
            holder,
            running(2, "strip", Some(1)),
            running(4, "pull", Some(77)),
        ];
        // Begun here, because a line's end would take the spaces away.
        let expected = "   2.50 s  pid 1  hg commit -m 'a rather long message'  /src/a  sleeping
│          holds wlock
│          sleep 100  pid 9
│          script of commandfinish  pid 8
│          1 record waiting for delivery
└─    2.50 s  pid 2  hg strip  /src/a  sleeping
   │          waits for wlock, held by 1
   └─    2.50 s  pid 3  hg update  /src/a  sleeping
                 waits for wlock, held by 2
   2.50 s  pid 4  hg pull  /src/a  sleeping
           waits for wlock, held by 77";
        assert_eq!(shown(&commands, 1000).join("\n"), expected);
        for width in [0, 1, 20, 40] {
            for line in shown(&commands, width) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
        assert!(shown(&commands, 40)[0].ends_with("-m 'a rathe…"));
    }

    #[test]
    fn two_that_wait_for_each_other_are_both_shown() {
        let commands =
            [running(1, "strip", Some(2)), running(2, "pull", Some(1))];
        let text = shown(&commands, 1000).join("\n");
        assert_eq!(text.matches("hg ").count(), 2, "{text}");
        assert_eq!(shown(&[], 1000), ["no command is running"]);
    }
}
