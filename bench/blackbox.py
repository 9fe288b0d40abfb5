"""What a line of the blackbox costs, alone, with rotation, and in a crowd."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

from figures import NS_PER_US, Report, median, ms, percentile, ratio, us
from lab import HG, NONE, OURS, Lab, in_turn

STOCK = "stock blackbox"
FLOOR = "open, fstat, write, close"
EXTENSIONS = {
    NONE: "",
    OURS: "blackbox =\nuilog =",
    STOCK: "blackbox =",
}

LINE_US = 8
# Old files are never so many that one is dropped.
MAXFILES = 500
CROWD = 8
CROWD_LINES = 4000
CROWD_BYTES = "2 KB"


def run(lab: Lab) -> Report:
    report = Report(
        "blackbox",
        "one line of `blackbox.log`",
        "`repo.ui.log(b'foo', ...)` with a message and three options, on the "
        "ui of a repository made by hg's own `hg.repository`. The log is on "
        "the file system of the temporary directory.",
    )
    _line(lab, report)
    _rotated(lab, report)
    _crowd(lab, report)
    _strangers(lab, report)
    _command(lab, report)
    return report


def _hgrc(lab: Lab, who: str, **settings: str) -> Path:
    return lab.configuration(EXTENSIONS[who], who, "blackbox", settings)


def _fresh(lab: Lab, name: str) -> Path:
    """a copy of the repository, whose log is empty"""
    path = lab.directory / f"blackbox-{name}"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(lab.repository(), path)
    return path


def _samples(
    lab: Lab, report: Report, what: str, count: int, **settings: str
) -> dict[str, list[float]]:
    rounds = lab.pick(6, 2)
    found: dict[str, list[float]] = {}
    for number in range(rounds):
        for name in in_turn((NONE, FLOOR, OURS, STOCK), number):
            where = str(_fresh(lab, "one"))
            if name == FLOOR:
                hgrc = _hgrc(lab, NONE)
                result = lab.probe(hgrc, "appends", where=where, count=count)
            else:
                hgrc = _hgrc(lab, name, **settings)
                result = lab.probe(hgrc, "lines", where=where, count=count)
            found.setdefault(name, []).extend(map(float, result))
    for name, samples in found.items():
        report.keep(f"{what}, {name}", samples)
    return found


def _table(report: Report, title: str, found: dict[str, list[float]]) -> None:
    table = report.table(
        title, "who", "median", "p99", "worst", "mean", "ratio of medians"
    )
    stock = median(found[STOCK])
    for name, samples in found.items():
        table.add(
            name,
            us(median(samples)),
            us(percentile(samples, 99)),
            us(max(samples)),
            us(sum(samples) / len(samples)),
            ratio(median(samples), stock),
        )


def _line(lab: Lab, report: Report) -> None:
    count = lab.pick(2000, 500)
    samples = _samples(lab, report, "line", count)
    _table(report, f"A line, µs ({count} in a row, 6 times)", samples)
    ours, floor = median(samples[OURS]), median(samples[FLOOR])
    report.target(
        "one line, median",
        f"<= {LINE_US} µs",
        f"{us(ours)} µs ({ratio(ours, floor)} of the bare system calls)",
        ours <= LINE_US * NS_PER_US,
    )
    report.target(
        "beside stock",
        "a tenth",
        ratio(ours, median(samples[STOCK])),
        ours * 10 <= median(samples[STOCK]),
    )
    report.notes.append(
        f'"{FLOOR}" are the system calls of a line, made bare from Python: '
        "no writer that opens its file can be cheaper. The cost of calling "
        f'them from Python is in it. "{NONE}" is `ui.log` without any logger.'
    )


def _rotated(lab: Lab, report: Report) -> None:
    count = lab.pick(30_000, 3000)
    settings = {"maxsize": "1 MB" if not lab.quick else "100 KB"}
    samples = _samples(lab, report, "rotated", count, **settings)
    size = settings["maxsize"]
    _table(
        report,
        f"With rotation at {size} and six old files, µs ({count:,} in a row)",
        samples,
    )


def _write_together(
    lab: Lab, writers: list[tuple[str, int]]
) -> tuple[float, dict[str, tuple[int, int]]]:
    """several processes at a time; how long, and who lost how many lines

    A writer's lines are looked for in every file that holds the log.
    """
    where = _fresh(lab, "crowd")
    processes = []
    for number, (name, count) in enumerate(writers):
        hgrc = _hgrc(lab, name, maxsize=CROWD_BYTES, maxfiles=str(MAXFILES))
        arguments = {
            "where": str(where),
            "count": count,
            "tag": f"{name.split()[0]}-{number}",
        }
        processes.append(lab.start_probe(hgrc, "crowd", **arguments))
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    begin = time.perf_counter_ns()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    ends = [int(process.communicate()[0]) for process in processes]
    logs = [*(where / ".hg").glob("blackbox.log*")]
    logs += (where / ".hg" / ".blackbox.log.kept").glob("*-*")
    inodes = {path.stat().st_ino: path for path in logs}
    text = b"".join(path.read_bytes() for path in inodes.values())
    counts = Counter(
        line.rsplit(b"> ", 1)[-1].split(b" ")[0]
        for line in text.split(b"\n")
        if b" tagged" in line
    )
    lost: dict[str, tuple[int, int]] = {}
    for number, (name, count) in enumerate(writers):
        there = counts[f"{name.split()[0]}-{number}".encode()]
        before, all_of_it = lost.get(name, (0, 0))
        lost[name] = (before + count - there, all_of_it + count)
    return max(ends) - begin, lost


def _lost(lost: dict[str, tuple[int, int]], name: str) -> str:
    if name not in lost:
        return ""
    gone, count = lost[name]
    return f"{gone:,} of {count:,} ({100 * gone / count:.1f} %)"


def _crowd(lab: Lab, report: Report) -> None:
    lines = lab.pick(CROWD_LINES, 800) // CROWD
    rounds = lab.pick(5, 2)
    times: dict[str, list[float]] = {}
    lost: dict[str, tuple[int, int]] = {}
    for number in range(rounds):
        for name in in_turn((OURS, STOCK), number):
            took, gone = _write_together(lab, [(name, lines)] * CROWD)
            times.setdefault(name, []).append(took)
            before, count = lost.get(name, (0, 0))
            lost[name] = (before + gone[name][0], count + gone[name][1])
    table = report.table(
        f"{CROWD} processes, {lines * CROWD:,} lines in all, rotation at "
        f"{CROWD_BYTES} ({rounds} times)",
        "who",
        "until the last line, ms",
        "ratio",
        "lines lost",
    )
    for name, samples in times.items():
        report.keep(f"crowd, {name}", samples)
        table.add(
            name,
            ms(median(samples)),
            ratio(median(samples), median(times[STOCK])),
            _lost(lost, name),
        )
    report.target(
        f"{CROWD} processes that rotate",
        "no line lost",
        _lost(lost, OURS),
        lost[OURS][0] == 0,
    )


def _strangers(lab: Lab, report: Report) -> None:
    lines = lab.pick(500, 100)
    table = report.table(
        f"Ours and stock hg in the same log, rotation at {CROWD_BYTES}; ours "
        "write eight times as many lines each, so that both write all the time",
        "writers",
        "ours lost",
        "stock's lost",
    )
    for ours, stock in ((7, 1), (6, 2), (4, 4), (0, 8)):
        writers = [(OURS, lines * 8)] * ours + [(STOCK, lines)] * stock
        _, lost = _write_together(lab, writers)
        table.add(
            f"{ours} of ours, {stock} of stock hg's",
            _lost(lost, OURS),
            _lost(lost, STOCK),
        )
        if stock == 1:
            report.target(
                "one stock hg among them",
                "none of ours lost",
                _lost(lost, OURS),
                lost[OURS][0] == 0,
            )
    report.notes.append(
        "Two stock hg that rotate at the same time destroy a file with all "
        "that is in it, whoever wrote it. Nobody else can prevent that."
    )


def _command(lab: Lab, report: Report) -> None:
    rounds = lab.pick(40, 8)
    found: dict[str, list[float]] = {}
    where = _fresh(lab, "command")
    for number in range(rounds):
        for name in in_turn((NONE, OURS, STOCK), number):
            environment = lab.hg_environment(_hgrc(lab, name))
            begin = time.perf_counter_ns()
            subprocess.run(
                [str(HG), "id"],
                cwd=where,
                env=environment,
                stdout=subprocess.DEVNULL,
                check=True,
            )
            took = time.perf_counter_ns() - begin
            found.setdefault(name, []).append(took)
    table = report.table(
        f"`hg id`, whole process, ms ({rounds} times, in turn)",
        "who",
        "median",
        "lowest",
        "ratio to no logging",
    )
    for name, samples in found.items():
        report.keep(f"hg id, {name}", samples)
        table.add(
            name,
            ms(median(samples)),
            ms(min(samples)),
            ratio(median(samples), median(found[NONE])),
        )
