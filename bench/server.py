"""A command server that logs each command with two scripts."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
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

WHO = (NONE, EMPTY, LOADED, BESIDE, OURS, STOCK)


@dataclass
class Measured:
    """What has been measured of one server."""

    times: list[float] = field(default_factory=list)
    scripts: int = 0
    most_zombies: int = 0
    last_zombies: int = 0
    # Nanoseconds.
    ran: int = 0
    queued: int = 0

    @property
    def mean(self) -> float:
        return sum(self.times) / len(self.times)

    @property
    def median(self) -> float:
        return median(self.times)


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
    measured = {name: Measured() for name in WHO}
    lab.marks.write_bytes(b"")
    with ExitStack() as stack:
        servers = {name: _open(lab, name, stack) for name in WHO}
        for number in range(rounds):
            for name in in_turn(WHO, number):
                _round(lab, name, servers[name], measured[name], commands)
        for name in WHO:
            measured[name].last_zombies = _zombies(servers[name].server.pid)
    _write_tables(
        report,
        measured,
        f"{rounds * commands} commands each ({rounds} rounds of {commands})",
    )
    _compare(report, measured)
    return report


def _round(
    lab: Lab, name: str, server: Any, measured: Measured, commands: int
) -> None:
    """one server's commands, one after the other, and the end of its scripts"""
    beside: list[int] = []
    before = lab.count_marks()
    ran_before, queued_before = _schedule(server.server.pid)
    for at in range(commands):
        command = COMMANDS[at % len(COMMANDS)]
        begin = time.perf_counter_ns()
        server.rawcommand(command)
        measured.times.append(time.perf_counter_ns() - begin)
        if name == BESIDE:
            beside += _scripts(lab)
    ran_after, queued_after = _schedule(server.server.pid)
    measured.ran += ran_after - ran_before
    measured.queued += queued_after - queued_before
    zombies = _zombies(server.server.pid)
    measured.most_zombies = max(measured.most_zombies, zombies)
    if name in (BESIDE, OURS, STOCK):
        lab.settle(before + SCRIPTS_PER_COMMAND * commands)
    for pid in beside:
        os.waitpid(pid, 0)
    measured.scripts += lab.count_marks() - before


def _write_tables(
    report: Report, measured: dict[str, Measured], title: str
) -> None:
    table = report.table(
        title,
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
    none = measured[NONE]
    for name, it in measured.items():
        report.keep(name, it.times)
        table.add(
            name,
            ms(it.median),
            ms(it.mean),
            ms(percentile(it.times, 99)),
            ratio(it.median, none.median),
            ratio(it.mean, none.mean),
            str(it.scripts),
            str(it.most_zombies),
            str(it.last_zombies),
        )
        own = it.ran / len(it.times)
        waits = it.queued / len(it.times)
        where.add(name, ms(own), ms(waits), ms(it.mean - own - waits))


def _compare(report: Report, measured: dict[str, Measured]) -> None:
    none, ours = measured[NONE].median, measured[OURS].median
    report.target(
        "time per command, median",
        f"<= {MAX_RATIO}x",
        f"{ours / none:.2f}x",
        ours / none <= MAX_RATIO,
    )
    loaded = measured[LOADED].median / none
    report.target(
        "time per command without scripts, median",
        f"<= {MAX_RATIO_LOADED}x",
        f"{loaded:.3f}x",
        loaded <= MAX_RATIO_LOADED,
    )
    zombies = measured[OURS].last_zombies
    report.target("zombies at the end", "0", str(zombies), zombies == 0)
    report.notes.append(
        f"uilog adds {(ours - none) / NS_PER_MS:.2f} ms to the median command. "
        "Commands follow each other at once, so the scripts of one compete "
        f"with the next for {len(os.sched_getaffinity(0))} processors: that is "
        "in the figures of both. Zombies are defunct children of the server, "
        "counted right after the last command of each round, and once more at "
        "the end, when all scripts have ended."
    )


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
    saved = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        server = hglib.open(str(lab.repository()))
    finally:
        os.environ.clear()
        os.environ.update(saved)
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
