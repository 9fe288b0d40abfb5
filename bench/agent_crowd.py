"""What many commands cost, one after the other and at once: connections,
memory, and the time until all records have arrived.

Must not know how a record gets from hg to an agent.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from agent_home import AGENT, EACH, Home, await_records, home_of
from figures import Report, median, ratio
from lab import MB, PYTHON, ROOT, Lab, in_turn

sys.path.append(str(ROOT / "tests" / "helpers"))

import processes
from otlp_receiver import Receiver

CROWD = 1000

CONNECTIONS = 10
MEMORY_MB = 32


def measure(lab: Lab, report: Report) -> None:
    _connections(lab, report)
    _crowd(lab, report)


def _connections(lab: Lab, report: Report) -> None:
    count = lab.pick(CROWD, 100)
    found: dict[str, tuple[int, int]] = {}
    for name in (AGENT, EACH):
        with (
            Receiver() as receiver,
            home_of(lab, name, "turn", receiver.url) as home,
        ):
            lab.run_probe(
                home.environment,
                "one_by_one",
                where=str(lab.repository()),
                count=count,
            )
            store = receiver.store
            await_records(receiver, count)
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
                home_of(lab, name, "crowd", receiver.url) as home,
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
