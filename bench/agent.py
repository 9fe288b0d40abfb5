"""What one agent for all of a user's commands costs, compared with a dispatcher
for each of them and with stock hg.

Responsible for running the same commands in the same environment, in turn. Must
not know how a record gets from hg to an agent.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import agent_crowd
from agent_home import AGENT, EACH, Home, await_records, home_of
from figures import NS_PER_MS, NS_PER_US, Report, median, ms, ratio, us
from fleet import environment_of
from lab import (
    HG,
    NONE,
    ROOT,
    STOCK,
    Lab,
    adopting,
    in_turn,
    processor_time,
    wait_until,
)

sys.path.append(str(ROOT / "tests" / "helpers"))

import processes
from otlp_receiver import Receiver

# What the same needs at least.
FLOOR = "bare system calls, in C (bench/floor.c)"
# Events in a row, as in the part `event`.
GROUP = 8

FIRST_US = 200
ROW_US = 15
LEFT_MS = 0.4


class Floor:
    """the system calls that a first record needs, from hg to a collector"""

    def __init__(self, program: Path, receiver: Receiver) -> None:
        self._program = program
        self._runtime = tempfile.mkdtemp(prefix="uilog-bench-", dir="/dev/shm")
        self._spool = tempfile.mkdtemp(prefix="uilog-bench-")
        port = urlsplit(receiver.url).port
        self.agent = subprocess.Popen(
            [
                *(program, "serve", self._runtime, str(port)),
                str(Path(self._spool) / "records"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.agent.stdout
        assert self.agent.stdout.readline() == b"ready\n"

    def first(self) -> list[float]:
        """what it took until the agent was woken, in nanoseconds, and each
        part of that"""
        done = subprocess.run(
            [self._program, "first", self._runtime],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        lines = done.stdout.splitlines()
        return [float(line.split()[0]) * NS_PER_US for line in lines]

    def is_idle(self) -> bool:
        """whether all has been sent"""
        return not os.listdir(self._spool)

    def close(self) -> None:
        assert self.agent.stdin and self.agent.stdout
        self.agent.stdin.close()
        self.agent.stdout.close()
        self.agent.wait()
        shutil.rmtree(self._runtime)
        shutil.rmtree(self._spool)


def _built_floor(lab: Lab, report: Report) -> Path | None:
    """the program that shows what is needed at least, if it can be built"""
    program = lab.directory / "floor"
    compiler = shutil.which("cc")
    if compiler is None:
        report.notes.append(
            "LEFT OUT: the bare system calls, because there is no C compiler."
        )
        return None
    source = Path(__file__).resolve().parent / "floor.c"
    subprocess.run([compiler, "-O2", "-o", program, source], check=True)
    return program


def run(lab: Lab) -> Report:
    report = Report(
        "agent",
        "one process for all of a user's commands",
        "The sink is otlp, to a receiver on the loopback. Runtime directories "
        "are in /dev/shm. What is compared is measured in turn, so that a "
        "busy machine is as busy for all.",
    )
    floor = _built_floor(lab, report)
    with Receiver() as receiver:
        _in_hg(lab, report, receiver, floor)
        _left_behind(lab, report, receiver, floor)
    agent_crowd.measure(lab, report)
    report.notes.append(
        "Processor time of shipping an event from a full spool is the part "
        "`ship`; an agent ships by the same code."
    )
    return report


def _in_hg(
    lab: Lab, report: Report, receiver: Receiver, floor: Path | None
) -> None:
    """what the first record and the following cost hg's own thread"""
    rounds = lab.pick(40, 10)
    groups = lab.pick(25, 5)
    who = (NONE, AGENT, EACH, STOCK)
    first: dict[tuple[str, bool], list[float]] = {}
    row: dict[str, list[float]] = {}
    ends: dict[str, list[float]] = {}
    bare: list[float] = []
    for number in range(rounds):
        if floor is not None:
            bare.append(_bare_first(floor, receiver))
        for name in in_turn(who, number):
            with home_of(lab, name, "hg", receiver.url) as home:
                if name == AGENT:
                    home.start()
                for prepare in (False, True):
                    result = lab.run_probe(
                        home.environment, "first", prepare=prepare
                    )
                    samples = first.setdefault((name, prepare), [])
                    samples.append(float(result["first"]))
                if number % 4 == 0 and name != STOCK:
                    result = lab.run_probe(
                        home.environment, "to_sinks", groups=groups, size=GROUP
                    )
                    for found, kind in ((row, "event"), (ends, "end")):
                        samples = found.setdefault(name, [])
                        samples.extend(map(float, result[kind]["row"]))
    table = report.table(
        f"What records cost hg, µs (first: {rounds} processes each; in a row: "
        f"{len(row[AGENT])} in groups of {GROUP})",
        "who",
        "first record, median",
        "lowest",
        "ratio to stock",
        "median, hg's own part done before",
        "in a row, median",
        "ends of commands in a row, median",
    )
    stock = median(first[STOCK, False])
    for name in who:
        samples = first[name, False]
        report.keep(f"first record, {name}", samples)
        in_row = row.get(name)
        if in_row:
            report.keep(f"in a row, {name}", in_row)
            report.keep(f"ends in a row, {name}", ends[name])
        table.add(
            name,
            us(median(samples)),
            us(min(samples)),
            ratio(median(samples), stock),
            us(median(first[name, True])),
            us(median(in_row)) if in_row else "",
            us(median(ends[name])) if in_row else "",
        )
    if bare:
        report.keep(f"first record, {FLOOR}", bare)
        base = ratio(median(bare), stock)
        least = us(min(bare))
        table.add(FLOOR, us(median(bare)), least, base, "", "", "")
    for what, samples, limit in (
        (
            "first record of a command, agent running",
            first[AGENT, False],
            FIRST_US,
        ),
        ("the same, hg's own part done before", first[AGENT, True], FIRST_US),
        ("records in a row", row[AGENT], ROW_US),
    ):
        value = median(samples)
        report.target(
            f"{what}, median",
            f"<= {limit} µs",
            f"{us(value)} µs",
            value <= limit * NS_PER_US,
        )


def _bare_first(program: Path, receiver: Receiver) -> float:
    """nanoseconds of a first record's system calls, the agent asleep"""
    floor = Floor(program, receiver)
    try:
        return floor.first()[0]
    finally:
        floor.close()


def _left_behind(
    lab: Lab, report: Report, receiver: Receiver, floor: Path | None
) -> None:
    """processor time beyond hg's own, of commands with one record"""
    count, rounds = lab.pick(50, 10), lab.pick(5, 2)
    who = (AGENT, EACH, STOCK)
    found: dict[str, list[float]] = {}
    bare: list[float] = []
    with adopting():
        for number in range(rounds):
            for name in in_turn(who, number):
                with home_of(lab, name, "left", receiver.url) as home:
                    busy = _busy_beyond(lab, home, receiver, count)
                found.setdefault(name, []).append(busy / count)
                _reap(None)
            if floor is not None:
                bare.append(_busy_at_least(lab, floor, receiver, count) / count)
    table = report.table(
        "Processor time that a command with one record leaves behind: of every "
        f"process that outlives it ({count} commands `hg root`, one after the "
        f"other; {rounds} times). Stock hg runs one script, `true`",
        "who",
        "ms a command, median",
        "lowest",
        "highest",
        f"ratio to {EACH}",
    )
    base = median(found[EACH])
    rows = [*found.items(), *([(FLOOR, bare)] if bare else [])]
    for name, samples in rows:
        report.keep(f"left behind, {name}", samples)
        table.add(
            name,
            ms(median(samples)),
            ms(min(samples)),
            ms(max(samples)),
            ratio(median(samples), base),
        )
    value = median(found[AGENT])
    report.target(
        "processor time that a command with one record leaves behind",
        f"<= {LEFT_MS} ms",
        f"{ms(value)} ms",
        value <= LEFT_MS * NS_PER_MS,
    )


def _busy_beyond(lab: Lab, home: Home, receiver: Receiver, count: int) -> float:
    """nanoseconds of all that these commands leave behind"""
    agent = None
    if home.who == AGENT:
        home.start()
        agent = home.agent()
    _reap(agent)
    came = receiver.store.count()
    before = processor_time(agent) if agent else 0
    busy = 0.0
    argv = [str(HG), "--cwd", str(lab.repository()), "root"]
    for _ in range(count):
        child = subprocess.Popen(
            argv, env=home.environment, stdout=subprocess.DEVNULL
        )
        child.wait()
        if agent is None:
            # As much as it leaves has ended before the next one begins.
            busy += _reap(None)
    if home.who != STOCK:
        await_records(receiver, came + count)
    if agent:
        assert wait_until(home.is_idle)
        busy += processor_time(agent) - before
        busy += _reap(agent)
    return busy


def _busy_at_least(
    lab: Lab, program: Path, receiver: Receiver, count: int
) -> float:
    """nanoseconds of an agent that does nothing but what it must, as many
    commands long that log nothing themselves"""
    floor = Floor(program, receiver)
    environment = environment_of(
        lab, lab.hgrc(NONE), lab.directory / "home-bare"
    )
    argv = [str(HG), "--cwd", str(lab.repository()), "root"]
    try:
        before = processor_time(floor.agent.pid)
        for _ in range(count):
            subprocess.run(
                argv, env=environment, stdout=subprocess.DEVNULL, check=True
            )
            floor.first()
        assert wait_until(floor.is_idle)
        return float(processor_time(floor.agent.pid) - before)
    finally:
        floor.close()


def _reap(spared: int | None) -> float:
    """waits for all that we have adopted but one; nanoseconds that they used"""
    busy = 0.0

    def is_done() -> bool:
        nonlocal busy
        while True:
            try:
                pid, _, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                others = processes.children(os.getpid())
                return all(it.pid == spared for it in others)
            busy += (usage.ru_utime + usage.ru_stime) * 1e9

    assert wait_until(is_done)
    return busy
