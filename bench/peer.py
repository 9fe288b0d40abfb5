"""What ssh peers cost: their end, opening and closing them, and their use."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from figures import (
    NS_PER_US,
    Report,
    Table,
    median,
    ms,
    percentile,
    ratio,
    us,
)
from lab import HG, MARK, NONE, OURS, STOCK, Lab, in_turn

MB = 1 << 20
NS_PER_S = 1_000_000_000

# Instead of ssh: `sh FILE HOST COMMAND` runs the command here.
SSH = 'shift\neval "$1"\n'
# The same, and something on the server's side goes on holding stderr.
HOLDING = 'shift\nsleep {} <&- >&- &\neval "$1"\n'
# A server that answers the handshake only and starts no Python, so that what
# the client itself does is not lost in what the server does.
HELLO = "capabilities: lookup"
BARE = f"printf '%s\\n' {len(HELLO) + 1} '{HELLO}' 1 ''\nexec cat >/dev/null\n"

# Only the client's configuration differs, never the server's.
SERVER = '#!/bin/sh\nexport HGRCPATH=\nexec {} "$@"\n'

LOADED = f"{OURS}, loaded only"
SCRIPTED = f"{OURS}, a commandfinish script"
STOCK_SCRIPTED = f"{STOCK}, a commandfinish script"

COLUMNS = (
    "who",
    "median, ms",
    "fastest",
    "p99",
    "added, µs (median of the pairs)",
    "ratio (medians)",
    "ratio (fastest)",
)

BOTH = "opening and closing"
PEERS = 50
FILES = 10
FILE_BYTES = 10 * MB

# The default of uilog.peer-timeout and what hg itself takes.
MAX_END_S = 6
MAX_RATIO = 1.02
MAX_RATIO_IN_USE = 1.05
MAX_DESCRIPTORS = 1


def run(lab: Lab) -> Report:
    report = Report(
        "peer",
        "ssh peers",
        "The ssh is a script that runs the command that it is given. The "
        "server is `hg serve --stdio` without any extension, for all alike: "
        "the client's configuration file alone differs. Where there is a "
        "script, it has ended before the next process is started.",
    )
    place = _Place(lab)
    _held(lab, report, place)
    _processes(lab, report, place)
    _inside(lab, report, place)
    _events(lab, report, place)
    _pull(lab, report, place)
    _descriptors(lab, report, place)
    return report


class _Place:
    """where peers are found: scripts instead of ssh, and the server's hg"""

    def __init__(self, lab: Lab) -> None:
        self._directory = lab.directory / "peer"
        self._directory.mkdir()
        self._server = self.script("hg", SERVER.format(shlex.quote(str(HG))))
        self._server.chmod(0o755)
        self.ssh = self.script("ssh", SSH)
        self.bare = self.script("bare", BARE)

    def script(self, name: str, text: str) -> Path:
        path = self._directory / name
        path.write_text(text)
        return path

    def of(self, repository: Path, ssh: Path) -> dict[str, str]:
        """what hg's own options and the probe say of a peer"""
        return {
            "url": f"ssh://localhost/{repository}",
            "ssh": f"sh {shlex.quote(str(ssh))}",
            "remotecmd": str(self._server),
        }


def _hg(
    lab: Lab, hgrc: Path, where: dict[str, str], name: str, *arguments: str
) -> float:
    """how long a command of hg takes that connects to a peer"""
    command = [str(HG), name, "--ssh", where["ssh"]]
    command += ["--remotecmd", where["remotecmd"], where["url"], *arguments]
    begin = time.perf_counter_ns()
    subprocess.run(
        command,
        cwd=lab.directory,
        env=lab.hg_environment(hgrc),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter_ns() - begin


def _held(lab: Lab, report: Report, place: _Place) -> None:
    rounds = lab.pick(2, 1)
    seconds = lab.pick(20, 7)
    ssh = place.script("holding", HOLDING.format(seconds))
    where = place.of(lab.repository(), ssh)
    hgrcs = {
        NONE: lab.hgrc(NONE),
        SCRIPTED: lab.hgrc(OURS, commandfinish=MARK),
    }
    found: dict[str, list[float]] = {name: [] for name in hgrcs}
    for number in range(rounds):
        for name in in_turn(list(hgrcs), number):
            # Stock hg waits for as long as it is told to.
            if name == NONE and number > 0:
                continue
            before = lab.count_marks()
            found[name].append(_hg(lab, hgrcs[name], where, "id"))
            lab.settle(before + ("script" in name))
    table = report.table(
        f"`hg id` while a process of the server holds stderr for {seconds} s",
        "who",
        "s",
        "ratio to no logging",
    )
    for name, samples in found.items():
        report.keep(f"hg id, stderr held, {name}", samples)
        table.add(
            name,
            ", ".join(f"{it / NS_PER_S:.2f}" for it in samples),
            ratio(median(samples), median(found[NONE])),
        )
    longest = max(found[SCRIPTED])
    report.target(
        f"stderr held for {seconds} s",
        f"<= {MAX_END_S} s",
        f"{longest / NS_PER_S:.2f} s",
        longest <= MAX_END_S * NS_PER_S,
    )


def _processes(lab: Lab, report: Report, place: _Place) -> None:
    rounds = lab.pick(30, 3)
    where = place.of(lab.repository(), place.ssh)
    hgrcs = {
        NONE: lab.hgrc(NONE),
        LOADED: lab.hgrc(OURS),
        SCRIPTED: lab.hgrc(OURS, commandfinish=MARK),
        STOCK_SCRIPTED: lab.hgrc(STOCK, commandfinish=MARK),
    }
    found: dict[str, list[float]] = {name: [] for name in hgrcs}
    for number in range(rounds):
        for name in in_turn(list(hgrcs), number):
            before = lab.count_marks()
            found[name].append(_hg(lab, hgrcs[name], where, "id"))
            lab.settle(before + ("script" in name))
    table = report.table(
        f"`hg id` of a peer, whole process ({rounds} each)",
        *COLUMNS,
    )
    _rows(report, table, "hg id of a peer", found)
    for name in (LOADED, SCRIPTED):
        _ratio_target(
            report,
            f"`hg id` of a peer, median, {name}",
            MAX_RATIO,
            median(found[name]) / median(found[NONE]),
        )
    report.notes.append(
        "A whole process is slower by the loading of the extension as well, "
        "which is what the part `startup` measures; the process that opens "
        "and closes peers is not."
    )


def _inside(lab: Lab, report: Report, place: _Place) -> None:
    """processes that open and close peers, in turn"""
    hgrcs = {NONE: lab.hgrc(NONE), OURS: lab.hgrc(OURS, commandfinish=MARK)}
    for what, ssh, rounds, count in (
        ("`hg serve --stdio`", place.ssh, lab.pick(2, 1), lab.pick(25, 6)),
        ("a bare server", place.bare, lab.pick(3, 1), lab.pick(400, 100)),
    ):
        where = place.of(lab.repository(), ssh)
        found: dict[str, dict[str, list[float]]] = {
            step: {name: [] for name in hgrcs}
            for step in ("opening", "closing", BOTH)
        }
        for _ in range(rounds):
            for name, opened, closed in _open_close(lab, hgrcs, where, count):
                for step, took in zip(found, (opened, closed, opened + closed)):
                    found[step][name].append(took)
        for step, samples in found.items():
            table = report.table(
                f"Inside a process, {what}: {step} ({rounds * count} each)",
                *COLUMNS,
            )
            _rows(report, table, f"{step}, {what}", samples)
        if ssh is place.ssh:
            both = found[BOTH]
            _ratio_target(
                report,
                f"{BOTH} a peer, median",
                MAX_RATIO,
                median(both[OURS]) / median(both[NONE]),
            )
    report.notes.append(
        "The bare server is a shell that answers the handshake and becomes "
        "`cat`: it shows what the client itself does. Stock hg's close ends "
        "with the server's standard error, ours with its process, which it "
        "reaps as well. The processes live throughout, and each opens and "
        "closes a peer in its turn."
    )


def _open_close(
    lab: Lab, hgrcs: dict[str, Path], where: dict[str, str], count: int
) -> Iterator[tuple[str, float, float]]:
    """how long each took, so many times in turn, to open and close a peer"""
    with ExitStack() as stack:
        probes = {}
        for name, hgrc in hgrcs.items():
            probe = lab.start_probe(hgrc, "peers", where=where)
            # Closes its input, and with that it ends.
            stack.callback(probe.communicate)
            probes[name] = probe
        # The first one imports what the later ones use.
        for number in range(count + 1):
            for name in in_turn(list(hgrcs), number):
                stdin, stdout = probes[name].stdin, probes[name].stdout
                assert stdin is not None and stdout is not None
                stdin.write(b"\n")
                stdin.flush()
                opened, closed = json.loads(stdout.readline())
                if number > 0:
                    yield name, float(opened), float(closed)


def _events(lab: Lab, report: Report, place: _Place) -> None:
    """events while peers are open"""
    rounds = lab.pick(10, 2)
    count = lab.pick(1000, 500)
    where = place.of(lab.repository(), place.bare)
    hgrc = lab.hgrc(OURS, foo=MARK)
    numbers = {"0 open peers": 0, f"{PEERS} open peers": PEERS}
    found: dict[str, list[float]] = {name: [] for name in numbers}
    rates: dict[str, list[float]] = {name: [] for name in numbers}
    for number in range(rounds):
        for name in in_turn(list(numbers), number):
            result = lab.probe(
                hgrc, "burst", count=count, where=where, peers=numbers[name]
            )
            found[name] += map(float, result["samples"])
            rates[name].append(count * NS_PER_S / result["waited"])
    table = report.table(
        f"Events of {OURS} with open peers, one script "
        f"({rounds} bursts of {count:,})",
        "with",
        "events/s, median",
        "lowest",
        "highest",
        "ratio",
        "µs per event, median",
        "p99",
        "ratio",
    )
    none, some = numbers
    for name, samples in found.items():
        report.keep(f"event, {name}", samples)
        report.keep(f"events per second, {name}", rates[name])
        table.add(
            name,
            f"{median(rates[name]):,.0f}",
            f"{min(rates[name]):,.0f}",
            f"{max(rates[name]):,.0f}",
            ratio(median(rates[name]), median(rates[none])),
            us(median(samples)),
            us(percentile(samples, 99)),
            ratio(median(samples), median(found[none])),
        )
    _ratio_target(
        report,
        f"one event with {PEERS} open peers, median",
        MAX_RATIO_IN_USE,
        median(found[some]) / median(found[none]),
    )


def _pull(lab: Lab, report: Report, place: _Place) -> None:
    rounds = lab.pick(7, 1)
    source = lab.directory / "peer" / "large"
    none = lab.hgrc(NONE)
    environment = lab.hg_environment(none)

    def hg(*arguments: str) -> None:
        command = [str(HG), *arguments]
        subprocess.run(command, env=environment, check=True)

    hg("init", str(source))
    for file in range(FILES):
        # Not to be compressed: the bytes that are stored are pulled.
        (source / f"file{file}").write_bytes(os.urandom(FILE_BYTES))
    hg("--cwd", str(source), "commit", "-qAm", "large files")
    where = place.of(source, place.ssh)
    destination = lab.directory / "peer" / "pulled"
    hgrcs = {NONE: none, SCRIPTED: lab.hgrc(OURS, commandfinish=MARK)}
    found: dict[str, list[float]] = {name: [] for name in hgrcs}
    for number in range(rounds):
        for name in in_turn(list(hgrcs), number):
            before = lab.count_marks()
            arguments = ("--pull", "-qU", str(destination))
            samples = found[name]
            samples.append(_hg(lab, hgrcs[name], where, "clone", *arguments))
            lab.settle(before + ("script" in name))
            shutil.rmtree(destination)
    shutil.rmtree(source)
    table = report.table(
        f"`hg clone --pull -U` of {FILES * FILE_BYTES // MB} MB that do not "
        f"compress ({rounds} each)",
        *COLUMNS,
    )
    _rows(report, table, "hg clone --pull", found)
    _ratio_target(
        report,
        f"pulling {FILES * FILE_BYTES // MB} MB, median",
        MAX_RATIO_IN_USE,
        median(found[SCRIPTED]) / median(found[NONE]),
    )


def _descriptors(lab: Lab, report: Report, place: _Place) -> None:
    where = place.of(lab.repository(), place.bare)
    table = report.table(
        f"Descriptors of hg's process (/proc/self/fd), {PEERS} peers",
        "who",
        "before",
        "while they are open",
        "when they are closed",
        "when nobody holds them",
        "for each open peer",
    )
    each = {}
    open_after = {}
    for who in (NONE, OURS):
        hgrc = lab.hgrc(who)
        counts = lab.probe(hgrc, "descriptors", where=where, count=PEERS)
        each[who] = (counts["during"] - counts["before"]) / PEERS
        open_after[who] = counts["closed"] - counts["before"]
        table.add(
            who,
            *(
                str(counts[it])
                for it in ("before", "during", "closed", "after")
            ),
            f"{each[who]:g}",
        )
    added = each[OURS] - each[NONE]
    report.target(
        "descriptors for each open peer, more than stock hg's",
        f"<= {MAX_DESCRIPTORS}",
        f"{added:g}",
        added <= MAX_DESCRIPTORS,
    )
    leaked = open_after[OURS] - open_after[NONE]
    report.target(
        f"descriptors of {PEERS} closed peers, more than stock hg's",
        "0",
        str(leaked),
        leaked == 0,
    )


def _rows(
    report: Report, table: Table, what: str, found: dict[str, list[float]]
) -> None:
    """a row for each, beside that without logging"""
    base = found[NONE]
    for name, samples in found.items():
        report.keep(f"{what}, {name}", samples)
        added = median([a - b for a, b in zip(samples, base)]) / NS_PER_US
        table.add(
            name,
            ms(median(samples)),
            ms(min(samples)),
            ms(percentile(samples, 99)),
            f"{added:,.0f}",
            ratio(median(samples), median(base)),
            ratio(min(samples), min(base)),
        )


def _ratio_target(
    report: Report, what: str, limit: float, value: float
) -> None:
    report.target(what, f"<= {limit}x", f"{value:.2f}x", value <= limit)
