"""What `uilog run` costs a command that takes a few milliseconds: rhg."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from figures import NS_PER_MS, Report, median, ms, percentile, ratio
from lab import HG, MARK, NONE, OURS, ROOT, STOCK, Lab, in_turn

BARE_RATIO = 1.15
STOCK_RATIO = 25

# The Mercurial whose rhg is measured: the one of .venv.
VERSION = "7.2.4"
SOURCES = ROOT / ".cache" / f"mercurial-{VERSION}" / "rust"
BUILT = ROOT / ".cache" / f"rhg-{VERSION}"
# An rhg that is there already.
VARIABLE = "UILOG_BENCH_RHG"
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
        f"rhg is Mercurial {VERSION}'s.",
    )
    rhg = build()
    if rhg is None:
        report.notes.append(
            "LEFT OUT: rhg, because its sources are not there "
            f"({SOURCES.relative_to(ROOT)}: `make test` fetches them) or "
            "there is no cargo."
        )
        return report
    _processes(lab, report, str(rhg))
    return report


def build() -> Path | None:
    """rhg: the one that the environment names, or the sources', built"""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    if not SOURCES.exists() or shutil.which("cargo") is None:
        return None
    subprocess.run(
        [
            *("cargo", "build", "--release", "--locked", "-p", "rhg"),
            *("--target-dir", str(BUILT)),
        ],
        cwd=SOURCES,
        check=True,
    )
    return BUILT / "release" / "rhg"


def _processes(lab: Lab, report: Report, rhg: str) -> None:
    rounds = lab.pick(100, 10)
    repository = lab.repository()
    files = [rhg, "files"]
    wrapped = [str(UILOG), "run", "--", *files]
    cases = {
        BARE: (files, NONE, False),
        SHELL: (["/bin/sh", "-c", f"{rhg} files; exit"], NONE, False),
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
