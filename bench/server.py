"""A command server that logs each command with two scripts."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from figures import NS_PER_MS, Report, median, ms, percentile, ratio
from lab import HG, MARK, NONE, OURS, STOCK, Lab, in_turn

COMMANDS = ([b"id"], [b"log", b"-l1"])
# To tell the extension's own cost from that of logging.
LOADED = "uilog, no scripts"
# What hg itself does for one more extension and its command.
EMPTY = "an empty extension with a command"
# What the scripts themselves take from a command: they run beside it, and
# nobody's hg has started them.
BESIDE = "no logging, the scripts beside it"
SCRIPTS_PER_COMMAND = 2
MAX_RATIO = 1.05
MAX_RATIO_LOADED = 1.01


def run(lab: Lab) -> Report:
    report = Report(
        "server",
        "a command server with two scripts for each command",
        "python-hglib and `hg serve --cmdserver pipe` in a small repository: "
        "`hg id` and `hg log -l1` by turns, `command` and `commandfinish` "
        f"logged to `{MARK}`. The servers live throughout; each round gives "
        "each of them the same commands back to back, then waits until its "
        "scripts have ended.",
    )
    rounds = lab.pick(12, 4)
    commands = lab.pick(20, 10)
    who = (NONE, EMPTY, LOADED, BESIDE, OURS, STOCK)
    times: dict[str, list[float]] = {name: [] for name in who}
    worst = dict.fromkeys(who, 0)
    last = dict.fromkeys(who, 0)
    scripts = dict.fromkeys(who, 0)
    ran = dict.fromkeys(who, 0)
    queued = dict.fromkeys(who, 0)
    lab.marks.write_bytes(b"")
    with ExitStack() as stack:
        servers = {name: _open(lab, name, stack) for name in who}
        for number in range(rounds):
            for name in in_turn(who, number):
                server = servers[name]
                beside: list[int] = []
                before = lab.count_marks()
                ran_before, queued_before = _schedule(server.server.pid)
                for at in range(commands):
                    command = COMMANDS[at % len(COMMANDS)]
                    begin = time.perf_counter_ns()
                    server.rawcommand(command)
                    times[name].append(time.perf_counter_ns() - begin)
                    if name == BESIDE:
                        beside += _scripts(lab)
                ran_after, queued_after = _schedule(server.server.pid)
                ran[name] += ran_after - ran_before
                queued[name] += queued_after - queued_before
                zombies = _zombies(server.server.pid)
                worst[name] = max(worst[name], zombies)
                expected = SCRIPTS_PER_COMMAND * commands
                if name in (BESIDE, OURS, STOCK):
                    lab.settle(before + expected)
                for pid in beside:
                    os.waitpid(pid, 0)
                scripts[name] += lab.count_marks() - before
        for name in who:
            last[name] = _zombies(servers[name].server.pid)
    table = report.table(
        f"{rounds * commands} commands each ({rounds} rounds of {commands})",
        "who",
        "ms per command, median",
        "mean",
        "p99",
        "ratio (medians)",
        "ratio (means)",
        "scripts that ran",
        "zombies: most",
        "at the end",
    )

    where = report.table(
        "Where a command's time goes, ms, means (/proc/PID/schedstat)",
        "who",
        "the server runs",
        "the server waits for a processor",
        "the rest: client, waking each other",
    )

    def mean(name: str) -> float:
        return sum(times[name]) / len(times[name])

    for name in who:
        report.keep(name, times[name])
        table.add(
            name,
            ms(median(times[name])),
            ms(mean(name)),
            ms(percentile(times[name], 99)),
            ratio(median(times[name]), median(times[NONE])),
            ratio(mean(name), mean(NONE)),
            str(scripts[name]),
            str(worst[name]),
            str(last[name]),
        )
        own = ran[name] / len(times[name])
        waits = queued[name] / len(times[name])
        rest = mean(name) - own - waits
        where.add(name, ms(own), ms(waits), ms(rest))
    ours = median(times[OURS]) / median(times[NONE])
    report.target(
        "time per command, median",
        f"<= {MAX_RATIO}x",
        f"{ours:.2f}x",
        ours <= MAX_RATIO,
    )
    loaded = median(times[LOADED]) / median(times[NONE])
    report.target(
        "time per command without scripts, median",
        f"<= {MAX_RATIO_LOADED}x",
        f"{loaded:.3f}x",
        loaded <= MAX_RATIO_LOADED,
    )
    report.target("zombies at the end", "0", str(last[OURS]), last[OURS] == 0)
    added = (median(times[OURS]) - median(times[NONE])) / NS_PER_MS
    report.notes.append(
        f"uilog adds {added:.2f} ms to the median command. Commands follow "
        "each other at once, so the scripts of one compete with the next for "
        f"{len(os.sched_getaffinity(0))} processors: that is in the figures "
        "of both. Zombies are defunct children of the server, counted right "
        "after the last command of each round, and once more at the end, "
        "when all scripts have ended."
    )
    return report


def _open(lab: Lab, who: str, stack: ExitStack) -> Any:
    # hglib is in the virtual environment, not in the standard library.
    import hglib

    hglib.HGPATH = str(HG)
    if who == LOADED:
        hgrc = lab.hgrc(OURS)
    elif who == EMPTY:
        line = _extension_with_command(lab)
        hgrc = lab.configuration(line, who, "logtoprocess", {})
    elif who == BESIDE:
        hgrc = lab.hgrc(NONE)
    else:
        hgrc = lab.hgrc(who, command=MARK, commandfinish=MARK)
    environment = lab.hg_environment(hgrc)
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        server = hglib.open(str(lab.repository()))
    finally:
        os.environ.clear()
        os.environ.update(kept)
    stack.callback(server.close)
    # The first command imports what the later ones use.
    server.rawcommand([b"id"])
    server.rawcommand([b"log", b"-l1"])
    time.sleep(0.5)
    return server


def _extension_with_command(lab: Lab) -> str:
    """the line that enables an extension in which nothing else is"""
    extension = lab.directory / "command.py"
    extension.write_text(
        "from mercurial import registrar\n"
        "cmdtable = {}\n"
        "@registrar.command(cmdtable)(b'debugnothing')\n"
        "def nothing(ui):\n"
        "    'nothing'\n"
    )
    return f"command = {extension}"


def _scripts(lab: Lab) -> list[int]:
    """start the scripts of a command"""
    return [
        os.posix_spawn("/bin/sh", ["sh", "-c", MARK], lab.environment)
        for _ in range(SCRIPTS_PER_COMMAND)
    ]


def _schedule(pid: int) -> tuple[int, int]:
    """for how long a process has run, and has waited to run"""
    fields = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(fields[0]), int(fields[1])


def _zombies(parent: int) -> int:
    """how many children of this process are defunct"""
    count = 0
    for path in Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        try:
            stat = (path / "stat").read_text()
        except OSError:
            # It has ended meanwhile.
            continue
        # The name, in parentheses, may hold anything.
        state, parent_pid = stat.rpartition(")")[2].split()[:2]
        count += state == "Z" and int(parent_pid) == parent
    return count
