"""Mercurial's own tests: those that must pass with the extension on, and those
that must print the same as without it."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial

from tools.common import (
    CACHE,
    ENDING,
    HG_VERSIONS,
    JOBS,
    MAIN_HG,
    TESTS,
    Options,
    Result,
    missing_for,
)
from tools.t_files import Ran, run_t_files, run_tests

ENABLE = ("--extra-config-opt", "extensions.uilog=")


@dataclass(frozen=True)
class UpstreamTest:
    """A test of Mercurial's own that must pass unmodified."""

    name: str
    versions: tuple[str, ...] = HG_VERSIONS
    # Versions of which only `make soak` has the time.
    soak: tuple[str, ...] = ()
    chg: bool = False
    # Whether it sleeps for a second and expects the work to be done.
    alone: bool = False
    # Whether root may do too much for it.
    as_user: bool = False
    # Whether it need not pass, but print what it prints without the extension:
    # for those that do not pass everywhere without it, or not as root.
    compared: bool = False


OLDER_HGS = tuple(v for v in HG_VERSIONS if v != MAIN_HG)
# Those between the oldest and the newest.
MIDDLE_HGS = HG_VERSIONS[1:-1]

# One line for each.
UPSTREAM = (
    UpstreamTest("test-logtoprocess.t", alone=True),
    UpstreamTest(
        "test-logtoprocess.t", versions=(MAIN_HG,), chg=True, alone=True
    ),
    UpstreamTest("test-push-race.t", soak=OLDER_HGS),
    UpstreamTest("test-ssh.t", soak=MIDDLE_HGS),
    UpstreamTest("test-ssh-bundle1.t", soak=MIDDLE_HGS),
    UpstreamTest("test-ssh-proto.t", soak=MIDDLE_HGS),
    UpstreamTest("test-ssh-clone-r.t", soak=MIDDLE_HGS),
    UpstreamTest("test-ssh-batch.t", soak=MIDDLE_HGS),
    UpstreamTest("test-ssh-repoerror.t", as_user=True, soak=MIDDLE_HGS),
    UpstreamTest("test-devel-warnings.t", soak=MIDDLE_HGS),
    UpstreamTest("test-blackbox.t", compared=True, soak=OLDER_HGS),
    UpstreamTest("test-blackbox.t", compared=True, as_user=True),
    UpstreamTest(
        "test-blackbox.t", versions=(MAIN_HG,), compared=True, chg=True
    ),
    UpstreamTest("test-hook.t", compared=True, soak=OLDER_HGS),
    UpstreamTest("test-tags.t", compared=True, soak=HG_VERSIONS),
    UpstreamTest("test-setdiscovery.t", compared=True, soak=HG_VERSIONS),
    UpstreamTest("test-obsolete-tag-cache.t", compared=True, soak=OLDER_HGS),
    UpstreamTest("test-commandserver.t", compared=True, soak=OLDER_HGS),
    UpstreamTest("test-profile.t", compared=True, soak=OLDER_HGS),
)

# What makes root an ordinary user, who still owns what root does.
AS_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


def run_upstream(options: Options, result: Result, version: str) -> None:
    """Mercurial's own tests, with the extension on, under one Mercurial."""
    directory = CACHE / f"mercurial-{version}" / "tests"
    together = []
    compared = []
    for test in UPSTREAM:
        if version not in test.versions:
            continue
        if options.pattern is not None and options.pattern not in test.name:
            continue
        if version in test.soak and not options.soak:
            result.left_out.append((test.name, "it is slow: use `make soak`"))
            continue
        args: tuple[str, ...] = ()
        if test.chg:
            chg = CACHE / f"chg-{version}" / "chg"
            if not chg.exists():
                if shutil.which("cc") is None:
                    why = "there is no C compiler to build chg"
                    result.left_out.append((f"{test.name} with chg", why))
                else:
                    result.fail("chg is missing: use `make test`")
                continue
            args = (f"--with-chg={chg}",)
        wrapper: tuple[str, ...] = ()
        if test.as_user and os.geteuid() == 0:
            if not can_run([*AS_USER, "true"]):
                why = "root cannot become an ordinary user here"
                result.left_out.append((test.name, why))
                continue
            wrapper = AS_USER
        if test.compared:
            compared.append(Compared(test.name, args, wrapper))
        elif test.alone or wrapper:
            run_t_files(
                options,
                result,
                version,
                directory,
                [test.name],
                (*args, *ENABLE),
                1,
                wrapper,
            )
        else:
            together.append(test.name)
    if together:
        run_t_files(options, result, version, directory, together, ENABLE, JOBS)
    if compared:
        # For an ordinary user some of them are the same.
        compare(options, result, version, list(dict.fromkeys(compared)))


def can_run(argv: Sequence[str]) -> bool:
    """Whether a program is there, and succeeds."""
    try:
        done = subprocess.run(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    except OSError:
        return False
    return done.returncode == 0


@dataclass(frozen=True)
class Compared:
    """A test of Mercurial's own, in one of the ways to run it."""

    name: str
    args: tuple[str, ...] = ()
    wrapper: tuple[str, ...] = ()


@dataclass(frozen=True)
class Printed:
    """What a test of Mercurial's own has printed: nothing, if as expected."""

    # By test, of which one file can hold several.
    unexpected: dict[str, str]
    skipped: dict[str, str]
    # Why it is not known, if so.
    problem: str | None = None


def compare(
    options: Options,
    result: Result,
    version: str,
    tests: Sequence[Compared],
) -> None:
    """Runs tests of Mercurial's with and without the extension, which must
    make no difference to what they print."""
    missing = missing_for(version)
    if missing is not None:
        result.fail(missing)
        return
    with ThreadPoolExecutor(JOBS) as pool:
        try:
            run_pair = partial(printed_by_both, options, version)
            pairs = list(pool.map(run_pair, tests))
        except BaseException:
            ENDING.set()
            raise
    for test, (stock, ours) in zip(tests, pairs):
        problem = stock.problem or ours.problem
        if problem is not None:
            result.fail(f"{test.name}: {problem}")
        elif stock != ours:
            result.fail(f"{test.name} prints something else")
            show_difference(stock, ours)
        elif ours.skipped:
            result.left_out += ours.skipped.items()
        else:
            result.passed += 1


def printed_by_both(
    options: Options, version: str, test: Compared
) -> tuple[Printed, Printed]:
    """What it prints without the extension, and with it."""
    stock = printed_by_stock(options, version, test)
    ours = printed_by(options, version, test, ENABLE)
    if stock != ours:
        # Mercurial's own output is not the same each time, such as where two
        # streams of a server meet.
        stock = printed_by(options, version, test)
        ours = printed_by(options, version, test, ENABLE)
    return stock, ours


def printed_by_stock(options: Options, version: str, test: Compared) -> Printed:
    """What it prints without the extension: run once, and remembered."""
    # Who runs what with what, and Mercurial itself, by its hash.
    pin = TESTS / "requirements" / f"hg-{version}.txt"
    source = CACHE / f"mercurial-{version}" / "tests" / test.name
    how = repr((sys.version, os.geteuid(), test.wrapper, test.args))
    key = hashlib.sha256(
        how.encode() + pin.read_bytes() + source.read_bytes()
    ).hexdigest()
    path = CACHE / f"upstream-{version}" / f"{test.name}-{key[:16]}.json"
    if path.exists():
        return Printed(**json.loads(path.read_text()))
    printed = printed_by(options, version, test)
    if printed.problem is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(printed)))
        new.replace(path)
    return printed


def printed_by(
    options: Options, version: str, test: Compared, args: Sequence[str] = ()
) -> Printed:
    """What it prints with these additional options of run-tests.py."""
    directory = CACHE / f"mercurial-{version}" / "tests"
    args = [*test.args, *args]
    done, printed = run_tests(
        options, version, directory, [test.name], args, 1, test.wrapper
    )
    ran = Ran.said_in(done.output)
    problem = None
    if ran is None or done.timed_out:
        problem = done.describe()
    elif re.search(r"^Failed \S+: timed out$", done.output, re.MULTILINE):
        problem = "not at its end within its time limit"
    elif ran.failed != len(printed) or not (ran.run or ran.skipped_count):
        problem = "it is not known what it has printed"
    if problem is not None and not options.verbose:
        print(done.output, flush=True)
    return Printed(printed, ran.skipped if ran is not None else {}, problem)


def show_difference(stock: Printed, ours: Printed) -> None:
    """Prints where two outputs differ."""
    for test in sorted(stock.unexpected.keys() | ours.unexpected.keys()):
        before, after = (
            printed.unexpected.get(test, "(as expected)").splitlines()
            for printed in (stock, ours)
        )
        names = (f"{test} without uilog", f"{test} with it")
        for line in difflib.unified_diff(before, after, *names, lineterm=""):
            print(line)
    if stock.skipped != ours.skipped:
        print(f"skipped: {stock.skipped} without uilog, {ours.skipped} with it")
    sys.stdout.flush()
