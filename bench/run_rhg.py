"""What `uilog run` costs a command that takes a few milliseconds: rhg."""

from __future__ import annotations

import subprocess
import time

from figures import NS_PER_MS, Report, median, ms, percentile, ratio
from lab import (
    HG,
    MARK,
    NONE,
    OURS,
    RHG_SOURCES,
    RHG_VERSION,
    ROOT,
    STOCK,
    Lab,
    in_turn,
    rhg,
)

BARE_RATIO = 1.15
STOCK_RATIO = 25

UILOG = HG.parent / "uilog"

BARE = "rhg files"
OUR_RUN = "uilog run -- rhg files, a commandfinish script"
OUR_RUN_ALONE = "uilog run -- rhg files, no script"
SHELL = "sh -c 'rhg files; exit'"
STOCK_RUN = "rhg files, stock logtoprocess, the same script"

# As `uilog run --install-hint` says.
RECIPE = f"""
[rhg]
on-unsupported = fallback
fallback-executable = {HG}
ignored-extensions = uilog
"""


def run(lab: Lab) -> Report:
    report = Report(
        "run",
        "uilog run around rhg",
        "`rhg files` in a small repository, whole process, in turn. Where "
        "there is a script, it has ended before the next process is started. "
        f"rhg is Mercurial {RHG_VERSION}'s.",
    )
    program = rhg()
    if program is None:
        report.notes.append(
            "LEFT OUT: rhg, because its sources are not there "
            f"({RHG_SOURCES.relative_to(ROOT)}: `make test` fetches them) or "
            "there is no cargo."
        )
        return report
    _processes(lab, report, str(program))
    return report


def _processes(lab: Lab, report: Report, program: str) -> None:
    rounds = lab.pick(100, 10)
    repository = lab.repository()
    files = [program, "files"]
    wrapped = [str(UILOG), "run", "--", *files]
    cases = {
        BARE: (files, NONE, False),
        SHELL: (["/bin/sh", "-c", f"{program} files; exit"], NONE, False),
        OUR_RUN_ALONE: (wrapped, OURS, False),
        OUR_RUN: (wrapped, OURS, True),
        STOCK_RUN: (files, STOCK, True),
    }
    found: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        for name in in_turn(list(cases), number):
            argv, who, has_script = cases[name]
            scripts = {"commandfinish": MARK} if has_script else {}
            hgrc = lab.hgrc(who, **scripts)
            if "[rhg]" not in hgrc.read_text():
                hgrc.write_text(hgrc.read_text() + RECIPE)
            before = lab.count_marks()
            begin = time.perf_counter_ns()
            subprocess.run(
                argv,
                cwd=repository,
                env=lab.hg_environment(hgrc),
                stdout=subprocess.DEVNULL,
                check=True,
            )
            found[name].append(time.perf_counter_ns() - begin)
            lab.settle(before + has_script)
    table = report.table(
        f"`rhg files`, whole process ({rounds} each)",
        "what",
        "median, ms",
        "p99, ms",
        "added, ms (median of the pairs)",
        "ratio to bare rhg",
        "ratio of medians to stock",
    )
    base = found[BARE]
    stock = median(found[STOCK_RUN])
    for name, samples in found.items():
        report.keep(name, samples)
        table.add(
            name,
            ms(median(samples)),
            ms(percentile(samples, 99)),
            ms(median([a - b for a, b in zip(samples, base)])),
            ratio(median(samples), median(base)),
            ratio(stock, median(samples)),
        )
    ours = median(found[OUR_RUN])
    report.target(
        "uilog run with a script, to bare rhg",
        f"<= {BARE_RATIO}x",
        ratio(ours, median(base)),
        ours <= BARE_RATIO * median(base),
    )
    report.target(
        "stock, rhg falling back, to uilog run",
        f">= {STOCK_RATIO}x",
        ratio(stock, ours),
        stock >= STOCK_RATIO * ours,
    )
    shell = median([a - b for a, b in zip(found[SHELL], base)])
    report.notes.append(
        "A shell that starts rhg and waits for it, and does nothing else, "
        f"adds {shell / NS_PER_MS:.2f} ms: what any parent costs."
    )
