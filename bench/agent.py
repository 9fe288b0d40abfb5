"""What one agent for all of a user's commands costs, compared with a dispatcher
for each of them and with stock hg.

Responsible for running the same commands in the same environment, in turn. Must
not know how a record gets from hg to an agent.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from figures import NS_PER_MS, NS_PER_US, Report, median, ms, ratio, us
from fleet import environment_of
from lab import (
    HG,
    MB,
    NONE,
    PYTHON,
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

AGENT = "uilog, agent = yes"
EACH = "uilog, agent = no"
# What the same needs at least.
FLOOR = "bare system calls, in C (bench/floor.c)"
# Events in a row, as in the part `event`.
GROUP = 8
CROWD = 1000

FIRST_US = 200
ROW_US = 15
LEFT_MS = 0.4
CONNECTIONS = 10
MEMORY_MB = 32


@dataclass
class Home:
    """a user with a configuration, who has a runtime directory of his own"""

    who: str
    environment: dict[str, str]
    runtime: Path

    def agent(self) -> int | None:
        """the process id of his agent"""
        for it in processes.everyone():
            is_agent = it.argv[1:3] == ("agent", "serve") and it.state != "Z"
            if is_agent and Path(it.argv[3]).is_relative_to(self.runtime):
                return it.pid
        return None

    def stop(self) -> None:
        if self.agent() is None:
            return
        argv = [str(HG.parent / "uilog"), "agent", "stop"]
        subprocess.run(argv, env=self.environment, check=True)

    def start(self) -> None:
        """by a command, as always; until it has nothing to do"""
        argv = [str(HG), "version", "-q"]
        subprocess.run(
            argv,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        assert wait_until(lambda: self.agent() is not None)
        assert wait_until(self.is_idle)

    def is_idle(self) -> bool:
        """whether no queue is left"""
        return not list(self.runtime.glob("uilog/records-*"))

    def queue_bytes(self) -> int:
        """the memory that queues take"""
        total = 0
        for it in self.runtime.glob("uilog/*"):
            try:
                total += it.stat().st_blocks * 512
            except OSError:
                # Its records have arrived.
                continue
        return total


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


def _await(receiver: Receiver, count: int) -> None:
    """wait until so many different records have come"""
    assert wait_until(lambda: receiver.store.count() >= count)


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
    _connections(lab, report)
    _crowd(lab, report)
    report.notes.append(
        "Processor time of shipping an event from a full spool is the part "
        "`ship`; an agent ships by the same code."
    )
    return report


@contextmanager
def _home(lab: Lab, who: str, name: str, url: str = "") -> Iterator[Home]:
    """a user; his agent ends with it"""
    runtime = Path(tempfile.mkdtemp(prefix="uilog-bench-", dir="/dev/shm"))
    if who in (NONE, STOCK):
        scripts = (
            {} if who == NONE else {"foo": "true", "commandfinish": "true"}
        )
        hgrc = lab.hgrc(who, **scripts)
    else:
        items = {
            "agent": "yes" if who == AGENT else "no",
            "agent-idle": "600",
            "sink.fleet": f"otlp:{url}",
            "sink.fleet:track": "foo, commandfinish",
        }
        hgrc = lab.configuration("uilog =", f"{who}-{name}", "uilog", items)
    environment = environment_of(lab, hgrc, lab.directory / f"home-{name}")
    environment["XDG_RUNTIME_DIR"] = str(runtime)
    home = Home(who, environment, runtime)
    try:
        yield home
    finally:
        home.stop()
        shutil.rmtree(runtime)


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
            with _home(lab, name, "hg", receiver.url) as home:
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
                with _home(lab, name, "left", receiver.url) as home:
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
        _await(receiver, came + count)
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


def _connections(lab: Lab, report: Report) -> None:
    count = lab.pick(CROWD, 100)
    found: dict[str, tuple[int, int]] = {}
    for name in (AGENT, EACH):
        with (
            Receiver() as receiver,
            _home(lab, name, "turn", receiver.url) as home,
        ):
            lab.run_probe(
                home.environment,
                "one_by_one",
                where=str(lab.repository()),
                count=count,
            )
            store = receiver.store
            _await(receiver, count)
            found[name] = store.connections, store.requests
            home.stop()
            processes.wait_until_gone(home.environment["HOME"])
    table = report.table(
        f"{count:,} commands with one record, one after the other (processes "
        "forked from one that has loaded hg)",
        "who",
        "connections",
        "requests",
    )
    for name, (connections, requests) in found.items():
        table.add(name, f"{connections:,}", f"{requests:,}")
    connections = found[AGENT][0]
    report.target(
        f"connections for {count:,} commands",
        f"<= {CONNECTIONS}",
        f"{connections:,}",
        connections <= CONNECTIONS,
    )


def _crowd(lab: Lab, report: Report) -> None:
    """commands at once"""
    count, rounds = lab.pick(CROWD, 100), lab.pick(3, 1)
    memory: dict[str, list[float]] = {AGENT: [], EACH: []}
    drained: dict[str, list[float]] = {AGENT: [], EACH: []}
    arrived: dict[str, int] = {AGENT: count, EACH: count}
    connections: dict[str, int] = {AGENT: 0, EACH: 0}
    for number in range(rounds):
        for name in in_turn(list(memory), number):
            with (
                Receiver() as receiver,
                _home(lab, name, "crowd", receiver.url) as home,
            ):
                most, seconds = _one_crowd(lab, home, receiver, count)
                memory[name].append(most)
                drained[name].append(seconds)
                came = receiver.store.count()
                arrived[name] = min(arrived[name], came)
                made = receiver.store.connections
                connections[name] = max(connections[name], made)
    table = report.table(
        f"{count:,} commands at once, each with one record at its end "
        f"(processes forked from one that has loaded hg; {rounds} times)",
        "who",
        "memory beyond hg: processes (PSS) and queues, MB, median",
        "from the last command's end until all had arrived, s, median",
        "ratio",
        "connections, most",
        "events that arrived, least",
    )
    base = median(drained[EACH])
    for name in (AGENT, EACH):
        report.keep(f"crowd, memory, {name}", memory[name])
        report.keep(f"crowd, drained, {name}", drained[name])
        table.add(
            name,
            f"{median(memory[name]) / MB:,.1f}",
            f"{median(drained[name]):.2f}",
            ratio(median(drained[name]), base),
            f"{connections[name]:,}",
            f"{arrived[name]:,} of {count:,}",
        )
    memory_of_all = median(memory[AGENT])
    report.target(
        f"memory of {count:,} commands at once, beyond hg",
        f"<= {MEMORY_MB} MB",
        f"{memory_of_all / MB:,.1f} MB",
        memory_of_all <= MEMORY_MB * MB,
    )
    ours = median(drained[AGENT])
    report.target(
        f"{count:,} commands at once, until all had arrived",
        f"<= 1.00x of {EACH}",
        ratio(ours, base),
        ours <= base,
    )


def _one_crowd(
    lab: Lab, home: Home, receiver: Receiver, count: int
) -> tuple[int, float]:
    """the most memory beyond hg, and the seconds until all had arrived"""
    arguments = {
        "where": str(lab.repository()),
        "count": count,
        "begins": False,
    }
    process = subprocess.Popen(
        [
            *(str(PYTHON), str(lab.directory / "hg"), "forked"),
            json.dumps(arguments),
        ],
        cwd=lab.directory,
        env=home.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "logged\n"
    end = time.perf_counter()
    most = 0
    deadline = end + 120
    while True:
        came = receiver.store.count()
        seconds = time.perf_counter() - end
        if came >= count or time.perf_counter() > deadline:
            break
        # Looking takes the processors from those that are looked at.
        if most == 0 or seconds > 0.5:
            most = max(most, _memory(home))
        time.sleep(0.01)
    most = max(most, _memory(home))
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.read()
    process.wait()
    home.stop()
    processes.wait_until_gone(home.environment["HOME"])
    return most, seconds


def _memory(home: Home) -> int:
    """of all processes of ours that are no hg, and of the queues"""
    agent = home.agent()
    pids = [
        it.pid
        for it in processes.of_home(home.environment["HOME"])
        if it.is_dispatcher()
    ]
    if agent is not None:
        pids.append(agent)
    return sum(map(_proportional, pids)) + home.queue_bytes()


def _proportional(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "Pss":
            return int(value.split()[0]) * 1024
    return 0
