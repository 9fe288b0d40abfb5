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
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Callable

from tools.common import (
    CACHE,
    HG_VERSIONS,
    MAIN_HG,
    TESTS,
    Options,
    Part,
    Result,
    Tier,
    When,
    missing_for,
)
from tools.t_files import Ran, run_t_file, run_tests, weight_of

ENABLE = ("--extra-config-opt", "extensions.uilog=")


@dataclass(frozen=True)
class UpstreamTest:
    """A test of Mercurial's own that must pass unmodified."""

    name: str
    versions: tuple[str, ...] = HG_VERSIONS
    # Versions of which `make test` has the time, and of which only `make soak`
    # has; the others are for `make test-all`.
    test: tuple[str, ...] = (MAIN_HG,)
    soak: tuple[str, ...] = ()
    chg: bool = False
    # Whether it sleeps for a second and expects the work to be done.
    alone: bool = False
    # Whether root may do too much for it.
    as_user: bool = False
    # Whether it need not pass, but print what it prints without the extension:
    # for those that do not pass everywhere without it, or not as root.
    compared: bool = False
    # Lines that it does not print with the extension, for a reason that
    # docs/compatibility.md has.
    absent: tuple[str, ...] = ()

    def tier(self, version: str) -> Tier:
        """What runs it under a Mercurial."""
        if version in self.soak:
            return Tier.SOAK
        return Tier.TEST if version in self.test else Tier.ALL


OLDER_HGS = tuple(v for v in HG_VERSIONS if v != MAIN_HG)
# Those between the oldest and the newest.
MIDDLE_HGS = HG_VERSIONS[1:-1]

# A log in a read-only repository that is due for a rotation: stock hg does not
# write to it. With uilog it grows.
GROWS = (
    "  warning: cannot write to blackbox.log: $EACCES$",
    # As the test of hg 6.3 has it.
    "  warning: cannot write to blackbox.log: Permission denied",
)

# By default only those that test what we replace: the logtoprocess extension,
# the end of an ssh connection, the blackbox.
UPSTREAM = (
    UpstreamTest("test-logtoprocess.t", alone=True),
    UpstreamTest(
        "test-logtoprocess.t", versions=(MAIN_HG,), chg=True, alone=True
    ),
    UpstreamTest("test-push-race.t", test=(), soak=OLDER_HGS),
    UpstreamTest("test-ssh.t", soak=MIDDLE_HGS),
    UpstreamTest("test-ssh-bundle1.t", test=(), soak=OLDER_HGS),
    UpstreamTest("test-ssh-proto.t", test=(), soak=MIDDLE_HGS),
    UpstreamTest("test-ssh-clone-r.t", test=(), soak=OLDER_HGS),
    UpstreamTest("test-ssh-batch.t", soak=MIDDLE_HGS),
    UpstreamTest("test-ssh-repoerror.t", as_user=True, soak=MIDDLE_HGS),
    UpstreamTest("test-devel-warnings.t", test=(), soak=MIDDLE_HGS),
    # As root it leaves out what root may do: the next one has all of it.
    UpstreamTest(
        "test-blackbox.t",
        test=(),
        compared=True,
        soak=OLDER_HGS,
        absent=GROWS,
    ),
    UpstreamTest(
        "test-blackbox.t",
        compared=True,
        as_user=True,
        soak=MIDDLE_HGS,
        absent=GROWS,
    ),
    UpstreamTest(
        "test-blackbox.t",
        versions=(MAIN_HG,),
        test=(),
        compared=True,
        chg=True,
        absent=GROWS,
    ),
    UpstreamTest("test-hook.t", test=(), compared=True, soak=OLDER_HGS),
    UpstreamTest("test-tags.t", compared=True, soak=HG_VERSIONS),
    UpstreamTest("test-setdiscovery.t", compared=True, soak=HG_VERSIONS),
    UpstreamTest(
        "test-obsolete-tag-cache.t", test=(), compared=True, soak=OLDER_HGS
    ),
    UpstreamTest(
        "test-commandserver.t", test=(), compared=True, soak=OLDER_HGS
    ),
    UpstreamTest("test-profile.t", test=(), compared=True, soak=OLDER_HGS),
)

# What makes root an ordinary user, who still owns what root does.
AS_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


def upstream_parts(
    options: Options, result: Result, version: str
) -> Iterator[Part]:
    """Mercurial's own tests, with the extension on, under one Mercurial."""
    directory = CACHE / f"mercurial-{version}" / "tests"
    # For an ordinary user some of the compared ones are the same.
    compared = set()
    for test in UPSTREAM:
        if version not in test.versions:
            continue
        if options.pattern is not None and options.pattern not in test.name:
            continue
        later = options.leaves_out(test.tier(version))
        if later is not None:
            result.left_out.append((test.name, later))
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
        path = directory / test.name
        run: Callable[[Result], None]
        if test.compared:
            pair = Compared(path, args, wrapper, test.absent)
            if pair in compared:
                continue
            compared.add(pair)
            run = partial(compare, options, version, pair)
        else:
            args = (*args, *ENABLE)
            run = partial(run_t_file, options, version, path, args, wrapper)
        when = When.LAST if test.alone else When.BESIDE_OTHERS
        how = " with chg" if test.chg else " as a user" if wrapper else ""
        yield Part(run, weight_of(path), when, test.name + how)


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

    path: Path
    args: tuple[str, ...] = ()
    wrapper: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    def is_same(self, stock: Printed, ours: Printed) -> bool:
        """Whether the extension makes no difference but the known one."""
        if not self.absent or stock.skipped != ours.skipped:
            return stock == ours
        expected = self.path.read_text()

        def lines(printed: Printed, test: str) -> list[str]:
            text = printed.unexpected.get(test, expected)
            return [s for s in text.splitlines() if s not in self.absent]

        tests = stock.unexpected.keys() | ours.unexpected.keys()
        return all(lines(stock, test) == lines(ours, test) for test in tests)


@dataclass(frozen=True)
class Printed:
    """What a test of Mercurial's own has printed: nothing, if as expected."""

    # By test, of which one file can hold several.
    unexpected: dict[str, str]
    skipped: dict[str, str]
    # Why it is not known, if so.
    problem: str | None = None


def compare(
    options: Options, version: str, test: Compared, result: Result
) -> None:
    """Runs a test of Mercurial's with and without the extension, which must
    make no difference to what it prints."""
    missing = missing_for(version)
    if missing is not None:
        result.fail(missing)
        return
    stock, ours = printed_by_both(options, result, version, test)
    problem = stock.problem or ours.problem
    if problem is not None:
        result.fail(f"{test.path.name}: {problem}")
    elif not test.is_same(stock, ours):
        result.fail(f"{test.path.name} prints something else")
        result.say("\n".join(difference(stock, ours)))
    elif ours.skipped:
        result.left_out += ours.skipped.items()
    else:
        result.passed += 1


def printed_by_both(
    options: Options, result: Result, version: str, test: Compared
) -> tuple[Printed, Printed]:
    """What it prints without the extension, and with it."""
    stock = printed_by_stock(options, result, version, test)
    ours = printed_by(options, result, version, test, ENABLE)
    if not test.is_same(stock, ours):
        # Mercurial's own output is not the same each time, such as where two
        # streams of a server meet.
        stock = printed_by(options, result, version, test)
        ours = printed_by(options, result, version, test, ENABLE)
    return stock, ours


def printed_by_stock(
    options: Options, result: Result, version: str, test: Compared
) -> Printed:
    """What it prints without the extension: run once, and remembered."""
    # Who runs what with what, and Mercurial itself, by its hash.
    pin = TESTS / "requirements" / f"hg-{version}.txt"
    how = repr((sys.version, os.geteuid(), test.wrapper, test.args))
    key = hashlib.sha256(
        how.encode() + pin.read_bytes() + test.path.read_bytes()
    ).hexdigest()
    name = f"{test.path.name}-{key[:16]}.json"
    path = CACHE / f"upstream-{version}" / name
    if path.exists():
        return Printed(**json.loads(path.read_text()))
    printed = printed_by(options, result, version, test)
    if printed.problem is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(printed)))
        new.replace(path)
    return printed


def printed_by(
    options: Options,
    result: Result,
    version: str,
    test: Compared,
    args: Sequence[str] = (),
) -> Printed:
    """What it prints with these additional options of run-tests.py."""
    args = [*test.args, *args]
    done, printed = run_tests(
        options, result, version, test.path, args, test.wrapper
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
        result.say(done.output)
    return Printed(printed, ran.skipped if ran is not None else {}, problem)


def difference(stock: Printed, ours: Printed) -> Iterator[str]:
    """Where two outputs differ."""
    for test in sorted(stock.unexpected.keys() | ours.unexpected.keys()):
        before, after = (
            printed.unexpected.get(test, "(as expected)").splitlines()
            for printed in (stock, ours)
        )
        names = (f"{test} without uilog", f"{test} with it")
        yield from difflib.unified_diff(before, after, *names, lineterm="")
    if stock.skipped != ours.skipped:
        yield f"skipped: {stock.skipped} without uilog, {ours.skipped} with it"
