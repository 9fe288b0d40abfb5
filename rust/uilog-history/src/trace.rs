//! One trace as a tree of spans, and what made it slow.
//!
//! Responsible for which record ends which span, for the parents of spans, and
//! for the critical path. Must not know how a tree is drawn.

use std::collections::HashMap;

use crate::record::Record;

/// By how much a span may overlap the next one and still be before it: times
/// are taken a little later than things happen. Microseconds.
const SLACK: i64 = 20_000;

/// How deep spans may be nested. Those that are deeper become roots: a tree is
/// walked by recursion, and files are what others have written.
const MAX_DEPTH: usize = 256;

/// The longest duration, in seconds: a hundred years.
const MAX_SECONDS: f64 = 100.0 * 366.0 * 86_400.0;

/// What a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A program that has started the trace, without a record.
    Outside,
    /// A command.
    Command,
    /// A hook.
    Hook,
    /// Anything else that took time: a connection, a lock, an editor.
    Step,
}

/// Something that took time.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its kind.
    pub kind: NodeKind,
    /// In words.
    pub name: String,
    /// Of a command the machine that it ran on.
    pub host: String,
    /// When it began, in microseconds since 1970.
    pub start: i64,
    /// When it ended; for a command that still runs, or without an end, the
    /// time of its last event.
    pub end: i64,
    /// Whether its end was not logged.
    pub is_open: bool,
    /// Whether it has failed.
    pub is_failure: bool,
    /// Why, if that is known.
    pub error: String,
    /// Its parts, by their numbers, in the order of time.
    pub children: Vec<usize>,
    /// Microseconds of the whole trace that would not be there if this had
    /// taken no time: its part of the critical path, with that of its parts.
    pub critical: i64,
    /// The same without its parts.
    pub own_critical: i64,
    id: String,
    parent: String,
}

/// A trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// All spans.
    pub spans: Vec<Span>,
    /// Those that are no part of another one, in the order of time.
    pub roots: Vec<usize>,
}

/// Puts a trace together, record by record.
#[derive(Debug, Default)]
pub struct Builder {
    spans: Vec<Span>,
    /// Spans that records have by their ids.
    by_id: HashMap<String, usize>,
    steps: Vec<Span>,
    /// What the CI system calls its job, by the id of its span.
    jobs: HashMap<String, String>,
}

impl Builder {
    /// Adds a record, which was logged at `time`. Each record once.
    pub fn add(&mut self, record: &Record<'_>, time: i64) {
        let seconds = record.duration.unwrap_or(0.0).clamp(0.0, MAX_SECONDS);
        let start = time - (seconds * 1e6) as i64;
        let span = |kind, name: String| Span {
            kind,
            name,
            host: record.host.name.as_str().to_owned(),
            start,
            end: time,
            is_open: false,
            is_failure: record.is_failure(),
            error: record.error().to_owned(),
            children: Vec::new(),
            critical: 0,
            own_critical: 0,
            id: record.span_id.as_str().to_owned(),
            parent: record.parent_span_id.as_str().to_owned(),
        };
        let line = || match record.process.program.as_str() {
            "" => format!("hg {}", record.command_line()),
            _ => record.command_line().to_owned(),
        };
        if let Some(cicd) = &record.cicd
            && record.hook.is_none()
        {
            let parts = [&cicd.pipeline_name, &cicd.task_name];
            let parts = parts.map(|it| it.as_str());
            let parts: Vec<_> =
                parts.into_iter().filter(|it| !it.is_empty()).collect();
            let job = format!("CI job {}", parts.join("/"));
            let parent = record.parent_span_id.as_str().to_owned();
            self.jobs.insert(parent, job);
        }
        let has_own_span = record.hook.as_ref().is_some_and(|it| it.has_span);
        match record.event.as_str() {
            "commandfinish" | "commandlost" => {
                self.put(span(NodeKind::Command, line()));
            }
            "command" => {
                let mut open = span(NodeKind::Command, line());
                open.is_open = true;
                self.open(open);
            }
            "exthook" | "pythonhook" if has_own_span => {
                let name = format!("hook {}", record.hook());
                self.put(span(NodeKind::Hook, name));
            }
            // Its parts have their own events.
            "uiblocked" => {}
            event if seconds > 0.0 => {
                let detail = ["peer", "url", "lock", "what", "phase", "hook"]
                    .iter()
                    .map(|name| record.text(name))
                    .find(|text| !text.is_empty());
                let name = match detail {
                    Some(detail) => format!("{event} {detail}"),
                    None => event.to_owned(),
                };
                // It is a part of the span within which it happened.
                let mut step = span(NodeKind::Step, name);
                step.parent = std::mem::take(&mut step.id);
                self.steps.push(step);
            }
            _ => self.extend(record.span_id.as_str(), time),
        }
    }

    fn put(&mut self, span: Span) {
        match self.by_id.get(&span.id) {
            Some(index) if self.spans[*index].is_open => {
                self.spans[*index] = span;
            }
            Some(_) => {}
            None => {
                self.by_id.insert(span.id.clone(), self.spans.len());
                self.spans.push(span);
            }
        }
    }

    /// The beginning of a span, whose end may have been logged.
    fn open(&mut self, span: Span) {
        if !span.id.is_empty() && !self.by_id.contains_key(&span.id) {
            self.put(span);
        }
    }

    /// A span that has no end yet was alive then.
    fn extend(&mut self, id: &str, time: i64) {
        if let Some(index) = self.by_id.get(id) {
            let span = &mut self.spans[*index];
            if span.is_open {
                span.end = span.end.max(time);
            }
        }
    }

    /// The tree.
    pub fn finish(mut self) -> Trace {
        self.spans.append(&mut self.steps);
        self.add_outsiders();
        let mut trace = Trace {
            spans: self.spans,
            roots: Vec::new(),
        };
        for index in 0..trace.spans.len() {
            let parent = &trace.spans[index].parent;
            let parent = self.by_id.get(parent).copied();
            match parent.filter(|it| !trace.is_below(*it, index, &self.by_id)) {
                Some(parent) => trace.spans[parent].children.push(index),
                None => trace.roots.push(index),
            }
        }
        let starts: Vec<_> =
            trace.spans.iter().map(|it| (it.start, -it.end)).collect();
        for span in &mut trace.spans {
            span.children.sort_by_key(|it| starts[*it]);
        }
        trace.roots.sort_by_key(|it| starts[*it]);
        trace.mark();
        trace
    }

    /// Adds spans without records: those of CI jobs, and others that have
    /// started more than one command.
    fn add_outsiders(&mut self) {
        let mut outside: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, span) in self.spans.iter().enumerate() {
            let is_known = self.by_id.contains_key(&span.parent);
            if !span.parent.is_empty() && !is_known {
                let all = outside.entry(span.parent.clone()).or_default();
                all.push(index);
            }
        }
        for (id, children) in outside {
            let job = self.jobs.get(&id).cloned();
            if job.is_none() && children.len() < 2 {
                continue;
            }
            let spans = || children.iter().map(|it| &self.spans[*it]);
            let span = Span {
                kind: NodeKind::Outside,
                name: job.unwrap_or_else(|| "a program outside".to_owned()),
                host: String::new(),
                start: spans().map(|it| it.start).min().unwrap_or(0),
                end: spans().map(|it| it.end).max().unwrap_or(0),
                is_open: false,
                is_failure: false,
                error: String::new(),
                children: Vec::new(),
                critical: 0,
                own_critical: 0,
                id: id.clone(),
                parent: String::new(),
            };
            self.by_id.insert(id, self.spans.len());
            self.spans.push(span);
        }
    }
}

impl Trace {
    /// Whether `span` is below `other` or is that, by what records say, which
    /// may be nonsense; or is too deep for another one below it.
    fn is_below(
        &self,
        span: usize,
        other: usize,
        by_id: &HashMap<String, usize>,
    ) -> bool {
        let mut at = Some(span);
        for _ in 0..MAX_DEPTH {
            match at {
                None => return false,
                Some(index) if index == other => return true,
                Some(index) => {
                    at = by_id.get(&self.spans[index].parent).copied();
                }
            }
        }
        true
    }

    /// When it began and when it ended.
    pub fn bounds(&self) -> (i64, i64) {
        let spans = || self.spans.iter();
        (
            spans().map(|it| it.start).min().unwrap_or(0),
            spans().map(|it| it.end).max().unwrap_or(0),
        )
    }

    /// Marks the critical path: from the end back, always by what ended last.
    fn mark(&mut self) {
        let (start, end) = self.bounds();
        let roots = self.roots.clone();
        self.mark_parts(&roots, start, end);
    }

    /// Marks what kept something from ending before `end`; returns for how
    /// long its parts did.
    fn mark_parts(&mut self, parts: &[usize], start: i64, end: i64) -> i64 {
        let mut parts = parts.to_vec();
        parts.sort_by_key(|it| self.spans[*it].end);
        let mut cursor = end;
        let mut all = 0;
        while let Some(part) = parts.pop() {
            let span = &self.spans[part];
            let from = span.start.max(start);
            let to = span.end.min(cursor);
            // A span that ran at the same time as a longer one has cost
            // nothing.
            let is_beside = cursor < end && span.end > cursor + SLACK;
            if to <= from || is_beside {
                continue;
            }
            all += self.mark_span(part, from, to);
            cursor = from;
        }
        all
    }

    /// Marks a span between two moments; for how long that is.
    fn mark_span(&mut self, index: usize, start: i64, end: i64) -> i64 {
        let children = self.spans[index].children.clone();
        let of_parts = self.mark_parts(&children, start, end);
        let span = &mut self.spans[index];
        span.critical += end - start;
        span.own_critical += end - start - of_parts;
        end - start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::parse_time;

    const SECOND: i64 = 1_000_000;

    fn line(
        event: &str,
        (span, parent): (&str, &str),
        end: u32,
        duration: u32,
        more: &str,
    ) -> String {
        format!(
            r#"{{"schema":1,"id":"i-{span}-{event}-{end}","event":"{event}","time":"2026-11-30T09:00:{end:02}Z","duration":{duration},"trace_id":"t","span_id":"{span}","parent_span_id":"{parent}"{more}}}"#
        )
    }

    fn command(name: &str) -> String {
        format!(r#","process":{{"command":"{name}","exit_code":0}}"#)
    }

    fn tree(lines: &[String]) -> Trace {
        let mut builder = Builder::default();
        for line in lines {
            let record = Record::parse(line.as_bytes()).unwrap();
            let time = parse_time(record.time.as_str()).unwrap().0;
            builder.add(&record, time);
        }
        builder.finish()
    }

    #[test]
    fn what_is_nested_too_deeply_is_a_root() {
        const SPANS: usize = 1_000;
        let lines: Vec<_> = (0..SPANS)
            .map(|it| {
                let ids = (format!("s{it}"), format!("s{}", it + 1));
                let ids = (&*ids.0, &*ids.1);
                line("commandfinish", ids, 10, 5, &command("id"))
            })
            .collect();
        let shown = shown(&tree(&lines));
        assert_eq!(shown.len(), SPANS);
        let depth = shown.iter().map(|it| it.0).max();
        assert_eq!(depth, Some(MAX_DEPTH - 1));
    }

    #[test]
    fn an_impossible_duration_is_limited() {
        let mut finish = line("commandfinish", ("a", ""), 10, 5, "");
        finish = finish.replace("2026-11-30", "1911-11-30");
        finish = finish.replace("\"duration\":5", "\"duration\":1e300");
        let trace = tree(&[finish]);
        let (start, end) = trace.bounds();
        assert_eq!(trace.spans[0].critical, end - start);
        assert_eq!(end - start, MAX_SECONDS as i64 * SECOND);
    }

    /// Depth, name, seconds on the critical path, and of these its own.
    fn shown(trace: &Trace) -> Vec<(usize, String, i64, i64)> {
        fn add(
            trace: &Trace,
            spans: &[usize],
            depth: usize,
            all: &mut Vec<(usize, String, i64, i64)>,
        ) {
            for index in spans {
                let span = &trace.spans[*index];
                let (critical, own) = (span.critical, span.own_critical);
                let name = span.name.clone();
                all.push((depth, name, critical / SECOND, own / SECOND));
                add(trace, &span.children, depth + 1, all);
            }
        }
        let mut all = Vec::new();
        add(trace, &trace.roots, 0, &mut all);
        all
    }

    #[test]
    fn a_tree_has_hooks_and_what_they_run_and_a_critical_path() {
        let hook = r#","hook":{"name":"pretxn.ci","has_span":true}"#;
        let lines = [
            // A push of 20 s; a hook of 10 s in it, in which two commands run
            // side by side, of 8 and 3 s; before that it waits for a lock.
            line("commandfinish", ("b", "h"), 18, 8, &command("verify")),
            line("commandfinish", ("c", "h"), 15, 3, &command("id")),
            line("exthook", ("h", "a"), 19, 10, hook),
            line(
                "lockwait",
                ("a", ""),
                5,
                4,
                r#","options":{"lock":"wlock"}"#,
            ),
            line("commandfinish", ("a", ""), 20, 20, &command("push")),
        ];
        let seen = |name: &str, depth, critical, own| {
            (depth, name.to_owned(), critical, own)
        };
        let expected = [
            seen("hg push", 0, 20, 6),
            seen("lockwait wlock", 1, 4, 4),
            seen("hook pretxn.ci", 1, 10, 2),
            seen("hg verify", 2, 8, 8),
            seen("hg id", 2, 0, 0),
        ];
        assert_eq!(shown(&tree(&lines)), expected);
        // In whatever order they come.
        let mut turned = lines.to_vec();
        turned.reverse();
        assert_eq!(shown(&tree(&turned)), expected);
    }

    #[test]
    fn a_job_stands_above_its_commands() {
        let of = |name: &str| {
            format!(
                r#"{},"cicd":{{"pipeline_name":"nightly","task_name":"test"}}"#,
                command(name)
            )
        };
        let trace = tree(&[
            line("commandfinish", ("a", "j"), 5, 5, &of("clone")),
            line("commandfinish", ("b", "j"), 20, 10, &of("update")),
        ]);
        let names: Vec<_> = shown(&trace)
            .into_iter()
            .map(|it| (it.0, it.1, it.2))
            .collect();
        let expected = [
            (0, "CI job nightly/test".to_owned(), 20),
            (1, "hg clone".to_owned(), 5),
            (1, "hg update".to_owned(), 10),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_command_without_an_end_is_open() {
        let trace = tree(&[
            line("command", ("a", ""), 1, 0, &command("pull")),
            line("incoming", ("a", ""), 9, 0, ""),
        ]);
        let span = &trace.spans[0];
        assert!(span.is_open);
        assert_eq!(span.end - span.start, 8 * SECOND);
    }

    #[test]
    fn a_circle_is_no_tree_and_does_no_harm() {
        let trace = tree(&[
            line("commandfinish", ("a", "b"), 5, 5, &command("x")),
            line("commandfinish", ("b", "a"), 5, 5, &command("y")),
            line("commandfinish", ("c", "c"), 5, 5, &command("z")),
        ]);
        assert_eq!(trace.spans.len(), 3);
        assert!(!trace.roots.is_empty());
    }
}
