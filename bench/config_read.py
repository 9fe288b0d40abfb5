"""What reading a configuration costs: uilog, rhg and hg."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from figures import Report, median, ms, percentile, ratio, us
from lab import HG, PYTHON, RHG_VERSION, ROOT, Lab, in_turn, rhg

UILOG = HG.parent / "uilog"
EXAMPLE = ROOT / "target" / "release" / "examples" / "load"

# A company's, a team's and one's own files.
FILES = 20
LINES = 2000
ITEM = "section.last"

OURS = "uilog config"
RHG = "rhg config"
STOCK = "hg config"

IN_PYTHON = """
import sys, time
from mercurial import ui
for _ in range(int(sys.argv[1])):
    begin = time.perf_counter_ns()
    ui.ui.load()
    print(time.perf_counter_ns() - begin)
"""


def run(lab: Lab) -> Report:
    report = Report(
        "config",
        "reading a configuration",
        f"A configuration of {LINES:,} lines in {FILES} files that include "
        "each other, outside of a repository: sections, items, values of "
        "several lines, comments. One item of it is asked for, whole process, "
        "in turn; reading is what that takes more than with a configuration "
        "of a single line.",
    )
    tree = lab.directory / "config"
    tree.mkdir(exist_ok=True)
    large = write_tree(tree)
    small = tree / "small.rc"
    small.write_text("[section]\nlast = yes\n")
    _processes(lab, report, large, small)
    _inside(lab, report, large)
    return report


def write_tree(directory: Path) -> Path:
    """makes the files, of which the first includes the others"""
    each = LINES // FILES
    for number in range(FILES):
        lines = []
        # Each includes two of the others.
        for other in (2 * number + 1, 2 * number + 2):
            if other < FILES:
                lines.append(f"%include {other}.rc")
        while len(lines) < each - 2:
            at = len(lines)
            if at % 20 == 2:
                lines.append(f"[section{(number + at) % 30}]")
            elif at % 20 == 10:
                lines.append("# why this is so")
            elif at % 20 == 15:
                lines.append("  and the rest of the value")
            else:
                lines.append(f"name{number}.{at} = value {at} of {number}")
        lines += ["[section]", "last = yes"]
        (directory / f"{number}.rc").write_text("\n".join(lines) + "\n")
    return directory / "0.rc"


def _processes(lab: Lab, report: Report, large: Path, small: Path) -> None:
    rounds = lab.pick(100, 10)
    programs = {OURS: str(UILOG), STOCK: str(HG)}
    found_rhg = rhg()
    if found_rhg is None:
        report.notes.append(
            "LEFT OUT: rhg, because its sources are not there or there is no "
            "cargo."
        )
    else:
        programs[RHG] = str(found_rhg)
        report.notes.append(f"rhg is Mercurial {RHG_VERSION}'s.")
    cases = [(who, hgrc) for who in programs for hgrc in (large, small)]
    found: dict[tuple[str, Path], list[float]] = {case: [] for case in cases}
    names = [f"{at}" for at in range(len(cases))]
    for number in range(rounds):
        for name in in_turn(names, number):
            who, hgrc = cases[int(name)]
            begin = time.perf_counter_ns()
            done = subprocess.run(
                [programs[who], "config", ITEM],
                cwd=lab.directory,
                env=lab.hg_environment(hgrc),
                stdout=subprocess.PIPE,
                check=True,
            )
            found[who, hgrc].append(time.perf_counter_ns() - begin)
            assert done.stdout == b"yes\n", done.stdout
    table = report.table(
        f"`config {ITEM}`, whole process ({rounds} each)",
        "what",
        "median, ms",
        "p99, ms",
        "one line, ms",
        "reading, ms (median of the pairs)",
        "ratio of medians to uilog",
    )
    base = median(found[OURS, large])
    for who in programs:
        samples, least = found[who, large], found[who, small]
        report.keep(who, samples)
        report.keep(f"{who}, one line", least)
        table.add(
            who,
            ms(median(samples)),
            ms(percentile(samples, 99)),
            ms(median(least)),
            ms(median([a - b for a, b in zip(samples, least)])),
            ratio(median(samples), base),
        )


def _inside(lab: Lab, report: Report, large: Path) -> None:
    count = lab.pick(200, 20)
    subprocess.run(
        [
            *("cargo", "build", "--quiet", "--release", "--locked"),
            *("-p", "uilog-config", "--example", "load"),
        ],
        cwd=ROOT,
        check=True,
    )
    environment = lab.hg_environment(large)
    table = report.table(
        f"Reading it within one process ({count} each)",
        "what",
        "median, µs",
        "p99, µs",
        "ratio of medians to uilog",
    )
    samples = {
        "uilog_config::load": [str(EXAMPLE)],
        "Mercurial's ui.load": [str(PYTHON), "-c", IN_PYTHON],
    }
    base = 0.0
    for what, argv in samples.items():
        done = subprocess.run(
            [*argv, str(count)],
            cwd=lab.directory,
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        times = [float(line) for line in done.stdout.split()]
        report.keep(what, times)
        base = base or median(times)
        table.add(
            what,
            us(median(times)),
            us(percentile(times, 99)),
            ratio(median(times), base),
        )
