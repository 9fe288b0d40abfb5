"""What a run of a foreign test suite has come to: which files print the same
without uilog and with it, and why the others do not.

Each difference has its reason in tests/upstream-explained.json: a file's name,
and the lines that may differ. A difference without a reason is a failure, and
so is a reason that nothing needs.
"""

from __future__ import annotations

import difflib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.common import TESTS
from tools.whole_suites import (
    LEFT_PROCESSES,
    TIMED_OUT,
    Both,
    Printed,
    Runner,
    totals,
)

EXPLAINED = TESTS / "upstream-explained.json"
# The last run that is in the docs.
RECORDED = TESTS / "upstream-result.json"


@dataclass(frozen=True)
class Explanation:
    """Why a file prints something else with uilog."""

    reason: str
    # Regular expressions: each line that is only in one output is one of them.
    lines: tuple[str, ...]

    def covers(self, line: str) -> bool:
        return any(re.fullmatch(pattern, line) for pattern in self.lines)


def explanations(suite: str) -> dict[str, list[Explanation]]:
    """By file."""
    data = json.loads(EXPLAINED.read_text())
    reasons = {
        name: Explanation(it["reason"], tuple(it.get("lines", ())))
        for name, it in data["reasons"].items()
    }
    found: dict[str, list[Explanation]] = {}
    for name, it in data[suite].items():
        found[name] = [reasons[each] for each in it.get("because", ())]
        if "reason" in it:
            found[name].append(Explanation(it["reason"], tuple(it["lines"])))
    return found


def changed(both: Both, test: Path) -> Iterator[str]:
    """The difference of the two outputs, line by line, as diff -u0 has it."""
    expected = test.read_text("utf-8", "replace")
    stock, uilog = both.stock or both.uilog, both.uilog
    for name in sorted(stock.unexpected.keys() | uilog.unexpected.keys()):
        usual = "" if name == LEFT_PROCESSES else expected
        before, after = (
            printed.unexpected.get(name, usual).splitlines()
            for printed in (stock, uilog)
        )
        yield from difflib.unified_diff(
            before, after, f"{name} stock", f"{name} uilog", lineterm="", n=0
        )
    if stock.skipped != uilog.skipped:
        yield f"-skipped: {stock.skipped}"
        yield f"+skipped: {uilog.skipped}"
    if stock.problem != uilog.problem:
        yield f"-problem: {stock.problem}"
        yield f"+problem: {uilog.problem}"


def differing_lines(diff: Sequence[str]) -> list[str]:
    """The lines that are only in one of two outputs."""
    lines = [
        line
        for line in diff
        if line[:1] in "+-" and not line.startswith(("+++ ", "--- "))
    ]
    # What is expected under another condition, as `(rust !)`, run-tests.py may
    # repeat at another place if there is a line more.
    moved = [line[1:] for line in lines if line.startswith("+")]
    moved = [
        text
        for text in moved
        if re.search(r" \([\w -]+ !\)$", text) and f"-{text}" in lines
    ]
    return [line[1:].strip() for line in lines if line[1:] not in moved]


def is_skipped(printed: Printed) -> bool:
    return bool(printed.skipped) and not printed.unexpected


class Report:
    """The results of a suite, as far as there are any."""

    def __init__(self, runner: Runner, files: Sequence[Path]) -> None:
        self.runner = runner
        self.explanations = explanations(runner.suite.name)
        self.tests = {path.name: path for path in files}
        self.done: dict[str, Both] = {}
        for path in files:
            both = runner.load(path)
            if both is not None:
                self.done[path.name] = both
        self.groups: dict[str, list[str]] = defaultdict(list)
        self.diffs: dict[str, list[str]] = {}
        self.unneeded: list[str] = []
        for name in self.tests:
            self.groups[self._group(name)].append(name)

    def _group(self, name: str) -> str:
        if name not in self.done:
            return "left"
        both = self.done[name]
        reasons = self.explanations.get(name, [])
        if not both.same():
            self.diffs[name] = list(changed(both, self.tests[name]))
            lines = differing_lines(self.diffs[name])
            self.unneeded += [
                f"{name}: {it.reason}"
                for it in reasons
                if not any(it.covers(line) for line in lines)
            ]
            if all(any(it.covers(line) for it in reasons) for line in lines):
                return "explained"
            if both.unstable:
                return "unstable"
            return "differs"
        self.unneeded += [f"{name}: {it.reason}" for it in reasons]
        if both.uilog.problem is not None:
            hangs = both.uilog.problem == TIMED_OUT
            return "hangs" if hangs else "unknown"
        if both.uilog.unexpected:
            return "fails alike"
        return "skipped" if is_skipped(both.uilog) else "same"

    def is_unexplained(self, test: Path) -> bool:
        return test.name in (*self.groups["differs"], *self.groups["unstable"])

    def is_good(self) -> bool:
        scripts = sum(totals(self.done).values())
        ran = len(self.groups["same"])
        return not (
            self.groups["differs"]
            or self.groups["unknown"]
            or self.groups["unstable"]
            or self.unneeded
            or (ran > 10 and not scripts)
        )

    def show(self) -> None:
        """Prints it, with what is left."""
        print(f"\n=== {self.runner.suite.name}: {len(self.tests)} files")
        for reason, names in self.skipped().items():
            print(f"SKIPPED by both: {reason}: {', '.join(names)}")
        for name in self.groups["fails alike"]:
            print(f"FAILS ALIKE without uilog and with it: {name}")
        for name in self.groups["hangs"]:
            print(f"HANGS without uilog and with it: {name}")
        for name in self.groups["explained"]:
            why = "; ".join(it.reason for it in self.explanations[name])
            print(f"EXPLAINED: {name}: {why}")
        for group in ("unstable", "differs"):
            for name in self.groups[group]:
                print(f"FAILED: {name} {TITLES[group]}")
                print("\n".join(self.diffs[name]))
        for name in self.groups["unknown"]:
            problem = self.done[name].uilog.problem
            print(f"FAILED: {name}, without uilog and with it: {problem}")
        for text in self.unneeded:
            print(f"FAILED: this explanation is not needed: {text}")
        count = totals(self.done)
        listed = ", ".join(f"{name} {n}" for name, n in count.most_common())
        print(f"scripts that have run: {sum(count.values())}: {listed}")
        for group, title in TITLES.items():
            print(f"{len(self.groups[group]):5}  {title}")

    def record(self) -> dict[str, object]:
        """What the docs say of it."""
        return {
            "counts": {it: len(self.groups[it]) for it in TITLES},
            "skipped": self.skipped(),
            "fails alike": sorted(self.groups["fails alike"]),
            "hangs": sorted(self.groups["hangs"]),
        }

    def skipped(self) -> dict[str, list[str]]:
        """Those that need what is not here, by what that is."""
        by_reason: dict[str, list[str]] = defaultdict(list)
        for name in self.groups["skipped"]:
            for reason in dict.fromkeys(self.done[name].uilog.skipped.values()):
                by_reason[reason].append(name)
        return dict(sorted(by_reason.items()))


TITLES = {
    "same": "print with uilog what they expect",
    "fails alike": "print something else here, the same without and with uilog",
    "skipped": "need what is not here",
    "hangs": "hang without uilog, too",
    "explained": "print something else with uilog, and it is explained",
    "unstable": "print something else each time, without uilog, too",
    "differs": "print something else with uilog, and it is NOT explained",
    "unknown": "end in a way that run-tests.py does not explain, FAILED",
    "left": "are left",
}


def record(reports: Sequence[Report]) -> None:
    """Notes for the docs what whole suites have come to."""
    data = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    for report in reports:
        data[report.runner.suite.name] = report.record()
    RECORDED.write_text(json.dumps(data, indent=1) + "\n")
