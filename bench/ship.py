"""What a record costs on its way to a collector: of this program, and of one
from before a change, in turn.

Responsible for giving both the same records, the same collector and the same
processor. Must not know how either does it.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from collector import Rotel, why_not
from figures import Report, median, ratio, us
from fleet import (
    SPOOL,
    all_gone,
    environment_of,
    segments,
    sending,
)
from lab import HG, MB, PYTHON, Lab, adopting, in_turn

NOW = "this program"
BEFORE = "the one before"
# Half of what a record cost before.
RATIO = 0.5


@dataclass
class Samples:
    """nanoseconds of processor time of an event, and events a second"""

    busy: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def add(
        self, usage: resource.struct_rusage, seconds: float, count: int
    ) -> None:
        busy = (usage.ru_utime + usage.ru_stime) * 1e9
        self.busy.append(busy / count)
        self.rates.append(count / seconds)


def run(lab: Lab) -> Report:
    report = Report(
        "ship",
        "from hg's queue to the collector's answer",
        "Events are ends of commands. The collector is rotel, on the loopback, "
        "which drops what it gets and has a processor of its own. Processor "
        "time is that of the whole process (`wait4`).",
    )
    reason = why_not()
    if reason is not None:
        report.notes.append(f"LEFT OUT: all of it, because {reason}.")
        return report
    programs = {NOW: HG.parent / "uilog"}
    if lab.before is None:
        report.notes.append(
            "LEFT OUT: the comparison, because --before BINARY is not given."
        )
    else:
        programs[BEFORE] = lab.before
    _send(lab, report, programs)
    _whole(lab, report, programs)
    return report


def _send(lab: Lab, report: Report, programs: dict[str, Path]) -> None:
    """a full spool, and one dispatcher that sends it"""
    count, rounds = lab.pick(40_000, 5_000), lab.pick(7, 2)
    directory = lab.directory / "ship"
    directory.mkdir()
    cores = sorted(os.sched_getaffinity(0))
    rotel = Rotel(directory / "rotel", None, core=cores[-1])
    hgrc = sending(lab, "ship", rotel.url)
    environment = environment_of(lab, hgrc, directory / "feed")
    # Nobody is there yet.
    lab.run_probe(environment, "feed", where=str(lab.repository()), count=count)
    if not all_gone(environment["HOME"]):
        report.notes.append("A dispatcher has not ended in time.")
        return
    full = directory / "feed" / SPOOL / "fleet"
    size = sum(it.stat().st_size for it in segments(full))
    samples = {name: Samples() for name in programs}
    with rotel, adopting():
        for number in range(rounds):
            for name in in_turn(list(programs), number):
                home = directory / "home"
                environment = _environment(
                    lab, hgrc, home, directory, programs[name]
                )
                spool = home / SPOOL / "fleet"
                shutil.copytree(full, spool)
                # The collector would be left alone for a while.
                for it in spool.glob("retry*"):
                    it.unlink()
                argv = [
                    "taskset",
                    "-c",
                    str(cores[0]),
                    str(HG),
                    "version",
                    "-q",
                ]
                subprocess.run(
                    argv, env=environment, stdout=subprocess.DEVNULL, check=True
                )
                begin = time.perf_counter()
                usage = _end(programs[name], environment)
                samples[name].add(usage, time.perf_counter() - begin, count)
                shutil.rmtree(home)
    title = (
        f"Shipping {count:,} events, {size / MB:.1f} MB, from the spool by one "
        f"dispatcher ({rounds} times, in turn)"
    )
    _table(report, title, samples)
    _target(report, "shipping, processor time of an event", samples)


def _end(program: Path, environment: dict[str, str]) -> resource.struct_rusage:
    """waits for the dispatcher, which is nobody's child but has been adopted"""
    _, _, usage = os.wait4(-1, 0)
    argv = [str(program), "spool", "export"]
    remaining = subprocess.run(
        argv, env=environment, stdout=subprocess.PIPE, check=True
    )
    assert not remaining.stdout, "something has not been sent"
    return usage


def _whole(lab: Lab, report: Report, programs: dict[str, Path]) -> None:
    """a dispatcher: from the queue into the spool, and from there on"""
    count, rounds = lab.pick(40_000, 5_000), lab.pick(5, 2)
    directory = lab.directory / "whole"
    directory.mkdir()
    cores = sorted(os.sched_getaffinity(0))
    samples = {name: Samples() for name in programs}
    with Rotel(directory / "rotel", None, core=cores[-1]) as rotel, adopting():
        hgrc = sending(lab, "whole", rotel.url)
        for number in range(rounds):
            for name in in_turn(list(programs), number):
                home = directory / "home"
                environment = _environment(
                    lab, hgrc, home, directory, programs[name]
                )
                where = str(lab.repository())
                begin = time.perf_counter()
                lab.run_probe(environment, "feed", where=where, count=count)
                usage = _end(programs[name], environment)
                samples[name].add(usage, time.perf_counter() - begin, count)
                shutil.rmtree(home)
    title = (
        f"{count:,} events from hg's queue through the spool to the "
        f"collector, by one dispatcher ({rounds} times, in turn; the time by "
        "the clock has hg's own in it)"
    )
    _table(report, title, samples)
    _target(report, "the whole way, processor time of an event", samples)


def _environment(
    lab: Lab, hgrc: Path, home: Path, directory: Path, program: Path
) -> dict[str, str]:
    """one in which hg's dispatcher is this program"""
    return {
        **environment_of(lab, hgrc, home),
        "PYTHONPATH": str(_installed(directory, program)),
    }


def _installed(directory: Path, program: Path) -> Path:
    """the extension, with this program as its dispatcher"""
    place = directory / "-".join(program.parts[1:])
    if not place.exists():
        shutil.copytree(_extensions(), place / "hgext3rd")
        (place / "bin").mkdir()
        shutil.copy(program, place / "bin" / "uilog")
    return place


def _extensions() -> Path:
    """where hg finds the extension: only hg's Python knows"""
    code = "import hgext3rd.uilog as it; print(it.__path__[0])"
    listed = subprocess.run(
        [PYTHON, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    return Path(listed.stdout.strip()).parent


def _table(report: Report, title: str, found: dict[str, Samples]) -> None:
    table = report.table(
        title,
        "who",
        "µs of processor time an event, median",
        "lowest",
        "highest",
        "ratio of medians",
        "events/s by the clock, median",
    )
    base = found.get(BEFORE, found[NOW])
    for name, it in reversed(found.items()):
        report.keep(f"{title}: {name}", it.busy)
        table.add(
            name,
            us(median(it.busy)),
            us(min(it.busy)),
            us(max(it.busy)),
            ratio(median(it.busy), median(base.busy)),
            f"{median(it.rates):,.0f}",
        )


def _target(report: Report, what: str, found: dict[str, Samples]) -> None:
    if BEFORE not in found:
        return
    now, before = median(found[NOW].busy), median(found[BEFORE].busy)
    report.target(
        what,
        f"<= {RATIO:.2f}x of {us(before)} µs",
        f"{ratio(now, before)}, {us(now)} µs",
        now <= RATIO * before,
    )
