"""Runs a whole foreign test suite file by file with uilog, and without it what
then does not print what it expects, and keeps what each file has printed.

Responsible for the configurations, for one result file per test file, and for
saying which results are out of date. Must not know which differences are
explained (upstream_report.py).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tools.common import (
    CACHE,
    ENDING,
    MAIN_HG,
    Options,
    Result,
    Tier,
)
from tools.t_files import Limits, Ran, run_tests
from tools.upstream import AS_USER, can_run

# Seconds for a test: only a hang gets there, on a machine that has other things
# to do as well. A file can be several tests.
LIMITS = Limits(test=1200, file=6000)
# For those that are known to hang without uilog.
SHORT = Limits(test=60, file=600)
HANGS = {"mercurial": frozenset({"test-http-proxy.t"})}

PORTS = itertools.count(os.getpid())

STOCK = "stock"
UILOG = "uilog"

# What Mercurial and its extensions log, wherever that is written in one piece.
LOGGED = re.compile(rb"\.log\(\s*b['\"]([a-z][\w-]*)['\"]\s*,")
# What uilog adds, without commandlost, for which no script runs.
ADDED_EVENTS = (
    "hookrefused",
    "lockbroken",
    "lockwait",
    "peerclose",
    "userwait",
    "wirefinish",
    "wirerequest",
)

# In place of a test's name: what it has left running.
LEFT_PROCESSES = "processes"
TIMED_OUT = "not at its end within its time limit"

# Options without a meaning for one foreign file.
RUN_OPTIONS = Options(frozenset(), (MAIN_HG,), None, Tier.SOAK, False)


@dataclass(frozen=True)
class Suite:
    """A directory of tests, and the installed hg that they are run with."""

    name: str
    tests: Path
    # The virtual environment with hg and uilog.
    venv: Path

    def files(self) -> list[Path]:
        """All of them, the smallest first: many have then ended soon."""
        paths = [*self.tests.glob("test-*.t"), *self.tests.glob("test-*.py")]
        return sorted(paths, key=lambda path: (path.stat().st_size, path.name))

    def site_packages(self) -> Path:
        return next(self.venv.glob("lib/python*/site-packages"))


@dataclass(frozen=True)
class Printed:
    """What a test file has printed in one configuration."""

    # Of what it was run with.
    key: str
    # Test by test: its whole output, where it is not what it expects.
    unexpected: dict[str, str]
    skipped: dict[str, str]
    # Why it is not known, if so.
    problem: str | None
    # How many scripts have run, by event.
    events: dict[str, int] = field(default_factory=dict)

    def is_expected(self) -> bool:
        """Whether the file printed all that it expects, and nothing else."""
        return not (self.unexpected or self.skipped or self.problem)

    def same(self, other: Printed) -> bool:
        return (self.unexpected, self.skipped, self.problem) == (
            other.unexpected,
            other.skipped,
            other.problem,
        )


@dataclass(frozen=True)
class Both:
    """What a test file has printed without uilog, and with it."""

    # None if the file prints with uilog what it expects: that is what stock hg
    # prints, by the word of those who wrote the file.
    stock: Printed | None
    uilog: Printed
    # The first two outputs without uilog, if these differ.
    unstable: list[Printed] = field(default_factory=list)

    def same(self) -> bool:
        return (self.stock or self.uilog).same(self.uilog) or any(
            before.same(self.uilog) for before in self.unstable
        )


def events_of(suite: Suite) -> list[str]:
    """Each event that the installed Mercurial and uilog can log."""
    found = set(ADDED_EVENTS)
    for package in ("mercurial", "hgext", "hgext3rd/evolve"):
        for path in (suite.site_packages() / package).rglob("*.py"):
            found |= {
                name.decode() for name in LOGGED.findall(path.read_bytes())
            }
    return sorted(found)


class Runner:
    """Runs the files of a suite, and keeps their results below a directory."""

    def __init__(self, suite: Suite, state: Path) -> None:
        self.suite = suite
        self.results = state / suite.name
        self.results.mkdir(parents=True, exist_ok=True)
        self.events = events_of(suite)
        self.wrapper: tuple[str, ...] = ()
        if os.geteuid() == 0 and can_run([*AS_USER, "true"]):
            # Tests of permissions are skipped for root.
            self.wrapper = AS_USER
        stock = [sys.version, repr(self.wrapper), *self._installed("(?!uilog)")]
        uilog = [*self._installed("uilog"), *self.config_args(Path())]
        self.keys = {STOCK: key_of(stock), UILOG: key_of(stock + uilog)}

    def _installed(self, packages: str) -> list[str]:
        """The files of packages, by the hashes that pip has noted."""
        return [
            line
            for record in sorted(self.suite.site_packages().glob("*/RECORD"))
            if re.match(packages, record.parent.name)
            for line in record.read_text().splitlines()
            # Not what pip has written itself, with paths of this machine.
            if "sha256=" in line
            and ".dist-info/" not in line
            and (not line.startswith("../") or "/bin/uilog" in line)
        ]

    def config_args(self, seen: Path) -> Iterator[str]:
        """Enables uilog, the blackbox and a script for every event, which
        notes that it has run."""
        script = f'echo "$EVENT" >>{seen}'
        for item in (
            "extensions.uilog=",
            "extensions.blackbox=",
            *(f"logtoprocess.{event}={script}" for event in self.events),
        ):
            yield from ("--extra-config-opt", item)

    def path_of(self, test: Path) -> Path:
        return self.results / f"{test.name}.json"

    def load(self, test: Path) -> Both | None:
        """What is known of a file, unless it was run with something else."""
        stored = self._stored(test)
        if stored is None or any(
            printed is not None and printed.key != self.keys[name]
            for name, printed in ((STOCK, stored.stock), (UILOG, stored.uilog))
        ):
            return None
        return stored

    def _stored(self, test: Path) -> Both | None:
        try:
            data = json.loads(self.path_of(test).read_text())
        except (OSError, ValueError):
            return None
        stock = data["stock"]
        return Both(
            None if stock is None else Printed(**stock),
            Printed(**data["uilog"]),
            [Printed(**it) for it in data["unstable"]],
        )

    def run(self, test: Path) -> Both | None:
        """Runs a file with uilog and, if it does not print what it expects,
        without it; None if we are told to end.

        A difference counts if it is there again, and if the outputs without
        uilog do not differ among themselves.
        """
        stored = self._stored(test)
        stock = stored.stock if stored is not None else None
        if stock is not None and stock.key != self.keys[STOCK]:
            stock = None
        uilog = self._printed(test, UILOG)
        unstable: list[Printed] = []
        if not uilog.is_expected() and not ENDING.is_set():
            stock = stock or self._printed(test, STOCK)
            if not stock.same(uilog) and not ENDING.is_set():
                again = self._printed(test, STOCK)
                if not again.same(stock):
                    unstable = [stock, again]
                stock = again
                uilog = self._printed(test, UILOG)
        if ENDING.is_set():
            return None
        both = Both(stock, uilog, unstable)
        new = self.path_of(test).with_suffix(".new")
        new.write_text(json.dumps(asdict(both), indent=1))
        new.replace(self.path_of(test))
        return both

    def _printed(self, test: Path, name: str) -> Printed:
        """Runs a file in one configuration."""
        scratch = Path(tempfile.mkdtemp(prefix="uilog-up."))
        result = Result(test.name)
        try:
            seen = scratch / "seen"
            args = list(self.config_args(seen)) if name == UILOG else []
            known = HANGS.get(self.suite.name, frozenset())
            done, unexpected = run_tests(
                RUN_OPTIONS,
                result,
                MAIN_HG,
                test,
                ["--port", str(free_ports()), *args],
                self.wrapper,
                venv=self.suite.venv,
                limits=SHORT if test.name in known else LIMITS,
                scratch=scratch / "s",
            )
            events = Counter(
                seen.read_text("utf-8", "replace").split()
                if seen.exists()
                else ()
            )
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        ran = Ran.said_in(done.output)
        problem = None
        if ran is None or done.timed_out:
            problem = done.describe()
        elif re.search(r"^Failed \S+: timed out$", done.output, re.MULTILINE):
            problem = TIMED_OUT
        elif ran.failed != len(unexpected):
            problem = f"{ran.failed} failed, {len(unexpected)} have an output"
        left = [text for text in result.said if "STILL RUNNING" in text]
        if left:
            unexpected[LEFT_PROCESSES] = "\n".join(sorted(map(clean, left)))
        return Printed(
            self.keys[name],
            {
                it: text.replace(str(scratch), "$SCRATCH")
                for it, text in sorted(unexpected.items())
                # What it had printed when it was ended is not the same twice.
                if problem is None
            },
            {} if ran is None else dict(sorted(ran.skipped.items())),
            problem,
            dict(sorted(events.items())),
        )


def key_of(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def clean(text: str) -> str:
    """What still runs, without the numbers that are new each time."""
    return re.sub(r"\b\d{2,}\b|/tmp/\S+", "N", text)


def free_ports() -> int:
    """Where run-tests.py starts to look for ports: not where one that runs at
    the same time does. Below what the kernel gives away, and a test takes three
    at a time."""
    return 22000 + 100 * (next(PORTS) % 90)


def totals(results: Mapping[str, Both]) -> Counter[str]:
    """How many scripts have run, by event."""
    count: Counter[str] = Counter()
    for both in results.values():
        count.update(both.uilog.events)
    return count


def mercurial(venv: Path) -> Suite:
    tests = CACHE / f"mercurial-{MAIN_HG}" / "tests"
    return Suite("mercurial", tests, venv)


def evolve(venv: Path) -> Suite:
    return Suite("evolve", CACHE / "evolve" / "tests", venv)


SUITES = {"mercurial": mercurial, "evolve": evolve}
