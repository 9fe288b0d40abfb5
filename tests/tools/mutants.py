"""Adds up what cargo-mutants has found in each crate.

Responsible for the last lines of `make mutants`, one a crate, and for whether
that is enough. Reads CRATE/mutants.out/outcomes.json in a directory. Must not
know how mutants are made.

usage: python -m tools.mutants DIRECTORY CRATE...
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Percent, of each crate.
GOAL = 95


@dataclass(frozen=True)
class Found:
    """What became of the mutants of a crate that compile."""

    caught: int
    missed: int
    # The tests did not end, which nobody overlooks: these count as caught.
    timeouts: int

    @property
    def drawn(self) -> int:
        return self.caught + self.missed + self.timeouts

    @property
    def tenths(self) -> int:
        """Of a percent, rounded down: what falls short never reads 95.0."""
        return 1000 * (self.drawn - self.missed) // self.drawn

    @property
    def is_enough(self) -> bool:
        return self.tenths >= 10 * GOAL

    def __str__(self) -> str:
        return (
            f"{self.caught} caught, {self.missed} missed, "
            f"{self.timeouts} timeouts, "
            f"{self.tenths // 10}.{self.tenths % 10} %"
        )


def read(output: Path) -> Found | str:
    """What `outcomes.json` says, or why it says nothing about the tests."""
    try:
        outcomes = json.loads((output / "outcomes.json").read_text())
    except FileNotFoundError:
        return "NOT TESTED: cargo-mutants has not run"
    if any(
        it["scenario"] == "Baseline" and it["summary"] != "Success"
        for it in outcomes["outcomes"]
    ):
        return f"NOT TESTED: unchanged, it fails: {output}/log/baseline.log"
    if outcomes["end_time"] is None:
        return "NOT TESTED: cargo-mutants was interrupted"
    found = Found(outcomes["caught"], outcomes["missed"], outcomes["timeout"])
    return found if found.drawn else "NOT TESTED: this part has no mutant"


def main(arguments: Sequence[str]) -> int:
    directory, *crates = arguments
    is_enough = True
    for crate in crates:
        found = read(Path(directory, crate, "mutants.out"))
        print(f"{crate}: {found}")
        is_enough &= isinstance(found, Found) and found.is_enough
    if not is_enough:
        print(f"fewer than {GOAL} % caught in a crate: see the missed ones")
    return not is_enough


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
