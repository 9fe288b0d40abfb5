"""What starting a program costs its caller.

Stock hg's runbgcommand against the spawner of uilog-sys, by the memory that
the caller has in use.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence

from figures import Report, median, percentile, ratio, us
from lab import (
    GB,
    NONE,
    ROOT,
    Lab,
    in_turn,
    size_name,
    sizes_that_fit,
)

SIZES = (0, 0.25, 0.5, 1, 4)
# Milliseconds until the started program has ended.
PAUSE_MS = 5

STOCK_NOWAIT = "stock, ensurestart=False"
STOCK_WAIT = "stock, ensurestart=True"
STOCK_FORK = "stock on a Python without vfork (< 3.10)"
OURS_NOWAIT = "ours, NoWait"
OURS_WAIT = "ours, Wait (for the exec)"
OURS_POSIX = "ours, posix_spawn fallback"
SCHEMES = {OURS_NOWAIT: "nowait", OURS_WAIT: "wait", OURS_POSIX: "posix"}
WHO = (
    STOCK_NOWAIT,
    STOCK_WAIT,
    STOCK_FORK,
    OURS_NOWAIT,
    OURS_WAIT,
    OURS_POSIX,
)

EXAMPLE = "spawn_bench"


def build() -> str:
    command = ["cargo", "build", "--release", "--locked", "--quiet"]
    command += ["-p", "uilog-sys", "--example", EXAMPLE]
    subprocess.run(command, cwd=ROOT, check=True)
    return str(ROOT / "target" / "release" / "examples" / EXAMPLE)


def run(lab: Lab) -> Report:
    report = Report(
        "spawn",
        "starting `true`, seen by the caller",
        "Stock: `procutil.runbgcommand([b'true'], {}, ensurestart=...)`, which "
        "runs it through two shells. Ours: `Command::spawn_detached` of "
        "`/bin/true`. The caller has touched so much memory before. One start "
        f"at a time, {PAUSE_MS} ms apart; each round a new process for each, "
        "in turn.",
    )
    rounds = lab.pick(3, 1)
    count = lab.pick(25, 8)
    sizes, report.notes = sizes_that_fit(SIZES[:3] if lab.quick else SIZES)
    program = build()
    none = lab.hgrc(NONE)

    def measure(who: str, nbytes: int) -> Sequence[float]:
        if who in SCHEMES:
            arguments = [SCHEMES[who], str(nbytes), str(count), str(PAUSE_MS)]
            done = subprocess.run(
                [program, *arguments],
                env=lab.environment,
                stdout=subprocess.PIPE,
                check=True,
            )
            return [int(line) for line in done.stdout.split()]
        arguments_ = {"nbytes": nbytes, "count": count, "pause_ms": PAUSE_MS}
        if who == STOCK_FORK:
            samples = lab.probe(none, "runbg_forking", **arguments_)
        else:
            ensure = who == STOCK_WAIT
            samples = lab.probe(none, "runbg", ensure=ensure, **arguments_)
        return [float(sample) for sample in samples]

    found: dict[tuple[str, float], list[float]] = {}
    for size in sizes:
        for number in range(rounds):
            for who in in_turn(WHO, number):
                samples = measure(who, int(size * GB))
                # The first start of a process does things once for all.
                found.setdefault((who, size), []).extend(samples[1:])

    def fill(title: str, value: Callable[[Sequence[float]], float]) -> None:
        table = report.table(title, "who", *map(size_name, sizes))
        for who in WHO:
            table.add(who, *(us(value(found[who, size])) for size in sizes))

    fill("Median, µs", median)
    fill("99th percentile, µs", lambda samples: percentile(samples, 99))
    ratios = report.table(
        "Ours (NoWait) as part of stock's", "of", *map(size_name, sizes)
    )
    for who in (STOCK_NOWAIT, STOCK_FORK):
        cells = []
        for size in sizes:
            ours = median(found[OURS_NOWAIT, size])
            cells.append(ratio(ours, median(found[who, size])))
        ratios.add(who, *cells)
    for (who, size), samples in found.items():
        report.keep(f"{who}, {size_name(size)}", samples)
    medians = [median(found[OURS_NOWAIT, size]) for size in sizes]
    flat = max(medians) / min(medians)
    report.target(
        f"NoWait, {size_name(sizes[0])} to {size_name(sizes[-1])}",
        "flat within 1.5x",
        f"{flat:.2f}x",
        flat <= 1.5,
    )
    report.notes.append(
        "Mercurial 7.2.4 waits for the exec in both modes (Popen does) and, "
        "in spite of the name, for nothing more: `p.wait` is never called. "
        "What `ensurestart=False` adds is a thread that does nothing."
    )
    return report
