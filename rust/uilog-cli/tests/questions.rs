//! The commands of docs/questions.md, on planted records: whether each answers
//! its question, with the right numbers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is how tests fail")]

#[path = "questions/plant.rs"]
mod plant;

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;
use serde_json::json;

use crate::plant::DAY;
use crate::plant::HOUR;
use crate::plant::Plant;
use crate::plant::host;
use crate::plant::plant;

const QUESTIONS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/questions.md");

/// A user with a history.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// One with these records, in files of the history and of a sink that have
    /// some of them in common.
    fn new(plant: &Plant) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let history = dir.path().join("state/uilog/history");
        fs::create_dir_all(&history).unwrap();
        let lines: Vec<_> = plant.lines.split_inclusive('\n').collect();
        let (first, second) = lines.split_at(lines.len() / 2);
        let write = |path: &Path, lines: &[&str]| {
            fs::File::create(path)
                .unwrap()
                .write_all(lines.concat().as_bytes())
                .unwrap();
        };
        write(&history.join("2026-01-01.jsonl"), first);
        write(&history.join("2026-01-01.jsonl.1"), second);
        write(&dir.path().join("log-7.jsonl"), &lines[lines.len() / 3..]);
        fs::write(
            dir.path().join("hgrc"),
            format!(
                "[uilog]\nsink.file = file:{}/log-%d.jsonl\n",
                dir.path().display()
            ),
        )
        .unwrap();
        Self { dir }
    }

    /// What a command shows, run as a shell runs it.
    fn run(&self, command: &str) -> String {
        let output = self.command(command).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{command}: {error}");
        error + &String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, command: &str) -> Command {
        let uilog = Path::new(env!("CARGO_BIN_EXE_uilog"));
        let bin = uilog.parent().unwrap();
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", command])
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("HOME", self.dir.path())
            .env("XDG_STATE_HOME", self.dir.path().join("state"))
            .env("HGRCPATH", self.dir.path().join("hgrc"))
            .env("TZ", "UTC0");
        shell
    }
}

/// The commands of the page by their sections.
fn commands() -> BTreeMap<String, Vec<String>> {
    let page = fs::read_to_string(QUESTIONS).unwrap();
    let mut commands = BTreeMap::new();
    for section in page.split("\n## ").skip(1) {
        let (title, rest) = section.split_once('\n').unwrap();
        let blocks = rest.split("```sh\n").skip(1);
        let blocks = blocks.map(|code| code.split_once("\n```").unwrap().0);
        let blocks = blocks.map(str::to_owned).collect();
        commands.insert(title.to_owned(), blocks);
    }
    commands
}

/// The first command of each section.
fn questions() -> BTreeMap<String, String> {
    let first = |mut blocks: Vec<String>| blocks.swap_remove(0);
    let all = commands().into_iter();
    all.map(|(title, blocks)| (title, first(blocks))).collect()
}

/// The words of the last line that has this one.
fn words<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    let mut lines = text.lines().rev();
    let line = lines.find(|line| line.split_whitespace().any(|it| it == word));
    let line = line.unwrap_or_else(|| panic!("no {word} in:\n{text}"));
    line.split_whitespace().collect()
}

fn last(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

type Check = fn(&str);

#[test]
fn each_question_is_answered_by_its_command() {
    let checks: [(&str, Check); 11] = [
        ("Has pull become slower?", |text| {
            let rows: Vec<Vec<_>> = text
                .lines()
                .skip(1)
                .map(|line| line.split_whitespace().collect())
                .collect();
            // count, failures, total, p50, p95: numbers with units.
            assert_eq!(rows.len(), 2, "{text}");
            assert_eq!(rows[0][0], "200");
            assert_eq!(rows[1][0], "200");
            assert_eq!(rows[0][6..8], ["2.36", "s"], "{text}");
            assert_eq!(rows[1][6..8], ["3.54", "s"], "{text}");
        }),
        ("What has become slower since last week?", |text| {
            let words = words(text, "pull");
            assert_eq!(words[..2], ["200", "200"], "{text}");
            assert!(last(text.trim_end()).contains("+50 %"), "{text}");
            assert!(words.contains(&"slower"), "{text}");
            assert!(!text.lines().any(|it| it.ends_with(" status")));
        }),
        ("Which version regressed?", |text| {
            let words = words(text, "update");
            assert_eq!(words[..2], ["200", "200"], "{text}");
            assert!(words.contains(&"+40"), "{text}");
        }),
        ("Which hook refuses commits?", |text| {
            let lint = words(text, "pretxncommit.lint");
            assert_eq!(lint[..2], ["5", "5"]);
            assert_eq!(words(text, "precommit.size")[..2], ["2", "2"]);
            assert_eq!(text.lines().count(), 3, "{text}");
        }),
        ("What failed yesterday, and why?", |text| {
            let lines: Vec<_> = text.lines().collect();
            assert_eq!(lines.len(), 2, "{text}");
            assert!(lines[0].contains("255  push  main"), "{text}");
            let why = "    abort: push creates new remote head";
            assert_eq!(lines[1], why);
        }),
        ("What was the slowest last week?", |text| {
            assert!(text.contains(" more (-n 0 shows all)"), "{text}");
            let slowest = last(text);
            assert!(slowest.contains("15.0 min"), "{text}");
            assert!(slowest.contains("clone https://hg/x"), "{text}");
        }),
        ("Who ran strip?", |text| {
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(text.contains("  alice  build-1  main  --config"));
        }),
        ("Who held the lock?", |text| {
            assert_eq!(text.lines().count(), 2, "{text}");
            assert!(last(text).contains("30.00 s  alice  main  wlock"));
            assert!(last(text).ends_with("build-7:1"), "{text}");
        }),
        ("What did this developer wait for?", |text| {
            let lock = words(text, "lockwait");
            assert_eq!(lock[..4], ["2", "0", "42.00", "s"], "{text}");
            assert_eq!(words(text, "exthook")[2], "7.00");
            assert_eq!(words(text, "peerclose")[2], "1.50");
            assert!(last(text).ends_with("lockwait"), "{text}");
        }),
        ("What happened between the CI job and that hook?", |text| {
            let lines: Vec<_> = text.lines().collect();
            assert!(lines[0].starts_with("trace c1 "), "{text}");
            assert!(lines[1].starts_with("* CI job nightly/t"), "{text}");
            assert!(lines[2].starts_with("* └─ hg push"), "{text}");
            assert!(lines[2].ends_with("saves 20.00 s"), "{text}");
            let hook = "*    └─ hook pretxnchangegroup.ci";
            assert!(lines[3].starts_with(hook), "{text}");
            assert!(lines[3].ends_with("saves 8.00 s"), "{text}");
            assert!(lines[4].starts_with("*       └─ hg verify"), "{text}");
            assert!(lines[4].ends_with("saves 5.00 s"), "{text}");
        }),
        ("What runs now?", |text| {
            // Others may run on this machine, too.
            let words = words(text, "verify");
            let own = std::process::id().to_string();
            assert_eq!(words[2..6], ["pid", &own, "hg", "verify"], "{text}");
            assert_eq!(words[1], "s", "{text}");
            assert_eq!(words[6], "/src/main", "{text}");
        }),
    ];
    let questions = questions();
    let asked: Vec<_> = questions.keys().map(String::as_str).collect();
    let mut checked: Vec<_> = checks.iter().map(|it| it.0).collect();
    checked.sort_unstable();
    assert_eq!(asked, checked);
    let home = Home::new(&plant());
    for (question, check) in checks {
        let command = &questions[question];
        let text = home.run(command);
        println!("$ {command}\n{text}");
        check(&text);
    }
}

#[test]
fn a_command_that_runs_is_shown() {
    let mut plant = Plant::new();
    let more = json!({
        "span_id": "a", "host": {"name": host()},
        "process": {"pid": std::process::id(), "command_line": "pull -r 3"},
    });
    plant.add(plant.now, "command", more);
    plant.add(plant.now, "command", json!({"span_id": "other"}));
    let home = Home::new(&plant);
    let text = home.run("uilog open");
    assert!(text.contains("hg pull -r 3"), "{text}");
    let json: Value =
        serde_json::from_str(&home.run("uilog open -T json")).unwrap();
    let own = std::process::id();
    let of_this = json.as_array().unwrap().iter();
    let of_this: Vec<_> = of_this.filter(|it| it["pid"] == own).collect();
    assert_eq!(of_this.len(), 1, "{json}");
    assert_eq!(of_this[0]["records_waiting"], 0);
}

/// Three commands that differ in everything that can be asked for.
fn three() -> (Plant, Home) {
    let mut plant = Plant::new();
    let now = plant.now;
    let of = |host: &str, trace: &str, repository: &str| {
        [
            ("host", json!({"name": host})),
            ("trace_id", json!(trace.repeat(8))),
            ("session", json!(trace.repeat(8))),
            (
                "repository",
                json!({"root": format!("/src/{repository}"), "name": repository}),
            ),
        ]
    };
    let usage = |bytes: u64| {
        let cpu = 0.5;
        let usage = json!({
            "peak_memory_bytes": bytes, "user_cpu_seconds": cpu,
            "system_cpu_seconds": cpu,
        });
        ("usage", usage)
    };
    let mut pull = of("build-1", "aa01", "main").to_vec();
    pull.extend([usage(3), ("options", json!({"lock_wait": 1.5}))]);
    plant.command(now - 3 * DAY, "pull", 1.0, 0, &pull);
    let mut strip = of("build-2", "bb02", "other").to_vec();
    strip.extend([
        usage(9),
        ("user", json!("alice")),
        ("hg_version", json!("7.2.4")),
        ("command", json!("strip")),
        ("options", json!({"lock_wait": 0.5})),
    ]);
    let line = "--config x=y stri -r 3";
    plant.command(now - 2 * HOUR, line, 20.0, 0, &strip);
    let mut push = of("build-1", "cc03", "main").to_vec();
    let error = json!({
        "error": "refused", "error_type": "HookAbort", "lock_wait": 9.0,
    });
    push.extend([usage(5), ("options", error)]);
    plant.command(now - 60, "push", 5.0, 255, &push);
    let hook = json!({
        "duration": 0.5, "hook": {"name": "precommit.lint", "command": "lint"},
        "process": {"pid": 1, "executable": "/hg", "command": "hook"},
    });
    plant.add(now - 60, "exthook", hook);
    let home = Home::new(&plant);
    (plant, home)
}

#[test]
fn each_filter_and_order_of_the_help_works() {
    let (_, home) = three();
    for (arguments, expected) in [
        ("", "pull strip push"),
        ("--since 2d", "strip push"),
        ("--since '3 hours ago'", "strip push"),
        ("--since 1h --until today", "push"),
        ("--until 1d", "pull"),
        ("--command strip", "strip"),
        ("--command 'strip*'", "strip"),
        ("--command pull --command push", "pull push"),
        ("--repo main", "pull push"),
        ("--repo '/src/oth*'", "strip"),
        ("--user alice", "strip"),
        ("--host 'build-?' --host nosuch", "pull strip push"),
        ("--host build-2", "strip"),
        ("--hg-version '7.*'", "strip"),
        ("--failed", "push"),
        ("--slower 5", "strip push"),
        ("--error-type 'Hook*'", "push"),
        ("--trace bb", "strip"),
        ("--session cc03", "push"),
        ("--hook 'precommit*'", "hook"),
        ("--event exthook", "hook"),
        ("--event '*'", "pull strip push hook"),
        ("-n 1", "push"),
        ("--repo main --failed", "push"),
        ("--sort duration", "pull push strip"),
        ("--sort peak-memory", "pull push strip"),
        ("--sort lock-wait -n 2", "pull push"),
        ("--sort when", "pull strip push"),
    ] {
        let command = format!("uilog log -T '{{name}} ' {arguments}");
        let shown = home.run(&format!("{command} 2>/dev/null"));
        assert_eq!(shown.trim(), expected, "{command}");
    }
    let text = home.run("uilog log --columns exit,user,repository --failed");
    assert_eq!(text, "255  bob  main\n    refused\n");
    let text = home.run("uilog log -n 2 2>&1 | head -1");
    assert_eq!(text, "1 more (-n 0 shows all)\n");
}

#[test]
fn new_records_are_followed() {
    let (mut plant, home) = three();
    let mut child = home
        .command("exec uilog log --follow -T '{name}\n'")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!([next(), next(), next()], ["pull", "strip", "push"]);
    plant.lines.clear();
    plant.command(plant.now, "clone", 1.0, 0, &[]);
    let path = home.dir.path().join("log-7.jsonl");
    let mut file = File::options().append(true).open(path).unwrap();
    file.write_all(plant.lines.as_bytes()).unwrap();
    assert_eq!(next(), "clone");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn blackboxes_of_many_repositories_are_read() {
    let home = Home::new(&Plant::new());
    let line = |time: &str, user: &str, message: &str| {
        format!("2026/11/30 {time} {user} @{:040} (7)> {message}\n", 0)
    };
    for (repository, seconds) in [("one", 2), ("two", 4)] {
        let hg = home.dir.path().join(repository).join(".hg");
        fs::create_dir_all(&hg).unwrap();
        let text = [
            line("09:12:40", "alice", "pull"),
            line("09:12:44", "alice", "incoming exited 1 after 1.00 seconds"),
            line(
                "09:12:45",
                "bob",
                &format!("pull exited 255 after {seconds}.00 seconds"),
            ),
        ];
        fs::write(hg.join("blackbox.log"), text.concat()).unwrap();
    }
    let failed = "uilog log --failed -T '{repository} {name} {user} {exit}\n'";
    let text = home.run(&format!("{failed} one two"));
    assert_eq!(text, "one pull bob 255\ntwo pull bob 255\n");
    let text = home.run("uilog log --stats --by repo --command pull one two");
    assert_eq!(words(&text, "one")[..4], ["1", "1", "2.00", "s"], "{text}");
    assert_eq!(words(&text, "two")[..4], ["1", "1", "4.00", "s"], "{text}");
    let text = home.run("uilog log one/.hg/blackbox.log* --event command -n 0");
    assert!(text.ends_with("  pull  one\n"), "{text}");
    let text = home.run("uilog export --format otlp-json one | wc -l");
    assert_eq!(text.trim(), "3");
    // Where nothing else is recorded, the repository's own is read.
    let text = home.run(&format!("rm -r state log-*; cd two; {failed}"));
    assert_eq!(text, "two pull bob 255\n");
}

#[test]
fn records_are_exported_as_a_collector_gets_them() {
    let (_, home) = three();
    let text = home.run("uilog export --format otlp-json --failed");
    let request: Value = serde_json::from_str(&text).unwrap();
    let span = &request["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["name"], "hg push");
    assert_eq!(span["status"]["message"], "refused");
    let text = home.run("uilog export --format otlp-json | wc -l");
    assert_eq!(text.trim(), "4");
    let text =
        home.run("uilog export --format csv --columns name,exit --repo main");
    assert_eq!(text, "name,exit\npull,0\npush,255\n");
    let text = home.run(
        "uilog export --format csv -o x.csv && head -1 x.csv &&
         ! uilog export --format csv -o x.csv && stat -c %a x.csv",
    );
    assert!(text.contains("when,duration,exit,command,name"), "{text}");
    assert!(text.contains("create x.csv"), "{text}");
    assert!(text.ends_with("600\n"), "{text}");
}

#[test]
fn help_has_examples_and_is_as_wide_as_the_terminal() {
    let home = Home::new(&Plant::new());
    for name in ["log", "open", "trace", "export", "history"] {
        for columns in [60, 80, 100] {
            let text =
                home.run(&format!("COLUMNS={columns} uilog {name} --help"));
            let widest = text.lines().map(|it| it.chars().count()).max();
            assert!(widest <= Some(columns), "{name} {columns}: {text}");
            assert!(widest > Some(columns - 20), "{name} {columns}: {text}");
            assert!(text.contains("\nExamples:\n"), "{name}");
        }
    }
}

#[test]
fn typos_and_nonsense_say_what_makes_sense() {
    let home = Home::new(&plant());
    for (command, expected) in [
        (
            "uilog log --event comandfinish",
            "did you mean 'commandfinish'?",
        ),
        ("! uilog log --columns wehn", "did you mean 'when'?"),
        ("! uilog log --sort command", "not a number or a time"),
        (
            "! uilog log --since soon",
            "'soon' is not a date: try 7d, 2h",
        ),
        (
            "! uilog log --stats --by repositry",
            "did you mean 'repository'?",
        ),
        ("! uilog log --compare 7.1", "it must be A..B"),
        ("! uilog trace nosuch", "there is no trace nosuch"),
        ("! uilog history delete --before soon", "is not a date"),
        ("uilog log -n 3", "more (-n 0 shows all)"),
        ("uilog log -T csv | head -1", "when,duration,exit,name"),
        ("uilog history path", "state/uilog/history"),
        ("uilog history delete", "2 files deleted"),
    ] {
        let text = home.run(command);
        assert!(text.contains(expected), "{command}: {text}");
    }
    let text = home.run("rm log-7.jsonl; uilog log");
    assert!(text.contains("'history = yes'"), "{text}");
}

#[test]
fn reports_answer_as_well() {
    let checks: [(&str, Check); 3] = [
        ("Which version regressed?", |text| {
            let update = words(text, "update");
            assert_eq!(update[..5], ["7.1.2", "to", "7.2.4", "200", "200"]);
            assert!(text.contains("slower: +40 % ("), "{text}");
            assert_eq!(text.matches(" to 7.").count(), 1, "{text}");
        }),
        ("Who held the lock?", |text| {
            let first = words(text, "build-7:1");
            assert_eq!(first[..4], ["1", "30.00", "s", "30.00"], "{text}");
            let all = words(text, "wlock");
            assert_eq!(all[..4], ["2", "0", "42.00", "s"], "{text}");
        }),
        ("What did this developer wait for?", |text| {
            let waits = "42.00 s  7.00 s   1.50 s  0.00 s  alice";
            assert!(text.contains(waits), "{text}");
            assert!(!text.contains("bob"), "{text}");
        }),
    ];
    let mut commands = commands();
    commands.retain(|_, blocks| blocks.len() > 1);
    assert_eq!(commands.len(), checks.len());
    let home = Home::new(&plant());
    for (question, check) in checks {
        let command = &commands[question][1];
        let text = home.run(command);
        println!("$ {command}\n{text}");
        check(&text);
    }
}

#[test]
fn a_report_has_all_sections() {
    let home = Home::new(&plant());
    let text = home.run("uilog report --since 90d");
    println!("{text}");
    for title in [
        "Overview",
        "Changed since the period before",
        "What takes the time",
        "The slowest",
        "What fails, and why",
        "Hooks",
        "Waiting for locks",
        "Who held them",
        "What users waited for",
        "Waiting for people",
        "Versions of Mercurial",
        "Changed from version to version",
    ] {
        let is_title = |it: &&str| *it == title;
        assert_eq!(text.lines().filter(is_title).count(), 1, "{title}");
    }
    assert!(text.lines().all(|it| it.chars().count() <= 100), "{text}");
    // In a pipe there are no colours.
    assert!(!text.contains('\x1b'));
    let colored = home.run("uilog report --color always --only failures");
    assert!(colored.contains('\x1b'));
    // A week against the week before, as the comparison has it.
    let week = "--since 'last week' --until 'last week'";
    let json = home.run(&format!("uilog report {week} -T json"));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!(json["overview"]["commands"].as_u64().unwrap() >= 401);
    assert_eq!(json["slowest"][0]["command"], "clone https://hg/x");
    let pull = json["commands"]["rows"].as_array().unwrap();
    let pull = pull.iter().find(|it| it["name"] == "pull").unwrap();
    assert_eq!(pull["count"], 200);
    let nothing = home.run("uilog report --user nobody");
    assert!(nothing.contains("nothing has failed"), "{nothing}");
    let wrong = home.run("! uilog report --since soon");
    assert!(wrong.contains("--since 'soon' is not a date"), "{wrong}");
    let wrong = home.run("! uilog report --only hook");
    assert!(wrong.contains("'hooks'"), "{wrong}");
}
