"""What logging costs a whole command, and the machine that it runs on.

Responsible for everything that a command starts: this process becomes a
subreaper, so that each remaining process becomes its child, and it
waits for all of them. Must not know what a command does: that is for the
parts `startup` and `event`.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from figures import NS_PER_MS, NS_PER_US, Report, median, ms, percentile, us
from lab import (
    GB,
    HG,
    MARK,
    NONE,
    OURS,
    STOCK,
    Lab,
    adopting,
    in_turn,
    size_name,
    sizes_that_fit,
)
from startup import (
    EMPTY,
    count_instructions,
    counts_instructions,
    empty_extension,
    hg_without_collector,
)

WHO = (NONE, STOCK, OURS)
# The same as no logging: what it seems to add is noise.
AGAIN = "no logging, again"
LOADED = "uilog, nothing configured"
COMPARED = (NONE, AGAIN, STOCK, OURS, LOADED)
SILENT = (NONE, AGAIN, LOADED)
# What one of the scripts costs without anybody who starts it for an event.
SHELL = "the script alone, sh -c"
MB = 1 << 20

WALL_RATIO = 1.012
DISPATCHER_MS = 0.5
LOADED_MILLIONS = 6.5
BESIDE_BLACKBOX_MILLIONS = 2
PEAK_MB = 0.5
FIRST_US = 250
# An upper bound of what is flat, with the machine's noise.
FLAT = 1.5
SIZES = (0, 4)


@dataclass
class Samples:
    """of each command: nanoseconds, and how many processes it left, with how
    many page faults"""

    wall: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    processes: list[float] = field(default_factory=list)
    faults: list[float] = field(default_factory=list)
    # hg's own peak, in bytes.
    peak: list[float] = field(default_factory=list)

    def everything(self) -> list[float]:
        return [own + left for own, left in zip(self.own, self.left)]


def run(lab: Lab) -> Report:
    report = Report(
        "command",
        "a whole command with one script",
        "`hg id` in a small repository with one `commandfinish` script: no "
        "logging, stock logtoprocess and uilog in turn, PYTHONHASHSEED=0. The "
        "next command begins when every process that the one before has left "
        "behind has ended. Processor time is what `wait4` tells of each. "
        f"`{AGAIN}` is the same command once more: a difference that is not "
        "larger than its own says nothing.",
    )
    with adopting():
        samples = _commands(lab)
    _tell(report, samples)
    _first(lab, report)
    if counts_instructions(lab, report):
        _instructions(lab, report)
    return report


def _commands(lab: Lab) -> dict[str, Samples]:
    rounds = lab.pick(120, 30)
    repository = lab.repository()
    found = {name: Samples() for name in (*COMPARED, SHELL)}
    commands = {
        who: (
            [str(HG), "id"],
            lab.hg_environment(
                lab.hgrc(who, **({} if who == NONE else SCRIPTS))
            ),
        )
        for who in WHO
    }
    commands[AGAIN] = commands[NONE]
    commands[LOADED] = ([str(HG), "id"], lab.hg_environment(lab.hgrc(OURS)))
    commands[SHELL] = (["/bin/sh", "-c", MARK], lab.environment)
    for number in range(-1, rounds):
        for who in in_turn(list(commands), max(number, 0)):
            argv, environment = commands[who]
            before = lab.count_marks()
            samples = found[who] if number >= 0 else Samples()
            _one(argv, environment, repository, samples)
            ran = lab.count_marks() - before
            if ran != (who not in SILENT):
                raise RuntimeError(f"{who}: {ran} scripts have run")
    return found


SCRIPTS = {"commandfinish": MARK}


def _one(
    argv: list[str],
    environment: dict[str, str],
    repository: Path,
    samples: Samples,
) -> None:
    begin = time.perf_counter_ns()
    process = subprocess.Popen(
        argv,
        cwd=repository,
        env={**environment, "PYTHONHASHSEED": "0"},
        stdout=subprocess.DEVNULL,
    )
    _pid, status, usage = os.wait4(process.pid, 0)
    samples.wall.append(time.perf_counter_ns() - begin)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, argv)
    samples.own.append(_nanoseconds(usage))
    samples.peak.append(usage.ru_maxrss * 1024)
    left, count, faults = 0.0, 0, 0
    while True:
        try:
            _pid, _status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        # Of a process that has waited for its children, theirs as well.
        left += _nanoseconds(usage)
        count += 1
        faults += usage.ru_minflt
    samples.left.append(left)
    samples.faults.append(faults)
    samples.processes.append(count)


def _nanoseconds(usage: os.rusage_result) -> float:  # type: ignore[name-defined]
    return float((usage.ru_utime + usage.ru_stime) * NS_PER_MS * 1000)


def _tell(report: Report, found: dict[str, Samples]) -> None:
    rounds = len(found[NONE].wall)
    table = report.table(
        f"`hg id` ({rounds} each; ratios and differences are medians of pairs)",
        "who",
        "wall, ms",
        "p99",
        "ratio to no logging",
        "hg's processor time, ms",
        "added",
        "left behind, ms",
        "everything, added, ms",
        "its middle half",
    )
    base = found[NONE]
    ratios, added = {}, {}
    for who in COMPARED:
        samples = found[who]
        for kind in ("wall", "own", "left"):
            report.keep(f"{kind}, {who}", getattr(samples, kind))
        pairs = [a / b for a, b in zip(samples.wall, base.wall)]
        ratios[who] = median(pairs)
        everything = _pairs(samples.everything(), base.everything())
        added[who] = median(everything)
        low, high = (percentile(everything, part) for part in (25, 75))
        table.add(
            who,
            ms(median(samples.wall)),
            ms(percentile(samples.wall, 99)),
            f"{ratios[who]:.3f}x",
            ms(median(samples.own)),
            ms(_difference(samples.own, base.own)),
            ms(median(samples.left)),
            ms(added[who]),
            f"{ms(low)} to {ms(high)}",
        )
    shell = median(found[SHELL].own)
    report.keep(SHELL, found[SHELL].own)
    table = report.table(
        "Processor time of what a command leaves behind, ms, medians",
        "who",
        "all of it",
        "more than the script alone",
        "processes that lost their parent",
        "page faults",
    )
    table.add(SHELL, ms(shell), ms(0), "", "")
    for who in (STOCK, OURS):
        leftover = median(found[who].left)
        count = median(found[who].processes)
        faults = median(found[who].faults)
        table.add(
            who, ms(leftover), ms(leftover - shell), f"{count:g}", f"{faults:g}"
        )
    _peaks(report, found)
    dispatcher = median(found[OURS].left) - shell
    report.target(
        "wall, ratio to no logging",
        f"<= {WALL_RATIO}x, at most stock's",
        f"{ratios[OURS]:.3f}x, stock {ratios[STOCK]:.3f}x",
        ratios[OURS] <= min(WALL_RATIO, ratios[STOCK]),
    )
    report.target(
        "processor time of everything, added",
        "at most stock's",
        f"{ms(added[OURS])} ms, stock {ms(added[STOCK])} ms",
        added[OURS] <= added[STOCK],
    )
    report.target(
        "a dispatcher for one script, processor time",
        f"<= {DISPATCHER_MS} ms",
        f"{ms(dispatcher)} ms",
        dispatcher <= DISPATCHER_MS * NS_PER_MS,
    )


def _peaks(report: Report, found: dict[str, Samples]) -> None:
    table = report.table("hg's peak memory, MB, medians", "who", "all", "added")
    base = median(found[NONE].peak)
    added = {}
    for who in COMPARED:
        peak = median(found[who].peak)
        report.keep(f"peak, {who}", found[who].peak)
        added[who] = (peak - base) / MB
        table.add(who, f"{peak / MB:.2f}", f"{added[who]:+.2f}")
    report.target(
        "hg's peak memory, with a script",
        f"<= +{PEAK_MB} MB",
        f"{added[OURS]:+.2f} MB, stock {added[STOCK]:+.2f} MB",
        added[OURS] <= PEAK_MB,
    )


def _pairs(these: list[float], those: list[float]) -> list[float]:
    return [a - b for a, b in zip(these, those)]


def _difference(these: list[float], those: list[float]) -> float:
    return median(_pairs(these, those))


def _first(lab: Lab, report: Report) -> None:
    rounds = lab.pick(40, 5)
    sizes, notes = sizes_that_fit(SIZES[:1] if lab.quick else SIZES)
    report.notes += notes
    found: dict[tuple[str, float], list[float]] = {}
    for size in sizes:
        # Touching 4 GB takes a while.
        for number in range(rounds if size == 0 else rounds // 2):
            for who in in_turn((OURS, STOCK), number):
                before = lab.count_marks()
                result = lab.probe(
                    lab.hgrc(who, foo=MARK),
                    "first",
                    prepare=False,
                    nbytes=int(size * GB),
                )
                found.setdefault((who, size), []).append(float(result["first"]))
                lab.settle(min(before, 0) + 2)
    table = report.table(
        "The first event of a process, with a script, µs",
        "who",
        *(f"{size_name(size)}, median" for size in sizes),
        *(f"{size_name(size)}, p99" for size in sizes),
    )
    for who in (STOCK, OURS):
        of = [found[who, size] for size in sizes]
        for size, samples in zip(sizes, of):
            report.keep(f"first event, {who}, {size_name(size)}", samples)
        table.add(
            who,
            *(us(median(samples)) for samples in of),
            *(us(percentile(samples, 99)) for samples in of),
        )
    medians = [median(found[OURS, size]) for size in sizes]
    flat = max(medians) / min(medians)
    report.target(
        f"first event, median, up to {size_name(sizes[-1])}",
        f"<= {FIRST_US} µs, flat",
        f"{us(max(medians))} µs, {flat:.2f}x",
        max(medians) <= FIRST_US * NS_PER_US and flat <= FLAT,
    )


def _instructions(lab: Lab, report: Report) -> None:
    hg = hg_without_collector(lab)
    counts = {}
    # The first command in a repository writes its caches.
    count_instructions(lab, hg, lab.hgrc(NONE))
    for who, hgrc in _counted(lab).items():
        counts[who] = count_instructions(lab, hg, hgrc)
    table = report.table(
        "hg's process under valgrind without garbage collection, "
        "million instructions",
        "who",
        "all",
        "added",
    )
    for who, count in counts.items():
        added = count - counts[NONE]
        table.add(who, f"{count / 1e6:.1f}", f"{added / 1e6:.1f}")
    loaded = (counts[LOADED] - counts[NONE]) / 1e6
    report.target(
        "nothing configured, instructions above no extension",
        f"<= {LOADED_MILLIONS} million",
        f"{loaded:.1f} million",
        loaded <= LOADED_MILLIONS,
    )
    beside = (counts[OURS_BLACKBOX] - counts[STOCK_BLACKBOX]) / 1e6
    report.target(
        "with `blackbox` beside it, above stock blackbox's own",
        f"<= {BESIDE_BLACKBOX_MILLIONS} million",
        f"{beside:.1f} million",
        beside <= BESIDE_BLACKBOX_MILLIONS,
    )
    report.notes.append(
        "Under valgrind there is no other clone than fork, vfork and that of "
        "a thread: uilog starts its dispatcher by posix_spawn there."
    )


STOCK_BLACKBOX = "stock blackbox"
EMPTY_BLACKBOX = "stock blackbox, an empty extension"
OURS_BLACKBOX = "uilog, blackbox"


def _counted(lab: Lab) -> dict[str, Path]:
    """the configurations whose instructions are counted"""
    empty = empty_extension(lab)

    def enabling(who: str, *extensions: str) -> Path:
        return lab.configuration("\n".join(extensions), who, "ui", {})

    return {
        NONE: lab.hgrc(NONE),
        EMPTY: enabling(EMPTY, empty),
        STOCK: lab.hgrc(STOCK, **SCRIPTS),
        LOADED: lab.hgrc(OURS),
        OURS: lab.hgrc(OURS, **SCRIPTS),
        STOCK_BLACKBOX: enabling(STOCK_BLACKBOX, "blackbox ="),
        EMPTY_BLACKBOX: enabling(EMPTY_BLACKBOX, "blackbox =", empty),
        OURS_BLACKBOX: enabling(OURS_BLACKBOX, "blackbox =", "uilog ="),
    }
