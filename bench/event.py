"""What one event costs hg: the first of a process, later ones, and a burst."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from figures import (
    NS_PER_MS,
    NS_PER_US,
    Report,
    median,
    ms,
    percentile,
    ratio,
    us,
)
from lab import (
    GB,
    MARK,
    NONE,
    OURS,
    STOCK,
    Lab,
    in_turn,
    size_name,
    sizes_that_fit,
)

SIZES = (0, 1, 4)
# Events in a row before their scripts are waited for: as many as run at once.
GROUP = 8
BURST = 10_000
FLOOR = "five bare system calls"

FIRST_US = 250
MEDIAN_US = 15
FLAT = 1.5


def run(lab: Lab) -> Report:
    report = Report(
        "event",
        "one `ui.log` call with one script",
        "`ui.log(b'foo', ...)` with a message and three options, on a ui made "
        "as hg's dispatch makes it, in a process whose main module is named "
        f"`hg`. The script is `true` for the first event, else `{MARK}`, "
        "whose output counts the scripts that have run.",
    )
    _first(lab, report)
    _later(lab, report)
    _burst(lab, report)
    return report


def _first(lab: Lab, report: Report) -> None:
    rounds = lab.pick(40, 15)
    who = (NONE, OURS, STOCK)
    found: dict[tuple[str, bool], list[float]] = {}
    imported: dict[str, set[str]] = {}
    for number in range(rounds):
        for name in in_turn(who, number):
            hgrc = lab.hgrc(name, foo="true")
            for prepare in (False, True):
                result = lab.probe(hgrc, "first", prepare=prepare)
                samples = found.setdefault((name, prepare), [])
                samples.append(float(result["first"]))
                imported.setdefault(name, set()).update(result["imported"])
    table = report.table(
        f"First event of a process, µs ({rounds} processes each)",
        "who",
        "median",
        "lowest",
        "99th percentile",
        "ratio to stock",
        "median, hg's part done before",
    )
    stock = median(found[STOCK, False])
    for name in who:
        samples = found[name, False]
        report.keep(f"first, {name}", samples)
        table.add(
            name,
            us(median(samples)),
            us(min(samples)),
            us(percentile(samples, 99)),
            ratio(median(samples), stock),
            us(median(found[name, True])),
        )
    ours = median(found[OURS, False])
    report.target(
        "first event, median",
        f"<= {FIRST_US} µs",
        f"{us(ours)} µs",
        ours <= FIRST_US * NS_PER_US,
    )
    _pieces(lab, report)
    late = {name: sorted(them) for name, them in imported.items() if them}
    report.notes.append(
        "First event: everything is in it, such as starting the dispatcher. "
        "\"hg's part\" is what the first call of `procutil.hgexecutable` and "
        "`procutil.shellenviron` does once. Modules first imported by the "
        f"event: {late or 'none, in any of them'}."
    )


def _pieces(lab: Lab, report: Report) -> None:
    hgrc = lab.hgrc(NONE)
    found: dict[str, list[float]] = {}
    for _ in range(lab.pick(20, 8)):
        for name, nanoseconds in lab.probe(hgrc, "pieces").items():
            found.setdefault(name, []).append(nanoseconds)
    table = report.table(
        "What a first event asks of the system besides starting a process, "
        "made bare from Python, each for the first time in its process, µs",
        "what",
        "median",
    )
    for name, samples in found.items():
        report.keep(f"piece, {name}", samples)
        table.add(name, us(median(samples)))
    total = sum(median(samples) for samples in found.values())
    table.add("together", us(total))


def _later(lab: Lab, report: Report) -> None:
    rounds = lab.pick(4, 2)
    groups = lab.pick(75, 20)
    sizes, notes = sizes_that_fit(SIZES[:2] if lab.quick else SIZES)
    report.notes += notes
    who = (NONE, OURS, STOCK)
    found: dict[tuple[str, float, str], list[float]] = {}

    def keep(name: str, size: float, result: Any) -> None:
        for kind in ("alone", "row"):
            samples = found.setdefault((name, size, kind), [])
            samples.extend(map(float, result[kind]))

    for size in sizes:
        for number in range(rounds):
            for name in in_turn(who, number):
                result = lab.probe(
                    lab.hgrc(name, foo=MARK),
                    "grouped",
                    nbytes=int(size * GB),
                    groups=groups,
                    size=GROUP,
                )
                keep(name, size, result)
            if size == sizes[0]:
                none = lab.hgrc(NONE)
                keep(
                    FLOOR,
                    size,
                    lab.probe(none, "floor", groups=groups, size=GROUP),
                )
    for (name, size, kind), samples in found.items():
        report.keep(f"{kind}, {name}, {size_name(size)}", samples)
    titles = {
        "row": f"Events in a row, µs ({rounds * groups} groups of {GROUP}; "
        "the first of each left out)",
        "alone": f"An event alone, µs ({rounds * groups}; hg and the "
        "dispatcher have been idle since the last script's end)",
    }
    for kind, title in titles.items():
        _table(report, title, kind, sizes, found)
    row = [median(found[OURS, size, "row"]) for size in sizes]
    alone = [median(found[OURS, size, "alone"]) for size in sizes]
    report.target(
        "event in a row, median",
        f"<= {MEDIAN_US} µs",
        f"{us(row[0])} µs",
        row[0] <= MEDIAN_US * NS_PER_US,
    )
    report.target(
        "event alone, median",
        f"<= {MEDIAN_US} µs",
        f"{us(alone[0])} µs",
        alone[0] <= MEDIAN_US * NS_PER_US,
    )
    for what, medians in (("in a row", row), ("alone", alone)):
        flat = max(medians) / min(medians)
        report.target(
            f"event {what}, 0 to {size_name(sizes[-1])}",
            f"flat within {FLAT}x",
            f"{flat:.2f}x",
            flat <= FLAT,
        )
    report.notes.append(
        "Pacing: a group of events in a row, then a pause until each of its "
        "scripts has run and 5 ms more. So no more than 8 scripts ever run, "
        "none while the first event of a group is measured. Each size and "
        "each round is a process of its own, ours and stock in turn."
    )
    report.notes.append(
        f'"{FLOOR}" (getuid, getcwd, two pwrites to a memfd, a send that '
        "wakes another process) is what no lone event can be cheaper than "
        "here: after an idle pause the machine has cold caches, and waking "
        "an idle processor costs whoever wakes it. In a row both are warm."
    )


def _table(
    report: Report,
    title: str,
    kind: str,
    sizes: Sequence[float],
    found: dict[tuple[str, float, str], list[float]],
) -> None:
    table = report.table(
        title,
        "who",
        *(f"{size_name(size)}, median" for size in sizes),
        *(f"{size_name(size)}, p99" for size in sizes),
        *(f"{size_name(size)}, ratio" for size in sizes),
    )
    for name in (NONE, FLOOR, OURS, STOCK):
        samples = [found.get((name, size, kind)) for size in sizes]
        stock = [median(found[STOCK, size, kind]) for size in sizes]
        table.add(
            name,
            *(us(median(it)) if it else "" for it in samples),
            *(us(percentile(it, 99)) if it else "" for it in samples),
            *(
                ratio(median(it), base) if it else ""
                for it, base in zip(samples, stock)
            ),
        )


def _burst(lab: Lab, report: Report) -> None:
    count = lab.pick(BURST, 1000)
    rounds = lab.pick(2, 1)
    found: dict[str, list[Any]] = {OURS: [], STOCK: []}
    for number in range(rounds):
        for name in in_turn(list(found), number):
            hgrc = lab.hgrc(name, foo=MARK)
            found[name].append(lab.probe(hgrc, "burst", count=count))
    table = report.table(
        f"{count:,} events as fast as hg can log them ({rounds} times)",
        "who",
        "hg waits, ms",
        "ratio to stock",
        "µs per event, median",
        "p99",
        "worst",
        "scripts that ran",
        "until all had run, s",
    )
    stock = median([it["waited"] for it in found[STOCK]])
    for name, results in found.items():
        waited = median([it["waited"] for it in results])
        samples = [float(n) for it in results for n in it["samples"]]
        total = median([it["total"] for it in results])
        ran = ", ".join(f"{it['ran']:,}" for it in results)
        report.keep(f"burst, {name}", samples)
        table.add(
            name,
            ms(waited),
            ratio(waited, stock),
            us(median(samples)),
            us(percentile(samples, 99)),
            us(max(samples)),
            ran,
            f"{total / NS_PER_MS / 1000:.1f}",
        )
    ran_ours = [it["ran"] for it in found[OURS]]
    report.target(
        f"burst: each of {count:,} scripts ran once",
        f"{count:,}",
        ", ".join(f"{ran:,}" for ran in ran_ours),
        all(ran == count for ran in ran_ours),
    )
