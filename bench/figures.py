"""Samples, medians and ratios, and how they are printed.

Must not know what was measured or how: it gets nanoseconds and words.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

NS_PER_US = 1_000
NS_PER_MS = 1_000_000


def median(samples: Sequence[float]) -> float:
    return statistics.median(samples)


def percentile(samples: Sequence[float], percent: float) -> float:
    """the smallest sample that so many percent do not exceed"""
    ordered = sorted(samples)
    index = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(index) - 1)]


def us(nanoseconds: float) -> str:
    """microseconds, with as many digits as mean something"""
    value = nanoseconds / NS_PER_US
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def ms(nanoseconds: float) -> str:
    value = nanoseconds / NS_PER_MS
    return f"{value:,.2f}" if abs(value) < 10 else f"{value:,.1f}"


def ratio(value: float, base: float) -> str:
    return f"{value / base:.2f}x" if base else "-"


@dataclass
class Table:
    """rows of words under a heading, as Markdown"""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        self.rows.append(cells)

    def lines(self) -> Iterable[str]:
        widths = [
            max(len(row[at]) for row in [self.columns, *self.rows])
            for at in range(len(self.columns))
        ]

        def line(cells: Sequence[str]) -> str:
            first = cells[0].ljust(widths[0])
            rest = [c.rjust(w) for c, w in zip(cells[1:], widths[1:])]
            return "| " + " | ".join([first, *rest]) + " |"

        yield f"**{self.title}**"
        yield ""
        yield line(self.columns)
        rules = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]
        yield line(rules)
        yield from map(line, self.rows)


@dataclass
class Target:
    """what was aimed at, and what came out"""

    what: str
    limit: str
    value: str
    met: bool


@dataclass
class Report:
    """what one part of the benchmark has found"""

    name: str
    title: str
    method: str
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)
    load_average: tuple[float, float] | None = None
    seconds: float = 0.0

    def table(self, title: str, *columns: str) -> Table:
        table = Table(title, columns)
        self.tables.append(table)
        return table

    def target(self, what: str, limit: str, value: str, met: bool) -> None:
        self.targets.append(Target(what, limit, value, met))

    def keep(self, name: str, samples: Sequence[float]) -> None:
        """keep samples for --json, for whoever wants to look closer"""
        self.samples[name] = list(samples)

    def markdown(self) -> str:
        lines = [f"## {self.name}: {self.title}", "", self.method, ""]
        for table in self.tables:
            lines += [*table.lines(), ""]
        if self.targets:
            targets = Table("Targets", ["what", "target", "measured", "met"])
            for it in self.targets:
                met = "yes" if it.met else "**no**"
                targets.add(it.what, it.limit, it.value, met)
            lines += [*targets.lines(), ""]
        lines += [f"- {note}" for note in self.notes]
        if self.load_average is not None:
            before, after = self.load_average
            lines.append(
                f"- Load average {before:.2f} before this part, {after:.2f} "
                f"after it (its own work counts); {self.seconds:.0f} s."
            )
        return "\n".join(lines) + "\n"


def as_json(machine: dict[str, str], reports: Sequence[Report]) -> str:
    parts = [asdict(report) for report in reports]
    return json.dumps({"machine": machine, "parts": parts}, indent=1)
