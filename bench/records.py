"""What `uilog log`, `uilog report` and their kin take on a history of 256 MB
and more."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from figures import Report, median, ms
from lab import HG, MB, Lab, in_turn

# As much as a history has by default at most.
HISTORY = 256 * MB
FILTER_MS = 300
# A million commands.
RECORDS = 1_000_000
REPORT_MS = 5000
REPORT_MB = 2
# Records that are made and written at once.
GROUP = 1000

USERS = ("alice", "bob", "carol", "build-agent", "dave")
COMMANDS = ("status", "pull", "update", "commit", "diff", "log", "push")
EVENTS = ("command", "commandfinish", "exthook", "tagscache")

# All that there is of the million: what has no period is of the last week.
REPORT = ("report", "--since", "2026-01-01", "--until", "2027-12-31")
PAGE = "report --html, a million commands"

# What is asked, of which file, and whether that is to be fast. PAGE is a file's
# name.
QUESTIONS: dict[str, tuple[list[str], str, bool]] = {
    "log, the last ten": (["log"], "history", True),
    "log --failed, one in 100": (
        ["log", "--failed", "-T", "{name}\\n"],
        "history",
        True,
    ),
    "log --user rare, one in a million": (
        ["log", "--user", "rare"],
        "history",
        True,
    ),
    "log --command push --slower 8": (
        ["log", "--command", "push", "--slower", "8"],
        "history",
        True,
    ),
    "log --since, none": (["log", "--since", "2030-01-01"], "history", True),
    "log --stats": (["log", "--stats"], "history", False),
    "log --stats, a million commands": (["log", "--stats"], "million", False),
    "log --compare, a million commands": (
        ["log", "--compare", "7.1..7.2"],
        "million",
        False,
    ),
    "report, a million commands": ([*REPORT], "million", False),
    PAGE: ([*REPORT, "--html", "PAGE"], "million", False),
    "export --format csv, a million commands": (
        ["export", "--format", "csv"],
        "million",
        False,
    ),
    "export --format otlp-json, a million commands": (
        ["export", "--format", "otlp-json"],
        "million",
        False,
    ),
}


def run(lab: Lab) -> Report:
    report = Report(
        "records",
        "`uilog log`, `uilog report`, `uilog export` on many records",
        "Files of records that lie in the page cache, asked in turn; whole "
        "processes, with what they show thrown away.",
    )
    files = {
        "history": lab.directory / "history.jsonl",
        "million": lab.directory / "million.jsonl",
    }
    numbers = random.Random(20261102)
    size = lab.pick(HISTORY, 16 * MB)
    count = lab.pick(RECORDS, 20_000)
    of_history = _generate(files["history"], numbers, EVENTS, size, None)
    _generate(files["million"], numbers, EVENTS[1:2], None, count)
    try:
        _ask(lab, report, files)
    finally:
        for file in files.values():
            file.unlink()
    report.notes.append(
        f"The history: {size / MB:.0f} MB, {of_history:,} records, a quarter "
        f"of them ends of commands; the other file: {count:,} commands."
    )
    return report


def _ask(lab: Lab, report: Report, files: dict[str, Path]) -> None:
    rounds = lab.pick(7, 2)
    found: dict[str, list[float]] = {name: [] for name in QUESTIONS}
    peak: dict[str, int] = {}
    page = lab.directory / "report.html"
    for number in range(rounds):
        for name in in_turn(list(QUESTIONS), number):
            arguments, file, _ = QUESTIONS[name]
            argv = [str(page) if it == "PAGE" else it for it in arguments]
            took = _process(
                [str(HG.with_name("uilog")), *argv, str(files[file])]
            )
            found[name].append(took.nanoseconds)
            peak[name] = max(peak.get(name, 0), took.peak)
    table = report.table(
        f"Whole processes ({rounds} each)",
        "what",
        "median, ms",
        "peak memory, MB",
    )
    for name, samples in found.items():
        report.keep(name, samples)
        table.add(name, ms(median(samples)), f"{peak[name] / MB:.1f}")
    took_ms = median(found[PAGE])
    report.target(
        PAGE,
        f"<= {REPORT_MS} ms",
        f"{ms(took_ms)} ms",
        took_ms <= REPORT_MS * 1e6,
    )
    size = page.stat().st_size
    page.unlink()
    report.target(
        f"{PAGE}, the file",
        f"<= {REPORT_MB} MB",
        f"{size / MB:.2f} MB",
        size <= REPORT_MB * MB,
    )
    for name, (_, _, is_fast) in QUESTIONS.items():
        if is_fast:
            took_ms = median(found[name])
            report.target(
                f"{name}, of {HISTORY / MB:.0f} MB",
                f"<= {FILTER_MS} ms",
                f"{ms(took_ms)} ms",
                took_ms <= FILTER_MS * 1e6,
            )


@dataclass(frozen=True)
class Took:
    nanoseconds: float
    # Bytes.
    peak: int


def _process(command: list[str]) -> Took:
    environment = {"PATH": os.environ["PATH"], "HGRCPATH": "", "HOME": "/"}
    begin = time.perf_counter_ns()
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _pid, status, usage = os.wait4(process.pid, 0)
    nanoseconds = time.perf_counter_ns() - begin
    # wait4 has taken what Popen would wait for.
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Took(nanoseconds, usage.ru_maxrss * 1024)


def _generate(
    path: Path,
    numbers: random.Random,
    events: tuple[str, ...],
    size: int | None,
    count: int | None,
) -> int:
    """So many bytes or records; how many records."""
    written = made = 0
    with path.open("wb") as file:
        while (size is None or written < size) and made != count:
            group = min(GROUP, (count or made + GROUP) - made)
            lines = [
                _record(numbers, made + number, events)
                for number in range(group)
            ]
            written += file.write("".join(lines).encode())
            made += group
    return made


def _record(
    numbers: random.Random, number: int, events: tuple[str, ...]
) -> str:
    seconds, micros = divmod(number * 40_000_007, 10**6)
    clock = time.gmtime(1_767_225_600 + seconds)
    event = events[number % len(events)]
    command = numbers.choice(COMMANDS)
    is_failure = numbers.random() < 0.01
    has_ended = event == "commandfinish"
    process = {
        "pid": numbers.randrange(1000, 65_000),
        "executable": "/usr/bin/hg",
        "hg_version": numbers.choice(("7.1.2", "7.2.4")),
        "cwd": "/home/user/main",
        "user": numbers.choice(USERS) if numbers.random() > 1e-6 else "rare",
        "uid": 1000,
    }
    record: dict[str, object] = {
        "schema": 1,
        "id": f"{number:032x}-2",
        "event": event,
        "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', clock)}"
        f".{micros:06}+00:00",
    }
    options: dict[str, object] = {}
    if event != "command":
        record["duration"] = round(numbers.lognormvariate(0, 1), 6)
    if has_ended:
        process["command"] = command
        process["command_line"] = f"{command} --rev tip"
        process["exit_code"] = 255 if is_failure else 0
        options = {"return_code": process["exit_code"], "lock_wait": 0.5}
        if is_failure:
            options["error"] = "repository /srv/main not found"
            options["error_type"] = "RepoError"
    record.update(
        trace_id=f"{numbers.getrandbits(128) | 1:032x}",
        span_id=f"{numbers.getrandbits(64) | 1:016x}",
        trace_flags=1,
        session=f"{number + 1:032x}",
        seq=2,
        message=f"{command} --rev tip exited 0 after 1.00 seconds",
        options=options,
        process=process,
        host={"name": "build-7", "arch": "amd64", "os": "linux"},
        repository={"root": "/home/user/main", "name": "main"},
    )
    return json.dumps(record, separators=(",", ":")) + "\n"
