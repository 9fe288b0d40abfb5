"""Runs all of Mercurial's own tests, and evolve's, with uilog, the blackbox and
a script for every event. What prints something else than it expects is run
without uilog, too, and must print the same there.

`make upstream` starts it. Results are kept file by file, so it may be ended at
any time and goes on where it was: `make upstream ARGS='--minutes 60'`.

Must not know what a difference means: upstream_report.py does.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tools.common import CACHE, ENDING, ROOT
from tools.upstream_report import Report, record
from tools.whole_suites import SUITES, Runner


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/run_upstream.py",
        description=(__doc__ or "").split("\n\n")[0],
    )
    parser.add_argument(
        "--suite",
        choices=SUITES,
        action="append",
        help="only this suite (repeatable)",
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="start no file after this time; without it, run all that are left",
    )
    parser.add_argument(
        "-j", "--jobs", type=int, default=2, help="files at a time (2)"
    )
    parser.add_argument("-k", metavar="PART", help="only files with this name")
    parser.add_argument(
        "--again",
        action="store_true",
        help="run also what has a result; with -k",
    )
    parser.add_argument(
        "--again-differing",
        action="store_true",
        help="run also what differs and is not explained",
    )
    parser.add_argument(
        "--report", action="store_true", help="run nothing, show the results"
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="note the results for docs/compatibility.md (`make generated`)",
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=CACHE / "upstream",
        help="where results are kept (.cache/upstream)",
    )
    parser.add_argument(
        "--venv",
        type=Path,
        default=ROOT / ".venvs" / "upstream",
        help="where hg, uilog and evolve are installed (.venvs/upstream)",
    )
    options = parser.parse_args(argv)
    if options.record and options.k is not None:
        parser.error("--record is for whole suites: it does not go with -k")
    return options


def run_files(
    runner: Runner, files: Sequence[Path], jobs: int, deadline: float
) -> None:
    """Runs files, so many at a time, until the deadline."""
    waiting = iter(files)
    lock = threading.Lock()
    failures: list[BaseException] = []

    def work() -> None:
        while not ENDING.is_set() and time.monotonic() < deadline:
            with lock:
                test = next(waiting, None)
            if test is None:
                return
            start = time.monotonic()
            try:
                both = runner.run(test)
            except BaseException as exc:
                failures.append(exc)
                ENDING.set()
                return
            if both is not None:
                took = time.monotonic() - start
                how = "same" if both.same() else "DIFFERS"
                print(f"{took:7.1f} s  {test.name}: {how}", flush=True)

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def end(_got: int, _frame: object) -> None:
    """Told to end: what we have started ends, and has no result."""
    ENDING.set()


def main(argv: Sequence[str]) -> int:
    options = parse_args(argv)
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(signum, end)
    deadline = float("inf")
    if options.minutes is not None:
        deadline = time.monotonic() + 60 * options.minutes
    reports = []
    for name in options.suite or SUITES:
        runner = Runner(SUITES[name](options.venv.absolute()), options.state)
        files = [
            path
            for path in runner.suite.files()
            if options.k is None or options.k in path.name
        ]
        if not files:
            print(f"{name}: there is no such test in {runner.suite.tests}")
            return 1
        report = Report(runner, files)
        if not options.report:
            left = [
                path
                for path in files
                if options.again
                or runner.load(path) is None
                or (options.again_differing and report.is_unexplained(path))
            ]
            run_files(runner, left, options.jobs, deadline)
            report = Report(runner, files)
        reports.append(report)
    for report in reports:
        report.show()
    if options.record:
        record(reports)
    return 0 if all(report.is_good() for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
