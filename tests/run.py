"""Runs every test suite of uilog and adds them up.

Responsible for starting the parts of each suite in their own way, many at a
time, reading their results and reporting the sum: a suite that
does not start, that fails without a failed test, or that runs no test
counts as one failure, and omitted tests are listed with the reason. The output
of a suite is printed when its last part has ended. The last line is
`N passed, N failed`.

Must not know what any test checks. Environments, wheels and Mercurial's
sources are made by the Makefile; `make test` starts this file with the Python
of .venv, and it needs nothing but the standard library.
"""

from __future__ import annotations

import argparse
import math
import platform
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Callable
from xml.etree import ElementTree

from tools.common import (
    CACHE,
    ENDING,
    FIRST_PYTHON_WITHOUT,
    HG_VERSIONS,
    JOBS,
    MAIN_HG,
    ROOT,
    TESTS,
    Finished,
    Options,
    Part,
    Result,
    Tier,
    When,
    clean_environ,
    conclude,
    run,
    venv_of,
)
from tools.t_files import run_t_file, weight_of
from tools.upstream import upstream_parts
from tools.versions import version_parts

# Seconds, and far more than it takes beside all others: only a hang gets there.
PYTEST_TIMEOUT = 3600
# A soak may take this long on a machine that has other things to do.
SOAK_TIMEOUT = 4 * PYTEST_TIMEOUT
# With the compilation of everything.
CARGO_TIMEOUT = 3600

SIGNALS_TO_END = (signal.SIGTERM, signal.SIGHUP)

# .t files of ours that run under each Mercurial with each change: they touch
# every function of Mercurial's that the extension wraps.
CONTRACT = frozenset({"test-uilog-hooks.t"})

# Those that Mercurial's version makes little difference to: `make test-all`
# runs them under the oldest and the newest, and `make soak` under the others.
ENDS_ONLY = frozenset(
    {
        "test-uilog-blackbox-read.t",
        "test-uilog-check.t",
        "test-uilog-check-untrusted.t",
        "test-uilog-config.t",
        "test-uilog-emit.t",
        "test-uilog-sinks.t",
        "test-uilog-spool.t",
        "test-uilog-status.t",
    }
)

# How many of the slowest tests are shown at the end.
SHOWN_SLOWEST = 15


def tier_of(path: Path, version: str) -> Tier:
    """What runs a .t file of ours under a Mercurial."""
    if path.name in CONTRACT or version == HG_VERSIONS[-1]:
        return Tier.TEST
    if path.name in ENDS_ONLY and version != HG_VERSIONS[0]:
        return Tier.SOAK
    return Tier.ALL


def cargo_parts(options: Options, _result: Result) -> Iterator[Part]:
    """Unit, integration and documentation tests of the workspace.

    What compiles has all processors, and is not waited for by tests that have
    a time limit. What fails there fails again.
    """
    if shutil.which("cargo") is not None:
        compile_only = partial(run_cargo_test, options, ["--no-run"])
        yield Part(compile_only, 0, When.FIRST, "compilation")
    yield Part(partial(run_cargo, options), math.inf)


def run_cargo_test(
    options: Options, args: Sequence[str], result: Result
) -> Finished:
    return run(
        ["cargo", "test", "--workspace", "--locked", "--no-fail-fast", *args],
        cwd=ROOT,
        env=clean_environ(),
        timeout=CARGO_TIMEOUT,
        verbose=options.verbose,
        result=result,
    )


def run_cargo(options: Options, result: Result) -> None:
    if shutil.which("cargo") is None:
        result.fail("there is no cargo")
        return
    args = [] if options.pattern is None else [options.pattern]
    done = run_cargo_test(options, args, result)
    summary = re.compile(
        r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;",
        re.MULTILINE,
    )
    ignored = 0
    for match in summary.finditer(done.output):
        result.passed += int(match[1])
        result.failed += int(match[2])
        ignored += int(match[3])
    # Before the tests of each program stands which one it is.
    ran = re.compile(
        r"^ +Running (\S+).*? \(\S+?/deps/(\w+)-\w+\)$|"
        r"^test result: .* finished in ([0-9.]+)s$",
        re.MULTILINE,
    )
    program = ""
    for match in ran.finditer(done.output):
        if match[3] is None:
            program = f"{match[2]} {match[1]}"
        else:
            result.timed.append((float(match[3]), program))
    named = re.findall(
        r"^test (.+) \.\.\. ignored(?:, (.*))?$", done.output, re.MULTILINE
    )
    for name, reason in named:
        result.left_out.append((name, reason or "it is marked #[ignore]"))
    if ignored > len(named):
        # A test that writes to the terminal itself can tear such a line.
        rest = ignored - len(named)
        result.left_out.append((f"{rest} more", "they are marked #[ignore]"))
    conclude(result, done, options)


def pytest_parts(options: Options, _result: Result) -> Iterator[Part]:
    """tests/test_*.py"""
    yield Part(partial(run_pytest, options), math.inf)


def run_pytest(options: Options, result: Result) -> None:
    venv = ROOT / ".venv"
    with tempfile.TemporaryDirectory(prefix="uilog-pytest.") as tmp:
        report = Path(tmp) / "report.xml"
        argv = [
            str(venv / "bin" / "python"),
            "-m",
            "pytest",
            f"--junit-xml={report}",
            f"--basetemp={Path(tmp) / 'tests'}",
            f"--numprocesses={3 * JOBS // 4}",
            "-v" if options.verbose else "-q",
        ]
        if options.pattern is not None:
            argv += ["-k", options.pattern]
        argv.append(f"--tier={options.tier.name.lower()}")
        done = run(
            argv,
            cwd=ROOT,
            env=clean_environ(venv_of(MAIN_HG), venv),
            timeout=SOAK_TIMEOUT
            if options.tier is Tier.SOAK
            else PYTEST_TIMEOUT,
            verbose=options.verbose,
            result=result,
        )
        try:
            cases = list(ElementTree.parse(report).iter("testcase"))
        except (OSError, ElementTree.ParseError):
            cases = []
    for case in cases:
        name = f"{case.get('classname')}::{case.get('name')}"
        result.timed.append((float(case.get("time") or 0), name))
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            result.failed += 1
        elif skipped is not None:
            reason = skipped.get("message") or "it gives no reason"
            if skipped.get("type") == "pytest.xfail":
                reason = f"it is expected to fail: {reason}"
            result.left_out.append((name, reason))
        else:
            result.passed += 1
    # pytest has a status of its own for "no test": that is ours to judge.
    if done.status == 5 and not done.timed_out:
        done = Finished(0, done.output, False)
    conclude(result, done, options)


def our_parts(options: Options, result: Result, version: str) -> Iterator[Part]:
    """tests/test-*.t under one Mercurial."""
    # Their own default is $TESTDIR/dummyssh, and $TESTDIR is our directory.
    upstream_tests = CACHE / f"mercurial-{version}" / "tests"
    python = venv_of(version) / "bin" / "python"
    ssh = f'ui.ssh="{python}" "{upstream_tests / "dummyssh"}"'
    args = ["--extra-config-opt", ssh]
    for path in sorted(TESTS.glob("test-*.t")):
        if options.pattern is not None and options.pattern not in path.name:
            continue
        later = options.leaves_out(tier_of(path, version))
        if later is not None:
            result.left_out.append((path.name, later))
            continue
        run = partial(run_t_file, options, version, path, args, ())
        yield Part(run, weight_of(path), name=path.name)


Parts = Callable[[Options, Result], Iterator[Part]]
PartsWithHg = Callable[[Options, Result, str], Iterator[Part]]

WITHOUT_HG: dict[str, Parts] = {
    "cargo": cargo_parts,
    "pytest": pytest_parts,
    "versions": version_parts,
}
WITH_HG: dict[str, PartsWithHg] = {"t": our_parts, "upstream": upstream_parts}
SUITES = (*WITHOUT_HG, *WITH_HG)


@dataclass
class Suite:
    """A suite, and what is left to be run of it."""

    result: Result
    parts: list[Part]


def plan(options: Options) -> list[Suite]:
    """What was asked for."""
    suites = []
    for name, parts in WITHOUT_HG.items():
        if name in options.only:
            result = Result(name)
            suites.append(Suite(result, list(parts(options, result))))
    for name, with_hg in WITH_HG.items():
        if name not in options.only:
            continue
        for version in options.versions:
            result = Result(f"{name} hg-{version}")
            suites.append(Suite(result, []))
            limit = FIRST_PYTHON_WITHOUT.get(version)
            if limit is not None and sys.version_info >= limit:
                python = platform.python_version()
                why = f"Mercurial {version} does not build for Python {python}"
                result.left_out.append(("all of it", why))
            else:
                suites[-1].parts += with_hg(options, result, version)
    return suites


def run_suites(options: Options, suites: Sequence[Suite]) -> None:
    """Runs all parts of all suites, as many at a time as there may be."""
    waiting = {id(suite): len(suite.parts) for suite in suites}

    def conclude_part(suite: Suite, part: Result) -> None:
        suite.result.add(part)
        waiting[id(suite)] -= 1
        if not waiting[id(suite)]:
            show(options, suite.result)

    parts = [(suite, part) for suite in suites for part in suite.parts]
    parts.sort(key=lambda it: it[1].weight, reverse=True)
    for suite in suites:
        if not suite.parts:
            show(options, suite.result)
    for suite, part in parts:
        if part.when is When.FIRST:
            conclude_part(suite, run_part(suite.result.suite, part))
    # What is shown as it comes would be mixed up.
    jobs = 1 if options.verbose else JOBS
    with ThreadPoolExecutor(jobs) as pool:
        try:
            running = {
                pool.submit(run_part, suite.result.suite, part): suite
                for suite, part in parts
                if part.when is When.BESIDE_OTHERS
            }
            for done in as_completed(running):
                conclude_part(running[done], done.result())
        except BaseException:
            ENDING.set()
            pool.shutdown(cancel_futures=True)
            raise
    for suite, part in parts:
        if part.when is When.LAST:
            conclude_part(suite, run_part(suite.result.suite, part))


def run_part(suite: str, part: Part) -> Result:
    """Runs a part of a suite."""
    result = Result(suite)
    start = time.monotonic()
    try:
        part.run(result)
    except OSError as exc:
        result.fail(f"cannot be started: {exc}")
    result.seconds = time.monotonic() - start
    if part.name is not None:
        result.timed.append((result.seconds, part.name))
    return result


def show(options: Options, result: Result) -> None:
    """Prints what a suite has come to, between its headline and its count."""
    nothing = not (result.passed or result.failed or result.left_out)
    if nothing and options.pattern is None:
        result.fail("it has no test")
    print(f"\n=== {result.suite}")
    for text in result.said:
        print(text)
    for name, why in result.left_out:
        print(f"LEFT OUT: {name} because {why}")
    print(
        f"{result.suite}: {result.passed} passed, {result.failed} failed "
        f"in {result.seconds:.1f} s",
        flush=True,
    )


def report(results: Sequence[Result]) -> int:
    """Prints the table and the sum; returns the exit status."""
    width = max(len(result.suite) for result in results)
    print(f"\n{'suite':{width}}  passed  failed  left out  seconds")
    for result in results:
        print(
            f"{result.suite:{width}}  {result.passed:6}  {result.failed:6}"
            f"  {len(result.left_out):8}  {result.seconds:7.1f}"
        )
    timed = [
        (seconds, f"{result.suite}: {name}")
        for result in results
        for seconds, name in result.timed
    ]
    print(f"\nthe slowest of {len(timed)}, in seconds beside all others:")
    for seconds, name in sorted(timed, reverse=True)[:SHOWN_SLOWEST]:
        print(f"{seconds:7.1f}  {name}")
    print()
    for result in results:
        for why in dict.fromkeys(why for _name, why in result.left_out):
            names = [name for name, other in result.left_out if other == why]
            print(f"LEFT OUT: {result.suite}: {', '.join(names)} because {why}")
    passed = sum(result.passed for result in results)
    failed = sum(result.failed for result in results)
    if not passed and not failed:
        print("FAILED: not one test was run")
        failed = 1
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def parse_args(argv: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="tests/run.py",
        description="Runs the test suites of uilog; start it by `make test`, "
        "which builds what it needs: make test ARGS='--only t --hg 7.2.4'",
        epilog="Suites: cargo (cargo test), pytest (tests/test_*.py), "
        "versions (the contract with each minor Mercurial and each Python), "
        "t (tests/test-*.t under each Mercurial), upstream (Mercurial's own "
        "tests with the extension on, under each Mercurial).",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=SUITES,
        metavar="SUITE",
        help="run this suite only (repeatable): " + ", ".join(SUITES),
    )
    parser.add_argument(
        "--hg",
        action="append",
        choices=HG_VERSIONS,
        metavar="VERSION",
        help="run t and upstream under this Mercurial only (repeatable): "
        + ", ".join(HG_VERSIONS),
    )
    parser.add_argument(
        "-k",
        metavar="PATTERN",
        dest="pattern",
        help="run only tests whose name matches: a filter of cargo test, an "
        "expression for pytest -k, a part of a .t file's name",
    )
    parser.add_argument(
        "--tier",
        choices=[tier.name.lower() for tier in Tier],
        default=Tier.TEST.name.lower(),
        help="how much to run: test, all (under each Mercurial) or soak (what "
        "takes minutes by itself as well)",
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="show all output as it comes, not only that of failed suites",
    )
    args = parser.parse_args(argv)
    return Options(
        only=frozenset(args.only or SUITES),
        versions=tuple(
            v for v in HG_VERSIONS if args.hg is None or v in args.hg
        ),
        pattern=args.pattern,
        tier=Tier[args.tier.upper()],
        verbose=args.verbose,
    )


def end(got: int, _frame: object) -> None:
    """Told to end, we end what we have started (see `run`), and are not told
    twice: `timeout` does that."""
    for signum in SIGNALS_TO_END:
        signal.signal(signum, signal.SIG_IGN)
    sys.exit(128 + got)


def main(argv: Sequence[str]) -> int:
    options = parse_args(argv)
    for signum in SIGNALS_TO_END:
        signal.signal(signum, end)
    start = time.monotonic()
    suites = plan(options)
    run_suites(options, suites)
    minutes = (time.monotonic() - start) / 60
    print(f"\n`{options.tier.command}` has taken {minutes:.1f} minutes", end="")
    return report([suite.result for suite in suites])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
